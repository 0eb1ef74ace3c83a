/*
 * Convolutions for cores without vectors, where a multiplication is the dearest thing: tile kernels whose weights were
 * packed by the code generator for words of 32 or 64 bits (the core's own; either runs anywhere).
 *
 * The tile kernels take groups = 1 and sum in 32 bits. `mr`, the last number in a name, is the pixels of a tile: 8 as a
 * rule (two register blocks share the weights that are in the cache), 4 or 1 for results of few pixels. They copy what
 * lies under four windows element by element side by side, so that one pointer reaches all, to behind the sums in the
 * scratch memory.
 */
#ifndef HCK_SCALAR_H
#define HCK_SCALAR_H

#include "hck_element.h"

/* `value` is computed here and in a register: without it compilers reorder sums and loads until registers are short. */
#define HCK_SETTLE(value) __asm__ volatile("" : "+r"(value))

/* Bytes of scratch memory for the tile kernels, 8-byte aligned. */
#define HCK_SCALAR_SCRATCH(element_bytes, kernel_h, kernel_w, in_c, out_c)                                             \
    (HCK_CONV_SCRATCH(kernel_h, kernel_w, out_c) +                                                                     \
     HCK_BLOCK * (((kernel_h) * (kernel_w) * (in_c) + 3u) / 4u * 4u) * (element_bytes))

#define HCK_TILE_OF(name)                                                                                              \
    void name(const hck_conv *c, const void *const *pixels, size_t from, size_t runs, size_t run,                      \
              const int8_t *weights, size_t lanes, void *tile);
#define HCK_TILES_OF(name) HCK_TILE_OF(name##_1) HCK_TILE_OF(name##_4) HCK_TILE_OF(name##_8)

/*
 * Plain 8-bit weights, a register block of 4 pixels by 4 channels.
 * Weights: [out_c / 4][products][4], products being [kernel_h][kernel_w][in_c] and zeros to a multiple of four; channels
 * beyond out_c are 0.
 */
HCK_TILES_OF(hck_block_u8)
HCK_TILES_OF(hck_block_i8)
HCK_TILES_OF(hck_block_u16)
HCK_TILES_OF(hck_block_i16)

/*
 * Several products in one multiplication: a word holds the weights of neighbouring output channels in signed fields,
 * w[0] + (w[1] << bits) + ..., and one multiplication by an activation makes a product in each. The sums of up to
 * c->flush products fit their fields (proven from the weights); then they move to fields of twice the width.
 *
 * hck_swar<word>_<x>_<bits of a field>_<mr>; weights: [words / 4][products][4 words], then the remaining words one by
 * one, each [products]; c->flush is a multiple of four.
 */
HCK_TILES_OF(hck_swar32_u8_8)
HCK_TILES_OF(hck_swar32_u8_16)
HCK_TILES_OF(hck_swar32_i8_8)
HCK_TILES_OF(hck_swar32_i8_16)
HCK_TILES_OF(hck_swar64_u8_8)
HCK_TILES_OF(hck_swar64_u8_16)
HCK_TILES_OF(hck_swar64_u8_32)
HCK_TILES_OF(hck_swar64_i8_8)
HCK_TILES_OF(hck_swar64_i8_16)
HCK_TILES_OF(hck_swar64_i8_32)

#define HCK_LITTLE_ENDIAN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

HCK_INLINE int hck_aligned(const uint8_t *const *x) {
    return (((uintptr_t)x[0] | (uintptr_t)x[1] | (uintptr_t)x[2] | (uintptr_t)x[3]) & 3) == 0;
}

HCK_INLINE uint32_t hck_word(const uint8_t *x) {
    uint32_t word;
    __builtin_memcpy(&word, __builtin_assume_aligned(x, 4), 4);
    return word;
}

/* Four bytes of each of four pixels, element by element. All are aligned words, their low bytes first. */
HCK_INLINE void hck_transpose(const uint8_t *const *x, uint8_t *to) {
    const uint32_t even = 0x00ff00ff, a = hck_word(x[0]), b = hck_word(x[1]), c = hck_word(x[2]), d = hck_word(x[3]);
    const uint32_t ab0 = (a & even) | (b & even) << 8, ab1 = (a >> 8 & even) | (b & ~even);
    const uint32_t cd0 = (c & even) | (d & even) << 8, cd1 = (c >> 8 & even) | (d & ~even);
    const uint32_t words[4] = {(ab0 & 0xffff) | cd0 << 16, (ab1 & 0xffff) | cd1 << 16, ab0 >> 16 | (cd0 & ~0xffffu),
                               ab1 >> 16 | (cd1 & ~0xffffu)};
    __builtin_memcpy(__builtin_assume_aligned(to, 4), words, 16);
}

/* The windows of mr pixels, four at a time (or one): [products][4] elements each, of which those past
 * the last product are whatever was there, as their weights are 0; returns where they are. */
HCK_INLINE const uint8_t *hck_interleave(hck_type type, size_t mr, const hck_conv *c, const void *const *pixels,
                                         size_t from, size_t runs, size_t run, int32_t *tile) {
    uint8_t *const copied = (uint8_t *)(tile + HCK_BLOCK * c->out_c), *to = copied;
    const size_t step = mr < 4 ? mr : 4;
    const size_t bytes = hck_size(type), rest = (0 - runs * run) % 4 * step * bytes;
    for (size_t m = 0; m < mr; m += step, to += rest)
        for (size_t r = 0; r < runs; r++) {
            const uint8_t *x[4];
            for (size_t k = 0; k < step; k++) x[k] = (const uint8_t *)pixels[r * mr + m + k] + from * bytes;
            const uint8_t *const end = to + run * step * bytes;
            if (HCK_LITTLE_ENDIAN && step == 4 && bytes == 1 && run % 4 == 0 && hck_aligned(x))
                for (; to != end; to += 16) {
                    hck_transpose(x, to);
                    for (size_t k = 0; k < 4; k++) x[k] += 4;
                }
            else
                for (; to != end; to += step * bytes)
                    for (size_t k = 0; k < step; k++, x[k - 1] += bytes) hck_put(to, type, k, hck_get(x[k], type, 0));
        }
    return copied;
}

/*
 * Weights of -1 and +1 and activations of two values, a bit each: a sum is its largest value less (1 << shift) for every
 * bit that differs. An element is bit 1 if it is 1, and bit 0 if it is -1 or 0.
 */
typedef struct {
    hck_conv conv;       /* of x as it comes; its weights are not read */
    /*
     * [out_c / 2][HCK_XNOR_FILTER][2] words: two filters, each [kernel_h][kernel_w][HCK_XNOR_WORDS]; what is left is 0.
     * Both words of a pair are stored exclusive-or the words that stand before the pair in its part of HCK_XNOR_PART.
     */
    const void *weights;
    const int32_t *base; /* [out_c]: the sum where no bit differs */
    /* [kernel_h * kernel_w][out_c]: added where that tap lies beside the picture, since 0 is no -1; NULL: 0 is a bit */
    const int32_t *beside;
    uint32_t shift;
} hck_xnor;

/* Words of a filter that are counted together. */
#define HCK_XNOR_PART 28u

/* Words of `bits` bits for the elements of a pixel; for a filter, an even number. */
#define HCK_XNOR_WORDS(bits, in_c) (((in_c) + (bits) - 1u) / (bits))
#define HCK_XNOR_FILTER(bits, kernel_h, kernel_w, in_c)                                                                \
    (((kernel_h) * (kernel_w) * HCK_XNOR_WORDS(bits, in_c) + 1u) / 2u * 2u)

#define HCK_XNOR_BLOCK 16u /* most pixels that are worked on at a time: the filters come from memory for each block */

/* Bytes of scratch memory, 8-byte aligned: pointers, the picture in bits, the windows of a block, sums. */
#define HCK_XNOR_SCRATCH(bits, in_h, in_w, in_c, kernel_h, kernel_w, out_c)                                            \
    (((in_h) * (in_w) * HCK_XNOR_WORDS(bits, in_c) + HCK_XNOR_BLOCK * HCK_XNOR_FILTER(bits, kernel_h, kernel_w, in_c)) * \
         ((bits) / 8u) +                                                                                               \
     HCK_XNOR_BLOCK * (8u * (kernel_h) * (kernel_w) + 4u * (out_c)))

void hck_conv2d_xnor32(const hck_xnor *n, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                       void *scratch);
void hck_conv2d_xnor64(const hck_xnor *n, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                       void *scratch);

#endif
