/*
 * Fully connected layers: one window, which is the whole picture. A weight is used once, so what counts is how few
 * operations it takes; the elements, which are known before the weights are touched, decide the order of the products.
 *
 * Few levels: rows of weights whose elements are equal are added up in 8 bits, and only their sum is multiplied.
 * Otherwise: products are added up in 16 bits as long as the elements prove them to fit, then to 32 bits; rows of which
 * the elements have a common divisor are next to each other, and it multiplies only the sum. Either way rows whose
 * element is 0 cost nothing. Without vectors, or where too few channels share the cost of the order, it is hck_conv2d.
 *
 * Where weights come from memory, what counts is how many lines of it they take: rows may begin every `stride` bytes,
 * and weights may have 4 bits or 2, in which 8 or 2 more than each weight stands. Byte k of a row of n bytes then holds
 * channels k, n + k, and so on, the first in its lowest bits.
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
                        largest weight, fits 16 bits, any one at least; 255 or more */
    uint32_t top;    /* the largest magnitude of an element */
    uint32_t stride; /* bytes from one row of weights to the next; 16 bits hold it */
    uint32_t bits;   /* of a weight: 8; 4 or 2, without levels, and 15 or 3 is taken for the largest */
} hck_full;

/* What a weight of 4 bits or 2 has more than it stands for. */
#define HCK_FULL_OFFSET(f) ((f)->bits < 8 ? 1 << ((f)->bits - 1) : 0)

/* Bytes of scratch memory, 8-byte aligned: the order of the rows (hck_full_groups.inc says what is in it), the sums. */
#define HCK_FULL_ORDER(kernel_h, kernel_w, in_c) \
    (16u * (256u + 512u + 1024u) + (10u * (kernel_h) * (kernel_w) * (in_c) / 8u + 1u) * 8u)
#define HCK_FULL_SCRATCH(kernel_h, kernel_w, in_c, out_c) \
    (HCK_FULL_ORDER(kernel_h, kernel_w, in_c) + HCK_CONV_SCRATCH(kernel_h, kernel_w, out_c))

void hck_full_layer(const hck_full *f, const hck_requantise *q, const void *x, void *y, size_t y_stride, void *scratch);

#endif
