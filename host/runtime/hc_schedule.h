/*
 * The scheduler: runs the steps of a plan for several frames at once.
 *
 * Frames enter with `hc_schedule_begin` and leave, in the same order, with `hc_schedule_finish`; in between
 * `hc_schedule_advance` does the work: it submits device steps as soon as their inputs are there and uses the time
 * until they complete for CPU steps of the same and of other frames. One step at a time
 * (its CPU region may have the help of hc_threads.h), no allocation after opening.
 *
 * When the device fails (deadline, death, a refused command, a completion that cannot be) and the package has CPU code
 * for its regions, no frame is lost: those in flight are finished on the CPU, and new ones begin there until the
 * device, asked once a second, confirms a reset. A device that answers late finds its memory unused and its
 * completions forgotten.
 */
#ifndef HC_SCHEDULE_H
#define HC_SCHEDULE_H

#include <stdint.h>

#include "hc_device.h"
#include "hc_failure.h"
#include "hc_plan.h"
#include "hc_status.h"
#include "hc_trace.h"

typedef struct hc_scheduler hc_scheduler;

/* What one step cost so far; on a device, the time that it reports itself. */
typedef struct hc_step_time {
    uint64_t runs;
    uint64_t busy_ns;
} hc_step_time;

typedef enum hc_notice_kind {
    HC_NOTICE_NONE,
    HC_NOTICE_FAILOVER, /* `failure` is why the CPU takes over */
    HC_NOTICE_RETURNED  /* the device serves again, from `failure.frame` on */
} hc_notice_kind;

typedef struct hc_notice {
    hc_notice_kind kind;
    hc_failure failure;
} hc_notice;

/*
 * `device` may be NULL if no step needs one or the package has CPU code for all that do, else HC_E_NO_FAILOVER; it
 * stays the caller's. HC_E_REGION names the region in `*name`.
 */
hc_status hc_schedule_open(const hc_plan *plan, hc_device *device, const char **name, hc_scheduler **scheduler);
void hc_schedule_close(hc_scheduler *scheduler);

/* The longest time without a completion, while commands are queued, that is not yet an error. */
void hc_schedule_set_deadline(hc_scheduler *scheduler, uint64_t deadline_ns);

/* Copies a frame in: one pointer per input of the plan. HC_BUSY if all frames in flight are taken. */
hc_status hc_schedule_begin(hc_scheduler *scheduler, const void *const *inputs);

/*
 * Works until the oldest frame is finished (HC_OK), but not much longer than `until_ns` (HC_PENDING). After any other
 * status the frames in flight are lost: close. HC_E_ARGUMENT if there is no frame.
 */
hc_status hc_schedule_advance(hc_scheduler *scheduler, uint64_t until_ns);

/* Copies the finished oldest frame's outputs out and frees its place. HC_PENDING if it is not finished. */
hc_status hc_schedule_finish(hc_scheduler *scheduler, void *const *outputs);

/* One entry per step of the plan. */
const hc_step_time *hc_schedule_times(const hc_scheduler *scheduler);

/* What the last error was about. */
const hc_failure *hc_schedule_failure(const hc_scheduler *scheduler);

/* Takes what happened since the last call and was no error; 0 if nothing did. */
int hc_schedule_notice(hc_scheduler *scheduler, hc_notice *notice);

/* Keeps spans of time of all frames that begin from now on. */
hc_status hc_schedule_trace(hc_scheduler *scheduler);

/* The spans of the frame that was finished last; valid until the next one begins. */
const hc_span *hc_schedule_spans(const hc_scheduler *scheduler, uint32_t *count);

#endif
