/* The 16550 UART of the "virt" machine, output only. */
#ifndef UART_H
#define UART_H

#include <stdint.h>

void uart_text(const char *text);
void uart_hex(uint32_t value);
void uart_decimal(int32_t value);

#endif
