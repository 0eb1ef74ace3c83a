/*
 * A device behind Linux's UIO and u-dma-buf drivers, as on PolarFire SoC.
 *
 *     /sys/class/uio/uio*\/name             "hetero": its registers; "hetero-irq": its interrupt, if waited for
 *     /dev/uio*                            the registers' page; reads count interrupts, a written 1 unmasks them
 *     /sys/class/u-dma-buf/udmabuf*\/       size, phys_addr; sync_for_cpu, sync_for_device: cache maintenance
 *     /dev/udmabuf*                        rings, then pool; the first buffer that is there is taken
 *
 * The rings are mapped uncached (O_SYNC), the pool cached. One process at a time: the registers' node is locked.
 * Nodes are opened with no more rights than needed, and sync files only where the memory is not coherent.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hc_clock.h"
#include "hc_failure.h"
#include "hc_mapped.h"

enum { PATH_BYTES = 512, LONGEST_WAIT_MS = 50 };

typedef struct uio_device {
    hc_mapped mapped;
    int registers, buffer, uncached;
    int interrupt;          /* -1: polling */
    int for_device, for_cpu; /* sync files; -1 where memory is coherent */
    void *page, *rings, *pool;
} uio_device;

static hc_status complain(char *about, hc_status status, const char *path, const char *what) {
    snprintf(about, HC_TEXT_BYTES, "%.300s: %.200s", path, what);
    return status;
}

static int open_node(const char *root, const char *folder, const char *name, const char *file, int flags, char *path) {
    const int length =
        snprintf(path, PATH_BYTES, "%s%s/%s%s%s", strcmp(root, "/") ? root : "", folder, name, *file ? "/" : "", file);
    if (length >= PATH_BYTES) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, flags | O_CLOEXEC | O_NOCTTY);
}

/* A sysfs attribute's text without its end of line; 0 if there is none. */
static int read_attribute(const char *root, const char *folder, const char *name, const char *file, char *text,
                          size_t bytes) {
    char path[PATH_BYTES];
    int descriptor = open_node(root, folder, name, file, O_RDONLY, path);
    ssize_t got = descriptor < 0 ? -1 : read(descriptor, text, bytes - 1);
    if (descriptor >= 0) {
        close(descriptor);
    }
    if (got <= 0) {
        return 0;
    }
    text[got] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return 1;
}

/* The first entry of a class, in the order of names, whose `file` says `wanted` (NULL: any); 0 if there is none. */
static int find(const char *root, const char *folder, const char *file, const char *wanted, char *name) {
    char path[PATH_BYTES], text[64];
    const int length = snprintf(path, sizeof path, "%s%s", strcmp(root, "/") ? root : "", folder);
    DIR *entries = length < PATH_BYTES ? opendir(path) : NULL;
    *name = '\0';
    for (struct dirent *e = entries ? readdir(entries) : NULL; e; e = readdir(entries)) {
        if (*e->d_name != '.' && strlen(e->d_name) < 32 && (!*name || strcmp(e->d_name, name) < 0) &&
            read_attribute(root, folder, e->d_name, file, text, sizeof text) && (!wanted || !strcmp(text, wanted))) {
            strcpy(name, e->d_name);
        }
    }
    if (entries) {
        closedir(entries);
    }
    return *name != '\0';
}

static int is_configured(hc_mapped *m) { return hc_reg_read(m->regs, HC_REG_STATUS) != HC_DEVICE_ABSENT; }

/* Unmasks the interrupt; if it came in between, what it announced is found at the caller's next look. */
static void await_interrupt(hc_mapped *m, uint32_t *rounds, uint64_t until_ns) {
    const uio_device *d = (const uio_device *)m;
    struct pollfd waited = {.fd = d->interrupt, .events = POLLIN};
    const uint32_t unmask = 1;
    const uint64_t now = hc_now_ns();
    uint32_t count;
    if ((*rounds)++ == 0 && write(d->interrupt, &unmask, sizeof unmask) == sizeof unmask) {
        return;
    }
    const uint64_t left_ms = until_ns > now ? (until_ns - now) / 1000000 + 1 : 0;
    if (poll(&waited, 1, left_ms < LONGEST_WAIT_MS ? (int)left_ms : LONGEST_WAIT_MS) > 0 &&
        read(d->interrupt, &count, sizeof count) == sizeof count) {
        *rounds = 0;
    }
}

/* One write does it all: offset, size in units of 16 bytes, direction (0: both), and the order to go. */
static hc_status sync_pool(hc_mapped *m, uint32_t offset, uint32_t bytes, int for_device) {
    const uio_device *d = (const uio_device *)m;
    const int file = for_device ? d->for_device : d->for_cpu;
    char text[32];
    if (file >= 0) {
        const uint32_t order = ((bytes + 15) & ~15u) | 1;
        const int length = snprintf(text, sizeof text, "0x%08X%08X", HC_RINGS_BYTES + offset, order);
        return write(file, text, (size_t)length) == length ? HC_OK : HC_E_SYNC;
    }
    return HC_OK;
}

static void close_all(hc_mapped *m) {
    uio_device *d = (uio_device *)m;
    const int descriptors[] = {d->registers, d->buffer, d->uncached, d->interrupt, d->for_device, d->for_cpu};
    if (d->page) {
        munmap(d->page, HC_REGS_BYTES);
    }
    if (d->rings) {
        munmap(d->rings, HC_RINGS_BYTES);
    }
    if (d->pool) {
        munmap(d->pool, m->pool_bytes);
    }
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++) {
        if (descriptors[i] >= 0) {
            close(descriptors[i]);
        }
    }
    free(d);
}

static const hc_mapped_kind polled_kind = {is_configured, hc_mapped_poll, sync_pool, NULL, close_all};
static const hc_mapped_kind interrupt_kind = {is_configured, await_interrupt, sync_pool, NULL, close_all};

static void *map(int descriptor, size_t bytes, off_t offset) {
    void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, offset);
    return found == MAP_FAILED ? NULL : found;
}

static hc_status open_registers(uio_device *d, const char *root, char *about) {
    char path[PATH_BYTES], name[32];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    if (!find(root, "/sys/class/uio", "name", "hetero", name)) {
        return complain(about, HC_E_NO_NODE, "/sys/class/uio", "no device named 'hetero'");
    }
    d->registers = open_node(root, "/dev", name, "", O_RDWR, path);
    if (d->registers < 0) {
        return complain(about, HC_E_NO_NODE, path, strerror(errno));
    }
    if (fcntl(d->registers, F_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES)) {
        return complain(about, HC_E_IN_USE, path, "another process runs on it");
    }
    d->page = map(d->registers, HC_REGS_BYTES, 0);
    d->mapped.regs = d->page;
    return d->page ? HC_OK : complain(about, HC_E_NO_NODE, path, strerror(errno));
}

static hc_status open_interrupt(uio_device *d, const char *root, char *about) {
    char path[PATH_BYTES], name[32];
    if (!find(root, "/sys/class/uio", "name", "hetero-irq", name)) {
        return complain(about, HC_E_NO_NODE, "/sys/class/uio", "no device named 'hetero-irq' to wait for");
    }
    d->interrupt = open_node(root, "/dev", name, "", O_RDWR, path);
    return d->interrupt < 0 ? complain(about, HC_E_NO_NODE, path, strerror(errno)) : HC_OK;
}

static hc_status open_sync(uio_device *d, const char *root, const char *name, char *about) {
    char path[PATH_BYTES];
    d->for_device = open_node(root, "/sys/class/u-dma-buf", name, "sync_for_device", O_WRONLY, path);
    if (d->for_device >= 0) {
        d->for_cpu = open_node(root, "/sys/class/u-dma-buf", name, "sync_for_cpu", O_WRONLY, path);
    }
    return d->for_device < 0 || d->for_cpu < 0 ? complain(about, HC_E_NO_NODE, path, strerror(errno)) : HC_OK;
}

static hc_status open_buffer(uio_device *d, const char *root, char *about) {
    char path[PATH_BYTES], name[32], text[64];
    const uint64_t needed = (uint64_t)HC_RINGS_BYTES + d->mapped.pool_bytes;
    if (!find(root, "/sys/class/u-dma-buf", "size", NULL, name)) {
        return complain(about, HC_E_NO_NODE, "/sys/class/u-dma-buf", "no buffer");
    }
    read_attribute(root, "/sys/class/u-dma-buf", name, "size", text, sizeof text);
    if (strtoull(text, NULL, 10) < needed) {
        snprintf(about, HC_TEXT_BYTES, "%.31s has %.63s bytes, %llu are needed", name, text,
                 (unsigned long long)needed);
        return HC_E_DMA_MEMORY;
    }
    if (!read_attribute(root, "/sys/class/u-dma-buf", name, "phys_addr", text, sizeof text)) {
        return complain(about, HC_E_NO_NODE, name, "its phys_addr cannot be read");
    }
    d->mapped.rings_bus = strtoull(text, NULL, 16);
    d->mapped.pool_bus = d->mapped.rings_bus + HC_RINGS_BYTES;
    d->uncached = open_node(root, "/dev", name, "", O_RDWR | O_SYNC, path);
    d->buffer = d->uncached < 0 ? -1 : open_node(root, "/dev", name, "", O_RDWR, path);
    if (d->buffer < 0) {
        return complain(about, HC_E_NO_NODE, path, strerror(errno));
    }
    d->rings = map(d->uncached, HC_RINGS_BYTES, 0);
    d->pool = map(d->buffer, d->mapped.pool_bytes ? d->mapped.pool_bytes : 1, HC_RINGS_BYTES);
    if (!d->rings || !d->pool) {
        return complain(about, HC_E_NO_NODE, path, strerror(errno));
    }
    d->mapped.rings = d->rings;
    d->mapped.base.pool = d->pool;
    return d->mapped.plan->coherent ? HC_OK : open_sync(d, root, name, about);
}

hc_status hc_uio_open(const char *root, int interrupt, const hc_plan *plan, char *about, hc_device **device) {
    uio_device *d = calloc(1, sizeof *d);
    if (!d) {
        return HC_E_MEMORY;
    }
    hc_mapped_init(&d->mapped, plan);
    d->mapped.kind = interrupt ? &interrupt_kind : &polled_kind;
    d->registers = d->buffer = d->uncached = d->interrupt = d->for_device = d->for_cpu = -1;
    hc_status status = open_registers(d, root, about);
    if (status == HC_OK) {
        status = open_buffer(d, root, about);
    }
    if (status == HC_OK && interrupt) {
        status = open_interrupt(d, root, about);
    }
    if (status != HC_OK) {
        close_all(&d->mapped);
        return status;
    }
    *device = &d->mapped.base;
    return HC_OK;
}
