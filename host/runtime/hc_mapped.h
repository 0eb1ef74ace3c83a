/*
 * What devices behind mapped memory have in common: registers, then rings and pool in memory that both sides reach.
 *
 * A kind of device fills in an hc_mapped (the first member of its own struct) and says what differs.
 */
#ifndef HC_MAPPED_H
#define HC_MAPPED_H

#include "hc_device.h"
#include "hc_regs.h"

typedef struct hc_mapped hc_mapped;

typedef struct hc_mapped_kind {
    /* Whether anybody is there to answer. */
    int (*is_alive)(hc_mapped *mapped);
    /* Waits until the device may have something to say, at most until `until_ns`; `rounds` counts waits in a row. */
    void (*pause)(hc_mapped *mapped, uint32_t *rounds, uint64_t until_ns);
    /* Cache maintenance of the pool; HC_OK or HC_E_SYNC. */
    hc_status (*sync)(hc_mapped *mapped, uint32_t offset, uint32_t bytes, int for_device);
    /* The same for the rings; NULL where the processor sees them uncached. */
    hc_status (*sync_rings)(hc_mapped *mapped, uint32_t offset, uint32_t bytes, int for_device);
    void (*close)(hc_mapped *mapped);
} hc_mapped_kind;

struct hc_mapped {
    hc_device base;
    const hc_mapped_kind *kind;
    const hc_plan *plan;
    hc_regs regs;
    uint8_t *rings;               /* HC_RINGS_BYTES */
    uint64_t rings_bus, pool_bus; /* as the device sees rings and pool */
    uint32_t pool_bytes;
    uint32_t submitted, collected; /* sequence numbers of the last command and completion */
    uint64_t looked_ns;            /* when somebody was known to be there */
};

/* Everything of `base` but the pool; `kind` is set by the caller. */
void hc_mapped_init(hc_mapped *mapped, const hc_plan *plan);

/* A `pause` that gives the processor away, then sleeps. */
void hc_mapped_poll(hc_mapped *mapped, uint32_t *rounds, uint64_t until_ns);

/* The kinds; as hc_device_open. */
hc_status hc_shared_open(const char *path, const hc_plan *plan, char *about, hc_device **device);
hc_status hc_uio_open(const char *root, int interrupt, const hc_plan *plan, char *about, hc_device **device);
hc_status hc_mapping_open(const hc_mapping *mapping, const hc_plan *plan, char *about, hc_device **device);

#endif
