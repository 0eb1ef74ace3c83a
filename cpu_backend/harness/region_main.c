/*
 * Runs one region over frames: region_main INPUT OUTPUT, with -DHC_REGION=hc_region_<name> at compile time.
 * With -DHC_THREADS it takes a third argument, the number of threads.
 * INPUT holds, frame by frame, the region's input ports one after another; OUTPUT gets the output ports likewise.
 */
#include <stdio.h>
#include <stdlib.h>

#include "hc_region.h"
#ifdef HC_THREADS
#include "hc_threads.h"
#endif

extern const hc_region HC_REGION;

static void **inputs, **outputs; /* these and their buffers live as long as the process */
static void *arena;

static void *buffer(uint32_t bytes) {
    const size_t padded = ((size_t)bytes + HC_ALIGN) / HC_ALIGN * HC_ALIGN;
    uint8_t *memory = (uint8_t *)calloc(padded + HC_ALIGN, 1);
    if (!memory) exit(3);
    return memory + (HC_ALIGN - (uintptr_t)memory % HC_ALIGN);
}

int main(int argc, char **argv) {
    const hc_region *region = &HC_REGION;
#ifdef HC_THREADS
    if (argc == 4 && hc_threads_open((uint32_t)atoi(argv[3])) != HC_OK) return 3;
    argc = 3;
#endif
    if (argc != 3) return fprintf(stderr, "usage: %s INPUT OUTPUT\n", argv[0]), 2;
    FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");
    if (!in || !out) return fprintf(stderr, "cannot open %s or %s\n", argv[1], argv[2]), 2;
    inputs = (void **)buffer(region->input_count * (uint32_t)sizeof(void *));
    outputs = (void **)buffer(region->output_count * (uint32_t)sizeof(void *));
    for (uint32_t i = 0; i < region->input_count; i++) inputs[i] = buffer(region->input_bytes[i]);
    for (uint32_t i = 0; i < region->output_count; i++) outputs[i] = buffer(region->output_bytes[i]);
    arena = buffer(region->arena_bytes);
    for (;;) {
        for (uint32_t i = 0; i < region->input_count; i++)
            if (fread(inputs[i], 1, region->input_bytes[i], in) != region->input_bytes[i]) {
                const int clean = i == 0 && feof(in);
                if (fclose(out) != 0) return fprintf(stderr, "cannot write %s\n", argv[2]), 2;
                return clean ? 0 : 2;
            }
        const int32_t status = region->run((const void *const *)inputs, outputs, arena);
        if (status) return fprintf(stderr, "%s failed with code %d\n", region->name, (int)status), 1;
        for (uint32_t i = 0; i < region->output_count; i++)
            if (fwrite(outputs[i], 1, region->output_bytes[i], out) != region->output_bytes[i]) return 2;
    }
}
