/* Runs the region over one frame, and prints its result's checksum and first integers. */
#include "frame.h"
#include "hc_region.h"
#include "uart.h"

extern const hc_region hc_region_example;

#define PADDED(bytes) (((bytes) / HC_ALIGN + 1u) * HC_ALIGN)

static uint8_t arena[PADDED(ARENA_BYTES)] __attribute__((aligned(HC_ALIGN)));
static int32_t output[PADDED(OUTPUT_BYTES) / 4u] __attribute__((aligned(HC_ALIGN)));

int main(void) {
    const hc_region *region = &hc_region_example;
    const void *inputs[] = {frame};
    void *outputs[] = {output};
    if (region->abi != HC_REGION_ABI || region->arena_bytes > sizeof arena || region->run(inputs, outputs, arena)) {
        uart_text("failed\n");
        return 1;
    }
    uint32_t code = 0x811c9dc5u;
    for (uint32_t i = 0; i < OUTPUT_BYTES; i++) code = (code ^ ((const uint8_t *)output)[i]) * 0x01000193u;
    uart_text("checksum ");
    uart_hex(code);
    uart_text("\ny");
    for (uint32_t i = 0; i < OUTPUT_BYTES / 4u && i < 10u; i++) {
        uart_text(" ");
        uart_decimal(output[i]);
    }
    uart_text("\n");
    return 0;
}
