/* A set-associative cache with least-recently-used replacement. */
#ifndef HC_METER_CACHE_H
#define HC_METER_CACHE_H

#include <stdint.h>

typedef struct {
    uint32_t sets, ways;
    uint64_t *lines; /* [sets][ways], most recent first; line number + 1, 0: empty */
} meter_cache;

/* 0 where there is no memory for it. */
int meter_cache_open(meter_cache *cache, uint32_t sets, uint32_t ways);

/* Whether the line is there; nothing changes. */
int meter_cache_holds(const meter_cache *cache, uint64_t line);

/* Whether the line (address / line size) was there; it is afterwards. */
int meter_cache_access(meter_cache *cache, uint64_t line);

#endif
