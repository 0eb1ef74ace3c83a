/*
 * Convolution by columns, pruned ones above all. A column is one tap of one input channel: output channels in tiles
 * share the list of columns that are not zero. Lanes are pixels and weights are scalars, so a column that a tile does
 * not have costs it nothing, and nothing is gathered. The dense convolution is the same code with all columns in every
 * list. Where weights repeat, hck_sparse_groups.c adds before it multiplies.
 *
 * Three steps: the operand as padded planes (channel-major, the phases of the horizontal stride apart, so that every
 * later access has unit stride); panels of `pixels` output pixels, a row for each column that any tile keeps (im2col);
 * per panel and tile, the kept rows times their weights, then the map, one channel's constants at a time. A 1x1
 * convolution is computed in place: its panels are filled from the operand, without planes.
 *
 * Sums are built in runs of columns: the code generator proves from the kept weights that a run fits the narrow
 * accumulator, which is then added to the sums in memory. So that a panel stays in the cache, its rows come in blocks.
 */
#ifndef HCK_SPARSE_H
#define HCK_SPARSE_H

#include "hck.h"

#define HCK_TILE 7u         /* most output channels that share a list: 7 * EMUL 4 + EMUL 4 = 32 registers */
#define HCK_ROW_BYTES 256u  /* of a panel, at most */
#define HCK_GROUP_ROW 128u  /* of a panel for groups: so many pixels, where there are vectors */
#define HCK_SUM_BYTES 512u  /* of one channel's sums for a panel, at most */

typedef enum { HCK_HWC, HCK_CHW } hck_layout;

typedef enum {
    HCK_RUN8_SUM16,  /* runs in 8 bits, sums in 16: planes of int8 (or uint8: what is left of a product is the same) */
    HCK_RUN16_SUM16, /* planes of int8 or uint8 */
    HCK_RUN16_SUM32, /* likewise */
    HCK_RUN32_SUM32, /* planes of int16 or uint16 */
    HCK_GROUPS_SUM16, /* groups of columns of equal weights in 8 bits, tiles of one channel (hck_sparse_groups.c) */
    HCK_RUN_FLOAT    /* planes of float */
} hck_sums;

typedef struct {
    hck_type x_type, plane_type;
    hck_layout x_layout, y_layout;
    hck_sums sums;
    uint32_t in_h, in_w, in_c;
    uint32_t out_h, out_w, out_c; /* of the convolution itself, before pooling */
    uint32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
    uint32_t pool;                /* 1, or 2 for a 2x2 max-pool of the sums */
    uint32_t rows, block_rows;    /* of a panel: columns that any tile keeps; in blocks of block_rows */
    uint32_t tiles;
    uint32_t in_place; /* 1: 1x1, without padding and pool; panels are filled from the operand, without planes */
    /* [pool][rows]: at which byte of the planes the column of a row begins, for the left pixels of pooling windows and
     * for the right ones; in place: its channel */
    const uint32_t *offsets;
    const uint8_t *channels;  /* [tiles], 1..HCK_TILE each, out_c together */
    const uint16_t *runs;     /* [blocks][tiles], at least 1 in the first block (a run may be empty), but of groups */
    const uint16_t *lengths;  /* columns in a run, for every run of every tile of every block */
    const uint16_t *columns;  /* their rows in the block's panel, likewise */
    const void *weights;      /* int8 or float: a column's weights for the channels of its tile, likewise */
} hck_sparse;

/* Planes are [in_c][plane rows][stride_w * pool phases][plane columns]. */
#define HCK_PLANE_ROWS(out_h, kernel_h, stride_h) (((out_h) - 1u) * (stride_h) + (kernel_h))
#define HCK_PLANE_COLUMNS(out_w, kernel_w, stride_w, pool) \
    ((((out_w) - 1u) * (stride_w) + (kernel_w) - 1u) / ((stride_w) * (pool)) + 1u)

/* Bytes of scratch memory, 64-byte aligned; plane_elements = in_c * plane rows * phases * plane columns. */
#define HCK_ALIGN_UP(bytes) (((bytes) + 63u) / 64u * 64u)
#define HCK_SPARSE_SCRATCH(plane_elements, element_bytes, block_rows, out_c) \
    (HCK_ALIGN_UP((plane_elements) * (element_bytes)) + HCK_ROW_BYTES * (block_rows) + HCK_SUM_BYTES * (out_c))

/* y = map(pool(x * w)); pixels of an HWC result are y_stride elements apart, channels of a CHW one. */
void hck_sparse_conv2d(const hck_sparse *c, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                       void *scratch);

/* The same in float: y = min(max(sum + bias[c], lo), hi). */
typedef struct {
    const float *bias;
    float lo, hi;
} hck_bias;

void hck_sparse_conv2d_float(const hck_sparse *c, const hck_bias *q, const float *x, float *y, size_t y_stride,
                             void *scratch);

/* --- between the files of this kernel ------------------------------------------------------------------------- */

typedef struct {
    const uint16_t *lengths, *columns;
    const uint8_t *weights;
} hck_cursor;

/* Adds `runs` runs for one tile to `channels` rows of sums, `pixels` elements apart (sets them where `fresh`), and moves
 * the cursor behind them. A panel row has 1 << row_shift bytes; the first `lanes` pixels count. */
typedef void (*hck_sparse_fn)(const uint8_t *panel, unsigned row_shift, hck_cursor *at, size_t runs, int fresh,
                              size_t lanes, size_t pixels, void *sums);

typedef struct {
    hck_sparse_fn tile[HCK_TILE]; /* by channels - 1 */
    uint32_t pixels;              /* of a panel: a power of two, at least 4 */
    hck_type sums;                /* HCK_I16 or HCK_I32 */
} hck_sparse_kernel;

/* Fills the planes from the operand; what is beside the picture is zero. */
void hck_sparse_planes(const hck_sparse *c, const void *x, void *planes);

/* Writes lanes `lane`.. of `rows` panel rows: `count` neighbouring elements at from + offsets[row] bytes. */
void hck_sparse_pack(size_t element, const uint8_t *from, const uint32_t *offsets, size_t rows, size_t count,
                     uint8_t *panel, size_t row_bytes);

/* Writes `rows` panel rows in place: of `count` results' pixels from `first` on the elements of these channels. */
void hck_sparse_pack_in_place(const hck_sparse *c, const void *x, size_t first, const uint32_t *channels, size_t rows,
                              size_t count, uint8_t *panel, size_t row_bytes);

typedef struct {
    size_t begin, end;
} hck_sparse_channels;

/* The map of `count` results for each of these channels, whose sums begin at `sums`. Results of a pooled panel have
 * four sums, pixels / 4 apart. */
void hck_sparse_map(const hck_sparse *c, const hck_requantise *q, void *sums, hck_type type, size_t pixels,
                    size_t first, size_t count, hck_sparse_channels channels, void *y, size_t y_stride);
void hck_sparse_bias(const hck_sparse *c, const hck_bias *q, const float *sums, size_t pixels, size_t first,
                     size_t count, hck_sparse_channels channels, float *y, size_t y_stride);

/* The tile kernels for this convolution on this machine. */
void hck_sparse_groups(const hck_sparse *c, hck_sparse_kernel *kernel);
#if defined(__riscv_vector)
void hck_sparse_rvv(const hck_sparse *c, hck_sparse_kernel *kernel);
#else
void hck_sparse_portable(const hck_sparse *c, hck_sparse_kernel *kernel);
#endif

HCK_INLINE size_t hck_plane_bytes(const hck_sparse *c) {
    return c->sums == HCK_RUN_FLOAT ? 4 : hck_size(c->plane_type);
}

#endif
