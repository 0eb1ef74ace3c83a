/*
 * The simulated device: a process that obeys the registers and rings of a shared file and runs the simulators of the
 * package's device regions.
 *
 *     device FILE PARENT
 *
 * creates FILE, serves it, and removes it and ends when process PARENT is no longer its parent. Errors before that are one line on
 * standard error and exit status 2.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hc_clock.h"
#include "hc_links.h"
#include "hc_plan.h"
#include "hc_regs.h"
#include "hc_ring.h"

typedef struct server {
    const hc_plan *plan;
    uint8_t *map;
    size_t map_bytes;
    void *arena;
    const hc_command *commands; /* where the host's registers say; NULL before its first reset */
    hc_completion *completions;
    uint8_t *pool;
    uint32_t pool_bytes;
    uint32_t served; /* sequence number of the last command */
} server;

static hc_regs regs_of(const server *s) { return (hc_regs)(void *)s->map; }

static int fail(const char *what, const char *about) {
    fprintf(stderr, "device: %s%s%s\n", what, *about ? ": " : "", about);
    return 2;
}

/* The file, with its blocks reserved, and locked for as long as this process lives: see hc_shared.c. */
static int create_file(server *s, const char *path) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0 || fcntl(file, F_SETLK, &lock) != 0 || posix_fallocate(file, 0, (off_t)s->map_bytes) != 0) {
        return 0;
    }
    void *map = mmap(NULL, s->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    s->map = map == MAP_FAILED ? NULL : map;
    return s->map != NULL;
}

/* An address that the host wrote; NULL if it does not lie in the file with room for `bytes`. */
static void *at(const server *s, uint32_t reg, size_t bytes) {
    const uint64_t base = hc_reg_read64(regs_of(s), reg);
    return base % 64 == 0 && base <= s->map_bytes && bytes <= s->map_bytes - base ? s->map + base : NULL;
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

static hc_status run(const server *s, const hc_command *command, int32_t *code) {
    const hc_step *step = step_of_region(s->plan, command->region);
    void *pointers[HC_PORTS_MAX];
    if (!step || command->input_count != step->read_count || command->output_count != step->write_count ||
        !locate(s, step->read_count, step->reads, command->offsets, pointers) ||
        !locate(s, step->write_count, step->writes, command->offsets + step->read_count,
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
    completion.busy_ns = hc_now_ns() - start;
    if (hc_reg_read(regs_of(s), HC_REG_RESET) == hc_reg_read(regs_of(s), HC_REG_RESET_DONE)) {
        hc_ring_put_completion(s->completions, sequence, &completion);
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
    server s = {.plan = &hc_package_plan};
    const char *name = "";
    uint32_t arena_bytes = 0;
    if (argc != 3) {
        return fail("usage: device FILE PARENT", "");
    }
    if (hc_check_links(s.plan, HC_STEP_DEVICE, &name, &arena_bytes) != HC_OK) {
        return fail("the simulator does not have the ports that the plan states", name);
    }
    s.map_bytes = HC_POOL_OFFSET + (size_t)s.plan->frames * s.plan->pool_bytes;
    if (posix_memalign(&s.arena, HC_ALIGN, arena_bytes ? arena_bytes : HC_ALIGN) != 0) {
        return fail("out of memory", "");
    }
    if (!create_file(&s, argv[1])) {
        return fail("cannot create the shared file, or there is no room for it", argv[1]);
    }
    hc_regs regs = regs_of(&s);
    hc_reg_write(regs, HC_REG_ID, HC_DEVICE_ID);
    hc_reg_write(regs, HC_REG_VERSION, HC_PROTOCOL_VERSION);
    hc_reg_write64(regs, HC_REG_PLAN_HASH_LO, s.plan->hash);
    hc_reg_write(regs, HC_REG_STATUS, HC_DEVICE_READY);
    serve(&s, (pid_t)atol(argv[2]));
    unlink(argv[1]);
    free(s.arena);
    return 0;
}
