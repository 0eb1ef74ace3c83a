/*
 * A device that serves commands of hc_ring.h: simulated by another process (hc_shared.c) or on a board.
 *
 * One open device belongs to one thread. All calls but `wait` return at once.
 */
#ifndef HC_DEVICE_H
#define HC_DEVICE_H

#include <stdint.h>

#include "hc_plan.h"
#include "hc_ring.h"

typedef struct hc_device hc_device;

typedef struct hc_device_ops {
    /* Queues a command; HC_BUSY when the ring is full. `sequence` and `checksum` are filled in by the device. */
    hc_status (*submit)(hc_device *device, const hc_command *command);
    /* The next completion, in order of submission; HC_PENDING if there is none at time `until_ns` (0: do not wait). */
    hc_status (*wait)(hc_device *device, uint64_t until_ns, hc_completion *completion);
    /* Writes the processor's cached lines of the pool back, before the device reads them. */
    void (*clean)(hc_device *device, uint32_t offset, uint32_t bytes);
    /* Drops the processor's cached lines of the pool, after the device has written them. */
    void (*invalidate)(hc_device *device, uint32_t offset, uint32_t bytes);
    /* Forgets all commands; HC_E_DEADLINE if the device does not confirm before `until_ns`. */
    hc_status (*reset)(hc_device *device, uint64_t until_ns);
    void (*close)(hc_device *device);
} hc_device_ops;

struct hc_device {
    const hc_device_ops *ops;
    uint8_t *pool; /* the DMA pool as the processor sees it */
};

/*
 * The simulated device behind the shared file `path`, which must appear and be ready before `until_ns`: HC_PENDING if
 * it is not there yet (call again), HC_E_HASH and HC_E_VERSION if it serves something else.
 */
hc_status hc_shared_open(const char *path, const hc_plan *plan, uint64_t until_ns, hc_device **device);

#endif
