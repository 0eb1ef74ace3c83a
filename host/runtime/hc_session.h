/* The library's API: a scheduler together with its device. One session belongs to one thread at a time. */
#ifndef HC_SESSION_H
#define HC_SESSION_H

#include <stdint.h>

#include "hc_device.h"
#include "hc_failure.h"
#include "hc_schedule.h"
#include "hc_status.h"

typedef struct hc_session hc_session;

/* The plan's hash, compiled in. */
uint64_t hc_session_plan_hash(void);

/*
 * Without any device in `link`, the CPU computes the device's regions, if the package has code for them. HC_PENDING if
 * the device is not ready within `timeout_ms`: call again. `about` (HC_TEXT_BYTES) becomes what the status does not
 * say, or "".
 */
hc_status hc_session_open(const hc_link *link, uint32_t timeout_ms, char *about, hc_session **session);
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
hc_status hc_session_trace(hc_session *session);
const hc_span *hc_session_spans(const hc_session *session, uint32_t *count);
const hc_step_time *hc_session_times(const hc_session *session);

/* The last error as a line. */
const char *hc_session_failure(hc_session *session);

/* What happened and was no error (the CPU took over from the device, or it serves again) as a line; or NULL. */
const char *hc_session_notice(hc_session *session);

#endif
