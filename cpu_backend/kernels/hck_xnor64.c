/* Convolution of bits by bits in words of 64. */
#include <stdint.h>

#define WORD uint64_t
#define XNOR hck_conv2d_xnor64
#include "hck_xnor.inc"
