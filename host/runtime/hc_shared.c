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

#include "hc_mapped.h"

typedef struct shared_device {
    hc_mapped mapped;
    int file;
    size_t map_bytes;
    uint8_t *map;
    uint8_t *shadow; /* the processor's copy of the pool; NULL where memory is coherent */
} shared_device;

/* Whether the process that serves the file is alive. */
static int is_served(hc_mapped *m) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    return fcntl(((shared_device *)m)->file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static hc_status sync_pool(hc_mapped *m, uint32_t offset, uint32_t bytes, int for_device) {
    shared_device *d = (shared_device *)m;
    uint8_t *shared = d->map + HC_POOL_OFFSET + offset;
    if (d->shadow && for_device) {
        memcpy(shared, d->shadow + offset, bytes);
    } else if (d->shadow) {
        memcpy(d->shadow + offset, shared, bytes);
    }
    return HC_OK;
}

static void close_file(hc_mapped *m) {
    shared_device *d = (shared_device *)m;
    if (d->map) {
        munmap(d->map, d->map_bytes);
    }
    if (d->file >= 0) {
        close(d->file);
    }
    free(d->shadow);
    free(d);
}

static const hc_mapped_kind shared_kind = {is_served, hc_mapped_poll, sync_pool, NULL, close_file};

/* Maps the file once the device has given it its size. */
static hc_status map_file(shared_device *d, const char *path) {
    struct stat about;
    d->file = open(path, O_RDWR | O_CLOEXEC);
    if (d->file < 0 || fstat(d->file, &about) != 0 || !is_served(&d->mapped)) {
        return HC_PENDING;
    }
    d->map_bytes = HC_POOL_OFFSET + (size_t)d->mapped.pool_bytes;
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

hc_status hc_shared_open(const char *path, const hc_plan *plan, char *about, hc_device **device) {
    shared_device *d = calloc(1, sizeof *d);
    (void)about;
    if (!d) {
        return HC_E_MEMORY;
    }
    hc_mapped_init(&d->mapped, plan);
    d->mapped.kind = &shared_kind;
    d->file = -1;
    hc_status status = map_file(d, path);
    if (status == HC_OK && !plan->coherent) {
        d->shadow = calloc(1, d->mapped.pool_bytes ? d->mapped.pool_bytes : 1);
        status = d->shadow ? HC_OK : HC_E_MEMORY;
    }
    if (status != HC_OK) {
        close_file(&d->mapped);
        return status;
    }
    d->mapped.regs = (hc_regs)(void *)d->map;
    d->mapped.rings = d->map + HC_COMMAND_RING_OFFSET;
    d->mapped.rings_bus = HC_COMMAND_RING_OFFSET;
    d->mapped.pool_bus = HC_POOL_OFFSET;
    d->mapped.base.pool = d->shadow ? d->shadow : d->map + HC_POOL_OFFSET;
    *device = &d->mapped.base;
    return HC_OK;
}
