#include "hc_schedule.h"

#include <stdlib.h>
#include <string.h>

#include "hc_clock.h"
#include "hc_frames.h"

/* How often a device that failed is asked whether it serves again, and how long it may take to answer. */
enum { RETRY_NS = 1000000000, ANSWER_NS = 2000000 };

typedef struct command {
    uint64_t frame;
    uint32_t step;
    uint64_t submitted_ns;
} command;

struct hc_scheduler {
    const hc_plan *plan;
    hc_device *device;
    hc_frames frames;
    uint8_t *scratch; /* the CPU regions' own arena: one at a time, so one for all */
    hc_step_time *times;
    command queue[HC_RING_SLOTS]; /* commands without completion, oldest first from `first` on */
    uint32_t first, queued;
    uint64_t progress_ns;   /* when the device's queue last moved */
    uint64_t device_end_ns; /* when it last ended a command, for the trace */
    uint64_t deadline_ns;
    uint64_t retry_ns; /* when a device that failed is asked again; 0 while it serves */
    hc_failure failure; /* the last */
    hc_notice notice;   /* what was not told yet */
};

static void mark_done(hc_scheduler *s, uint64_t frame, uint32_t step, uint64_t busy_ns) {
    *hc_state(&s->frames, frame, step) = HC_STEP_DONE;
    s->frames.left[hc_place(&s->frames, frame)]--;
    s->times[step].runs++;
    s->times[step].busy_ns += busy_ns;
}

static hc_status failed(hc_scheduler *s, uint64_t frame, uint32_t step, hc_status status, int32_t code) {
    s->failure = (hc_failure){status, s->plan->steps[step].name, frame, code};
    return status;
}

/* A CPU region, or a device's region on the CPU. */
static int32_t run_region(hc_scheduler *s, uint64_t frame, const hc_step *step) {
    const void *inputs[HC_CPU_PORTS_MAX];
    void *outputs[HC_CPU_PORTS_MAX];
    for (uint32_t i = 0; i < step->read_count; i++) {
        inputs[i] = hc_to_read(&s->frames, frame, step->reads[i]);
    }
    for (uint32_t i = 0; i < step->write_count; i++) {
        outputs[i] = hc_address(&s->frames, frame, step->writes[i]);
    }
    if (step->kind == HC_STEP_DEVICE) {
        return hc_failover_run(&s->frames.failover, step, inputs, outputs, s->scratch);
    }
    return hc_package_regions[step->region]->run(inputs, outputs, s->scratch);
}

static hc_status run_cpu_step(hc_scheduler *s, uint64_t frame, uint32_t index) {
    const hc_step *step = &s->plan->steps[index];
    const uint64_t start = hc_now_ns();
    int32_t code = 0;
    if (step->kind == HC_STEP_CPU || step->kind == HC_STEP_DEVICE) {
        code = run_region(s, frame, step);
    } else {
        const void *from = hc_to_read(&s->frames, frame, step->reads[0]);
        void *to = hc_address(&s->frames, frame, step->writes[0]);
        (step->kind == HC_STEP_PACK ? hc_pack : hc_unpack)(&step->conversion, from, to);
    }
    if (code) {
        return failed(s, frame, index, HC_E_RUN, code);
    }
    for (uint32_t i = 0; i < step->write_count; i++) {
        hc_written(&s->frames, frame, step->writes[i]);
    }
    if (s->frames.lost) {
        return failed(s, frame, index, s->frames.lost, 0);
    }
    const uint64_t end = hc_now_ns();
    const hc_span_kind kind = step->kind == HC_STEP_DEVICE ? HC_SPAN_FAILOVER : HC_SPAN_CPU;
    hc_trace_add(&s->frames.trace, hc_place(&s->frames, frame), kind, index, start, end);
    mark_done(s, frame, index, end - start);
    return HC_OK;
}

static hc_status submit(hc_scheduler *s, uint64_t frame, uint32_t index) {
    const hc_step *step = &s->plan->steps[index];
    hc_command c = {.frame = frame,
                    .region = (uint32_t)step->region,
                    .input_count = (uint16_t)step->read_count,
                    .output_count = (uint16_t)step->write_count};
    if (s->queued == HC_RING_SLOTS) {
        return HC_BUSY;
    }
    for (uint32_t i = 0; i < step->read_count; i++) {
        c.offsets[i] = hc_pool_offset(&s->frames, frame, step->reads[i]);
    }
    for (uint32_t i = 0; i < s->plan->weight_count; i++) {
        if (s->plan->weights[i].region == step->region) {
            c.offsets[c.input_count++] = s->plan->frames * s->plan->pool_bytes + s->plan->weights[i].offset;
        }
    }
    for (uint32_t i = 0; i < step->write_count; i++) {
        c.offsets[c.input_count + i] = hc_pool_offset(&s->frames, frame, step->writes[i]);
    }
    const uint64_t now = hc_now_ns();
    hc_status status = s->device->ops->submit(s->device, &c);
    if (status == HC_OK) {
        *hc_state(&s->frames, frame, index) = HC_STEP_SUBMITTED;
        s->progress_ns = s->queued == 0 ? now : s->progress_ns;
        s->queue[(s->first + s->queued++) % HC_RING_SLOTS] = (command){frame, index, now};
    }
    return status;
}

/* What a device may complete a command with; other statuses mean something to the scheduler. */
static int is_result(uint32_t status) {
    return status == HC_OK || status == HC_E_RUN || status == HC_E_BAD_DESCRIPTOR;
}

/* The device serves commands in order: this is the oldest one's. */
static hc_status take_completion(hc_scheduler *s, const hc_completion *completion) {
    const command oldest = s->queue[s->first];
    const hc_step *step = &s->plan->steps[oldest.step];
    const uint64_t now = hc_now_ns();
    const int known = is_result(completion->status);
    if (completion->status != HC_OK && known) {
        return failed(s, oldest.frame, oldest.step, (hc_status)completion->status, completion->code);
    }
    if (!known || completion->frame != oldest.frame || completion->region != (uint32_t)step->region) {
        return failed(s, oldest.frame, oldest.step, HC_E_BAD_STATUS, 0);
    }
    const int shares_clock = completion->end_ns > oldest.submitted_ns && completion->end_ns <= now;
    const uint64_t end = shares_clock && completion->end_ns > s->device_end_ns ? completion->end_ns : now;
    const uint64_t earliest = oldest.submitted_ns > s->device_end_ns ? oldest.submitted_ns : s->device_end_ns;
    const uint64_t start = completion->busy_ns < end - earliest ? end - completion->busy_ns : earliest;
    hc_trace_add(&s->frames.trace, hc_place(&s->frames, oldest.frame), HC_SPAN_DEVICE, oldest.step, start, end);
    s->device_end_ns = end;
    s->progress_ns = now;
    s->first = (s->first + 1) % HC_RING_SLOTS;
    s->queued--;
    mark_done(s, oldest.frame, oldest.step, completion->busy_ns);
    return HC_OK;
}

/* Takes what the device has completed, waiting for the first until `until_ns` (0: not at all). */
static hc_status collect(hc_scheduler *s, uint64_t until_ns) {
    while (s->queued) {
        hc_completion completion;
        hc_status status = s->device->ops->wait(s->device, until_ns, &completion);
        if (status == HC_PENDING) {
            const int late = hc_now_ns() >= s->progress_ns + s->deadline_ns;
            return late ? failed(s, s->queue[s->first].frame, s->queue[s->first].step, HC_E_DEADLINE, 0) : HC_OK;
        }
        if (status != HC_OK) {
            return failed(s, s->queue[s->first].frame, s->queue[s->first].step, status, 0);
        }
        status = take_completion(s, &completion);
        if (status != HC_OK) {
            return status;
        }
        until_ns = 0;
    }
    return HC_OK;
}

/* Submits every device step that is ready; HC_BUSY is no error, the step is tried again later. */
static hc_status submit_ready(hc_scheduler *s) {
    for (uint64_t frame = s->frames.finished; frame < s->frames.begun; frame++) {
        for (uint32_t i = 0; i < s->plan->step_count; i++) {
            if (hc_is_for_device(&s->frames, frame, i) && hc_is_ready(&s->frames, frame, i)) {
                hc_status status = submit(s, frame, i);
                if (status != HC_OK && status != HC_BUSY) {
                    return failed(s, frame, i, status, 0);
                }
            }
        }
    }
    return HC_OK;
}

/* Runs one CPU step, of the oldest frame that has one ready; `*ran` says whether there was any. */
static hc_status run_one(hc_scheduler *s, int *ran) {
    *ran = 0;
    for (uint64_t frame = s->frames.finished; frame < s->frames.begun; frame++) {
        for (uint32_t i = 0; i < s->plan->step_count; i++) {
            if (!hc_is_for_device(&s->frames, frame, i) && hc_is_ready(&s->frames, frame, i)) {
                *ran = 1;
                return run_cpu_step(s, frame, i);
            }
        }
    }
    return HC_OK;
}

/*
 * The CPU goes on in the device's place. The cause where the package has no code for that, HC_E_SYNC where it cannot be
 * seen what the device has done so far.
 */
static hc_status fail_over(hc_scheduler *s, hc_status cause) {
    if (!s->frames.failover.pool) {
        return cause;
    }
    hc_leave_device(&s->frames);
    if (s->frames.lost) {
        s->failure.status = s->frames.lost;
        return s->frames.lost;
    }
    s->queued = 0;
    s->retry_ns = hc_now_ns() + RETRY_NS;
    s->notice = (hc_notice){HC_NOTICE_FAILOVER, s->failure};
    return HC_OK;
}

/* Whether a new frame goes to the device. One that failed is asked again from time to time. */
static int device_serves(hc_scheduler *s) {
    if (!s->device || !s->retry_ns) {
        return s->device != NULL;
    }
    const uint64_t now = hc_now_ns();
    if (now < s->retry_ns) {
        return 0;
    }
    if (s->device->ops->reset(s->device, now + ANSWER_NS) != HC_OK) {
        s->retry_ns = hc_now_ns() + RETRY_NS;
        return 0;
    }
    s->retry_ns = 0;
    hc_fill_weights(&s->frames);
    s->notice = (hc_notice){HC_NOTICE_RETURNED, {HC_OK, "", s->frames.begun, 0}};
    return 1;
}

hc_status hc_schedule_advance(hc_scheduler *s, uint64_t until_ns) {
    if (s->frames.finished == s->frames.begun) {
        return HC_E_ARGUMENT;
    }
    int ran = 1;
    for (;;) {
        uint64_t give_up = 0;
        if (!ran) {
            give_up = s->progress_ns + s->deadline_ns < until_ns ? s->progress_ns + s->deadline_ns : until_ns;
        }
        hc_status status = collect(s, give_up);
        if (status == HC_OK) {
            status = submit_ready(s);
        }
        if (status != HC_OK) {
            status = fail_over(s, status);
        }
        if (status != HC_OK) {
            return status;
        }
        if (s->frames.left[hc_place(&s->frames, s->frames.finished)] == 0) {
            return HC_OK;
        }
        status = run_one(s, &ran);
        if (status != HC_OK) {
            return status;
        }
        if (hc_now_ns() >= until_ns) {
            return HC_PENDING;
        }
    }
}

hc_status hc_schedule_begin(hc_scheduler *s, const void *const *inputs) {
    if (s->frames.begun - s->frames.finished == s->plan->frames) {
        return HC_BUSY;
    }
    const uint64_t frame = s->frames.begun;
    const uint32_t place = hc_place(&s->frames, frame);
    s->frames.starts[place] = hc_now_ns();
    s->frames.on_device[place] = (uint8_t)device_serves(s);
    hc_trace_begin(&s->frames.trace, place);
    for (uint32_t i = 0; i < s->plan->input_count; i++) {
        const uint32_t buffer = s->plan->inputs[i];
        memcpy(hc_address(&s->frames, frame, buffer), inputs[i], s->plan->buffers[buffer].bytes);
        hc_written(&s->frames, frame, buffer);
    }
    if (s->frames.lost) {
        return failed(s, frame, 0, s->frames.lost, 0);
    }
    memset(hc_state(&s->frames, frame, 0), HC_STEP_WAITING, s->plan->step_count);
    s->frames.left[place] = s->plan->step_count;
    s->frames.begun++;
    return HC_OK;
}

hc_status hc_schedule_finish(hc_scheduler *s, void *const *outputs) {
    if (s->frames.finished == s->frames.begun || s->frames.left[hc_place(&s->frames, s->frames.finished)] != 0) {
        return HC_PENDING;
    }
    for (uint32_t i = 0; i < s->plan->output_count; i++) {
        const uint32_t buffer = s->plan->outputs[i];
        memcpy(outputs[i], hc_to_read(&s->frames, s->frames.finished, buffer), s->plan->buffers[buffer].bytes);
    }
    if (s->frames.lost) {
        return failed(s, s->frames.finished, s->plan->step_count - 1, s->frames.lost, 0);
    }
    const uint32_t place = hc_place(&s->frames, s->frames.finished);
    hc_trace_add(&s->frames.trace, place, HC_SPAN_FRAME, 0, s->frames.starts[place], hc_now_ns());
    s->frames.finished++;
    return HC_OK;
}

void hc_schedule_set_deadline(hc_scheduler *s, uint64_t deadline_ns) { s->deadline_ns = deadline_ns; }

const hc_step_time *hc_schedule_times(const hc_scheduler *s) { return s->times; }

hc_status hc_schedule_trace(hc_scheduler *s) {
    return s->frames.trace.counts ? HC_OK : hc_trace_open(&s->frames.trace, s->plan);
}

const hc_span *hc_schedule_spans(const hc_scheduler *s, uint32_t *count) {
    const uint32_t place = hc_place(&s->frames, s->frames.finished + s->plan->frames - 1);
    *count = s->frames.trace.counts && s->frames.finished ? s->frames.trace.counts[place] : 0;
    return s->frames.trace.spans + (size_t)place * s->frames.trace.capacity;
}

const hc_failure *hc_schedule_failure(const hc_scheduler *s) { return &s->failure; }

int hc_schedule_notice(hc_scheduler *s, hc_notice *notice) {
    *notice = s->notice;
    s->notice.kind = HC_NOTICE_NONE;
    return notice->kind != HC_NOTICE_NONE;
}

hc_status hc_schedule_open(const hc_plan *plan, hc_device *device, const char **name, hc_scheduler **scheduler) {
    uint32_t scratch_bytes = 0;
    hc_scheduler *s = calloc(1, sizeof *s);
    if (!s) {
        return HC_E_MEMORY;
    }
    s->plan = plan;
    s->device = device;
    s->deadline_ns = 10000000000u;
    s->failure.region = "";
    hc_status status = hc_frames_open(&s->frames, plan, device, name, &scratch_bytes);
    s->scratch = hc_zeroed(scratch_bytes);
    s->times = calloc(plan->step_count, sizeof *s->times);
    if (status == HC_OK && !(s->scratch && s->times)) {
        status = HC_E_MEMORY;
    }
    if (status != HC_OK) {
        hc_schedule_close(s);
        return status;
    }
    *scheduler = s;
    return HC_OK;
}

void hc_schedule_close(hc_scheduler *s) {
    hc_frames_close(&s->frames);
    free(s->scratch);
    free(s->times);
    free(s);
}
