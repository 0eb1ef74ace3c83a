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

void *memcpy(void *to, const void *from, size_t bytes);

typedef enum { HCK_U8, HCK_I8, HCK_U16, HCK_I16, HCK_I32 } hck_type;

HCK_INLINE size_t hck_size(hck_type type) {
    return type == HCK_I32 ? 4 : type >= HCK_U16 ? 2 : 1;
}

/* --- requantisation ------------------------------------------------------------------------------------------- */

typedef enum {
    HCK_KEEP,           /* y = x */
    HCK_MULTIPLY_SHIFT, /* y = clip((x * mul[c] + add[c]) >> shift, lo, hi): add holds the rounding half */
    HCK_THRESHOLDS      /* y = offset + #{t : sign[c] * x >= table[t][c]} */
} hck_map;

typedef struct {
    hck_map map;
    hck_type y_type;
    uint32_t channels;
    const int32_t *mul;
    const int32_t *add;      /* NULL where x * mul + add may leave 32 bits: then wide_add counts */
    const int64_t *wide_add;
    uint32_t shift;
    int32_t lo, hi;
    const int32_t *table;    /* [levels][channels], multiplied by sign */
    const int32_t *sign;     /* +1 or -1 per channel; NULL: all +1 */
    uint32_t levels;
    int32_t offset;
} hck_requantise;

/*
 * y[r][c] = map(x[r][c]) for `rows` rows of y. With pool 4, x has four rows for one of y and their maximum is mapped:
 * a 2x2 max-pool in front of the map. Strides count elements.
 */
void hck_requantise_rows(const hck_requantise *q, const void *x, hck_type x_type, size_t x_stride, void *y,
                         size_t y_stride, size_t rows, unsigned pool);

/* --- convolution ---------------------------------------------------------------------------------------------- */

#define HCK_BLOCK 8u /* most pixels that a convolution works on at a time */

typedef struct {
    hck_type x_type;
    uint32_t in_h, in_w, in_c;
    uint32_t out_h, out_w, out_c; /* of the convolution itself, before pooling */
    uint32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
    uint32_t groups;
    uint32_t flush; /* 16-bit accumulators hold this many products; 0: accumulate in 32 bits */
    uint32_t pool;  /* 1, or 2 for a 2x2 max-pool of the accumulators */
    /* [groups][kernel_h][kernel_w][in_c / groups][out_c / groups]; [kernel_h][kernel_w][in_c] where both are 1 */
    const int8_t *weights;
    const void *zeros; /* kernel_w * in_c elements: what lies beside the picture */
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

#if defined(__riscv_vector)
hck_tile hck_tile_rvv(const hck_conv *c);
#endif

/* --- pooling and moving --------------------------------------------------------------------------------------- */

typedef struct {
    hck_type type;
    uint32_t in_w, channels, out_h, out_w;
    uint32_t kernel_h, kernel_w, stride_h, stride_w;
} hck_pool;

void hck_max_pool(const hck_pool *p, const void *x, void *y, size_t y_stride);

/* (H, W, C) -> (H / block, W / block, block * block * C); h and w are the result's extents. */
void hck_space_to_depth(size_t pixel_bytes, size_t h, size_t w, size_t block, const void *x, void *y,
                        size_t y_pixel_bytes);

/* Copies `channels` channels of `pixels` pixels into rows of y_stride elements; the values fit both types. */
void hck_copy_channels(const void *x, hck_type x_type, void *y, hck_type y_type, size_t y_stride, size_t pixels,
                       size_t channels);

#endif
