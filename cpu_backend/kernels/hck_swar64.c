/* Convolution with several products in one 64-bit multiplication: eight sums of 8 bits, four of 16 or two of 32. */
#include <stdint.h>

#define WORD uint64_t
#define PREFIX hck_swar64_
#include "hck_swar.inc"

SWARS(u8, HCK_U8, 8)
SWARS(u8, HCK_U8, 16)
SWARS(u8, HCK_U8, 32)
SWARS(i8, HCK_I8, 8)
SWARS(i8, HCK_I8, 16)
SWARS(i8, HCK_I8, 32)
