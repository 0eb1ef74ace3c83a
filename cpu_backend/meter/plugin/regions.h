/* Marked regions of the program and what was counted in each. */
#ifndef HC_METER_REGIONS_H
#define HC_METER_REGIONS_H

#include <stdint.h>
#include <stdio.h>

#include "decode.h"
#include "vtype.h"

#define METER_REGIONS 2048 /* as many as a HINT's immediate can name */

typedef struct {
    uint64_t entries;                        /* times begun */
    uint64_t instructions[CLASSES];
    uint64_t groups[CLASSES][METER_GROUPS];  /* vector operations by EMUL */
    uint64_t elements[CLASSES];              /* accesses of strided, indexed and segment loads and stores */
    uint64_t loaded, stored;                 /* bytes */
    uint64_t l1_misses, l2_misses;
} meter_counts;

typedef struct {
    uint64_t live[CLASSES];   /* instructions executed since the start, counted in line by the emulator */
    uint64_t opened[CLASSES]; /* `live` when the open region began */
    meter_counts *open;       /* NULL outside regions */
    const char *fault;        /* the first thing that makes the counts worthless, or NULL */
    meter_counts regions[METER_REGIONS];
} meter_state;

void meter_fault(meter_state *state, const char *fault);
void meter_begin(meter_state *state, uint32_t region);
void meter_end(meter_state *state);
void meter_forget(meter_state *state);

/* JSON with every region that was begun. A region still open is a fault. */
void meter_report(meter_state *state, FILE *file);

#endif
