#include "hc_trace.h"

#include <stdlib.h>

static uint32_t in_pool(const hc_plan *plan, uint32_t count, const uint16_t *buffers) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        found += plan->buffers[buffers[i]].memory == HC_POOL;
    }
    return found;
}

/* The frame itself, every step, and every handing over of a buffer. */
static uint32_t spans_of_a_frame(const hc_plan *plan) {
    uint32_t count = 1 + plan->step_count + in_pool(plan, plan->input_count, plan->inputs) +
                     in_pool(plan, plan->output_count, plan->outputs);
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const hc_step *step = &plan->steps[i];
        count += in_pool(plan, step->read_count, step->reads) + in_pool(plan, step->write_count, step->writes);
    }
    return count;
}

hc_status hc_trace_open(hc_trace *t, const hc_plan *plan) {
    t->capacity = spans_of_a_frame(plan);
    t->counts = calloc(plan->frames, sizeof *t->counts);
    t->spans = calloc((size_t)plan->frames * t->capacity, sizeof *t->spans);
    return t->counts && t->spans ? HC_OK : HC_E_MEMORY;
}

void hc_trace_close(hc_trace *t) {
    free(t->counts);
    free(t->spans);
}

void hc_trace_begin(hc_trace *t, uint32_t place) {
    if (t->counts) {
        t->counts[place] = 0;
    }
}

void hc_trace_add(hc_trace *t, uint32_t place, hc_span_kind kind, uint32_t index, uint64_t begin, uint64_t end) {
    if (t->counts && t->counts[place] < t->capacity) {
        t->spans[(size_t)place * t->capacity + t->counts[place]++] = (hc_span){begin, end, kind, index};
    }
}
