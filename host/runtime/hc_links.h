/* Whether the regions linked into this program are those that the plan describes. */
#ifndef HC_LINKS_H
#define HC_LINKS_H

#include "hc_plan.h"
#include "hc_status.h"

/*
 * Checks the regions of one side (HC_STEP_CPU or HC_STEP_DEVICE): ABI version, number and sizes of ports. HC_E_REGION
 * with `*name` set to the first that differs. `*arena_bytes` becomes the largest arena that any of them asks for.
 */
hc_status hc_check_links(const hc_plan *plan, hc_step_kind side, const char **name, uint32_t *arena_bytes);

/* Whether `region` has the ports of a device's step, all plain; `*arena_bytes` grows to what it asks for. */
int hc_runs_plain(const hc_plan *plan, const hc_step *step, const hc_region *region, uint32_t *arena_bytes);

#endif
