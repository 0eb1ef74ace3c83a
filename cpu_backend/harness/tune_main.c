/*
 * Measures one convolution: tune_main CALL [TIMES], where CALL is a file that cpu_backend/tuning/call.py wrote. The first
 * run warms the caches; the second is region 0 of the meter; TIMES further ones are timed, and printed as JSON. All memory
 * is static, so that addresses are the same in every run. Exit status 3: the file is short, or the pool is.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "hc_meter.h"
#include "hck.h"
#include "hck_sparse.h"
#include "hck_winograd.h"

#define POOL (512u << 20)
#define ALIGNED(bytes) (((bytes) + 63u) / 64u * 64u)

enum { CONV, GATED, SPARSE, FILTERED };
enum { CONV_FIELDS = 19, SPARSE_FIELDS = 22, MOST_SAMPLES = 1000 };

static uint8_t pool[POOL] __attribute__((aligned(4096)));
static size_t size, at;

static int64_t word(void) {
    int64_t value;
    if (at + sizeof value > size) exit(3);
    memcpy(&value, pool + at, sizeof value);
    at += sizeof value;
    return value;
}

static void words(uint32_t *to, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] = (uint32_t)word();
}

static const void *array(void) {
    const size_t bytes = (size_t)word(), begin = ALIGNED(at);
    if (bytes == 0) return NULL;
    if (begin + bytes > size) exit(3);
    at = (begin + bytes + 7) / 8 * 8;
    return pool + begin;
}

/* Zeros behind the file. */
static void *room(size_t bytes) {
    size_t begin = ALIGNED(size);
    if (begin + bytes > POOL) exit(3);
    size = begin + bytes;
    return pool + begin;
}

static struct {
    int kind;
    hck_requantise map;
    hck_conv conv;
    hck_sparse sparse;
    hck_winograd tiles;
    const int32_t *threshold;
    const void *x;
    void *y, *scratch;
} job;

static void read_map(void) {
    uint32_t u[10];
    words(u, 10);
    const void *a[9];
    for (int i = 0; i < 9; i++) a[i] = array();
    const hck_requantise map = {.map = (hck_map)u[0], .y_type = (hck_type)u[1], .channels = u[2], .shift = u[3],
                                .lo = (int32_t)u[4], .hi = (int32_t)u[5], .levels = u[6], .offset = (int32_t)u[7],
                                .step = (int32_t)u[8], .above = u[9], .mul = a[0], .add = a[1], .wide_add = a[2], .table = a[3],
                                .sign = a[4], .after = a[5], .least = a[6], .most = a[7],
                                .before = a[8]};
    job.map = map;
}

static size_t read_conv(void) {
    uint32_t u[CONV_FIELDS], k[4];
    words(u, CONV_FIELDS);
    words(k, 4);
    const hck_conv c = {.x_type = (hck_type)u[0], .in_h = u[1], .in_w = u[2], .in_c = u[3], .out_h = u[4], .out_w = u[5],
                        .out_c = u[6], .kernel_h = u[7], .kernel_w = u[8], .stride_h = u[9], .stride_w = u[10],
                        .pad_top = u[11], .pad_left = u[12], .groups = u[13], .flush = u[14], .flush8 = u[15],
                        .run16 = u[16], .pool = u[17], .fused = (hck_fused)u[18], .weights = NULL, .zeros = NULL,
                        .kernel = {(hck_family)k[0], k[1], k[2], k[3]}};
    job.conv = c;
    if (job.kind == FILTERED) {
        uint32_t t[4 + HCK_PLANES];
        words(t, 4 + HCK_PLANES);
        const hck_winograd tiles = {c, array(), (hck_type)t[0], (hck_type)t[1], (hck_type)t[2], t[3], {0}};
        job.tiles = tiles;
        for (size_t i = 0; i < HCK_PLANES; i++) job.tiles.flush[i] = (uint16_t)t[4 + i];
    } else {
        job.conv.weights = array();
    }
    if (job.kind == GATED) job.threshold = array();
    const size_t pixels = (size_t)(c.out_h / c.pool) * (c.out_w / c.pool);
    return pixels * job.map.channels * hck_size(job.map.y_type);
}

static size_t read_sparse(void) {
    uint32_t u[SPARSE_FIELDS];
    words(u, SPARSE_FIELDS);
    const void *a[6];
    for (int i = 0; i < 6; i++) a[i] = array();
    const hck_sparse c = {(hck_type)u[0], (hck_type)u[1], (hck_layout)u[2], (hck_layout)u[3], (hck_sums)u[4], u[5], u[6],
                          u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15], u[16], u[17], u[18], u[19], u[20],
                          u[21], a[0], a[1], a[2], a[3], a[4], a[5]};
    job.sparse = c;
    const size_t pixels = (size_t)(c.out_h / c.pool) * (c.out_w / c.pool);
    return pixels * job.map.channels * hck_size(job.map.y_type);
}

static size_t scratch_bytes(void) {
    const hck_conv *c = &job.conv;
    const hck_sparse *s = &job.sparse;
    if (job.kind == GATED) return HCK_GATED_SCRATCH((size_t)c->in_h * c->in_w * c->in_c, c->kernel_h, c->kernel_w, c->out_c);
    if (job.kind == FILTERED)
        return HCK_WINOGRAD_SCRATCH((size_t)job.tiles.strip, c->in_c, c->out_c, hck_size(job.tiles.operands),
                                    hck_size(job.tiles.sums), hck_size(job.tiles.results));
    if (job.kind == CONV) return HCK_CONV_SCRATCH((size_t)c->kernel_h, c->kernel_w, c->out_c);
    const size_t rows = HCK_PLANE_ROWS(s->out_h, s->kernel_h, s->stride_h), phases = (size_t)s->stride_w * s->pool;
    const size_t plane = s->in_place ? 0 : s->in_c * rows * phases * HCK_PLANE_COLUMNS(s->out_w, s->kernel_w, s->stride_w, s->pool);
    return HCK_SPARSE_SCRATCH(plane, hck_plane_bytes(s), (size_t)s->block_rows, (size_t)s->out_c);
}

static void run(void) {
    const size_t stride = job.map.channels;
    if (job.kind == SPARSE)
        hck_sparse_conv2d(&job.sparse, &job.map, job.x, job.y, stride, job.scratch);
    else if (job.kind == FILTERED)
        hck_conv2d_winograd(&job.tiles, &job.map, job.x, job.y, stride, job.scratch);
    else if (job.kind == GATED)
        hck_gated_conv2d(&job.conv, HCK_U8, job.threshold, &job.map, job.x, job.y, stride, job.scratch);
    else
        hck_conv2d(&job.conv, &job.map, job.x, job.y, stride, job.scratch);
}

static uint64_t read_cycles(void) {
    uint64_t cycles;
    __asm__ volatile("rdcycle %0" : "=r"(cycles) : : "memory");
    return cycles;
}

static uint64_t read_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static sigjmp_buf refused;

static void refuse(int number) {
    siglongjmp(refused, number);
}

/* Kernels may keep the cycle counter to themselves: reading it is then an illegal instruction; or it stands still. */
static int counts_cycles(void) {
    signal(SIGILL, refuse);
    const int usable = sigsetjmp(refused, 1) == 0 && read_cycles() != read_cycles();
    signal(SIGILL, SIG_DFL);
    return usable;
}

static void load(const char *path) {
    const int file = open(path, O_RDONLY);
    if (file < 0) exit(3);
    for (ssize_t got; (got = read(file, pool + size, POOL - size)) > 0;) size += (size_t)got;
    close(file);
}

int main(int argc, char **argv) {
    if (argc < 2) return 3;
    load(argv[1]);
    job.kind = (int)word();
    read_map();
    const size_t y_bytes = job.kind == SPARSE ? read_sparse() : read_conv();
    job.x = array();
    job.conv.zeros = room((size_t)job.conv.kernel_w * job.conv.in_c * hck_size(job.conv.x_type));
    job.tiles.conv.zeros = job.conv.zeros;
    job.y = room(y_bytes);
    job.scratch = room(scratch_bytes());
    run();
    HC_METER_FORGET();
    HC_METER_BEGIN(0);
    run();
    HC_METER_END();
    const int times = argc > 2 ? HCK_MIN(atoi(argv[2]), MOST_SAMPLES) : 0;
    if (times < 1) return 0;
    uint64_t (*const now)(void) = counts_cycles() ? read_cycles : read_nanoseconds;
    printf("{\"clock\": \"%s\", \"samples\": [", now == read_cycles ? "rdcycle" : "clock_gettime");
    for (int i = 0; i < times; i++) {
        const uint64_t start = now();
        run();
        printf("%s%llu", i ? ", " : "", (unsigned long long)(now() - start));
    }
    printf("]}\n");
    return 0;
}
