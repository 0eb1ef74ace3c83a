#include "regions.h"

#include <string.h>

void meter_fault(meter_state *state, const char *fault) {
    if (!state->fault) state->fault = fault;
}

void meter_begin(meter_state *state, uint32_t region) {
    if (state->open) {
        meter_fault(state, "a region begins inside another one: regions do not nest");
        return;
    }
    state->open = &state->regions[region];
    state->open->entries++;
    memcpy(state->opened, state->live, sizeof state->opened);
}

void meter_end(meter_state *state) {
    if (!state->open) {
        meter_fault(state, "a region ends that was not begun");
        return;
    }
    for (int c = 0; c < CLASSES; c++) state->open->instructions[c] += state->live[c] - state->opened[c];
    state->open = NULL;
}

void meter_forget(meter_state *state) {
    if (state->open) meter_fault(state, "counts are forgotten inside a region");
    memset(state->regions, 0, sizeof state->regions);
}
