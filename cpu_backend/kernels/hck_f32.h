/*
 * Float32 kernels: C99, no allocation, no libc beyond memcpy, no libm.
 *
 * Tensors are dense (H, W, C), channels innermost. Every kernel has a portable form and, where __riscv_vector is
 * defined, one for RVV 1.0 that works at any VLEN of 128 or more. Sums run in the order of the weights; whether a
 * product and its addition are rounded once or twice is the machine's business. With u = 2^-24, the error of a sum of K
 * products and a bias is at most (K + 2) u / (1 - (K + 2) u) times the sum of their magnitudes (Higham, Accuracy and
 * Stability of Numerical Algorithms, 2nd ed., section 3.1); the other kernels round once or twice per result.
 */
#ifndef HCK_F32_H
#define HCK_F32_H

#include "hck.h"

/* What ends a layer: v < 0 times slope[c] (NULL: 1), then min(max(v, lo), hi). Infinite bounds cost nothing. */
typedef struct {
    float lo, hi;
    const float *slope;
} hck_f32_end;

/* --- convolution ---------------------------------------------------------------------------------------------- */

#define HCK_F32_BLOCK 8u /* most pixels that a convolution works on at a time */

typedef struct {
    uint32_t in_h, in_w, in_c;
    uint32_t out_h, out_w, out_c; /* of the convolution itself, before pooling */
    uint32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
    uint32_t groups;
    uint32_t pool; /* 1, or 2 for a 2x2 max-pool of the sums */
    /* [groups][kernel_h][kernel_w][in_c / groups][out_c / groups]; [kernel_h][kernel_w][in_c] where both are 1 */
    const float *weights;
    const float *bias; /* [out_c] */
    const void *zeros; /* kernel_w * in_c elements: what lies beside the picture */
    hck_f32_end end;
} hck_f32_conv;

/* Bytes of scratch memory, 8-byte aligned: pointers to what lies under a block's windows. */
#define HCK_F32_CONV_SCRATCH(kernel_h, kernel_w) (HCK_F32_BLOCK * 8u * (kernel_h) * (kernel_w))

/* y = end(pool(bias + x * w)); pixels of y are y_stride elements apart. */
void hck_f32_conv2d(const hck_f32_conv *c, const float *x, float *y, size_t y_stride, void *scratch);

/*
 * Between the files of the convolution: a block of `mr` pixels. pixels[r * mr + m] is where run r of pixel m begins;
 * each of the `runs` runs are `run` neighbouring elements from `from` on. The first `count` results are stored.
 * `shared`: the pixels are neighbours in a row whose windows, three wide, lie in the picture: of these there is one
 * pointer, to the first.
 */
typedef struct {
    const hck_f32_conv *c;
    const float *const *pixels;
    size_t mr, from, runs, run, count, y_stride;
    int shared;
} hck_f32_block;

/* The results of output channels `channel`.. (`lanes` of them, a group) of a block: to y + channel. */
void hck_f32_tile(const hck_f32_block *b, const float *weights, size_t channel, size_t lanes, float *y);

/* The same for a depthwise convolution: channels are the lanes, a run is one pixel. */
void hck_f32_depthwise_tile(const hck_f32_block *b, float *y);

/* Pixels of the next block where `left` are left, a multiple of pool * pool: what the tile kernels above have. */
size_t hck_f32_block_pixels(const hck_f32_conv *c, size_t left);

/* Whether the tile kernel takes `shared` blocks, for pixels that are neighbours. */
int hck_f32_takes_shared(const hck_f32_conv *c);

/* --- one or two tensors, element by element ------------------------------------------------------------------- */

/* y = end(x * scale[c] + offset[c]); scale and offset both NULL: end(x). */
typedef struct {
    hck_type x_type;
    uint32_t pixels, channels;
    const float *scale, *offset;
    hck_f32_end end;
} hck_f32_map;

void hck_f32_map_rows(const hck_f32_map *m, const void *x, float *y, size_t y_stride);

/* y = end(a + b) and y = end(a * b), a dense; b's elements are b_pixel and b_channel (0 or 1) apart. */
typedef struct {
    uint32_t pixels, channels, b_pixel, b_channel;
    hck_f32_end end;
} hck_f32_pair;

void hck_f32_add(const hck_f32_pair *p, const float *a, const float *b, float *y, size_t y_stride);
void hck_f32_multiply(const hck_f32_pair *p, const float *a, const float *b, float *y, size_t y_stride);

/* 1 / (1 + exp(-x)); exp(x) / sum of exp over the channels. Relative error below 8 and 8 + channels times 2^-24. */
void hck_f32_sigmoid(const float *x, float *y, size_t y_stride, size_t pixels, size_t channels);
void hck_f32_softmax(const float *x, float *y, size_t y_stride, size_t pixels, size_t channels);

/* exp(x) within 2 units in the last place; 0 below -87.3, where the result would be subnormal, infinity above 88.7. */
float hck_f32_exp(float x);

/* --- pooling and moving --------------------------------------------------------------------------------------- */

void hck_f32_max_pool(const hck_pool *p, const float *x, float *y, size_t y_stride);
void hck_f32_mean_pool(const hck_pool *p, const float *x, float *y, size_t y_stride);

/* (H, W, C) into the middle of zeros of out_h x out_w x out_c. */
typedef struct {
    uint32_t in_h, in_w, in_c, out_h, out_w, out_c, top, left, front;
} hck_f32_pad;

void hck_f32_pad_zeros(const hck_f32_pad *p, const float *x, float *y, size_t y_stride);

/* (H, W, C) -> (C, H, W). */
void hck_f32_flatten(const float *x, float *y, size_t pixels, size_t channels);

#endif
