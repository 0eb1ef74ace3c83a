/*
 * Convolution of weights of -1 and +1 by activations of one or two bits: differing bits are counted, 16 input channels
 * in an element of 16 bits. Vectors of elements belong to neighbouring output channels, an activation's 16 channels are
 * a scalar, and 16 products are three operations: exclusive or, count (vcpop.v of Zvbb), add. The sums are 16 bits
 * wide, whose arithmetic wraps: only what they end as has to fit, which the generator proves.
 *
 * Three operations on 16 bits, where sums of 8 bits take 16 operations on 8: 48 bits of the datapath against 128. Byte
 * elements would cost the same and twice the instructions. Two bits of an activation are two planes, the higher first,
 * after which the count is doubled.
 */
#ifndef HCK_BITS_H
#define HCK_BITS_H

#include "hck.h"

/*
 * A sum is base[o] - (count << shift). With a plane's bit b (0 or 1) and a weight w: the sum of w * b is the number of
 * +1 less the number of places where b differs from w > 0. Bipolar activations are 2 * b - 1, which doubles what
 * differs.
 */
typedef struct {
    hck_conv conv;           /* of x as it comes, groups = 1; its weights and zeros are not read */
    /* [kernel_h][kernel_w][HCK_BITS_WORDS][out_c]: bit i is w > 0 of input channel 16 * word + i, 0 beyond the last */
    const uint16_t *weights;
    const int16_t *base;     /* [out_c]: the sum where no bit differs */
    /* [kernel_h * kernel_w][out_c]: added where that tap lies beside the picture, as a bit of 0 is -1; NULL: it is 0 */
    const int16_t *beside;
    uint32_t planes; /* bits of an activation: 1 (of an HCK_I8: bipolar) or 2 */
    uint32_t shift;
} hck_bits;

#define HCK_BITS_WORDS(in_c) (((in_c) + 15u) / 16u)

/* Rows or columns of the picture that windows see, with what lies beside it. */
#define HCK_BITS_EXTENT(out, kernel, stride) (((out)-1u) * (stride) + (kernel))

/* Bytes of scratch memory, 2-byte aligned: the padded planes in bits, sums of a block. */
#define HCK_BITS_SCRATCH(planes, rows, columns, in_c, out_c) \
    (2u * ((planes) * (rows) * (columns)*HCK_BITS_WORDS(in_c) + HCK_BLOCK * (out_c)))

/* y = map(pool(x * w)), as hck_conv2d. */
void hck_conv2d_bits(const hck_bits *n, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                     void *scratch);

/* As hck_gated_conv2d, of levels in bytes: the two bits of a level are planes of -1 and +1. planes is 2; base, beside
 * and shift are those of one bipolar plane. */
#define HCK_GATED_BITS_SCRATCH(rows, columns, in_c, out_c) \
    (HCK_BITS_SCRATCH(2u, rows, columns, in_c, out_c) + 2u * HCK_BLOCK * (out_c))

void hck_gated_conv2d_bits(const hck_bits *n, const int32_t *threshold, const hck_requantise *q, const void *x, void *y,
                           size_t y_stride, void *scratch);

/* Sums of mr windows, of which x[m] is the first word in the first plane: mr rows of out_c. */
typedef void (*hck_bits_fn)(const hck_bits *n, const uint16_t *const *x, size_t row_words, size_t plane_words,
                            int16_t *tile);

typedef struct {
    hck_bits_fn tile;
    uint32_t mr;
} hck_bits_tile;

/* Compilers that know Zvbb; the meter's emulator does not, so that it counts another instruction of vcpop.v's class and
 * beats (-DHCK_COUNT_BITS=operation). */
#if defined(__riscv_vector) && (defined(__riscv_zvbb) || defined(HCK_COUNT_BITS))
#define HCK_BITS_RVV
#include <riscv_vector.h>
#ifndef HCK_COUNT_BITS
#define HCK_COUNT_BITS(bits, vl) __riscv_vcpop(bits, vl)
#endif

hck_bits_tile hck_bits_tile_rvv(const hck_bits *n, size_t windows);

/* Bit `plane` of `elements` bytes, or whether they are 1 where they are bipolar; bits up to a whole word are 0. */
void hck_bits_pack_rvv(const hck_bits *n, unsigned plane, const uint8_t *x, size_t elements, uint16_t *to);
#endif

#endif
