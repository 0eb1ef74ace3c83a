#include "hc_failure.h"

#include <stdio.h>

void hc_failure_text(const hc_failure *f, char *text, size_t bytes) {
    const char *cause = hc_status_text(f->status);
    if (!*f->region) {
        snprintf(text, bytes, "%s", cause);
    } else if (f->status == HC_E_RUN) {
        snprintf(text, bytes, "region '%s', frame %llu: %s with code %d", f->region,
                 (unsigned long long)f->frame, cause, (int)f->code);
    } else {
        snprintf(text, bytes, "region '%s', frame %llu: %s", f->region, (unsigned long long)f->frame, cause);
    }
}
