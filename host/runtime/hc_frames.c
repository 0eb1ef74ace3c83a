#include "hc_frames.h"

#include <stdlib.h>
#include <string.h>

#include "hc_clock.h"
#include "hc_links.h"

int hc_is_ready(const hc_frames *f, uint64_t frame, uint32_t index) {
    const hc_step *step = &f->plan->steps[index];
    if (*hc_state(f, frame, index) != HC_STEP_WAITING) {
        return 0;
    }
    for (uint32_t i = 0; i < step->after_count; i++) {
        if (*hc_state(f, frame, step->after[i]) != HC_STEP_DONE) {
            return 0;
        }
    }
    return 1;
}

int hc_is_for_device(const hc_frames *f, uint64_t frame, uint32_t step) {
    return f->plan->steps[step].kind == HC_STEP_DEVICE && f->on_device[hc_place(f, frame)];
}

uint32_t hc_pool_offset(const hc_frames *f, uint64_t frame, uint32_t buffer) {
    return hc_place(f, frame) * f->plan->pool_bytes + f->plan->buffers[buffer].offset;
}

static int is_shared(const hc_frames *f, uint64_t frame, uint32_t buffer) {
    return f->plan->buffers[buffer].memory == HC_POOL && f->on_device[hc_place(f, frame)];
}

uint8_t *hc_address(const hc_frames *f, uint64_t frame, uint32_t buffer) {
    if (f->plan->buffers[buffer].memory == HC_POOL) {
        return (is_shared(f, frame, buffer) ? f->device->pool : f->failover.pool) + hc_pool_offset(f, frame, buffer);
    }
    return f->arena + (size_t)hc_place(f, frame) * f->plan->arena_bytes + f->plan->buffers[buffer].offset;
}

static void note(hc_frames *f, hc_status sync) { f->lost = f->lost == HC_OK ? sync : f->lost; }

/* Cache maintenance of whole lines, to which the plan pads every buffer. */
static void hand_over(hc_frames *f, uint64_t frame, uint32_t buffer, hc_span_kind way) {
    const uint32_t line = f->plan->cache_line;
    const uint32_t bytes = (f->plan->buffers[buffer].bytes + line - 1) / line * line;
    const uint64_t start = f->trace.counts ? hc_now_ns() : 0;
    hc_status status = HC_OK;
    if (way == HC_SPAN_TO_DEVICE) {
        status = f->device->ops->clean(f->device, hc_pool_offset(f, frame, buffer), bytes);
    } else {
        status = f->device->ops->invalidate(f->device, hc_pool_offset(f, frame, buffer), bytes);
    }
    note(f, status);
    if (f->trace.counts) {
        hc_trace_add(&f->trace, hc_place(f, frame), way, buffer, start, hc_now_ns());
    }
}

const uint8_t *hc_to_read(hc_frames *f, uint64_t frame, uint32_t buffer) {
    if (is_shared(f, frame, buffer)) {
        hand_over(f, frame, buffer, HC_SPAN_TO_CPU);
    }
    return hc_address(f, frame, buffer);
}

void hc_written(hc_frames *f, uint64_t frame, uint32_t buffer) {
    if (is_shared(f, frame, buffer)) {
        hand_over(f, frame, buffer, HC_SPAN_TO_DEVICE);
    }
}

void hc_fill_weights(hc_frames *f) {
    for (uint32_t i = 0; i < f->plan->weight_count && f->device; i++) {
        const hc_weights *w = &f->plan->weights[i];
        const uint32_t line = f->plan->cache_line, offset = f->plan->frames * f->plan->pool_bytes + w->offset;
        memcpy(f->device->pool + offset, *w->words, w->bytes);
        note(f, f->device->ops->clean(f->device, offset, (w->bytes + line - 1) / line * line));
    }
}

void hc_leave_device(hc_frames *f) {
    const uint32_t bytes = f->plan->pool_bytes;
    for (uint64_t frame = f->finished; frame < f->begun; frame++) {
        const uint32_t place = hc_place(f, frame);
        if (!f->on_device[place]) {
            continue;
        }
        note(f, f->device->ops->invalidate(f->device, place * bytes, bytes));
        memcpy(f->failover.pool + (size_t)place * bytes, f->device->pool + (size_t)place * bytes, bytes);
        f->on_device[place] = 0;
        for (uint32_t i = 0; i < f->plan->step_count; i++) {
            if (*hc_state(f, frame, i) == HC_STEP_SUBMITTED) {
                *hc_state(f, frame, i) = HC_STEP_WAITING;
            }
        }
    }
}

static int needs_device(const hc_plan *plan) {
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].kind == HC_STEP_DEVICE) {
            return 1;
        }
    }
    return 0;
}

hc_status hc_frames_open(hc_frames *f, const hc_plan *plan, hc_device *device, const char **name,
                         uint32_t *arena_bytes) {
    f->plan = plan;
    f->device = device;
    hc_status status = hc_check_links(plan, HC_STEP_CPU, name, arena_bytes);
    if (status == HC_OK) {
        status = hc_failover_open(&f->failover, plan, name, arena_bytes);
    }
    if (status == HC_OK && !device && !f->failover.pool && needs_device(plan)) {
        status = HC_E_NO_FAILOVER;
    }
    if (status != HC_OK) {
        return status;
    }
    f->arena = hc_zeroed((size_t)plan->frames * plan->arena_bytes);
    f->states = calloc(plan->frames, plan->step_count);
    f->on_device = calloc(plan->frames, 1);
    f->starts = calloc(plan->frames, sizeof *f->starts);
    f->left = calloc(plan->frames, sizeof *f->left);
    if (!(f->arena && f->states && f->on_device && f->starts && f->left)) {
        return HC_E_MEMORY;
    }
    hc_fill_weights(f);
    return f->lost;
}

void hc_frames_close(hc_frames *f) {
    hc_failover_close(&f->failover);
    hc_trace_close(&f->trace);
    free(f->arena);
    free(f->states);
    free(f->on_device);
    free(f->starts);
    free(f->left);
}
