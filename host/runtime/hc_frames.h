/*
 * The frames in flight: where their buffers are, what state their steps are in, and handing buffers over between the
 * processor and the device. Frame n is in place n % plan->frames.
 */
#ifndef HC_FRAMES_H
#define HC_FRAMES_H

#include <stdint.h>

#include "hc_device.h"
#include "hc_failover.h"
#include "hc_plan.h"
#include "hc_trace.h"

enum { HC_STEP_WAITING, HC_STEP_SUBMITTED, HC_STEP_DONE };

typedef struct hc_frames {
    const hc_plan *plan;
    hc_device *device; /* NULL if there is none */
    hc_failover failover;
    hc_trace trace;
    uint8_t *arena;     /* plan->frames shares */
    uint8_t *states;    /* HC_STEP_*, [place][step] */
    uint8_t *on_device; /* [place]: whether its pool buffers are in the device's pool and not in the spare */
    uint64_t *starts;   /* when it began, [place] */
    uint32_t *left;     /* unfinished steps, [place] */
    uint64_t begun, finished;
    hc_status lost; /* HC_E_SYNC once cache maintenance has failed: what was read since, or is in the pool, is doubtful */
} hc_frames;

/* As hc_schedule_open; `*arena_bytes` becomes what the largest region asks for. hc_frames_close also after an error. */
hc_status hc_frames_open(hc_frames *frames, const hc_plan *plan, hc_device *device, const char **name,
                         uint32_t *arena_bytes);
void hc_frames_close(hc_frames *frames);

static inline uint32_t hc_place(const hc_frames *f, uint64_t frame) { return (uint32_t)(frame % f->plan->frames); }

static inline uint8_t *hc_state(const hc_frames *f, uint64_t frame, uint32_t step) {
    return &f->states[hc_place(f, frame) * f->plan->step_count + step];
}

/* Whether a step waits for nothing but being run. */
int hc_is_ready(const hc_frames *f, uint64_t frame, uint32_t step);

/* Whether a step is one for the device; else it is the processor's. */
int hc_is_for_device(const hc_frames *f, uint64_t frame, uint32_t step);

uint32_t hc_pool_offset(const hc_frames *f, uint64_t frame, uint32_t buffer);
uint8_t *hc_address(const hc_frames *f, uint64_t frame, uint32_t buffer);

/* The processor is about to read the buffer: what a device has written must not be hidden by stale lines. */
const uint8_t *hc_to_read(hc_frames *f, uint64_t frame, uint32_t buffer);

/* The processor has written the buffer: a device must see it. */
void hc_written(hc_frames *f, uint64_t frame, uint32_t buffer);

/* Writes the weights that ports bring into the device's pool. `lost` says whether these three succeeded. */
void hc_fill_weights(hc_frames *f);

/*
 * After a failure of the device: its frames move to the spare pool, and what it had not completed waits for the CPU.
 * What was finished is in the pool still, and so are a step's inputs until it is done.
 */
void hc_leave_device(hc_frames *f);

#endif
