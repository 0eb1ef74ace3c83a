/*
 * Integer kernels for quantised CNNs: C99, no allocation, no libc beyond memcpy.
 *
 * Tensors are dense (H, W, C), channels innermost, one element in the smallest native integer that holds its type.
 * Every kernel has a portable form and, where __riscv_vector is defined, one for RVV 1.0 that works at any VLEN of 128
 * or more; both give the same integers. Ranges are proven by the code generator: no kernel checks for overflow.
 */
#ifndef HCK_H
#define HCK_H

#include <stddef.h>
#include <stdint.h>

#define HCK_INLINE static inline __attribute__((always_inline))
#define HCK_MIN(a, b) ((a) < (b) ? (a) : (b))
#define HCK_MAX(a, b) ((a) > (b) ? (a) : (b))
#define HCK_INFINITY (__builtin_inff())

void *memcpy(void *to, const void *from, size_t bytes);

typedef enum { HCK_U8, HCK_I8, HCK_U16, HCK_I16, HCK_I32, HCK_F32 } hck_type; /* F32: moves, pools */

HCK_INLINE size_t hck_size(hck_type type) {
    return type >= HCK_I32 ? 4 : type >= HCK_U16 ? 2 : 1;
}

/* --- maps: one value of a channel to another, requantisation above all ---------------------------------------- */

/* bend(v) = v << shift where v >= 0, else v * mul[c] */
typedef enum {
    HCK_KEEP,           /* y = x */
    HCK_MULTIPLY_SHIFT, /* y = clip((x * mul[c] + add[c]) >> shift, lo, hi): add holds the rounding half */
    HCK_THRESHOLDS,     /* y = offset + step * #{t : sign[c] * x >= table[t][c]} */
    HCK_CLIP,           /* y = clip(x, lo, hi) */
    HCK_ADD,            /* y = x + add[c] */
    HCK_PRELU,          /* y = bend(x) */
    HCK_RPRELU          /* y = bend(x + add[c]) + after[c] */
} hck_map;

typedef struct {
    hck_map map;
    hck_type y_type;
    uint32_t channels;
    const int32_t *mul;
    const int32_t *add;      /* NULL in a multiply-shift that may leave 32 bits: then wide_add counts */
    const int64_t *wide_add;
    uint32_t shift;
    int32_t lo, hi;
    const int32_t *table;    /* [levels][channels], multiplied by sign */
    const int32_t *sign;     /* +1 or -1 per channel; NULL: all +1 */
    uint32_t levels;
    int32_t offset, step;
    const int32_t *after;
    /* in a multiply-shift whose x + before[c] fits 16 bits: add[c] = before[c] * mul[c] - (above << shift), mul[c] 1 to
     * 32767, shift 15 to 30, lo and hi shifted by shift - 15 fit 16 bits; else NULL */
    const int16_t *before;
    /* 0; or lo is 0, (x + before[c]) * mul[c] >> shift = v is never negative, and y = max(min(v, 127) - above, 0) */
    uint32_t above;
    /* in a multiply-shift with add: x is clipped to least[c] to most[c] first, which no result shows; NULL: it fits */
    const int32_t *least, *most;
} hck_requantise;

/*
 * y[r][c] = map(x[r][c]) for `rows` rows of y. With pool 4, x has four rows for one of y and their maximum is mapped:
 * a 2x2 max-pool in front of the map. Strides count elements.
 */
void hck_requantise_rows(const hck_requantise *q, const void *x, hck_type x_type, size_t x_stride, void *y,
                         size_t y_stride, size_t rows, unsigned pool);

/* --- convolution ---------------------------------------------------------------------------------------------- */

#define HCK_BLOCK 8u /* most pixels that a convolution works on at a time */

/* Which vector kernel: by the rules of hck_conv_rvv.c, or one that a tuner chose (cpu_backend/variants.py says which there
 * are). Pixels that do not fill a block go to a kernel for few. Without vectors it means nothing. */
typedef enum {
    HCK_USUAL,
    HCK_BLOCKS,   /* sums, lmul and pixels say which tile kernel of hck_conv_rvv.c */
    HCK_FEW,      /* of hck_few_rvv.c, by pixels (1..4); sums of 32 bits: weights are widened */
    HCK_DEPTHWISE /* of hck_depthwise_rvv.c, by pixels (4 or 8) */
} hck_family;

typedef struct {
    hck_family family;
    uint32_t sums;   /* bits of the sums in registers: 8, 16, 32 */
    uint32_t lmul;   /* of the 8-bit weights' vector, in eighths: 4, 8, 16 */
    uint32_t pixels; /* of a block */
} hck_choice;

/* Whether hck_depthwise3_rvv takes a convolution: depthwise 3x3 of bytes, stride_w 1 or 2, no pool, before a
 * multiply-shift in 32 bits to results within 8. */
typedef enum {
    HCK_APART,       /* no */
    HCK_PARTS,       /* 16 bits hold any two products of a channel, of elements from -128 to 127 (HCK_U8: less 128) */
    HCK_SHORT_PARTS, /* and the map's multipliers, and no sum is clipped before */
    HCK_WHOLE_SUMS   /* likewise, and 16 bits hold whole sums */
} hck_fused;

/* Of HCK_WHOLE_SUMS whose map has `before`: weights are 1 << shift times others; of these, products add up to sums that
 * span 255 at most where magnitudes add up to `room`, 254 at most. Elements are 127 at most; `ends` is what the least and
 * the largest add up to, which are not above and not below 0. */
typedef struct {
    uint32_t room, shift; /* 0: none of this */
    int32_t ends;
} hck_bytes;

typedef struct {
    hck_type x_type;
    uint32_t in_h, in_w, in_c;
    uint32_t out_h, out_w, out_c; /* of the convolution itself, before pooling */
    uint32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
    uint32_t groups;
    uint32_t flush;  /* 16-bit accumulators hold this many products; 0: accumulate in 32 bits */
    uint32_t flush8; /* 8-bit accumulators hold the products n * flush8 to (n + 1) * flush8 of every window, in the order
                        of the weights; divides flush unless that is the whole sum. 0: no 8-bit accumulators */
    uint32_t run16;  /* any this many products in a row fit 16 bits; 0: not known */
    uint32_t pool;   /* 1, or 2 for a 2x2 max-pool of the accumulators */
    hck_fused fused;
    /* [groups][kernel_h][kernel_w][in_c / groups][out_c / groups]; [kernel_h][kernel_w][in_c] where both are 1 */
    const int8_t *weights;
    const void *zeros; /* kernel_w * in_c elements: what lies beside the picture */
    hck_choice kernel; /* all zero: by the rules */
    hck_bytes bytes;   /* all zero: none */
} hck_conv;

/* Bytes of scratch memory, 8-byte aligned: pointers to the pixels under a block's windows, then its accumulators. */
#define HCK_CONV_SCRATCH(kernel_h, kernel_w, out_c) (HCK_BLOCK * (8u * (kernel_h) * (kernel_w) + 4u * (out_c)))

/* y = map(pool(x * w)); y has q->channels = out_c channels, its pixels are y_stride elements apart. */
void hck_conv2d(const hck_conv *c, const hck_requantise *q, const void *x, void *y, size_t y_stride, void *scratch);

/* Convolution of elements and weights too wide for the above (weights int32, same order): plain loops. */
void hck_conv2d_wide(const hck_conv *c, const int32_t *weights, const hck_requantise *q, const void *x, void *y,
                     size_t y_stride, void *scratch);

/*
 * The inner kernels of a convolution. They accumulate `run` neighbouring elements at each of runs * mr pointers
 * (pixel `m` of run `r` at pixels[r * mr + m], from element `from` on), for `lanes` output channels, and write mr rows
 * of out_c sums to `tile`.
 */
typedef void (*hck_tile_fn)(const hck_conv *c, const void *const *pixels, size_t from, size_t runs, size_t run,
                            const int8_t *weights, size_t lanes, void *tile);

typedef struct {
    hck_tile_fn tile;
    uint32_t mr;
    hck_type sums; /* HCK_I16 or HCK_I32 */
} hck_tile;

/* The tile kernel on this machine for the next block of a convolution with `rows` pixels left (pool * pool or more). */
hck_tile hck_conv_tile(const hck_conv *c, size_t rows);

/* The sums of `count` output pixels from `first` on, kernel->mr rows of out_c in `tile`; `pixels` is scratch memory for
 * kernel->mr * kernel_h * kernel_w pointers. */
void hck_conv_sums(const hck_conv *c, const hck_tile *kernel, const void *x, size_t first, size_t count,
                   const void **pixels, void *tile);

/* As hck_conv2d, with this tile kernel. */
void hck_conv2d_tile(const hck_conv *c, const hck_tile *kernel, const hck_requantise *q, const void *x, void *y,
                     size_t y_stride, void *scratch);

/* The upper left corners, in input pixels, of the `mr` windows of `count` output pixels from `first` on: a pooled pixel
 * has four; a short block repeats its last. */
void hck_conv_corners(const hck_conv *c, size_t first, size_t count, size_t mr, int32_t *top, int32_t *left);

/* What lies under the windows of `count` output pixels from `first` on, as runs for a tile kernel of `mr` pixels;
 * returns their number, and in `run` their length. A run beside the picture is c->zeros. */
size_t hck_conv_windows(const hck_conv *c, size_t mr, const void *x, size_t first, size_t count, const void **pixels,
                        size_t *run);

#if defined(__riscv_vector)
hck_tile hck_tile_rvv(const hck_conv *c);
hck_tile hck_tile_rvv_few(const hck_conv *c, size_t rows); /* of at most four pixels */

/* A depthwise hck_conv2d, if there is a kernel for it (the result says so); scratch for HCK_BLOCK rows of sums. */
int hck_depthwise_rvv(const hck_conv *c, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                      void *scratch);
/* Likewise for 3x3, by c->fused; scratch for HCK_BLOCK rows of sums. */
int hck_depthwise3_rvv(const hck_conv *c, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                       void *scratch);
#endif

/*
 * FracBNN's precision-gated convolution. x holds levels 0..3 of type `levels`, which stand for q = 2 * x - 3; with sg
 * the sign of q and low the rest (q = 2 * sg + low), a = 2 * conv(sg, w) and b = conv(q, w), the sum is b where
 * a > threshold[o], else a. c->x_type is HCK_I8: what is convolved are two planes of -1 and +1, written to the scratch
 * memory; around them lie zeros.
 */
#define HCK_GATED_SCRATCH(elements, kernel_h, kernel_w, out_c) \
    (HCK_BLOCK * (8u * (kernel_h) * (kernel_w) + 8u * (out_c)) + 2u * (elements))

/* What the gate makes of sums of sg and of low: sums = 2 * sums, + lows where that is above the threshold. The generator
 * proves that the type (HCK_I16 or HCK_I32) holds 3 * products. */
void hck_gate(hck_type type, const int32_t *threshold, void *sums, const void *lows, size_t rows, size_t channels);

void hck_gated_conv2d(const hck_conv *c, hck_type levels, const int32_t *threshold, const hck_requantise *q,
                      const void *x, void *y, size_t y_stride, void *scratch);

/* --- two tensors, element by element -------------------------------------------------------------------------- */

typedef struct {
    hck_type a_type, b_type, y_type;
    uint32_t pixels, channels;
    uint32_t b_pixel, b_channel; /* elements of b from pixel to pixel, and from channel to channel (0 or 1) */
} hck_pair;

/* y = a + b and y = a * b, a dense; b has an element for each of a's, for each channel or for each pixel. */
void hck_add(const hck_pair *p, const void *a, const void *b, void *y, size_t y_stride);
void hck_multiply(const hck_pair *p, const void *a, const void *b, void *y, size_t y_stride);

/* --- pooling and moving --------------------------------------------------------------------------------------- */

typedef struct {
    hck_type x_type, y_type; /* the same for maxima */
    uint32_t in_h, in_w, channels, out_h, out_w;
    uint32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
    uint32_t count; /* of a mean of floats: what sums are divided by; 0: the window's pixels inside the picture */
} hck_pool;

/* The maximum or the sum of each window, of which only what lies inside the picture counts (no window is outside). */
void hck_max_pool(const hck_pool *p, const void *x, void *y, size_t y_stride);
void hck_sum_pool(const hck_pool *p, const void *x, void *y, size_t y_stride);

/* (H, W, C) -> (H / block, W / block, block * block * C); h and w are the result's extents. */
void hck_space_to_depth(size_t pixel_bytes, size_t h, size_t w, size_t block, const void *x, void *y,
                        size_t y_pixel_bytes);

/* (H, W, block * block * C) -> (H * block, W * block, C), h and w the operand's extents, `channels` the result's C.
 * In dcr order a part is C neighbouring channels, in crd order every block * block-th channel. */
void hck_depth_to_space_dcr(hck_type type, size_t h, size_t w, size_t channels, size_t block, const void *x, void *y,
                            size_t y_stride);
void hck_depth_to_space_crd(hck_type type, size_t h, size_t w, size_t channels, size_t block, const void *x, void *y,
                            size_t y_stride);

/* (H, W, C) -> (H * factor, W * factor, C): every pixel repeated; h and w are the operand's extents. */
void hck_upsample(size_t pixel_bytes, size_t h, size_t w, size_t factor, const void *x, void *y, size_t y_pixel_bytes);

typedef struct {
    uint32_t in_w, channels, out_h, out_w;
    const uint32_t *rows;    /* [out_h][3]: the row above, the row below, the weight of the latter in 1 / 2048 */
    const uint32_t *columns; /* [out_w][3]: left, right, weight of the right */
} hck_resize;

/* Bilinear, on bytes: with S = left * (2048 - wx) + right * wx of a row,
 * y = (((2048 - wy) * (S_above >> 4) >> 16) + (wy * (S_below >> 4) >> 16) + 2) >> 2. */
void hck_resize_bilinear(const hck_resize *r, const uint8_t *x, uint8_t *y, size_t y_stride);

/* Copies `channels` channels of `pixels` pixels into rows of y_stride elements; the values fit both types. */
void hck_copy_channels(const void *x, hck_type x_type, void *y, hck_type y_type, size_t y_stride, size_t pixels,
                       size_t channels);

/* --- tables, whole tensors, rows ------------------------------------------------------------------------------ */

/* y = table[x - first], element by element; x dense, pixels of y y_stride elements apart. */
void hck_lookup(const int32_t *table, int32_t first, const void *x, hck_type x_type, void *y, hck_type y_type,
                size_t y_stride, size_t pixels, size_t channels);

typedef struct {
    hck_type x_type, y_type;
    uint32_t h, w, c;                /* what is copied */
    ptrdiff_t x_first, x_h, x_w, x_c; /* elements of x: where it begins, and from row to row, pixel to pixel, channel */
    size_t y_first, y_h, y_w;        /* the same of y, whose channels are neighbours */
} hck_volume;

/* Transposition, slices, the inside of a padded tensor. */
void hck_copy_volume(const hck_volume *v, const void *x, void *y);

/* y = value, `channels` of each of `pixels`. */
void hck_fill(int32_t value, void *y, hck_type y_type, size_t y_stride, size_t pixels, size_t channels);

/* The elements of x (C, H, W), W fastest, as a tensor of another shape; shapes are {C, H, W}. */
void hck_reshape(hck_type type, const size_t x_shape[3], const size_t y_shape[3], const void *x, void *y,
                 size_t y_stride);

/* y[m][b][n] = sum of x[m][b][k] * w[k][b][n] in 32 bits. */
typedef struct {
    hck_type x_type, w_type, y_type;
    uint32_t m, batch, k, n;
} hck_matmul;

void hck_matmul_rows(const hck_matmul *p, const void *x, const void *w, void *y, size_t y_stride);

/* I-BERT's softmax of each row of channels: t = x - max, z = min(-t / log2, 31), p = t + z * log2,
 * e = ((p + b)^2 + c) >> z, y = e * (levels - 1) / sum of e. */
typedef struct {
    hck_type x_type, y_type;
    uint32_t pixels, channels;
    int64_t b, c, log2, levels;
} hck_softmax;

void hck_softmax_rows(const hck_softmax *s, const void *x, void *y, size_t y_stride);

/* y = clip(floor(x * weight[c] / root) >> shift, lo, hi), root = isqrt(sum of x^2 / channels + 1) of each row. */
typedef struct {
    hck_type x_type, y_type;
    uint32_t pixels, channels, shift;
    int32_t lo, hi;
    const int32_t *weight;
} hck_rms_norm;

void hck_rms_norm_rows(const hck_rms_norm *r, const void *x, void *y, size_t y_stride);

#endif
