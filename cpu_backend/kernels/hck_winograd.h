/*
 * Convolution 3x3 of stride 1 by minimal filtering, F(2x2, 3x3) of Winograd (Lavin & Gray, "Fast Algorithms for
 * Convolutional Neural Networks", 2016, section 4.1), in integers and exactly: a tile of 2x2 results takes 16
 * multiplications per input channel where their definition takes 36.
 *
 *     4 y = A' [ sum over channels of (2G g 2G') * (B' d B) ] A      d: the 4x4 elements under a tile, g: a kernel
 *
 *          1  0 -1  0          2  0  0
 *     B' = 0  1  1  0     2G = 1  1  1     A' = 1  1  1  0
 *          0 -1  1  0          1 -1  1          0  1 -1 -1
 *          0  1  0 -1          0  0  2
 *
 * Twice G has no fractions. B' d B are the 16 `planes` of a tile, the products' sums over channels its 16 `sums`, which
 * for a strip of tiles are 16 products of matrices: tiles by input channels by output channels. Sums and what A makes of
 * them may wrap, as long as 4 y fits: only sums that are kept in fewer bits than the results have to fit themselves.
 */
#ifndef HCK_WINOGRAD_H
#define HCK_WINOGRAD_H

#include "hck.h"

#define HCK_PLANES 16u
#define HCK_TILES 7u  /* tiles that share a vector of weights */
#define HCK_LANES 64u /* most output channels whose sums are kept at a time */

typedef struct {
    hck_conv conv; /* of 8-bit elements; kernel 3x3, stride 1, groups 1; its weights are not read */
    /* of `operands`: 2G g 2G', row by row, as [HCK_PLANES][in_c][HCK_LANES] for every so many output channels, the last
     * ones of which may be fewer: what is read again and again is in one piece */
    const void *weights;
    hck_type operands; /* HCK_I8 or HCK_I16, which hold these and the planes */
    /* of I16 operands both HCK_I32; of I8 operands the results HCK_I16, whose sums are too, or HCK_I32, with sums that
     * fit HCK_I16 or that are added up there before they go to HCK_I32 */
    hck_type sums, results;
    uint32_t strip; /* tiles at a time: 4, or a multiple of HCK_TILES */
    /* of I8 operands: 16 bits hold any this many products of a plane in a row */
    uint16_t flush[HCK_PLANES];
} hck_winograd;

/* Bytes of scratch memory, 8-byte aligned: a strip's planes, its sums, its results. */
#define HCK_WINOGRAD_PLANE_BYTES(strip, in_c, operand_bytes) \
    ((HCK_PLANES * (strip) * (in_c) * (operand_bytes) + 7u) / 8u * 8u)
#define HCK_WINOGRAD_SUM_BYTES(strip, out_c, sum_bytes) (HCK_PLANES * (strip) * HCK_MIN(out_c, HCK_LANES) * (sum_bytes))
#define HCK_WINOGRAD_SCRATCH(strip, in_c, out_c, operand_bytes, sum_bytes, result_bytes) \
    (HCK_WINOGRAD_PLANE_BYTES(strip, in_c, operand_bytes) +                              \
     HCK_WINOGRAD_SUM_BYTES(strip, out_c, sum_bytes) + 4u * (strip) * (out_c) * (result_bytes))

/* y = map(pool(x * w)), as hck_conv2d. */
void hck_conv2d_winograd(const hck_winograd *n, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                         void *scratch);

/* Tiles, row by row: those of a pool's windows, or of all results, the last ones with some beyond the edge. */
HCK_INLINE size_t hck_tile_columns(const hck_conv *c) {
    return (c->out_w + (c->pool == 1)) / 2;
}

/* What the four elements of a tile's column lie in, from its first element on, or zeros and a step of 0. */
typedef struct {
    const uint8_t *at[4];
    ptrdiff_t step[4]; /* elements from column to column */
} hck_rows_under;

HCK_INLINE hck_rows_under hck_rows_of_tile(const hck_conv *c, const void *x, size_t tile) {
    const size_t column = tile % hck_tile_columns(c), top = tile / hck_tile_columns(c) * 2 - c->pad_top;
    hck_rows_under rows;
    for (size_t i = 0; i < 4; i++) {
        const int inside = top + i < c->in_h; /* above the picture is a huge number */
        const ptrdiff_t first = (ptrdiff_t)(top + i) * (ptrdiff_t)c->in_w + (ptrdiff_t)(2 * column) - (ptrdiff_t)c->pad_left;
        rows.step[i] = inside ? (ptrdiff_t)c->in_c : 0;
        rows.at[i] = inside ? (const uint8_t *)x + first * (ptrdiff_t)c->in_c : (const uint8_t *)c->zeros;
    }
    return rows;
}

#if defined(__riscv_vector)
/* The planes of `count` tiles of one row of tiles from `tile` on; plane p of tile t at (p * strip + t) * in_c. */
void hck_winograd_planes_rvv(const hck_winograd *n, const void *x, size_t tile, size_t count, void *planes);

/* The sums of `lanes` output channels from `channel` on, HCK_LANES at most: plane p of tile t at (p * strip + t) * lanes.
 * There is room for tiles up to the next block of HCK_TILES or, if they do, of 4, whatever it is filled with. */
void hck_winograd_sums_rvv(const hck_winograd *n, const void *planes, size_t tiles, size_t channel, size_t lanes,
                           void *sums);

/* Result (i, j) of tile t is a row of out_c at to + t * step + i * down + j * out_c, of which these are the lanes'. */
void hck_winograd_results_rvv(const hck_winograd *n, const void *sums, size_t tiles, size_t lanes, void *to, size_t step,
                              size_t down);
#endif

#endif
