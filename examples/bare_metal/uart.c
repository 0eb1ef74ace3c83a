#include "uart.h"

#define UART 0x10000000u
#define DATA (*(volatile uint8_t *)(uintptr_t)UART)
#define STATUS (*(volatile uint8_t *)(uintptr_t)(UART + 5u))
#define EMPTY 0x20u /* of STATUS: a byte can be written */

static void put(char c) {
    while (!(STATUS & EMPTY)) continue;
    DATA = (uint8_t)c;
}

void uart_text(const char *text) {
    for (; *text; text++) put(*text);
}

void uart_hex(uint32_t value) {
    for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15u]);
}

void uart_decimal(int32_t value) {
    char digits[10];
    int count = 0;
    uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    if (value < 0) put('-');
    do digits[count++] = (char)('0' + rest % 10u);
    while (rest /= 10u);
    while (count) put(digits[--count]);
}
