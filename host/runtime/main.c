/*
 * The standalone program: the runtime with its CPU regions, for a RISC-V Linux (under qemu or on a board).
 *
 *     hetero [--shared FILE | --nodes ROOT [--interrupt]] [--deadline MILLISECONDS] [--threads N] [--trace]
 *         < frames > outputs
 *
 * --shared: a simulated device's file. --nodes: the folder above dev/ and sys/ with a UIO device; / on a board. Without
 * either the CPU computes everything.
 *
 * hc_wire.h has the format of both streams. Errors are one line "hetero: CODE: text" on standard error and exit
 * status 2.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hc_session.h"
#include "hc_wire.h"

enum { OPEN_MS = 30000, SLICE_MS = 2 };

typedef struct program {
    const hc_plan *plan;
    hc_session *session;
    uint32_t in_flight;
    int input_ended, trace;
    uint64_t input_bytes, output_bytes;
    uint8_t *input, *output; /* one message's body each */
} program;

static int fail(const char *code, const char *text, const char *about) {
    fprintf(stderr, "hetero: %s: %s%s%s\n", code, text, *about ? ": " : "", about);
    return 2;
}

static int fail_status(hc_status status, const char *about) {
    return fail(hc_status_name(status), hc_status_text(status), about);
}

/* 1 when all bytes are there, 0 at the end of the stream before the first, -1 otherwise. */
static int read_all(void *data, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = read(STDIN_FILENO, (char *)data + done, bytes - done);
        if (got <= 0) {
            return got == 0 && done == 0 ? 0 : -1;
        }
        done += (size_t)got;
    }
    return 1;
}

static int write_all(const void *data, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        ssize_t put = write(STDOUT_FILENO, (const char *)data + done, bytes - done);
        if (put <= 0) {
            return 0;
        }
        done += (size_t)put;
    }
    return 1;
}

static int write_message(uint32_t kind, const void *body, uint64_t bytes) {
    const hc_wire_header header = {HC_WIRE_MAGIC, kind, bytes};
    return write_all(&header, sizeof header) && write_all(body, (size_t)bytes);
}

static uint64_t total_bytes(const hc_plan *plan, uint32_t count, const uint16_t *buffers) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += plan->buffers[buffers[i]].bytes;
    }
    return bytes;
}

/* Passes on what happened and was no error. */
static int tell(program *p) {
    const char *notice = hc_session_notice(p->session);
    const int told = !notice || write_message(HC_WIRE_NOTICE, notice, strlen(notice));
    return told ? 0 : fail("output", "cannot be written", "");
}

static int begin_frame(program *p) {
    const void *inputs[64];
    const uint8_t *next = p->input;
    if (p->plan->input_count > 64) {
        return fail("argument", "more than 64 inputs", "");
    }
    for (uint32_t i = 0; i < p->plan->input_count; i++) {
        inputs[i] = next;
        next += p->plan->buffers[p->plan->inputs[i]].bytes;
    }
    hc_status status = hc_session_begin(p->session, inputs);
    p->in_flight++;
    return status == HC_OK ? tell(p) : fail_status(status, "");
}

static int take_message(program *p) {
    hc_wire_header header;
    int got = read_all(&header, sizeof header);
    if (got == 0) {
        p->input_ended = 1;
        return 0;
    }
    if (got < 0 || header.magic != HC_WIRE_MAGIC) {
        return fail("input", "no message of this program's protocol", "");
    }
    if (header.kind == HC_WIRE_STATISTICS && header.bytes == 0) {
        const hc_step_time *times = hc_session_times(p->session);
        const int sent = write_message(HC_WIRE_STATISTICS, times, p->plan->step_count * sizeof *times);
        return sent ? 0 : fail("output", "cannot be written", "");
    }
    if (header.kind != HC_WIRE_FRAME || header.bytes != p->input_bytes) {
        return fail("input", "a message of the wrong kind or size", "");
    }
    if (read_all(p->input, (size_t)p->input_bytes) != 1) {
        return fail("input", "ends in the middle of a frame", "");
    }
    return begin_frame(p);
}

static int give_outputs(program *p) {
    void *outputs[64];
    uint8_t *next = p->output;
    if (p->plan->output_count > 64) {
        return fail("argument", "more than 64 outputs", "");
    }
    for (uint32_t i = 0; i < p->plan->output_count; i++) {
        outputs[i] = next;
        next += p->plan->buffers[p->plan->outputs[i]].bytes;
    }
    hc_status status = hc_session_finish(p->session, outputs);
    if (status != HC_OK) {
        return fail_status(status, "");
    }
    uint32_t spans = 0;
    const hc_span *first = hc_session_spans(p->session, &spans);
    p->in_flight--;
    if (p->trace && !write_message(HC_WIRE_SPANS, first, spans * sizeof *first)) {
        return fail("output", "cannot be written", "");
    }
    return write_message(HC_WIRE_OUTPUTS, p->output, p->output_bytes) ? 0 : fail("output", "cannot be written", "");
}

static int work(program *p) {
    hc_status status = hc_session_advance(p->session, SLICE_MS);
    if (tell(p) != 0) {
        return 2;
    }
    if (status == HC_OK) {
        return give_outputs(p);
    }
    return status == HC_PENDING ? 0 : fail(hc_status_name(status), hc_session_failure(p->session), "");
}

static int message_waits(void) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

static int serve(program *p) {
    int result = 0;
    while (result == 0 && !(p->input_ended && p->in_flight == 0)) {
        const int room = !p->input_ended && p->in_flight < p->plan->frames;
        result = room && (p->in_flight == 0 || message_waits()) ? take_message(p) : work(p);
    }
    return result;
}

/* The command line; 0 if it is not one. */
static int parse(int argc, char **argv, hc_link *link, long *deadline_ms, long *threads, int *trace) {
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            *trace = 1;
        } else if (strcmp(argv[i], "--interrupt") == 0) {
            link->interrupt = 1;
        } else if (value && strcmp(argv[i], "--shared") == 0 && !link->nodes) {
            link->shared = argv[++i];
        } else if (value && strcmp(argv[i], "--nodes") == 0 && !link->shared) {
            link->nodes = argv[++i];
        } else if (value && strcmp(argv[i], "--deadline") == 0) {
            *deadline_ms = atol(argv[++i]);
        } else if (value && strcmp(argv[i], "--threads") == 0) {
            *threads = atol(argv[++i]);
        } else {
            return 0;
        }
    }
    return 1;
}

int main(int argc, char **argv) {
    program p = {.plan = &hc_package_plan};
    hc_link link = {NULL, NULL, NULL, 0};
    char about[HC_TEXT_BYTES] = "";
    long deadline_ms = 0, threads = 0;
    if (!parse(argc, argv, &link, &deadline_ms, &threads, &p.trace)) {
        return fail("usage", "hetero [--shared FILE | --nodes ROOT [--interrupt]] [--deadline MS] [--threads N] [--trace]", "");
    }
    p.input_bytes = total_bytes(p.plan, p.plan->input_count, p.plan->inputs);
    p.output_bytes = total_bytes(p.plan, p.plan->output_count, p.plan->outputs);
    p.input = malloc((size_t)p.input_bytes);
    p.output = malloc((size_t)p.output_bytes);
    if (!p.input || !p.output) {
        return fail_status(HC_E_MEMORY, "");
    }
    hc_status status = hc_session_open(&link, OPEN_MS, about, &p.session);
    if (status != HC_OK) {
        return fail_status(status == HC_PENDING ? HC_E_DEADLINE : status, about);
    }
    if (deadline_ms > 0) {
        hc_session_set_deadline(p.session, (uint32_t)deadline_ms);
    }
    if (p.trace && hc_session_trace(p.session) != HC_OK) {
        return fail_status(HC_E_MEMORY, "");
    }
    status = hc_session_set_threads(p.session, (uint32_t)threads);
    const int result = status == HC_OK ? serve(&p) : fail_status(status, "threads");
    hc_session_close(p.session);
    free(p.input);
    free(p.output);
    return result;
}
