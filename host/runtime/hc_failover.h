/*
 * CPU code in place of a device: every frame's share of the DMA pool has a spare in the processor's own memory, which a
 * device that comes back late cannot write to, and the regions run there on plain copies of their buffers.
 */
#ifndef HC_FAILOVER_H
#define HC_FAILOVER_H

#include <stddef.h>
#include <stdint.h>

#include "hc_plan.h"
#include "hc_status.h"

typedef struct hc_failover {
    uint8_t *pool;  /* plan->frames shares; NULL where the package has no code to fall back on */
    uint8_t *plain; /* one region's ports */
} hc_failover;

/* Aligned memory of zeros, at least a line of it; NULL if there is none. */
uint8_t *hc_zeroed(size_t bytes);

/*
 * Allocates what will be needed, if the package has CPU code for all of the device's regions (HC_OK without, too).
 * HC_E_REGION names a region whose code has other ports. `*arena_bytes` grows to what the code asks for.
 */
hc_status hc_failover_open(hc_failover *failover, const hc_plan *plan, const char **name, uint32_t *arena_bytes);
void hc_failover_close(hc_failover *failover);

/* Runs a device's step on buffers in their own layouts; what the region returned. */
int32_t hc_failover_run(const hc_failover *failover, const hc_step *step, const void *const *inputs,
                        void *const *outputs, void *arena);

#endif
