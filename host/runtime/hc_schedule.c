#include "hc_schedule.h"

#include <stdlib.h>
#include <string.h>

#include "hc_clock.h"
#include "hc_links.h"

enum { STEP_WAITING, STEP_SUBMITTED, STEP_DONE };

struct hc_scheduler {
    const hc_plan *plan;
    hc_device *device;
    uint8_t *arena;   /* plan->frames shares */
    uint8_t *scratch; /* the CPU regions' own arena: one at a time, so one for all */
    uint8_t *states;  /* STEP_*, [place of the frame][step] */
    uint32_t *left;   /* unfinished steps, [place of the frame] */
    hc_step_time *times;
    uint64_t begun, finished; /* frames; frame n is in place n % plan->frames */
    uint32_t queued;          /* commands without completion */
    uint64_t progress_ns;     /* when the device's queue last moved */
    uint64_t deadline_ns;
    const char *failed_step;
    int32_t failed_code;
};

static uint32_t place_of(const hc_scheduler *s, uint64_t frame) { return (uint32_t)(frame % s->plan->frames); }

static uint32_t pool_offset(const hc_scheduler *s, uint64_t frame, uint32_t buffer) {
    return place_of(s, frame) * s->plan->pool_bytes + s->plan->buffers[buffer].offset;
}

static uint8_t *address(const hc_scheduler *s, uint64_t frame, uint32_t buffer) {
    if (s->plan->buffers[buffer].memory == HC_POOL) {
        return s->device->pool + pool_offset(s, frame, buffer);
    }
    return s->arena + (size_t)place_of(s, frame) * s->plan->arena_bytes + s->plan->buffers[buffer].offset;
}

/* Whole cache lines: the plan pads every buffer to them. */
static uint32_t padded(const hc_scheduler *s, uint32_t buffer) {
    const uint32_t line = s->plan->cache_line;
    return (s->plan->buffers[buffer].bytes + line - 1) / line * line;
}

/* The processor is about to read the buffer: what a device has written must not be hidden by stale lines. */
static const uint8_t *to_read(const hc_scheduler *s, uint64_t frame, uint32_t buffer) {
    if (s->plan->buffers[buffer].memory == HC_POOL) {
        s->device->ops->invalidate(s->device, pool_offset(s, frame, buffer), padded(s, buffer));
    }
    return address(s, frame, buffer);
}

/* The processor has written the buffer: a device must see it. */
static void written(const hc_scheduler *s, uint64_t frame, uint32_t buffer) {
    if (s->plan->buffers[buffer].memory == HC_POOL) {
        s->device->ops->clean(s->device, pool_offset(s, frame, buffer), padded(s, buffer));
    }
}

static uint8_t *state_of(const hc_scheduler *s, uint64_t frame, uint32_t step) {
    return &s->states[place_of(s, frame) * s->plan->step_count + step];
}

static int is_ready(const hc_scheduler *s, uint64_t frame, uint32_t index) {
    const hc_step *step = &s->plan->steps[index];
    if (*state_of(s, frame, index) != STEP_WAITING) {
        return 0;
    }
    for (uint32_t i = 0; i < step->after_count; i++) {
        if (*state_of(s, frame, step->after[i]) != STEP_DONE) {
            return 0;
        }
    }
    return 1;
}

static void mark_done(hc_scheduler *s, uint64_t frame, uint32_t step, uint64_t busy_ns) {
    *state_of(s, frame, step) = STEP_DONE;
    s->left[place_of(s, frame)]--;
    s->times[step].runs++;
    s->times[step].busy_ns += busy_ns;
}

static hc_status failed(hc_scheduler *s, const hc_step *step, hc_status status, int32_t code) {
    s->failed_step = step->name;
    s->failed_code = code;
    return status;
}

static int32_t run_region(hc_scheduler *s, uint64_t frame, const hc_step *step) {
    const void *inputs[HC_PORTS_MAX];
    void *outputs[HC_PORTS_MAX];
    for (uint32_t i = 0; i < step->read_count; i++) {
        inputs[i] = to_read(s, frame, step->reads[i]);
    }
    for (uint32_t i = 0; i < step->write_count; i++) {
        outputs[i] = address(s, frame, step->writes[i]);
    }
    return hc_package_regions[step->region]->run(inputs, outputs, s->scratch);
}

static hc_status run_cpu_step(hc_scheduler *s, uint64_t frame, uint32_t index) {
    const hc_step *step = &s->plan->steps[index];
    const uint64_t start = hc_now_ns();
    int32_t code = 0;
    if (step->kind == HC_STEP_CPU) {
        code = run_region(s, frame, step);
    } else if (step->kind == HC_STEP_PACK) {
        hc_pack(&step->conversion, to_read(s, frame, step->reads[0]), address(s, frame, step->writes[0]));
    } else {
        hc_unpack(&step->conversion, to_read(s, frame, step->reads[0]), address(s, frame, step->writes[0]));
    }
    if (code) {
        return failed(s, step, HC_E_RUN, code);
    }
    for (uint32_t i = 0; i < step->write_count; i++) {
        written(s, frame, step->writes[i]);
    }
    mark_done(s, frame, index, hc_now_ns() - start);
    return HC_OK;
}

static hc_status submit(hc_scheduler *s, uint64_t frame, uint32_t index) {
    const hc_step *step = &s->plan->steps[index];
    hc_command command = {.frame = frame,
                          .region = (uint32_t)step->region,
                          .input_count = (uint16_t)step->read_count,
                          .output_count = (uint16_t)step->write_count};
    for (uint32_t i = 0; i < step->read_count; i++) {
        command.offsets[i] = pool_offset(s, frame, step->reads[i]);
    }
    for (uint32_t i = 0; i < step->write_count; i++) {
        command.offsets[step->read_count + i] = pool_offset(s, frame, step->writes[i]);
    }
    hc_status status = s->device->ops->submit(s->device, &command);
    if (status == HC_OK) {
        *state_of(s, frame, index) = STEP_SUBMITTED;
        if (s->queued++ == 0) {
            s->progress_ns = hc_now_ns();
        }
    }
    return status;
}

static hc_status take_completion(hc_scheduler *s, const hc_completion *completion) {
    const uint64_t frame = completion->frame;
    s->queued--;
    s->progress_ns = hc_now_ns();
    for (uint32_t i = 0; i < s->plan->step_count; i++) {
        const hc_step *step = &s->plan->steps[i];
        if (step->kind != HC_STEP_DEVICE || step->region != (int32_t)completion->region) {
            continue;
        }
        if (frame < s->finished || frame >= s->begun || *state_of(s, frame, i) != STEP_SUBMITTED) {
            break;
        }
        if (completion->status != HC_OK) {
            const int known = completion->status < HC_STATUS_COUNT;
            return failed(s, step, known ? (hc_status)completion->status : HC_E_BAD_STATUS, completion->code);
        }
        mark_done(s, frame, i, completion->busy_ns);
        return HC_OK;
    }
    return completion->status == HC_E_BAD_DESCRIPTOR ? HC_E_BAD_DESCRIPTOR : HC_E_BAD_STATUS;
}

/* Takes what the device has completed, waiting for the first until `until_ns` (0: not at all). */
static hc_status collect(hc_scheduler *s, uint64_t until_ns) {
    while (s->queued) {
        hc_completion completion;
        hc_status status = s->device->ops->wait(s->device, until_ns, &completion);
        if (status == HC_OK) {
            status = take_completion(s, &completion);
        }
        if (status != HC_OK) {
            return status == HC_PENDING ? HC_OK : status;
        }
        until_ns = 0;
    }
    return HC_OK;
}

/* Submits every device step that is ready; HC_BUSY is no error, the step is tried again later. */
static hc_status submit_ready(hc_scheduler *s) {
    for (uint64_t frame = s->finished; frame < s->begun; frame++) {
        for (uint32_t i = 0; i < s->plan->step_count; i++) {
            if (s->plan->steps[i].kind == HC_STEP_DEVICE && is_ready(s, frame, i)) {
                hc_status status = submit(s, frame, i);
                if (status != HC_OK && status != HC_BUSY) {
                    return failed(s, &s->plan->steps[i], status, 0);
                }
            }
        }
    }
    return HC_OK;
}

/* Runs one CPU step, of the oldest frame that has one ready; `*ran` says whether there was any. */
static hc_status run_one(hc_scheduler *s, int *ran) {
    *ran = 0;
    for (uint64_t frame = s->finished; frame < s->begun; frame++) {
        for (uint32_t i = 0; i < s->plan->step_count; i++) {
            if (s->plan->steps[i].kind != HC_STEP_DEVICE && is_ready(s, frame, i)) {
                *ran = 1;
                return run_cpu_step(s, frame, i);
            }
        }
    }
    return HC_OK;
}

hc_status hc_schedule_advance(hc_scheduler *s, uint64_t until_ns) {
    if (s->finished == s->begun) {
        return HC_E_ARGUMENT;
    }
    int ran = 1;
    for (;;) {
        uint64_t give_up = 0;
        if (!ran) {
            give_up = s->progress_ns + s->deadline_ns < until_ns ? s->progress_ns + s->deadline_ns : until_ns;
        }
        hc_status status = collect(s, give_up);
        if (status == HC_OK && s->queued && hc_now_ns() >= s->progress_ns + s->deadline_ns) {
            status = HC_E_DEADLINE;
        }
        if (status == HC_OK) {
            status = submit_ready(s);
        }
        if (status != HC_OK) {
            return status;
        }
        if (s->left[place_of(s, s->finished)] == 0) {
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
    if (s->begun - s->finished == s->plan->frames) {
        return HC_BUSY;
    }
    const uint64_t frame = s->begun;
    for (uint32_t i = 0; i < s->plan->input_count; i++) {
        const uint32_t buffer = s->plan->inputs[i];
        memcpy(address(s, frame, buffer), inputs[i], s->plan->buffers[buffer].bytes);
        written(s, frame, buffer);
    }
    memset(state_of(s, frame, 0), STEP_WAITING, s->plan->step_count);
    s->left[place_of(s, frame)] = s->plan->step_count;
    s->begun++;
    return HC_OK;
}

hc_status hc_schedule_finish(hc_scheduler *s, void *const *outputs) {
    if (s->finished == s->begun || s->left[place_of(s, s->finished)] != 0) {
        return HC_PENDING;
    }
    for (uint32_t i = 0; i < s->plan->output_count; i++) {
        const uint32_t buffer = s->plan->outputs[i];
        memcpy(outputs[i], to_read(s, s->finished, buffer), s->plan->buffers[buffer].bytes);
    }
    s->finished++;
    return HC_OK;
}

hc_status hc_schedule_reset(hc_scheduler *s, uint64_t until_ns) {
    s->finished = s->begun;
    s->queued = 0;
    s->failed_step = "";
    return s->device ? s->device->ops->reset(s->device, until_ns) : HC_OK;
}

void hc_schedule_set_deadline(hc_scheduler *s, uint64_t deadline_ns) { s->deadline_ns = deadline_ns; }

const hc_step_time *hc_schedule_times(const hc_scheduler *s) { return s->times; }

const char *hc_schedule_failed_step(const hc_scheduler *s, int32_t *code) {
    *code = s->failed_code;
    return s->failed_step;
}

static uint8_t *aligned(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, HC_ALIGN, bytes ? bytes : HC_ALIGN) != 0) {
        return NULL;
    }
    return memset(memory, 0, bytes);
}

hc_status hc_schedule_open(const hc_plan *plan, hc_device *device, const char **name, hc_scheduler **scheduler) {
    uint32_t scratch_bytes = 0;
    hc_status status = hc_check_links(plan, HC_STEP_CPU, name, &scratch_bytes);
    hc_scheduler *s = status == HC_OK ? calloc(1, sizeof *s) : NULL;
    if (!s) {
        return status == HC_OK ? HC_E_MEMORY : status;
    }
    s->plan = plan;
    s->device = device;
    s->deadline_ns = 10000000000u;
    s->failed_step = "";
    s->arena = aligned((size_t)plan->frames * plan->arena_bytes);
    s->scratch = aligned(scratch_bytes);
    s->states = calloc(plan->frames, plan->step_count);
    s->left = calloc(plan->frames, sizeof *s->left);
    s->times = calloc(plan->step_count, sizeof *s->times);
    if (!s->arena || !s->scratch || !s->states || !s->left || !s->times) {
        hc_schedule_close(s);
        return HC_E_MEMORY;
    }
    *scheduler = s;
    return HC_OK;
}

void hc_schedule_close(hc_scheduler *s) {
    free(s->arena);
    free(s->scratch);
    free(s->states);
    free(s->left);
    free(s->times);
    free(s);
}
