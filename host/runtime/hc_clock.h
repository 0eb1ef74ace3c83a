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
 * Waits a little, longer the more often in a row: first gives the processor away, then sleeps 20 us to 1 ms. Reset
 * `rounds` to zero on every sign of life.
 */
static inline void hc_back_off(uint32_t *rounds) {
    uint32_t round = (*rounds)++;
    if (round < 64) {
        sched_yield();
        return;
    }
    uint32_t step = (round - 64) / 64;
    struct timespec pause = {0, 20000L << (step < 6 ? step : 6)};
    nanosleep(&pause, NULL);
}

#endif
