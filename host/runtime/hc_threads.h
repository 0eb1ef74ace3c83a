/* The pool of POSIX threads behind hc_parallel: one per process, started once, asleep between layers. */
#ifndef HC_THREADS_H
#define HC_THREADS_H

#include <stdint.h>

#include "hc_status.h"

enum { HC_THREADS_MAX = 256 };

/*
 * Starts the pool with `threads` threads, the caller's included, or joins in using the one that is there (then `threads`
 * does not count). HC_E_THREADS: the system gave no thread. Every open has its close; the last one ends the threads.
 */
hc_status hc_threads_open(uint32_t threads);
void hc_threads_close(void);

/* Cores that the system lets this process use. */
uint32_t hc_threads_available(void);

#endif
