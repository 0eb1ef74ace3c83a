/*
 * What the drivers of kernels share: driver CASES RESULTS runs many kernel calls in one process.
 * A case: operator, number of parameters, parameters (int64 each), number of blobs, (size, bytes) each, size of result.
 * The result's buffer is filled with 0xA5 first and stands between guards, which are checked. What a kernel reads has
 * exactly its size: the sanitizer sees every byte beyond, on RISC-V a page without access follows.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS = 64, BLOBS = 16, GUARD = 64 };

/* The kernel of one case: each driver has its own. */
static void call(uint64_t operator, const int64_t *parameters, void **blobs, void *result);

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

/* `bytes` zeros, and nothing to read behind them. */
#if defined(__riscv)
#include <sys/mman.h>
enum { PAGE = 4096 };

static size_t pages(size_t bytes) {
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

static void *exactly(size_t bytes) {
    uint8_t *memory = mmap(NULL, pages(bytes) + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(memory != MAP_FAILED && mprotect(memory + pages(bytes), PAGE, PROT_NONE) == 0, "out of memory");
    return memory + pages(bytes) - bytes;
}

static void drop(void *data, size_t bytes) {
    if (data) munmap((uint8_t *)data + bytes - pages(bytes), pages(bytes) + PAGE);
}
#else
static void *exactly(size_t bytes) {
    void *memory = calloc(bytes, 1);
    need(memory != NULL, "out of memory");
    return memory;
}

static void drop(void *data, size_t bytes) {
    (void)bytes;
    free(data);
}
#endif

int main(int argc, char **argv) {
    need(argc == 3, "usage: driver CASES RESULTS");
    in = fopen(argv[1], "rb");
    FILE *out = fopen(argv[2], "wb");
    need(in && out, "cannot open the files");
    for (uint64_t cases = number(); cases; cases--) {
        int64_t parameters[PARAMETERS] = {0};
        void *blobs[BLOBS] = {0};
        size_t sizes[BLOBS] = {0};
        const uint64_t operator = number(), count = number();
        need(count <= PARAMETERS, "too many parameters");
        for (uint64_t i = 0; i < count; i++) parameters[i] = (int64_t)number();
        const uint64_t arrays = number();
        need(arrays <= BLOBS, "too many blobs");
        for (uint64_t i = 0; i < arrays; i++) {
            sizes[i] = (size_t)number();
            if (sizes[i] == 0) continue; /* NULL */
            blobs[i] = exactly(sizes[i]);
            need(fread(blobs[i], 1, sizes[i], in) == sizes[i], "the case file is short");
        }
        const size_t bytes = (size_t)number();
        uint8_t *memory = malloc(bytes + 2 * GUARD);
        need(memory != NULL, "out of memory");
        memset(memory, 0xA5, bytes + 2 * GUARD);
        call(operator, parameters, blobs, memory + GUARD);
        for (size_t i = 0; i < GUARD; i++)
            need(memory[i] == 0xA5 && memory[GUARD + bytes + i] == 0xA5, "a kernel wrote beside its result");
        need(fwrite(memory + GUARD, 1, bytes, out) == bytes, "cannot write");
        for (int i = 0; i < BLOBS; i++) drop(blobs[i], sizes[i]);
        free(memory);
    }
    return fclose(out) != 0;
}
