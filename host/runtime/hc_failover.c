#include "hc_failover.h"

#include <stdlib.h>
#include <string.h>

#include "hc_links.h"
#include "hc_ring.h"

static size_t aligned(size_t bytes) { return (bytes + HC_ALIGN - 1) / HC_ALIGN * HC_ALIGN; }

static size_t plain_bytes(const hc_conversion *port) { return (size_t)port->elements * port->element_bytes; }

/* What the copies of a step's ports take. */
static size_t copies(const hc_step *step) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < step->read_count + step->write_count; i++) {
        bytes += step->ports[i].lanes ? aligned(plain_bytes(&step->ports[i])) : 0;
    }
    return bytes;
}

static int is_whole(const hc_plan *plan) {
    int steps = 0;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].kind == HC_STEP_DEVICE) {
            steps++;
            if (!hc_package_failover[plan->steps[i].region]) {
                return 0;
            }
        }
    }
    return steps > 0;
}

uint8_t *hc_zeroed(size_t bytes) {
    void *memory = NULL;
    return posix_memalign(&memory, HC_ALIGN, bytes + HC_ALIGN) == 0 ? memset(memory, 0, bytes + HC_ALIGN) : NULL;
}

hc_status hc_failover_open(hc_failover *f, const hc_plan *plan, const char **name, uint32_t *arena_bytes) {
    size_t plain = 0;
    if (!is_whole(plan)) {
        return HC_OK;
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const hc_step *step = &plan->steps[i];
        if (step->kind != HC_STEP_DEVICE) {
            continue;
        }
        if (!hc_runs_plain(plan, step, hc_package_failover[step->region], arena_bytes)) {
            *name = step->name;
            return HC_E_REGION;
        }
        plain = copies(step) > plain ? copies(step) : plain;
    }
    f->pool = hc_zeroed((size_t)plan->frames * plan->pool_bytes);
    f->plain = hc_zeroed(plain);
    return f->pool && f->plain ? HC_OK : HC_E_MEMORY;
}

void hc_failover_close(hc_failover *f) {
    free(f->pool);
    free(f->plain);
}

int32_t hc_failover_run(const hc_failover *f, const hc_step *step, const void *const *inputs, void *const *outputs,
                        void *arena) {
    const void *read[HC_PORTS_MAX];
    void *write[HC_PORTS_MAX];
    uint8_t *next = f->plain;
    for (uint32_t i = 0; i < step->read_count; i++) {
        const hc_conversion *port = &step->ports[i];
        read[i] = port->lanes ? next : inputs[i];
        if (port->lanes) {
            hc_unpack(port, inputs[i], next);
            next += aligned(plain_bytes(port));
        }
    }
    for (uint32_t i = 0; i < step->write_count; i++) {
        const hc_conversion *port = &step->ports[step->read_count + i];
        write[i] = port->lanes ? next : outputs[i];
        next += port->lanes ? aligned(plain_bytes(port)) : 0;
    }
    const int32_t code = hc_package_failover[step->region]->run(read, write, arena);
    for (uint32_t i = 0; i < step->write_count && code == 0; i++) {
        const hc_conversion *port = &step->ports[step->read_count + i];
        if (port->lanes) {
            hc_pack(port, write[i], outputs[i]);
        }
    }
    return code;
}
