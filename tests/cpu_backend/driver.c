/*
 * Runs many kernel calls in one process: driver CASES RESULTS.
 * A case: operator, number of parameters, parameters (int64 each), number of blobs, (size, bytes) each, size of result.
 * The result's buffer is filled with 0xA5 first and stands between guards, which are checked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hck.h"

enum { CONV, CONV_WIDE, REQUANTISE, MAX_POOL, SPACE_TO_DEPTH, COPY };
enum { PARAMETERS = 40, BLOBS = 8, GUARD = 64 };

static FILE *in;

static void need(int condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "driver: %s\n", what);
    exit(4);
}

static uint64_t number(void) {
    uint64_t value;
    need(fread(&value, sizeof value, 1, in) == 1, "the case file is short");
    return value;
}

/* A block of exactly this size, so that the sanitizer sees every byte beyond it; NULL for an empty one. */
static void *blob(void) {
    const size_t bytes = (size_t)number();
    if (bytes == 0) return NULL;
    void *data = malloc(bytes);
    need(data && fread(data, 1, bytes, in) == bytes, "the case file is short");
    return data;
}

static hck_requantise map_of(const int64_t *p, void *const *arrays) {
    hck_requantise q = {(hck_map)p[0], (hck_type)p[1], (uint32_t)p[2], arrays[0], arrays[1], arrays[2], (uint32_t)p[3],
                        (int32_t)p[4], (int32_t)p[5], arrays[3], arrays[4], (uint32_t)p[6], (int32_t)p[7]};
    return q;
}

static hck_conv conv_of(const int64_t *p, const void *weights, const void *zeros) {
    uint32_t u[16];
    for (int i = 1; i < 16; i++) u[i] = (uint32_t)p[i];
    hck_conv c = {(hck_type)p[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
                  u[14], u[15], weights, zeros};
    return c;
}

static void call(uint64_t operator, const int64_t *p, void **b, void *y) {
    if (operator == CONV || operator == CONV_WIDE) {
        const hck_conv c = conv_of(p + 9, b[6], calloc(p[25] ? (size_t)p[25] : 1, 1));
        const hck_requantise q = map_of(p, b);
        void *scratch = malloc(HCK_CONV_SCRATCH(c.kernel_h, c.kernel_w, c.out_c));
        if (operator == CONV)
            hck_conv2d(&c, &q, b[5], y, (size_t)p[8], scratch);
        else
            hck_conv2d_wide(&c, b[6], &q, b[5], y, (size_t)p[8], scratch);
        free(scratch);
        free((void *)c.zeros);
    } else if (operator == REQUANTISE) {
        const hck_requantise q = map_of(p, b);
        hck_requantise_rows(&q, b[5], (hck_type)p[9], (size_t)p[10], y, (size_t)p[8], (size_t)p[11], (unsigned)p[12]);
    } else if (operator == MAX_POOL) {
        const hck_pool q = {(hck_type)p[0],   (uint32_t)p[1], (uint32_t)p[2], (uint32_t)p[3], (uint32_t)p[4],
                            (uint32_t)p[5], (uint32_t)p[6], (uint32_t)p[7], (uint32_t)p[8]};
        hck_max_pool(&q, b[0], y, (size_t)p[9]);
    } else if (operator == SPACE_TO_DEPTH) {
        hck_space_to_depth((size_t)p[0], (size_t)p[1], (size_t)p[2], (size_t)p[3], b[0], y, (size_t)p[4]);
    } else {
        hck_copy_channels(b[0], (hck_type)p[0], y, (hck_type)p[1], (size_t)p[2], (size_t)p[3], (size_t)p[4]);
    }
}

int main(int argc, char **argv) {
    need(argc == 3, "usage: driver CASES RESULTS");
    in = fopen(argv[1], "rb");
    FILE *out = fopen(argv[2], "wb");
    need(in && out, "cannot open the files");
    for (uint64_t cases = number(); cases; cases--) {
        int64_t parameters[PARAMETERS] = {0};
        void *blobs[BLOBS] = {0};
        const uint64_t operator = number(), count = number();
        need(count <= PARAMETERS, "too many parameters");
        for (uint64_t i = 0; i < count; i++) parameters[i] = (int64_t)number();
        const uint64_t arrays = number();
        need(arrays <= BLOBS, "too many blobs");
        for (uint64_t i = 0; i < arrays; i++) blobs[i] = blob();
        const size_t bytes = (size_t)number();
        uint8_t *memory = malloc(bytes + 2 * GUARD);
        need(memory != NULL, "out of memory");
        memset(memory, 0xA5, bytes + 2 * GUARD);
        call(operator, parameters, blobs, memory + GUARD);
        for (size_t i = 0; i < GUARD; i++)
            need(memory[i] == 0xA5 && memory[GUARD + bytes + i] == 0xA5, "a kernel wrote beside its result");
        need(fwrite(memory + GUARD, 1, bytes, out) == bytes, "cannot write");
        for (int i = 0; i < BLOBS; i++) free(blobs[i]);
        free(memory);
    }
    return fclose(out) != 0;
}
