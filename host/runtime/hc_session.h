/* The library's API: a scheduler together with its device. One session belongs to one thread at a time. */
#ifndef HC_SESSION_H
#define HC_SESSION_H

#include <stdint.h>

#include "hc_schedule.h"
#include "hc_status.h"

typedef struct hc_session hc_session;

/* The plan's hash, compiled in. */
uint64_t hc_session_plan_hash(void);

/*
 * `shared_file`: the simulated device's, or NULL for a package without device regions. HC_PENDING if the device is
 * not ready within `timeout_ms`: call again. With HC_E_REGION, `*name` is the region.
 */
hc_status hc_session_open(const char *shared_file, uint32_t timeout_ms, const char **name, hc_session **session);
void hc_session_close(hc_session *session);

/*
 * How many threads run CPU regions from now on, before the first frame and once: up to the plan's, or 0 for as many of
 * these as the system has cores. Sessions of one process share theirs: the first one's number counts. Without this call
 * everything runs in the caller's thread. HC_E_ARGUMENT, HC_E_THREADS.
 */
hc_status hc_session_set_threads(hc_session *session, uint32_t threads);

/* As the functions of hc_schedule.h; times in milliseconds. */
void hc_session_set_deadline(hc_session *session, uint32_t deadline_ms);
hc_status hc_session_begin(hc_session *session, const void *const *inputs);
hc_status hc_session_advance(hc_session *session, uint32_t timeout_ms);
hc_status hc_session_finish(hc_session *session, void *const *outputs);
hc_status hc_session_reset(hc_session *session, uint32_t timeout_ms);
const hc_step_time *hc_session_times(const hc_session *session);
const char *hc_session_failed_step(const hc_session *session, int32_t *code);

#endif
