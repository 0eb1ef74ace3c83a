/* What went wrong, where, in which frame; as one line. */
#ifndef HC_FAILURE_H
#define HC_FAILURE_H

#include <stddef.h>
#include <stdint.h>

#include "hc_status.h"

#define HC_TEXT_BYTES 512u /* no line of the runtime is longer */

typedef struct hc_failure {
    hc_status status;
    const char *region; /* "" where no region is to blame */
    uint64_t frame;
    int32_t code; /* what the region returned, with HC_E_RUN */
} hc_failure;

/* "region 'fpga0', frame 3: the device went away"; without a region, only the cause. */
void hc_failure_text(const hc_failure *failure, char *text, size_t bytes);

#endif
