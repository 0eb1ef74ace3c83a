#include "hc_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hc_clock.h"
#include "hc_threads.h"

struct hc_session {
    hc_device *device;
    hc_scheduler *scheduler;
    int has_threads;
    char text[HC_TEXT_BYTES];
};

static uint64_t in_ms(uint32_t ms) { return hc_now_ns() + (uint64_t)ms * 1000000u; }

uint64_t hc_session_plan_hash(void) { return hc_package_plan.hash; }

hc_status hc_session_open(const hc_link *link, uint32_t timeout_ms, char *about, hc_session **session) {
    const char *region = "";
    *about = '\0';
    hc_session *s = calloc(1, sizeof *s);
    if (!s) {
        return HC_E_MEMORY;
    }
    hc_status status = HC_OK;
    if (link->shared || link->nodes || link->mapping) {
        status = hc_device_open(link, &hc_package_plan, in_ms(timeout_ms), about, &s->device);
    }
    if (status == HC_OK) {
        status = hc_schedule_open(&hc_package_plan, s->device, &region, &s->scheduler);
        snprintf(about, HC_TEXT_BYTES, "%s", region);
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

hc_status hc_session_trace(hc_session *s) { return hc_schedule_trace(s->scheduler); }

const hc_span *hc_session_spans(const hc_session *s, uint32_t *count) { return hc_schedule_spans(s->scheduler, count); }

const hc_step_time *hc_session_times(const hc_session *s) { return hc_schedule_times(s->scheduler); }

const char *hc_session_failure(hc_session *s) {
    hc_failure_text(hc_schedule_failure(s->scheduler), s->text, sizeof s->text);
    return s->text;
}

const char *hc_session_notice(hc_session *s) {
    hc_notice notice;
    if (!hc_schedule_notice(s->scheduler, &notice)) {
        return NULL;
    }
    if (notice.kind == HC_NOTICE_RETURNED) {
        const unsigned long long frame = notice.failure.frame;
        snprintf(s->text, sizeof s->text, "frame %llu: the device serves again", frame);
        return s->text;
    }
    hc_failure_text(&notice.failure, s->text, sizeof s->text);
    const size_t length = strlen(s->text);
    snprintf(s->text + length, sizeof s->text - length, "; the CPU computes the accelerator's regions from here on");
    return s->text;
}
