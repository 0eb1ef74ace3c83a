#include "hc_mapped.h"

#include <stdio.h>
#include <stdlib.h>

#include "hc_clock.h"
#include "hc_failure.h"

/* How often a wait looks whether anybody is there to answer. */
enum { LOOK_NS = 10000000 };

static hc_status sync_rings(hc_mapped *m, uint32_t offset, uint32_t bytes, int for_device) {
    return m->kind->sync_rings ? m->kind->sync_rings(m, offset, bytes, for_device) : HC_OK;
}

static hc_status submit(hc_device *device, const hc_command *command) {
    hc_mapped *m = (hc_mapped *)device;
    const uint32_t sequence = m->submitted + 1;
    if (m->submitted - m->collected >= HC_RING_SLOTS) {
        return HC_BUSY;
    }
    hc_ring_put_command((hc_command *)(void *)m->rings, sequence, command);
    hc_status status = sync_rings(m, sequence % HC_RING_SLOTS * (uint32_t)sizeof *command, sizeof *command, 1);
    if (status == HC_OK) {
        m->submitted = sequence;
        hc_reg_write(m->regs, HC_REG_DOORBELL, sequence);
    }
    return status;
}

static hc_status next_completion(hc_mapped *m, hc_completion *completion) {
    const hc_completion *ring = (const hc_completion *)(const void *)(m->rings + HC_COMMAND_RING_BYTES);
    const uint32_t sequence = m->collected + 1;
    const uint32_t offset = HC_COMMAND_RING_BYTES + sequence % HC_RING_SLOTS * (uint32_t)sizeof *completion;
    hc_status status = sync_rings(m, offset, sizeof *completion, 0);
    if (status == HC_OK) {
        status = hc_ring_get_completion(ring, sequence, completion);
        m->collected += status != HC_PENDING;
    }
    return status;
}

static hc_status wait_completion(hc_device *device, uint64_t until_ns, hc_completion *completion) {
    hc_mapped *m = (hc_mapped *)device;
    uint32_t rounds = 0;
    for (;;) {
        hc_status status = next_completion(m, completion);
        if (status != HC_PENDING) {
            return status;
        }
        const uint64_t now = until_ns ? hc_now_ns() : 0;
        if (now >= until_ns) {
            return hc_reg_read(m->regs, HC_REG_STATUS) == HC_DEVICE_FAULTY ? HC_E_DEVICE_FAULT : HC_PENDING;
        }
        if (now > m->looked_ns + LOOK_NS) {
            m->looked_ns = now;
            if (!m->kind->is_alive(m)) {
                status = next_completion(m, completion);
                return status == HC_PENDING ? HC_E_DEVICE_LOST : status;
            }
        }
        m->kind->pause(m, &rounds, until_ns);
    }
}

static hc_status clean(hc_device *device, uint32_t offset, uint32_t bytes) {
    hc_mapped *m = (hc_mapped *)device;
    return m->kind->sync(m, offset, bytes, 1);
}

static hc_status invalidate(hc_device *device, uint32_t offset, uint32_t bytes) {
    hc_mapped *m = (hc_mapped *)device;
    return m->kind->sync(m, offset, bytes, 0);
}

static hc_status identify(hc_mapped *m) {
    const uint32_t state = hc_reg_read(m->regs, HC_REG_STATUS);
    if (state != HC_DEVICE_READY) {
        return state == HC_DEVICE_FAULTY ? HC_E_DEVICE_FAULT : HC_PENDING;
    }
    if (hc_reg_read(m->regs, HC_REG_ID) != HC_DEVICE_ID ||
        hc_reg_read(m->regs, HC_REG_VERSION) != HC_PROTOCOL_VERSION) {
        return HC_E_VERSION;
    }
    return hc_reg_read64(m->regs, HC_REG_PLAN_HASH_LO) == m->plan->hash ? HC_OK : HC_E_HASH;
}

static hc_status reset(hc_device *device, uint64_t until_ns) {
    hc_mapped *m = (hc_mapped *)device;
    hc_status status = m->kind->is_alive(m) ? identify(m) : HC_E_DEVICE_LOST;
    if (status != HC_OK) {
        return status;
    }
    const uint32_t mark = hc_reg_read(m->regs, HC_REG_RESET_DONE) + 1;
    uint32_t rounds = 0;
    hc_reg_write64(m->regs, HC_REG_COMMAND_BASE_LO, m->rings_bus);
    hc_reg_write64(m->regs, HC_REG_COMPLETION_BASE_LO, m->rings_bus + HC_COMMAND_RING_BYTES);
    hc_reg_write64(m->regs, HC_REG_POOL_BASE_LO, m->pool_bus);
    hc_reg_write(m->regs, HC_REG_POOL_BYTES, m->pool_bytes);
    hc_reg_write(m->regs, HC_REG_RESET, mark);
    while (hc_reg_read(m->regs, HC_REG_RESET_DONE) != mark) {
        if (!m->kind->is_alive(m)) {
            return HC_E_DEVICE_LOST;
        }
        if (hc_now_ns() >= until_ns) {
            return HC_E_DEADLINE;
        }
        hc_back_off(&rounds);
    }
    m->submitted = m->collected = hc_reg_read(m->regs, HC_REG_DOORBELL);
    return HC_OK;
}

static void close_device(hc_device *device) {
    hc_mapped *m = (hc_mapped *)device;
    m->kind->close(m);
}

static const hc_device_ops ops = {submit, wait_completion, clean, invalidate, reset, close_device};

void hc_mapped_init(hc_mapped *m, const hc_plan *plan) {
    m->base.ops = &ops;
    m->plan = plan;
    m->pool_bytes = hc_pool_total(plan);
}

void hc_mapped_poll(hc_mapped *mapped, uint32_t *rounds, uint64_t until_ns) {
    (void)mapped;
    (void)until_ns;
    hc_back_off(rounds);
}

/* The device behind a caller's mapping. */
typedef struct lent_device {
    hc_mapped mapped;
    hc_mapping lent;
} lent_device;

/* Registers that read as absent are those of a fabric that was configured anew, or not at all. */
static int is_configured(hc_mapped *m) { return hc_reg_read(m->regs, HC_REG_STATUS) != HC_DEVICE_ABSENT; }

static hc_status sync_lent(hc_mapped *m, uint64_t offset, uint32_t bytes, int for_device) {
    const hc_mapping *lent = &((lent_device *)m)->lent;
    return lent->sync && lent->sync(lent->context, offset, bytes, for_device) ? HC_E_SYNC : HC_OK;
}

static hc_status sync_lent_pool(hc_mapped *m, uint32_t offset, uint32_t bytes, int for_device) {
    return sync_lent(m, (uint64_t)HC_RINGS_BYTES + offset, bytes, for_device);
}

static hc_status sync_lent_rings(hc_mapped *m, uint32_t offset, uint32_t bytes, int for_device) {
    return sync_lent(m, offset, bytes, for_device);
}

static void close_lent(hc_mapped *m) { free(m); }

static const hc_mapped_kind lent_kind = {is_configured, hc_mapped_poll, sync_lent_pool, sync_lent_rings, close_lent};

hc_status hc_mapping_open(const hc_mapping *mapping, const hc_plan *plan, char *about, hc_device **device) {
    lent_device *d = calloc(1, sizeof *d);
    if (!d) {
        return HC_E_MEMORY;
    }
    hc_mapped_init(&d->mapped, plan);
    d->mapped.kind = &lent_kind;
    d->lent = *mapping;
    d->mapped.regs = mapping->registers;
    d->mapped.rings = mapping->memory;
    d->mapped.rings_bus = mapping->bus_address;
    d->mapped.pool_bus = mapping->bus_address + HC_RINGS_BYTES;
    d->mapped.base.pool = (uint8_t *)mapping->memory + HC_RINGS_BYTES;
    if (mapping->bytes < (uint64_t)HC_RINGS_BYTES + d->mapped.pool_bytes) {
        snprintf(about, HC_TEXT_BYTES, "%llu bytes of DMA memory where %llu are needed",
                 (unsigned long long)mapping->bytes, (unsigned long long)HC_RINGS_BYTES + d->mapped.pool_bytes);
        free(d);
        return HC_E_DMA_MEMORY;
    }
    *device = &d->mapped.base;
    return HC_OK;
}

hc_status hc_device_open(const hc_link *link, const hc_plan *plan, uint64_t until_ns, char *about, hc_device **device) {
    uint32_t rounds = 0;
    for (;;) {
        hc_status status = HC_OK;
        if (link->shared) {
            status = hc_shared_open(link->shared, plan, about, device);
        } else if (link->nodes) {
            status = hc_uio_open(link->nodes, link->interrupt, plan, about, device);
        } else {
            status = hc_mapping_open(link->mapping, plan, about, device);
        }
        if (status == HC_OK) {
            status = (*device)->ops->reset(*device, until_ns);
            if (status == HC_OK) {
                return HC_OK;
            }
            (*device)->ops->close(*device);
            *device = NULL;
        }
        const int may_come = status == HC_PENDING || status == HC_E_DEVICE_LOST || status == HC_E_DEADLINE;
        if (!may_come || hc_now_ns() >= until_ns) {
            return may_come ? HC_PENDING : status;
        }
        hc_back_off(&rounds);
    }
}
