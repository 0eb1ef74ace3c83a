/*
 * Runs one region twice under the meter, with -DHC_REGION=hc_region_<name> and -DHC_INPUT="file" (the input ports of a
 * frame one after another): the first frame warms the caches and is forgotten. All memory is static, so that addresses
 * are the same in every run. With -DHC_BARE it needs no C library. Exit status 3: the region needs more than the pool.
 */
#include "hc_meter.h"
#include "hc_region.h"

#define POOL (256u << 20)
#define PORTS 64u

extern const hc_region HC_REGION;
extern const uint8_t hc_input[];

__asm__(".section .rodata\n.balign 8\n.globl hc_input\nhc_input:\n.incbin \"" HC_INPUT "\"\n.text\n");

static uint8_t pool[POOL] __attribute__((aligned(4096)));
static uint32_t used;

static void *buffer(uint32_t bytes) {
    const uint32_t padded = (bytes / HC_ALIGN + 1) * HC_ALIGN;
    if (padded > POOL - used) return 0;
    used += padded;
    return pool + used - padded;
}

int main(void) {
    const hc_region *region = &HC_REGION;
    const uint8_t *from = hc_input;
    const void *inputs[PORTS];
    void *outputs[PORTS];
    if (region->input_count > PORTS || region->output_count > PORTS) return 3;
    for (uint32_t i = 0; i < region->input_count; i++) {
        uint8_t *to = (uint8_t *)buffer(region->input_bytes[i]);
        if (!to) return 3;
        for (uint32_t b = 0; b < region->input_bytes[i]; b++) to[b] = *from++;
        inputs[i] = to;
    }
    for (uint32_t i = 0; i < region->output_count; i++)
        if (!(outputs[i] = buffer(region->output_bytes[i]))) return 3;
    void *const arena = buffer(region->arena_bytes);
    if (!arena) return 3;
    if (region->run(inputs, outputs, arena)) return 1;
    HC_METER_FORGET();
    return region->run(inputs, outputs, arena) ? 1 : 0;
}

#ifdef HC_BARE
void *memcpy(void *to, const void *from, __SIZE_TYPE__ bytes);
void *memcpy(void *to, const void *from, __SIZE_TYPE__ bytes) { /* a byte at a time: volatile, or it is made a call to itself */
    for (__SIZE_TYPE__ i = 0; i < bytes; i++) ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}

/* A core without an operating system starts with no stack; the HINT before the system call tells its simulation to stop. */
uint8_t hc_stack[1 << 16] __attribute__((aligned(16)));
__asm__(
    ".globl _start\n_start:\n la sp, hc_stack + 65536\n call main\n"
    " slti x0, x0, 0x126\n li a7, 93 # exit\n ecall\n");
#endif
