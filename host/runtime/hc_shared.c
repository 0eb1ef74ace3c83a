/*
 * The host's end of a simulated device: registers, rings and pool are one file mapped by both processes.
 *
 * Where the board's memory is not coherent the processor works on a private copy of the pool, and `clean` and
 * `invalidate` copy between the two: a forgotten one gives wrong results here as it would on the board.
 *
 * The device holds a lock on the file's first byte for as long as it lives; that is how its death is noticed.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hc_clock.h"
#include "hc_device.h"
#include "hc_regs.h"

typedef struct shared_device {
    hc_device base;
    int file;
    size_t map_bytes;
    uint8_t *map;
    uint8_t *shadow; /* the processor's copy of the pool; NULL where memory is coherent */
    uint32_t pool_bytes;
    uint32_t submitted, collected; /* sequence numbers of the last command and completion */
} shared_device;

static hc_regs regs_of(shared_device *d) { return (hc_regs)(void *)d->map; }

/* Whether the process that serves the file is alive. */
static int is_served(int file) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    return fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static hc_status submit(hc_device *device, const hc_command *command) {
    shared_device *d = (shared_device *)device;
    if (d->submitted - d->collected >= HC_RING_SLOTS) {
        return HC_BUSY;
    }
    d->submitted++;
    hc_ring_put_command((hc_command *)(void *)(d->map + HC_COMMAND_RING_OFFSET), d->submitted, command);
    hc_reg_write(regs_of(d), HC_REG_DOORBELL, d->submitted);
    return HC_OK;
}

static hc_status wait_completion(hc_device *device, uint64_t until_ns, hc_completion *completion) {
    shared_device *d = (shared_device *)device;
    const hc_completion *ring = (const hc_completion *)(const void *)(d->map + HC_COMPLETION_RING_OFFSET);
    uint32_t rounds = 0;
    for (;;) {
        hc_status status = hc_ring_get_completion(ring, d->collected + 1, completion);
        if (status != HC_PENDING) {
            d->collected++;
            return status;
        }
        if (!until_ns || hc_now_ns() >= until_ns) {
            return hc_reg_read(regs_of(d), HC_REG_STATUS) == HC_DEVICE_FAULTY ? HC_E_DEVICE_FAULT : HC_PENDING;
        }
        hc_back_off(&rounds);
        if (rounds % 32 == 0 && !is_served(d->file) &&
            hc_ring_get_completion(ring, d->collected + 1, completion) == HC_PENDING) {
            return HC_E_DEVICE_LOST;
        }
    }
}

static void clean(hc_device *device, uint32_t offset, uint32_t bytes) {
    shared_device *d = (shared_device *)device;
    if (d->shadow) {
        memcpy(d->map + HC_POOL_OFFSET + offset, d->shadow + offset, bytes);
    }
}

static void invalidate(hc_device *device, uint32_t offset, uint32_t bytes) {
    shared_device *d = (shared_device *)device;
    if (d->shadow) {
        memcpy(d->shadow + offset, d->map + HC_POOL_OFFSET + offset, bytes);
    }
}

static hc_status reset(hc_device *device, uint64_t until_ns) {
    shared_device *d = (shared_device *)device;
    hc_regs regs = regs_of(d);
    const uint32_t mark = hc_reg_read(regs, HC_REG_RESET_DONE) + 1;
    uint32_t rounds = 0;
    hc_reg_write64(regs, HC_REG_COMMAND_BASE_LO, HC_COMMAND_RING_OFFSET);
    hc_reg_write64(regs, HC_REG_COMPLETION_BASE_LO, HC_COMPLETION_RING_OFFSET);
    hc_reg_write64(regs, HC_REG_POOL_BASE_LO, HC_POOL_OFFSET);
    hc_reg_write(regs, HC_REG_POOL_BYTES, d->pool_bytes);
    hc_reg_write(regs, HC_REG_RESET, mark);
    while (hc_reg_read(regs, HC_REG_RESET_DONE) != mark) {
        if (!is_served(d->file)) {
            return HC_E_DEVICE_LOST;
        }
        if (hc_now_ns() >= until_ns) {
            return HC_E_DEADLINE;
        }
        hc_back_off(&rounds);
    }
    d->submitted = d->collected = hc_reg_read(regs, HC_REG_DOORBELL);
    return HC_OK;
}

static void close_device(hc_device *device) {
    shared_device *d = (shared_device *)device;
    if (d->map) {
        munmap(d->map, d->map_bytes);
    }
    if (d->file >= 0) {
        close(d->file);
    }
    free(d->shadow);
    free(d);
}

static const hc_device_ops shared_ops = {submit, wait_completion, clean, invalidate, reset, close_device};

/* Maps the file once the device has given it its size. */
static hc_status map_file(shared_device *d, const char *path) {
    struct stat about;
    d->file = open(path, O_RDWR | O_CLOEXEC);
    if (d->file < 0 || fstat(d->file, &about) != 0 || !is_served(d->file)) {
        return HC_PENDING;
    }
    d->map_bytes = HC_POOL_OFFSET + (size_t)d->pool_bytes;
    if ((uint64_t)about.st_size < d->map_bytes) {
        return about.st_size ? HC_E_HASH : HC_PENDING; /* a pool of another size is another package's */
    }
    void *map = mmap(NULL, d->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, d->file, 0);
    if (map == MAP_FAILED) {
        return HC_E_SYSTEM;
    }
    d->map = map;
    return HC_OK;
}

static hc_status identify(hc_regs regs, const hc_plan *plan) {
    const uint32_t state = hc_reg_read(regs, HC_REG_STATUS);
    if (state != HC_DEVICE_READY) {
        return state == HC_DEVICE_FAULTY ? HC_E_DEVICE_FAULT : HC_PENDING;
    }
    if (hc_reg_read(regs, HC_REG_ID) != HC_DEVICE_ID ||
        hc_reg_read(regs, HC_REG_VERSION) != HC_PROTOCOL_VERSION) {
        return HC_E_VERSION;
    }
    return hc_reg_read64(regs, HC_REG_PLAN_HASH_LO) == plan->hash ? HC_OK : HC_E_HASH;
}

static hc_status try_open(shared_device *d, const char *path, const hc_plan *plan, uint64_t until_ns) {
    hc_status status = map_file(d, path);
    if (status == HC_OK) {
        status = identify(regs_of(d), plan);
    }
    if (status != HC_OK) {
        return status;
    }
    d->base.pool = d->map + HC_POOL_OFFSET;
    if (!plan->coherent) {
        d->shadow = calloc(1, d->pool_bytes ? d->pool_bytes : 1);
        d->base.pool = d->shadow;
        if (!d->shadow) {
            return HC_E_MEMORY;
        }
    }
    return reset(&d->base, until_ns);
}

hc_status hc_shared_open(const char *path, const hc_plan *plan, uint64_t until_ns, hc_device **device) {
    uint32_t rounds = 0;
    for (;;) {
        shared_device *d = calloc(1, sizeof *d);
        if (!d) {
            return HC_E_MEMORY;
        }
        d->base.ops = &shared_ops;
        d->file = -1;
        d->pool_bytes = plan->frames * plan->pool_bytes;
        hc_status status = try_open(d, path, plan, until_ns);
        if (status == HC_OK) {
            *device = &d->base;
            return HC_OK;
        }
        close_device(&d->base);
        if (status != HC_PENDING || hc_now_ns() >= until_ns) {
            return status;
        }
        hc_back_off(&rounds);
    }
}
