/*
 * Runs a peer's layer twice under the meter: the first run warms the caches and is forgotten. -DHC_X and -DHC_W name the
 * operands' files, -DHC_Y_BYTES is the result's size; argument 1, if given, is a file that the result is written to.
 */
#include <stdint.h>
#include <stdio.h>

#include "hc_meter.h"

int hc_peer(const void *x, const void *w, void *y); /* the shim: 0, or the peer failed */

extern uint8_t hc_x[], hc_w[];
/* in .data: some peers take operands by pointers that are not const */
__asm__(".data\n.balign 64\n.globl hc_x\nhc_x:\n.incbin \"" HC_X "\"\n.balign 64\n.globl hc_w\nhc_w:\n.incbin \"" HC_W
        "\"\n.text\n");

static uint8_t y[HC_Y_BYTES] __attribute__((aligned(64)));

int main(int argc, char **argv) {
    for (int run = 0; run < 2; run++) {
        HC_METER_FORGET();
        HC_METER_BEGIN(0);
        const int failed = hc_peer(hc_x, hc_w, y);
        HC_METER_END();
        if (failed) return 1;
    }
    if (argc > 1) {
        FILE *const file = fopen(argv[1], "wb");
        if (!file || fwrite(y, 1, sizeof y, file) != sizeof y || fclose(file)) return 2;
    }
    return 0;
}
