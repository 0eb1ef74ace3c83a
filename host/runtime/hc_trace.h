/*
 * When the steps of a frame ran: spans of the monotonic clock, kept per frame in flight and read once it is finished.
 *
 * A device that shares the processor's clock says when it ended; of others the span ends when the completion was seen.
 */
#ifndef HC_TRACE_H
#define HC_TRACE_H

#include <stdint.h>

#include "hc_plan.h"
#include "hc_status.h"

typedef enum hc_span_kind {
    HC_SPAN_FRAME,     /* from begin to finish; index 0 */
    HC_SPAN_CPU,       /* index: step */
    HC_SPAN_DEVICE,    /* index: step */
    HC_SPAN_FAILOVER,  /* a device's step on the CPU; index: step */
    HC_SPAN_TO_DEVICE, /* cached lines written back; index: buffer */
    HC_SPAN_TO_CPU     /* cached lines dropped; index: buffer */
} hc_span_kind;

typedef struct hc_span {
    uint64_t begin_ns, end_ns;
    uint32_t kind, index;
} hc_span;

typedef struct hc_trace {
    uint32_t capacity; /* of one frame */
    uint32_t *counts;  /* by place of the frame */
    hc_span *spans;
} hc_trace;

/* HC_OK, or HC_E_MEMORY; everything that will be needed is allocated here. */
hc_status hc_trace_open(hc_trace *trace, const hc_plan *plan);
void hc_trace_close(hc_trace *trace);

/* Forgets what was kept of the place. Both do nothing before hc_trace_open. */
void hc_trace_begin(hc_trace *trace, uint32_t place);
void hc_trace_add(hc_trace *trace, uint32_t place, hc_span_kind kind, uint32_t index, uint64_t begin, uint64_t end);

#endif
