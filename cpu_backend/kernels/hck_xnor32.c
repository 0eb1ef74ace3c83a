/* Convolution of bits by bits in words of 32. */
#include <stdint.h>

#define WORD uint32_t
#define XNOR hck_conv2d_xnor32
#include "hck_xnor.inc"
