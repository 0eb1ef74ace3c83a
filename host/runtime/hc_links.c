#include "hc_links.h"

#include <stddef.h>

static int same_sizes(const hc_plan *plan, uint32_t count, const uint16_t *buffers, const hc_conversion *plain,
                      const uint32_t *bytes) {
    for (uint32_t i = 0; i < count; i++) {
        const int copied = plain && plain[i].lanes;
        if ((copied ? plain[i].elements * plain[i].element_bytes : plan->buffers[buffers[i]].bytes) != bytes[i]) {
            return 0;
        }
    }
    return 1;
}

static int fits(const hc_plan *plan, const hc_step *step, const hc_conversion *plain, const hc_region *region,
                uint32_t *arena_bytes) {
    if (!region || region->abi != HC_REGION_ABI || region->input_count != step->read_count ||
        region->output_count != step->write_count ||
        !same_sizes(plan, step->read_count, step->reads, plain, region->input_bytes) ||
        !same_sizes(plan, step->write_count, step->writes, plain ? plain + step->read_count : plain,
                    region->output_bytes)) {
        return 0;
    }
    if (region->arena_bytes > *arena_bytes) {
        *arena_bytes = region->arena_bytes;
    }
    return 1;
}

hc_status hc_check_links(const hc_plan *plan, hc_step_kind side, const char **name, uint32_t *arena_bytes) {
    *arena_bytes = 0;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const hc_step *step = &plan->steps[i];
        if (step->kind == side && !fits(plan, step, NULL, hc_package_regions[step->region], arena_bytes)) {
            *name = step->name;
            return HC_E_REGION;
        }
    }
    return HC_OK;
}

int hc_runs_plain(const hc_plan *plan, const hc_step *step, const hc_region *region, uint32_t *arena_bytes) {
    return fits(plan, step, step->ports, region, arena_bytes);
}
