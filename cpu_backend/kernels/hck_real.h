/*
 * The fallback: what a network of integers computes in reals because it has no integer form. Reference code in
 * binary64, one operation after another as ir/functions.py and ir/ops/real.py state them, so that every machine has the
 * same bits: a compiler must not contract products and sums here. Nothing is tuned, and nothing of libm is used.
 *
 * Tensors are (H, W, C), channels innermost; `y_stride` elements lie from pixel to pixel of a result. `type` is that of
 * all operands and of the result: networks of floats use the same code on single precision, each result rounded once.
 */
#ifndef HCK_REAL_H
#define HCK_REAL_H

#include <stddef.h>
#include <stdint.h>

#define HCK_INFINITE (1e308 * 10)

typedef enum { HCK_OF_U8, HCK_OF_I8, HCK_OF_U16, HCK_OF_I16, HCK_OF_I32, HCK_OF_F32, HCK_OF_F64 } hck_real_type;

/* A function of one value with two parameters. */
typedef double hck_curve(double x, double a, double b);
hck_curve hck_curve_abs, hck_curve_ceil, hck_curve_clip, hck_curve_elu, hck_curve_erf, hck_curve_exp, hck_curve_floor,
    hck_curve_gelu, hck_curve_hardsigmoid, hck_curve_hardswish, hck_curve_leaky, hck_curve_log, hck_curve_reciprocal,
    hck_curve_relu, hck_curve_rint, hck_curve_sigmoid, hck_curve_sign, hck_curve_softplus, hck_curve_softsign,
    hck_curve_sqrt, hck_curve_square, hck_curve_swish, hck_curve_tanh;

/* A function of two values. */
typedef double hck_couple(double x, double y);
hck_couple hck_couple_add, hck_couple_subtract, hck_couple_multiply, hck_couple_divide, hck_couple_smaller,
    hck_couple_larger;

/* y = x * scale[c] + offset[c] */
void hck_real_affine(const double *scale, const double *offset, const void *x, hck_real_type x_type, double *y,
                     size_t y_stride, size_t pixels, size_t channels);

void hck_real_curve(hck_real_type type, hck_curve *curve, double a, double b, const void *x, void *y, size_t y_stride,
                    size_t pixels, size_t channels);

/* y = x < 0 ? x * slope[c] : x */
void hck_real_prelu(const double *slope, const double *x, double *y, size_t y_stride, size_t pixels, size_t channels);

/* Elements from row to row, pixel to pixel and channel to channel of an operand, 0 where it is the same for all. */
typedef struct {
    size_t h, w, c; /* extents of the result */
    size_t a_h, a_w, a_c, b_h, b_w, b_c;
} hck_real_pair;
void hck_real_couple(hck_real_type type, hck_couple *couple, const hck_real_pair *pair, const void *a, const void *b,
                     void *y, size_t y_stride);

/* exp(x) / sum(exp(x)) over the channels of a pixel */
void hck_real_softmax(const double *x, double *y, size_t y_stride, size_t pixels, size_t channels);

/* The sum (or largest value) along the axes whose `kept` extent is 1. */
typedef struct {
    size_t h, w, c, kept_h, kept_w, kept_c;
    int largest;
} hck_real_reduction;
void hck_real_reduce(hck_real_type type, const hck_real_reduction *r, const void *x, void *y, size_t y_stride);

/* Bilinear: two source pixels and the weight of the second of them, for each row and column of the result. */
typedef struct {
    size_t in_w, out_h, out_w, channels;
    const int64_t (*rows)[2], (*columns)[2];
    const double *row_weights, *column_weights;
} hck_real_resize;
void hck_real_interpolate(hck_real_type type, const hck_real_resize *r, const void *x, void *y, size_t y_stride);

/* A box of h x w x c elements; `x_first` and steps count elements of x. */
typedef struct {
    size_t h, w, c;
    ptrdiff_t x_first, x_h, x_w, x_c;
    size_t y_w; /* pixels in a row of y */
} hck_real_box;
void hck_real_copy(hck_real_type type, const hck_real_box *box, const void *x, void *y, size_t y_stride);

/* The same elements, counted with W fastest, then H, then C, in another shape (C, H, W). */
void hck_real_reshape(hck_real_type type, const size_t x_shape[3], const size_t y_shape[3], const void *x, void *y,
                      size_t y_stride);

typedef enum {
    HCK_HALF_EVEN, HCK_CEIL, HCK_FLOOR, HCK_AWAY_FROM_ZERO, HCK_TOWARDS_ZERO, HCK_HALF_AWAY, HCK_HALF_TOWARDS
} hck_rounding;

/* y = round(clip(x / scale[c] + zero, lo, hi)) - zero */
typedef struct {
    const double *scale;
    double lo, hi, zero;
    hck_rounding rounding;
} hck_real_grid;
void hck_real_to_integer(const hck_real_grid *grid, const double *x, void *y, hck_real_type y_type, size_t y_stride,
                         size_t pixels, size_t channels);

#endif
