#include "hc_links.h"

static int same_sizes(const hc_plan *plan, uint32_t count, const uint16_t *buffers, const uint32_t *bytes) {
    for (uint32_t i = 0; i < count; i++) {
        if (plan->buffers[buffers[i]].bytes != bytes[i]) {
            return 0;
        }
    }
    return 1;
}

hc_status hc_check_links(const hc_plan *plan, hc_step_kind side, const char **name, uint32_t *arena_bytes) {
    *arena_bytes = 0;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const hc_step *step = &plan->steps[i];
        if (step->kind != side) {
            continue;
        }
        const hc_region *region = hc_package_regions[step->region];
        if (!region || region->abi != HC_REGION_ABI || region->input_count != step->read_count ||
            region->output_count != step->write_count ||
            !same_sizes(plan, step->read_count, step->reads, region->input_bytes) ||
            !same_sizes(plan, step->write_count, step->writes, region->output_bytes)) {
            *name = step->name;
            return HC_E_REGION;
        }
        if (region->arena_bytes > *arena_bytes) {
            *arena_bytes = region->arena_bytes;
        }
    }
    return HC_OK;
}
