/* Convolution with several products in one 32-bit multiplication: four sums of 8 bits or two of 16. */
#include <stdint.h>

#define WORD uint32_t
#define PREFIX hck_swar32_
#include "hck_swar.inc"

SWARS(u8, HCK_U8, 8)
SWARS(u8, HCK_U8, 16)
SWARS(i8, HCK_I8, 8)
SWARS(i8, HCK_I8, 16)
