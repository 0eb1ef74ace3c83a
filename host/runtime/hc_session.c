#include "hc_session.h"

#include <stdlib.h>

#include "hc_clock.h"
#include "hc_threads.h"

struct hc_session {
    hc_device *device;
    hc_scheduler *scheduler;
    int has_threads;
};

static uint64_t in_ms(uint32_t ms) { return hc_now_ns() + (uint64_t)ms * 1000000u; }

uint64_t hc_session_plan_hash(void) { return hc_package_plan.hash; }

hc_status hc_session_open(const char *shared_file, uint32_t timeout_ms, const char **name, hc_session **session) {
    hc_session *s = calloc(1, sizeof *s);
    if (!s) {
        return HC_E_MEMORY;
    }
    hc_status status = HC_OK;
    if (shared_file) {
        status = hc_shared_open(shared_file, &hc_package_plan, in_ms(timeout_ms), &s->device);
    }
    if (status == HC_OK) {
        status = hc_schedule_open(&hc_package_plan, s->device, name, &s->scheduler);
    }
    if (status != HC_OK) {
        hc_session_close(s);
        return status;
    }
    *session = s;
    return HC_OK;
}

void hc_session_close(hc_session *s) {
    if (s->has_threads) {
        hc_threads_close();
    }
    if (s->scheduler) {
        hc_schedule_close(s->scheduler);
    }
    if (s->device) {
        s->device->ops->close(s->device);
    }
    free(s);
}

hc_status hc_session_set_threads(hc_session *s, uint32_t threads) {
    const uint32_t most = hc_package_plan.threads, cores = hc_threads_available();
    if (s->has_threads || threads > most) {
        return HC_E_ARGUMENT;
    }
    const hc_status status = hc_threads_open(threads ? threads : most < cores ? most : cores);
    s->has_threads = status == HC_OK;
    return status;
}

void hc_session_set_deadline(hc_session *s, uint32_t deadline_ms) {
    hc_schedule_set_deadline(s->scheduler, (uint64_t)deadline_ms * 1000000u);
}

hc_status hc_session_begin(hc_session *s, const void *const *inputs) {
    return hc_schedule_begin(s->scheduler, inputs);
}

hc_status hc_session_advance(hc_session *s, uint32_t timeout_ms) {
    return hc_schedule_advance(s->scheduler, in_ms(timeout_ms));
}

hc_status hc_session_finish(hc_session *s, void *const *outputs) {
    return hc_schedule_finish(s->scheduler, outputs);
}

hc_status hc_session_reset(hc_session *s, uint32_t timeout_ms) {
    return hc_schedule_reset(s->scheduler, in_ms(timeout_ms));
}

const hc_step_time *hc_session_times(const hc_session *s) { return hc_schedule_times(s->scheduler); }

const char *hc_session_failed_step(const hc_session *s, int32_t *code) {
    return hc_schedule_failed_step(s->scheduler, code);
}
