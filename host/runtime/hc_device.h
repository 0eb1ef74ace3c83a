/*
 * A device that serves commands of hc_ring.h: simulated by another process (hc_shared.c), behind Linux's UIO and
 * u-dma-buf (hc_uio.c), or mapped by the caller (hc_mapped.c).
 *
 * One open device belongs to one thread. All calls but `wait` and `reset` return at once.
 */
#ifndef HC_DEVICE_H
#define HC_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "hc_plan.h"
#include "hc_ring.h"

typedef struct hc_device hc_device;

typedef struct hc_device_ops {
    /* Queues a command; HC_BUSY when the ring is full. `sequence` and `checksum` are filled in by the device. */
    hc_status (*submit)(hc_device *device, const hc_command *command);
    /* The next completion, in order of submission; HC_PENDING if there is none at time `until_ns` (0: do not wait). */
    hc_status (*wait)(hc_device *device, uint64_t until_ns, hc_completion *completion);
    /* Writes the processor's cached lines of the pool back, before the device reads them; HC_OK or HC_E_SYNC. */
    hc_status (*clean)(hc_device *device, uint32_t offset, uint32_t bytes);
    /* Drops the processor's cached lines of the pool, after the device has written them; HC_OK or HC_E_SYNC. */
    hc_status (*invalidate)(hc_device *device, uint32_t offset, uint32_t bytes);
    /*
     * Checks that the device is the package's and makes it forget all commands. HC_E_DEADLINE if it does not confirm
     * before `until_ns`, HC_PENDING if it is not ready, HC_E_HASH and HC_E_VERSION if it serves something else.
     */
    hc_status (*reset)(hc_device *device, uint64_t until_ns);
    void (*close)(hc_device *device);
} hc_device_ops;

struct hc_device {
    const hc_device_ops *ops;
    uint8_t *pool; /* the DMA pool as the processor sees it */
};

/* A device whose memory the caller has mapped, such as PYNQ's Python; everything stays the caller's. */
typedef struct hc_mapping {
    void *registers;      /* HC_REGS_BYTES */
    void *memory;         /* for rings and pool: HC_RINGS_BYTES + frames * pool_bytes */
    uint64_t bus_address; /* of the memory, as the device sees it */
    uint64_t bytes;
    /* Cache maintenance of a part of the memory, lines written back or dropped: 0, or anything else if it failed. NULL
     * where memory is coherent. */
    int32_t (*sync)(void *context, uint64_t offset, uint64_t bytes, int32_t for_device);
    void *context;
} hc_mapping;

/* Where the device is; at most one of `shared`, `nodes` and `mapping`, none for no device. */
typedef struct hc_link {
    const char *shared; /* a simulated device's file */
    const char *nodes;  /* the folder under which dev/ and sys/ have the nodes of a UIO device: "/" on a board */
    const hc_mapping *mapping;
    int32_t interrupt; /* wait for interrupts instead of polling (nodes only) */
} hc_link;

/*
 * Opens and resets the device of a link before `until_ns`; HC_PENDING if it is not ready by then (call again). Where
 * there is more to say than the status, it is put into `about` (HC_TEXT_BYTES).
 */
hc_status hc_device_open(const hc_link *link, const hc_plan *plan, uint64_t until_ns, char *about, hc_device **device);

#endif
