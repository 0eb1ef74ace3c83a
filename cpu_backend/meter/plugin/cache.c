#include "cache.h"

#include <stdlib.h>

int meter_cache_open(meter_cache *cache, uint32_t sets, uint32_t ways) {
    cache->sets = sets;
    cache->ways = ways;
    cache->lines = (uint64_t *)calloc((size_t)sets * ways, sizeof *cache->lines);
    return cache->lines != NULL;
}

int meter_cache_holds(const meter_cache *cache, uint64_t line) {
    const uint64_t *set = cache->lines + line % cache->sets * cache->ways;
    for (uint32_t at = 0; at < cache->ways; at++)
        if (set[at] == line + 1) return 1;
    return 0;
}

int meter_cache_access(meter_cache *cache, uint64_t line) {
    uint64_t *set = cache->lines + line % cache->sets * cache->ways;
    uint32_t at = 0;
    while (at < cache->ways - 1 && set[at] != line + 1) at++;
    const int hit = set[at] == line + 1;
    for (; at > 0; at--) set[at] = set[at - 1];
    set[0] = line + 1;
    return hit;
}
