/*
 * Tiles are handed out by a counter, so that a thread which is late takes fewer. The caller is worker 0 and takes part.
 * A layer is announced by a new `round`; threads spin for a moment before they sleep, since layers follow each other
 * closely. Whoever finds the pool in use by another caller does its work alone.
 */
#include "hc_threads.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "hc_parallel.h"

enum { SPINS = 10000 }; /* tens of microseconds */

static struct {
    pthread_mutex_t opening; /* users and threads */
    uint32_t users, helpers;
    pthread_t threads[HC_THREADS_MAX];
    pid_t process; /* a fork has the pool's memory, but none of its threads */

    pthread_mutex_t in_use; /* by one caller of hc_parallel */
    hc_task task;
    const void *context;
    uint32_t tiles, workers;
    uint32_t next; /* tile */

    pthread_mutex_t sleeping;
    pthread_cond_t begun, ended;
    uint32_t round;
    uint32_t working; /* helpers that have not finished this round */
    int stop;
} pool = {.opening = PTHREAD_MUTEX_INITIALIZER,
          .in_use = PTHREAD_MUTEX_INITIALIZER,
          .sleeping = PTHREAD_MUTEX_INITIALIZER,
          .begun = PTHREAD_COND_INITIALIZER,
          .ended = PTHREAD_COND_INITIALIZER};

static uint32_t load(const uint32_t *value) { return __atomic_load_n(value, __ATOMIC_ACQUIRE); }

/* Waits until *value is another (`from` is what it was), first awake, then asleep. */
static void await_change(const uint32_t *value, uint32_t from, pthread_cond_t *signal) {
    for (int i = 0; i < SPINS; i++)
        if (load(value) != from) return;
    pthread_mutex_lock(&pool.sleeping);
    while (load(value) == from) pthread_cond_wait(signal, &pool.sleeping);
    pthread_mutex_unlock(&pool.sleeping);
}

static void take_tiles(uint32_t worker) {
    for (uint32_t tile; (tile = __atomic_fetch_add(&pool.next, 1, __ATOMIC_RELAXED)) < pool.tiles;)
        pool.task(pool.context, tile, worker);
}

static void *help(void *argument) {
    const uint32_t worker = (uint32_t)(uintptr_t)argument;
    for (uint32_t round = 0;; round++) {
        await_change(&pool.round, round, &pool.begun);
        if (pool.stop) return NULL;
        if (worker < pool.workers) take_tiles(worker);
        if (__atomic_sub_fetch(&pool.working, 1, __ATOMIC_ACQ_REL) == 0) {
            pthread_mutex_lock(&pool.sleeping);
            pthread_cond_signal(&pool.ended);
            pthread_mutex_unlock(&pool.sleeping);
        }
    }
}

static void begin_round(void) {
    pthread_mutex_lock(&pool.sleeping);
    __atomic_store_n(&pool.round, pool.round + 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&pool.begun);
    pthread_mutex_unlock(&pool.sleeping);
}

/* All helpers have seen the round: only then may the next one change what they read. */
static void end_round(void) {
    for (uint32_t left; (left = load(&pool.working)) != 0;) await_change(&pool.working, left, &pool.ended);
}

void hc_parallel(hc_task task, const void *context, uint32_t tiles, uint32_t workers) {
    const int shared = load(&pool.helpers) != 0 && workers > 1 && tiles > 1 && pool.process == getpid();
    if (!shared || pthread_mutex_trylock(&pool.in_use) != 0) {
        for (uint32_t tile = 0; tile < tiles; tile++) task(context, tile, 0);
        return;
    }
    pool.task = task;
    pool.context = context;
    pool.tiles = tiles;
    pool.workers = workers;
    pool.next = 0;
    pool.working = pool.helpers;
    begin_round();
    take_tiles(0);
    end_round();
    pthread_mutex_unlock(&pool.in_use);
}

static void stop(uint32_t started) {
    pool.stop = 1;
    begin_round();
    for (uint32_t i = 0; i < started; i++) pthread_join(pool.threads[i], NULL);
    pool.stop = 0;
    pool.round = 0;
    __atomic_store_n(&pool.helpers, 0, __ATOMIC_RELEASE);
}

/* As many helpers as asked for, or what the system gave. Signals are the caller's business: helpers take none. */
static uint32_t create(uint32_t helpers) {
    sigset_t all, before;
    uint32_t started = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (started < helpers &&
           pthread_create(&pool.threads[started], NULL, help, (void *)(uintptr_t)(started + 1)) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static hc_status start(uint32_t threads) {
    const uint32_t helpers = (threads < HC_THREADS_MAX ? threads : HC_THREADS_MAX) - 1, started = create(helpers);
    if (started < helpers) {
        stop(started);
        return HC_E_THREADS;
    }
    pool.process = getpid();
    __atomic_store_n(&pool.helpers, helpers, __ATOMIC_RELEASE);
    return HC_OK;
}

hc_status hc_threads_open(uint32_t threads) {
    pthread_mutex_lock(&pool.opening);
    const hc_status status = pool.users == 0 && threads > 1 ? start(threads) : HC_OK;
    if (status == HC_OK) pool.users++;
    pthread_mutex_unlock(&pool.opening);
    return status;
}

void hc_threads_close(void) {
    pthread_mutex_lock(&pool.opening);
    if (--pool.users == 0 && pool.helpers) stop(pool.helpers);
    pthread_mutex_unlock(&pool.opening);
}

uint32_t hc_threads_available(void) {
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (uint32_t)cores : 1;
}
