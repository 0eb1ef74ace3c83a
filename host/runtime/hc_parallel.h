/*
 * Work that several threads share. A region made for a board with more than one core cuts its layers into tiles; whoever
 * compiles it decides what runs them: with -DHC_THREADS the pool of hc_threads.c, otherwise (bare metal, a meter) a loop.
 * Either way every tile is computed once, by itself: results do not depend on the number of threads.
 */
#ifndef HC_PARALLEL_H
#define HC_PARALLEL_H

#include <stdint.h>

/* `worker` is below the number of workers, and no two tiles run at once with the same one. */
typedef void (*hc_task)(const void *context, uint32_t tile, uint32_t worker);

/* Calls the task for every tile below `tiles`, with at most `workers` of them at a time, and returns when all are done. */
#ifdef HC_THREADS
#ifdef __cplusplus
extern "C"
#endif
void hc_parallel(hc_task task, const void *context, uint32_t tiles, uint32_t workers);
#else
static inline void hc_parallel(hc_task task, const void *context, uint32_t tiles, uint32_t workers) {
    (void)workers;
    for (uint32_t tile = 0; tile < tiles; tile++) task(context, tile, 0);
}
#endif

#endif
