/*
 * Fully connected layers: one window, which is the whole picture. A weight is used once, so what counts is how few
 * operations it takes; the elements, which are known before the weights are touched, decide the order of the products.
 *
 * Few levels: rows of weights whose elements are equal are added up in 8 bits, and only their sum is multiplied.
 * Otherwise: products are added up in 16 bits as long as the elements' magnitudes prove them to fit, then to 32 bits.
 * Either way rows whose element is 0 cost nothing. Without vectors, or where those are short beside the channels, it is
 * hck_conv2d.
 */
#ifndef HCK_FULL_H
#define HCK_FULL_H

#include "hck.h"

#define HCK_LEVELS 16u

typedef struct {
    hck_conv conv;   /* groups and pool 1, no padding, the kernel of the picture's extents; elements of 8 bits */
    int32_t lo;      /* elements are lo .. lo + levels - 1, which signed bytes hold */
    uint32_t levels; /* up to HCK_LEVELS; 0: more */
    uint32_t reach;  /* so many weights of a channel fit 8 bits; without levels: so large a sum of magnitudes, times the
                        largest weight, fits 16 bits, any one at least */
} hck_full;

/* Bytes of scratch memory, 8-byte aligned: rows in their order, then the sums. */
#define HCK_FULL_SCRATCH(kernel_h, kernel_w, in_c, out_c) \
    (12u * (kernel_h) * (kernel_w) * (in_c) + HCK_CONV_SCRATCH(kernel_h, kernel_w, out_c))

void hck_full_layer(const hck_full *f, const hck_requantise *q, const void *x, void *y, size_t y_stride, void *scratch);

#endif
