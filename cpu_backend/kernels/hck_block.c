/* Tile kernels of the convolution for scalar cores with 8-bit weights; see hck_scalar.h. */
#include "hck_scalar.h"

#define CHANNELS 4
#define CHUNK 128 /* products: their weights stay in the cache until the second four pixels have used them */

/* One element of each pixel. */
HCK_INLINE void multiply_element(hck_type type, size_t count, const void *x, size_t i, const int8_t *w,
                                 int32_t (*sum)[CHANNELS]) {
    int32_t weight[CHANNELS];
    for (size_t k = 0; k < CHANNELS; k++) weight[k] = w[i * CHANNELS + k];
    for (size_t m = 0; m < count; m++) {
        const int32_t element = hck_get(x, type, i * count + m);
        for (size_t k = 0; k < CHANNELS; k++) {
            sum[m][k] += element * weight[k];
            HCK_SETTLE(sum[m][k]);
        }
    }
}

/* `count` is a constant: the loops over it are unrolled, and the sums stay in registers. */
HCK_INLINE void multiply_chunk(hck_type type, size_t count, const uint8_t *x, size_t length, const int8_t *w,
                               int32_t (*sums)[CHANNELS]) {
    const size_t pixel_bytes = count * hck_size(type);
    int32_t sum[4][CHANNELS];
    for (size_t m = 0; m < count; m++)
        for (size_t k = 0; k < CHANNELS; k++) sum[m][k] = sums[m][k];
    for (const int8_t *const end = w + length * CHANNELS; w != end; w += 4 * CHANNELS, x += 4 * pixel_bytes) {
        multiply_element(type, count, x, 0, w, sum);
        multiply_element(type, count, x, 1, w, sum);
        multiply_element(type, count, x, 2, w, sum);
        multiply_element(type, count, x, 3, w, sum);
    }
    for (size_t m = 0; m < count; m++)
        for (size_t k = 0; k < CHANNELS; k++) sums[m][k] = sum[m][k];
}

HCK_INLINE void tile_block(hck_type type, size_t mr, const hck_conv *c, const void *const *pixels, size_t from,
                           size_t runs, size_t run, const int8_t *w, size_t lanes, int32_t *tile) {
    const size_t step = mr < 4 ? mr : 4, products = (runs * run + 3) / 4 * 4;
    int32_t zero = 0;
    const uint8_t *x = hck_interleave(type, mr, c, pixels, from, runs, run, tile);
    HCK_SETTLE(zero); /* no call of memset */
    for (size_t k = 0; k < lanes; k += CHANNELS, tile += CHANNELS) {
        const size_t channels = HCK_MIN(lanes - k, CHANNELS);
        int32_t sums[HCK_BLOCK][CHANNELS];
        for (size_t m = 0; m < mr; m++)
            for (size_t n = 0; n < CHANNELS; n++) sums[m][n] = zero;
        for (size_t at = 0, length; at < products; at += length, w += length * CHANNELS) {
            length = HCK_MIN(products - at, CHUNK);
            for (size_t m = 0; m < mr; m += step)
                multiply_chunk(type, step, x + (m * products + at * step) * hck_size(type), length, w, sums + m);
        }
        for (size_t m = 0; m < mr; m++)
            for (size_t n = 0; n < channels; n++) tile[m * c->out_c + n] = sums[m][n];
    }
}

#define BLOCK(NAME, TYPE, MR)                                                                                          \
    void hck_block_##NAME##_##MR(const hck_conv *c, const void *const *pixels, size_t from, size_t runs, size_t run,   \
                                 const int8_t *weights, size_t lanes, void *tile) {                                    \
        tile_block(TYPE, MR, c, pixels, from, runs, run, weights, lanes, (int32_t *)tile);                             \
    }
#define BLOCKS(NAME, TYPE) BLOCK(NAME, TYPE, 1) BLOCK(NAME, TYPE, 4) BLOCK(NAME, TYPE, 8)

BLOCKS(u8, HCK_U8)
BLOCKS(i8, HCK_I8)
BLOCKS(u16, HCK_U16)
BLOCKS(i16, HCK_I16)
