/* Time and waiting. */
#ifndef HC_CLOCK_H
#define HC_CLOCK_H

#include <sched.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t hc_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/*
 * Waits a little, longer the more often in a row: first gives the processor away, until somebody else is found to need
 * it, then sleeps, always for a small part of what was waited for so far (20 us to 1 ms). Reset `rounds` to zero on
 * every sign of life.
 */
static inline void hc_back_off(uint32_t *rounds) {
    enum { YIELDS = 64, LONG_YIELD_NS = 20000 };
    const uint32_t round = (*rounds)++;
    if (round < YIELDS) {
        const uint64_t start = hc_now_ns();
        sched_yield();
        *rounds = hc_now_ns() - start > LONG_YIELD_NS ? YIELDS : *rounds;
        return;
    }
    const uint32_t slept = (round - YIELDS) / 64;
    struct timespec pause = {0, slept < 3 ? 20000L << slept : slept < 20 ? 160000 : 1000000};
    nanosleep(&pause, NULL);
}

#endif
