/*
 * The C ABI of a region: the part of a network that runs in one place.
 *
 * CPU regions, compiled for any machine, and the simulators of device regions alike are one
 * `const hc_region hc_region_<name>`; whoever runs it knows nothing else about the engine that made it.
 *
 * Buffers are owned by the caller, aligned to HC_ALIGN bytes and padded to a multiple of it; their contents have the
 * layouts of the manifest's ports, in port order. A region never allocates: it works in `arena`.
 */
#ifndef HC_REGION_H
#define HC_REGION_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HC_REGION_ABI 1u
#define HC_ALIGN 64u

typedef struct hc_region {
    const char *name;
    uint32_t abi; /* HC_REGION_ABI */
    uint32_t input_count;
    uint32_t output_count;
    const uint32_t *input_bytes;  /* one per input port */
    const uint32_t *output_bytes; /* one per output port */
    uint32_t arena_bytes;
    /* One frame; 0 on success, otherwise a code the runtime reports together with the region's name. */
    int32_t (*run)(const void *const *inputs, void *const *outputs, void *arena);
} hc_region;

#ifdef __cplusplus
}
#endif

#endif
