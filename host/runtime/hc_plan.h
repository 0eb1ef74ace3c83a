/*
 * The tables that the compiler writes into a package's plan.c; hc_schedule.c executes them.
 *
 * A buffer is one tensor in one layout. A step is a region or a conversion between layouts; it may start once the
 * steps in `after` are finished. Offsets and sizes are those of one frame: frame n uses share n % frames.
 */
#ifndef HC_PLAN_H
#define HC_PLAN_H

#include <stdint.h>

#include "hc_convert.h"
#include "hc_region.h"

typedef enum hc_memory { HC_ARENA, HC_POOL } hc_memory;

typedef enum hc_step_kind { HC_STEP_CPU, HC_STEP_DEVICE, HC_STEP_PACK, HC_STEP_UNPACK } hc_step_kind;

typedef struct hc_buffer {
    const char *tensor;
    hc_memory memory;
    uint32_t offset;
    uint32_t bytes;
} hc_buffer;

typedef struct hc_step {
    const char *name;
    hc_step_kind kind;
    int32_t region; /* index into hc_package_regions; -1 for conversions */
    uint32_t read_count;
    const uint16_t *reads; /* buffers, in port order */
    uint32_t write_count;
    const uint16_t *writes;
    uint32_t after_count;
    const uint16_t *after; /* steps */
    hc_conversion conversion;
    /* Of a device's step: between its buffers, reads first, and plain ones; lanes 0 where a buffer is plain. */
    const hc_conversion *ports;
} hc_step;

/* Weights that a device's port brings from the DMA pool once a frame; written there once, behind all frames. */
typedef struct hc_weights {
    const char *port;
    int32_t region;
    uint32_t offset;
    uint32_t bytes;
    const void *const *words; /* where the region's sources say what they are */
} hc_weights;

typedef struct hc_plan {
    uint64_t hash;
    uint32_t frames; /* in flight */
    uint32_t threads; /* that CPU regions are made for */
    uint32_t coherent;
    uint32_t cache_line;
    uint32_t arena_bytes;
    uint32_t pool_bytes;
    uint32_t buffer_count;
    const hc_buffer *buffers;
    uint32_t step_count;
    const hc_step *steps;
    uint32_t region_count;
    uint32_t input_count;
    const uint16_t *inputs; /* plain buffers */
    uint32_t output_count;
    const uint16_t *outputs;
    uint32_t weight_bytes;
    uint32_t weight_count;
    const hc_weights *weights; /* in the order of regions and of their ports */
} hc_plan;

/* What a device's pool takes: every frame's share, then the weights. */
static inline uint32_t hc_pool_total(const hc_plan *plan) {
    return plan->frames * plan->pool_bytes + plan->weight_bytes;
}

extern const hc_plan hc_package_plan;

/* One per region of the plan; NULL where the region runs on the other side. */
extern const hc_region *const hc_package_regions[];

/* CPU code for the device's regions, on plain buffers; NULL for other regions, and where the package has none. */
extern const hc_region *const hc_package_failover[];

#endif
