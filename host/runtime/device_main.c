/*
 * The simulated device: a process that obeys registers and rings in memory that it shares with the host, and runs the
 * simulators of the package's device regions.
 *
 *     device FILE PARENT
 *
 * creates FILE for registers, rings and pool, and removes it at its end.
 *
 *     device --nodes REGISTERS MEMORY ADDRESS INTERRUPT PARENT
 *
 * serves two files that are there and stand for the nodes of hc_uio.c: a page of registers, and memory that the host
 * says begins at the bus address ADDRESS. Every completion writes four bytes to INTERRUPT (- for none).
 *
 * Either ends when process PARENT is no longer its parent. Errors before that are one line on standard error and exit
 * status 2.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hc_clock.h"
#include "hc_links.h"
#include "hc_plan.h"
#include "hc_regs.h"
#include "hc_ring.h"

typedef struct server {
    const hc_plan *plan;
    uint8_t *registers;
    uint8_t *memory; /* what the host's addresses count in, from `address` on */
    size_t memory_bytes;
    uint64_t address;
    int interrupt; /* -1: none */
    void *arena;
    const hc_command *commands; /* where the host's registers say; NULL before its first reset */
    hc_completion *completions;
    uint8_t *pool;
    uint32_t pool_bytes;
    uint32_t served; /* sequence number of the last command */
} server;

static hc_regs regs_of(const server *s) { return (hc_regs)(void *)s->registers; }

static int fail(const char *what, const char *about) {
    fprintf(stderr, "device: %s%s%s\n", what, *about ? ": " : "", about);
    return 2;
}

static uint8_t *map(int file, size_t bytes) {
    void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return found == MAP_FAILED ? NULL : found;
}

/* One file for all, with its blocks reserved, and locked for as long as this process lives: see hc_shared.c. */
static int create_file(server *s, const char *path) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    s->memory_bytes = HC_POOL_OFFSET + (size_t)hc_pool_total(s->plan);
    if (file < 0 || fcntl(file, F_SETLK, &lock) != 0 || posix_fallocate(file, 0, (off_t)s->memory_bytes) != 0) {
        return 0;
    }
    s->registers = s->memory = map(file, s->memory_bytes);
    return s->memory != NULL;
}

static int open_nodes(server *s, char **paths) {
    struct stat about;
    const int registers = open(paths[0], O_RDWR | O_CLOEXEC), memory = open(paths[1], O_RDWR | O_CLOEXEC);
    if (registers < 0 || memory < 0 || fstat(memory, &about) != 0) {
        return 0;
    }
    s->address = strtoull(paths[2], NULL, 0);
    s->interrupt = strcmp(paths[3], "-") ? open(paths[3], O_WRONLY | O_CLOEXEC | O_NOCTTY) : -1;
    s->memory_bytes = (size_t)about.st_size;
    s->registers = map(registers, HC_REGS_BYTES);
    s->memory = map(memory, s->memory_bytes);
    return s->registers && s->memory && (s->interrupt >= 0 || !strcmp(paths[3], "-"));
}

/* An address that the host wrote; NULL if it does not lie in the memory with room for `bytes`. */
static void *at(const server *s, uint32_t reg, size_t bytes) {
    const uint64_t offset = hc_reg_read64(regs_of(s), reg) - s->address;
    const int inside = offset <= s->memory_bytes && bytes <= s->memory_bytes - offset;
    return inside && offset % 64 == 0 ? s->memory + offset : NULL;
}

static void take_reset(server *s) {
    const uint32_t mark = hc_reg_read(regs_of(s), HC_REG_RESET);
    s->pool_bytes = hc_reg_read(regs_of(s), HC_REG_POOL_BYTES);
    s->pool = at(s, HC_REG_POOL_BASE_LO, s->pool_bytes);
    s->commands = at(s, HC_REG_COMMAND_BASE_LO, HC_COMMAND_RING_BYTES);
    s->completions = at(s, HC_REG_COMPLETION_BASE_LO, HC_COMPLETION_RING_BYTES);
    s->served = hc_reg_read(regs_of(s), HC_REG_DOORBELL);
    const int usable = s->pool && s->commands && s->completions;
    hc_reg_write(regs_of(s), HC_REG_STATUS, usable ? HC_DEVICE_READY : HC_DEVICE_FAULTY);
    hc_reg_write(regs_of(s), HC_REG_RESET_DONE, mark);
}

static const hc_step *step_of_region(const hc_plan *plan, uint32_t region) {
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].kind == HC_STEP_DEVICE && plan->steps[i].region == (int32_t)region) {
            return &plan->steps[i];
        }
    }
    return NULL;
}

/* The addresses of one command's buffers; 0 if one lies outside the pool or is not aligned. */
static int locate(const server *s, uint32_t count, const uint16_t *buffers, const uint32_t *offsets, void **pointers) {
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t bytes = s->plan->buffers[buffers[i]].bytes;
        if (offsets[i] % HC_ALIGN || offsets[i] > s->pool_bytes || bytes > s->pool_bytes - offsets[i]) {
            return 0;
        }
        pointers[i] = s->pool + offsets[i];
    }
    return 1;
}

/*
 * Whether the weights that a command names lie in the pool, as a DMA engine would bring them; the simulators have their
 * own copy. Their number, or -1.
 */
static int check_weights(const server *s, const hc_command *command, uint32_t first) {
    uint32_t next = first;
    for (uint32_t i = 0; i < s->plan->weight_count; i++) {
        const hc_weights *w = &s->plan->weights[i];
        if (w->region != (int32_t)command->region) {
            continue;
        }
        const uint32_t offset = command->offsets[next < HC_PORTS_MAX ? next++ : 0];
        if (offset % HC_ALIGN || offset > s->pool_bytes || w->bytes > s->pool_bytes - offset ||
            memcmp(s->pool + offset, *w->words, w->bytes) != 0) {
            return -1;
        }
    }
    return (int)(next - first);
}

static hc_status run(const server *s, const hc_command *command, int32_t *code) {
    const hc_step *step = step_of_region(s->plan, command->region);
    void *pointers[HC_PORTS_MAX];
    const int weights = step ? check_weights(s, command, step->read_count) : -1;
    if (weights < 0 || command->input_count != step->read_count + (uint32_t)weights ||
        command->output_count != step->write_count ||
        !locate(s, step->read_count, step->reads, command->offsets, pointers) ||
        !locate(s, step->write_count, step->writes, command->offsets + command->input_count,
                pointers + step->read_count)) {
        return HC_E_BAD_DESCRIPTOR;
    }
    *code = hc_package_regions[step->region]->run((const void *const *)pointers, pointers + step->read_count, s->arena);
    return *code ? HC_E_RUN : HC_OK;
}

static void serve_one(server *s) {
    hc_command command;
    hc_completion completion = {0};
    const uint32_t sequence = s->served + 1;
    const uint64_t start = hc_now_ns();
    hc_status status = hc_ring_get_command(s->commands, sequence, &command);
    if (status == HC_OK) {
        status = run(s, &command, &completion.code);
    }
    completion.frame = command.frame;
    completion.region = command.region;
    completion.status = (uint32_t)status;
    completion.end_ns = hc_now_ns();
    completion.busy_ns = completion.end_ns - start;
    if (hc_reg_read(regs_of(s), HC_REG_RESET) == hc_reg_read(regs_of(s), HC_REG_RESET_DONE)) {
        hc_ring_put_completion(s->completions, sequence, &completion);
        if (s->interrupt >= 0 && write(s->interrupt, &sequence, sizeof sequence) < 0) {
            fprintf(stderr, "device: the interrupt cannot be raised\n");
        }
    }
    s->served = sequence;
}

static void serve(server *s, pid_t parent) {
    hc_regs regs = regs_of(s);
    uint32_t rounds = 0;
    while (getppid() == parent) {
        if (hc_reg_read(regs, HC_REG_RESET) != hc_reg_read(regs, HC_REG_RESET_DONE)) {
            take_reset(s);
        } else if (s->completions && hc_reg_read(regs, HC_REG_DOORBELL) != s->served) {
            serve_one(s);
            rounds = 0;
        } else {
            hc_back_off(&rounds);
        }
    }
}

int main(int argc, char **argv) {
    server s = {.plan = &hc_package_plan, .interrupt = -1};
    const int nodes = argc == 7 && strcmp(argv[1], "--nodes") == 0;
    const char *name = "";
    uint32_t arena_bytes = 0;
    if (argc != 3 && !nodes) {
        return fail("usage: device FILE PARENT, or device --nodes REGISTERS MEMORY ADDRESS INTERRUPT PARENT", "");
    }
    if (hc_check_links(s.plan, HC_STEP_DEVICE, &name, &arena_bytes) != HC_OK) {
        return fail("the simulator does not have the ports that the plan states", name);
    }
    if (posix_memalign(&s.arena, HC_ALIGN, arena_bytes ? arena_bytes : HC_ALIGN) != 0) {
        return fail("out of memory", "");
    }
    if (nodes && !open_nodes(&s, argv + 2)) {
        return fail("cannot open the files", argv[2]);
    }
    if (!nodes && !create_file(&s, argv[1])) {
        return fail("cannot create the shared file, or there is no room for it", argv[1]);
    }
    hc_regs regs = regs_of(&s);
    hc_reg_write(regs, HC_REG_ID, HC_DEVICE_ID);
    hc_reg_write(regs, HC_REG_VERSION, HC_PROTOCOL_VERSION);
    hc_reg_write64(regs, HC_REG_PLAN_HASH_LO, s.plan->hash);
    hc_reg_write(regs, HC_REG_STATUS, HC_DEVICE_READY);
    serve(&s, (pid_t)atol(argv[argc - 1]));
    if (!nodes) {
        unlink(argv[1]);
    }
    free(s.arena);
    return 0;
}
