/*
 * What the standalone program reads and writes: messages of a header and `bytes` bytes, all little-endian.
 *
 *     FRAME       to the program    the inputs' plain buffers, back to back
 *     OUTPUTS     from the program  the outputs' plain buffers, back to back; one per frame, in order
 *     STATISTICS  both ways         a request is empty; the answer holds an hc_step_time per step of the plan
 *     SPANS       from the program  with --trace, before each frame's OUTPUTS: its hc_spans
 *     NOTICE      from the program  a line of text about what happened and was no error
 *
 * The program takes as many frames ahead as the plan has in flight. At the end of its input it finishes them and ends.
 */
#ifndef HC_WIRE_H
#define HC_WIRE_H

#include <stdint.h>

#define HC_WIRE_MAGIC 0x31774348u /* "HCw1" */

enum { HC_WIRE_FRAME = 1, HC_WIRE_OUTPUTS = 2, HC_WIRE_STATISTICS = 3, HC_WIRE_SPANS = 4, HC_WIRE_NOTICE = 5 };

typedef struct hc_wire_header {
    uint32_t magic;
    uint32_t kind;
    uint64_t bytes;
} hc_wire_header;

#endif
