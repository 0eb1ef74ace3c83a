#include <inttypes.h>

#include "regions.h"

#define METER_NAME(name, text) text,
static const char *const names[CLASSES] = {METER_CLASSES(METER_NAME)};

static void by_class(FILE *file, const char *key, const uint64_t *counts) {
    fprintf(file, ",\n   \"%s\": {", key);
    for (int c = 0; c < CLASSES; c++) fprintf(file, "%s\"%s\": %" PRIu64, c ? ", " : "", names[c], counts[c]);
    fprintf(file, "}");
}

static void by_group(FILE *file, uint64_t groups[CLASSES][METER_GROUPS]) {
    fprintf(file, ",\n   \"groups\": {");
    for (int c = CLASS_VLOAD; c < CLASSES; c++) {
        fprintf(file, "%s\"%s\": [", c > CLASS_VLOAD ? ", " : "", names[c]);
        for (int g = 0; g < METER_GROUPS; g++) fprintf(file, "%s%" PRIu64, g ? ", " : "", groups[c][g]);
        fprintf(file, "]");
    }
    fprintf(file, "}");
}

void meter_report(meter_state *state, FILE *file) {
    if (state->open) meter_fault(state, "the program ended inside a region");
    fprintf(file, "{\"fault\": \"%s\", \"regions\": [", state->fault ? state->fault : "");
    const char *separator = "";
    for (uint32_t r = 0; r < METER_REGIONS; r++) {
        meter_counts *counts = &state->regions[r];
        if (!counts->entries) continue;
        fprintf(file, "%s\n  {\"region\": %" PRIu32 ", \"entries\": %" PRIu64, separator, r, counts->entries);
        by_class(file, "instructions", counts->instructions);
        by_group(file, counts->groups);
        by_class(file, "elements", counts->elements);
        fprintf(file, ",\n   \"loaded\": %" PRIu64 ", \"stored\": %" PRIu64, counts->loaded, counts->stored);
        fprintf(file, ", \"l1_misses\": %" PRIu64 ", \"l2_misses\": %" PRIu64 "}", counts->l1_misses, counts->l2_misses);
        separator = ",";
    }
    fprintf(file, "]}\n");
}
