/*
 * Marks for the meter (cpu_backend/meter): HINTs of the standard's custom space, which do nothing on any core.
 * Regions have numbers 0..2047 and do not nest. Put what is measured into functions that are not inlined, or into
 * another file: compilers move computations in registers past marks, though no access to memory.
 */
#ifndef HC_METER_H
#define HC_METER_H

#define HC_METER_BEGIN(region) __asm__ volatile("sltiu x0, x0, %0" ::"i"(region) : "memory")
#define HC_METER_END() __asm__ volatile("slti x0, x0, 0x124" ::: "memory")
#define HC_METER_FORGET() __asm__ volatile("slti x0, x0, 0x125" ::: "memory") /* drop the counts, keep the caches */

/* A layer of a generated region. */
#define HC_LAYER(number, call)                                                                                         \
    do {                                                                                                               \
        HC_METER_BEGIN(number);                                                                                        \
        call;                                                                                                          \
        HC_METER_END();                                                                                                \
    } while (0)

#endif
