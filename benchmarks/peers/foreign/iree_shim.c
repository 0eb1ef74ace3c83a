/*
 * Runs the dispatches of a layer compiled by IREE in the order of its command buffer. The types are those of version 6 of
 * its executable_library.h. peer_schedule.h, written by iree.py, has the buffers and the steps.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint32_t size_x, size_y;
    uint16_t size_z, constant_count;
    uint32_t count_x, count_y;
    uint16_t count_z;
    uint8_t concurrency, binding_count;
    const uint32_t *constants;
    void *const *bindings;
    const size_t *lengths;
} dispatch_state;

typedef struct {
    uint32_t x, y;
    uint16_t z, reserved;
    uint32_t processor;
    void *local_memory;
    uint32_t local_bytes;
} workgroup_state;

typedef struct {
    const uint32_t *constants;
    int (*thunk)(int (*)(void *), void *);
    int (*const *imports)(void *);
    uint64_t processor[8];
} environment;

typedef int (*dispatch_function)(const environment *, const dispatch_state *, const workgroup_state *);

typedef struct {
    const void *header;
    uint32_t import_count;
    const char *const *import_names;
    uint32_t function_count;
    const dispatch_function *functions;
    const void *attributes, *parameters, *occupancy;
    const char *const *names;
} library;

/* a dispatch, or where ``name`` is 0 a fill of the first binding with ``pattern`` */
typedef struct {
    const char *name;
    uint32_t count[3], binding_count;
    struct {
        uint32_t buffer;
        size_t offset, length;
    } bindings[8];
    uint8_t pattern;
    uint32_t constant_count, constants[8];
} step;

#include "peer_schedule.h"

const library *iree_hal_executable_library_query(uint32_t version, const environment *);
int hc_peer(const void *x, const void *w, void *y);

static uint8_t local_memory[1 << 20] __attribute__((aligned(64)));

static int dispatch(const library *from, const environment *here, const step *s, uint8_t *const *buffers) {
    void *bindings[8];
    size_t lengths[8];
    dispatch_function function = 0;
    for (uint32_t i = 0; i < from->function_count; i++)
        if (!strcmp(from->names[i], s->name)) function = from->functions[i];
    if (!function) return 1;
    for (uint32_t i = 0; i < s->binding_count; i++) {
        bindings[i] = buffers[s->bindings[i].buffer] + s->bindings[i].offset;
        lengths[i] = s->bindings[i].length;
    }
    const dispatch_state state = {1, 1, 1, (uint16_t)s->constant_count, s->count[0], s->count[1], (uint16_t)s->count[2],
                                  1, (uint8_t)s->binding_count, s->constants, bindings, lengths};
    for (uint32_t z = 0; z < s->count[2]; z++)
        for (uint32_t y = 0; y < s->count[1]; y++)
            for (uint32_t x = 0; x < s->count[0]; x++) {
                const workgroup_state group = {x, y, (uint16_t)z, 0, 0, local_memory, sizeof local_memory};
                if (function(here, &state, &group)) return 1;
            }
    return 0;
}

int hc_peer(const void *x, const void *w, void *y) {
    static const environment here __attribute__((aligned(64)));
    uint8_t *const buffers[] = {HC_BUFFERS};
    const library *const found = iree_hal_executable_library_query(6, &here);
    if (!found) return 1;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const step *const s = &steps[i];
        if (!s->name)
            memset(buffers[s->bindings[0].buffer] + s->bindings[0].offset, s->pattern, s->bindings[0].length);
        else if (dispatch(found, &here, s, buffers))
            return 1;
    }
    return 0;
}
