/* The fallback in binary64: see hck_real.h. */
#include "hck_real.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif /* gcc contracts nothing under -std=c99 */

void *memcpy(void *to, const void *from, size_t bytes);

#define NO_NUMBER (HCK_INFINITE - HCK_INFINITE)

/* --- elementary functions, as in ir/functions.py ---------------------------------------------------------------- */

static double of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double magnitude(double x) {
    return x <= 0 ? 0.0 - x : x;
}

static double clip(double x, double lo, double hi) {
    return x < lo ? lo : x > hi ? hi : x;
}

/* The nearest integer, ties to even: adding 1.5 * 2^52 leaves no bits behind the point. */
static double nearest(double x) {
    const double shift = 6755399441055744.0;
    if (!(magnitude(x) < 2251799813685248.0)) return x;
    const double r = (x + shift) - shift;
    return r == 0 ? 0 * x : r;
}

static double below(double x) {
    const double r = nearest(x), floor = r > x ? r - 1 : r;
    return floor == 0 ? 0 * x : floor;
}

static double above(double x) {
    const double r = nearest(x), ceiling = r < x ? r + 1 : r;
    return ceiling == 0 ? 0 * x : ceiling;
}

static double tail(double r) {
    double value = 1;
    for (int n = 14; n > 1; n--) value = 1 + r * value / n;
    return r * value;
}

static double exponential(double x) {
    if (x != x) return x;
    if (x > 709) return HCK_INFINITE;
    if (x < -708) return 0;
    const double n = nearest(x * 1.4426950408889634);
    const double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    return (1 + tail(r)) * of_bits((uint64_t)((int64_t)n + 1023) << 52);
}

static double exponential_less_one(double x) {
    return magnitude(x) < 0.3 ? tail(x) : exponential(x) - 1;
}

static double logarithm(double x) {
    const double least = of_bits((uint64_t)1 << 52), infinite = HCK_INFINITE;
    if (x != x || x < 0) return NO_NUMBER;
    if (x == 0) return -infinite;
    if (x == infinite) return x;
    const int tiny = x < least;
    const uint64_t bits = bits_of(tiny ? x * 18014398509481984.0 : x);
    double m = of_bits((bits & (((uint64_t)1 << 52) - 1)) | ((uint64_t)1023 << 52));
    const int large = m > 1.4142135623730951;
    if (large) m = m * 0.5;
    const double e = (double)((int64_t)(bits >> 52) - 1023 + large - (tiny ? 54 : 0));
    const double s = (m - 1) / (m + 1), q = s * s;
    double series = 0;
    for (int k = 12; k > 0; k--) series = (series + 1.0 / (2 * k + 1)) * q;
    return e * 6.93147180369123816490e-01 + (2 * s * (1 + series) + e * 1.90821492927058770002e-10);
}

static double logistic(double x) {
    return 1 / (1 + exponential(-x));
}

static double error_function(double x) {
    const double z = magnitude(x) > 6 ? 6 : magnitude(x), q = z * z;
    double term = z, total = z;
    for (int n = 1; n < 128; n++) {
        term = term * q / (n + 0.5);
        total = total + term;
    }
    const double value = z >= 6 ? 1 : 1.1283791670955126 * exponential(-q) * total;
    return x < 0 ? -value : value;
}

static double root(double x) {
    const double least = of_bits((uint64_t)1 << 52), infinite = HCK_INFINITE;
    if (!(x >= least && x < infinite)) return x >= 0 ? (x < infinite ? 0 : x) : NO_NUMBER;
    double y = of_bits((bits_of(x) >> 1) + ((uint64_t)1023 << 51));
    for (int step = 0; step < 5; step++) y = 0.5 * (y + x / y);
    return y;
}

/* --- curves and couples, as in ir/ops/quantise.py and ir/ops/real.py -------------------------------------------- */

#define CURVE(NAME, VALUE)                                  \
    double hck_curve_##NAME(double x, double a, double b) { \
        (void)a, (void)b;                                   \
        return VALUE;                                       \
    }
CURVE(abs, magnitude(x))
CURVE(ceil, above(x))
CURVE(clip, clip(x, a, b))
CURVE(elu, x >= 0 ? x : a * exponential_less_one(x < 0 ? x : x == x ? 0 : x))
CURVE(erf, error_function(x))
CURVE(exp, exponential(x))
CURVE(floor, below(x))
CURVE(gelu, 0.5 * x * (1 + error_function(x * 0.7071067811865476)))
CURVE(hardsigmoid, clip(a * x + b, 0, 1))
CURVE(hardswish, x *clip(x / 6 + 0.5, 0, 1))
CURVE(leaky, x >= 0 ? x : a * x)
CURVE(log, logarithm(x))
CURVE(reciprocal, 1 / x)
CURVE(relu, x < 0 ? 0 : x)
CURVE(rint, nearest(x))
CURVE(sigmoid, logistic(x))
CURVE(sign, x > 0 ? 1 : x < 0 ? -1 : x)
CURVE(softplus, (x > 0 ? x : 0) + logarithm(1 + exponential(-magnitude(x))))
CURVE(softsign, x / (1 + magnitude(x)))
CURVE(sqrt, root(x))
CURVE(square, x *x)
CURVE(swish, x *logistic(a *x))

double hck_curve_tanh(double x, double a, double b) {
    (void)a, (void)b;
    const double e = exponential_less_one(-2 * magnitude(x)), value = -e / (2 + e);
    return x < 0 ? -value : value;
}

#define COUPLE(NAME, VALUE)                        \
    double hck_couple_##NAME(double x, double y) { \
        return VALUE;                              \
    }
COUPLE(add, x + y)
COUPLE(subtract, x - y)
COUPLE(multiply, x *y)
COUPLE(divide, x / y)
COUPLE(smaller, x < y ? x : y)
COUPLE(larger, x > y ? x : y)

/* --- tensors ------------------------------------------------------------------------------------------------------ */

static double get(const void *x, hck_real_type type, size_t i) {
    switch (type) {
        case HCK_OF_U8: return ((const uint8_t *)x)[i];
        case HCK_OF_I8: return ((const int8_t *)x)[i];
        case HCK_OF_U16: return ((const uint16_t *)x)[i];
        case HCK_OF_I16: return ((const int16_t *)x)[i];
        case HCK_OF_I32: return ((const int32_t *)x)[i];
        case HCK_OF_F32: return ((const float *)x)[i];
        default: return ((const double *)x)[i];
    }
}

static void put(void *y, hck_real_type type, size_t i, double value) {
    switch (type) {
        case HCK_OF_U8: ((uint8_t *)y)[i] = (uint8_t)value; break;
        case HCK_OF_I8: ((int8_t *)y)[i] = (int8_t)value; break;
        case HCK_OF_U16: ((uint16_t *)y)[i] = (uint16_t)value; break;
        case HCK_OF_I16: ((int16_t *)y)[i] = (int16_t)value; break;
        case HCK_OF_I32: ((int32_t *)y)[i] = (int32_t)value; break;
        case HCK_OF_F32: ((float *)y)[i] = (float)value; break;
        default: ((double *)y)[i] = value; break;
    }
}

void hck_real_affine(const double *scale, const double *offset, const void *x, hck_real_type x_type, double *y,
                     size_t y_stride, size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++)
            y[p * y_stride + c] = get(x, x_type, p * channels + c) * scale[c] + offset[c];
}

void hck_real_curve(hck_real_type type, hck_curve *curve, double a, double b, const void *x, void *y, size_t y_stride,
                    size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++)
            put(y, type, p * y_stride + c, curve(get(x, type, p * channels + c), a, b));
}

void hck_real_prelu(const double *slope, const double *x, double *y, size_t y_stride, size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) {
            const double value = x[p * channels + c];
            y[p * y_stride + c] = value >= 0 ? value : value * slope[c];
        }
}

void hck_real_couple(hck_real_type type, hck_couple *couple, const hck_real_pair *pair, const void *a, const void *b,
                     void *y, size_t y_stride) {
    for (size_t h = 0; h < pair->h; h++)
        for (size_t w = 0; w < pair->w; w++)
            for (size_t c = 0; c < pair->c; c++)
                put(y, type, (h * pair->w + w) * y_stride + c,
                    couple(get(a, type, h * pair->a_h + w * pair->a_w + c * pair->a_c),
                           get(b, type, h * pair->b_h + w * pair->b_w + c * pair->b_c)));
}

void hck_real_softmax(const double *x, double *y, size_t y_stride, size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++, x += channels, y += y_stride) {
        double largest = x[0], sum = 0;
        for (size_t c = 1; c < channels; c++)
            if (x[c] > largest || x[c] != x[c]) largest = x[c];
        for (size_t c = 0; c < channels; c++) {
            y[c] = exponential(x[c] - largest);
            sum = c ? sum + y[c] : y[c];
        }
        for (size_t c = 0; c < channels; c++) y[c] = y[c] / sum;
    }
}

/* Element number i of those that one result is made of. */
static double reduced(hck_real_type type, const hck_real_reduction *r, const void *x, size_t at, size_t i) {
    const size_t inner_w = r->w / r->kept_w, inner_c = r->c / r->kept_c;
    const size_t row = i / (inner_w * inner_c), column = i / inner_c % inner_w;
    return get(x, type, at + (row * r->w + column) * r->c + i % inner_c);
}

void hck_real_reduce(hck_real_type type, const hck_real_reduction *r, const void *x, void *y, size_t y_stride) {
    const size_t count = r->h / r->kept_h * (r->w / r->kept_w) * (r->c / r->kept_c);
    for (size_t h = 0; h < r->kept_h; h++)
        for (size_t w = 0; w < r->kept_w; w++)
            for (size_t c = 0; c < r->kept_c; c++) {
                const size_t at = (h * r->w + w) * r->c + c;
                double value = reduced(type, r, x, at, 0);
                for (size_t i = 1; i < count; i++) {
                    const double next = reduced(type, r, x, at, i);
                    if (!r->largest)
                        value = value + next;
                    else if (next > value || next != next)
                        value = next;
                }
                put(y, type, (h * r->kept_w + w) * y_stride + c, value);
            }
}

void hck_real_interpolate(hck_real_type type, const hck_real_resize *r, const void *x, void *y, size_t y_stride) {
    const size_t row = r->in_w * r->channels;
    for (size_t h = 0; h < r->out_h; h++) {
        const size_t up = (size_t)r->rows[h][0] * row, down = (size_t)r->rows[h][1] * row;
        const double lower = r->row_weights[h];
        for (size_t w = 0; w < r->out_w; w++) {
            const size_t left = (size_t)r->columns[w][0] * r->channels, right = (size_t)r->columns[w][1] * r->channels;
            const double weight = r->column_weights[w];
            for (size_t c = 0; c < r->channels; c++) {
                const double top = get(x, type, up + left + c) * (1 - weight) + get(x, type, up + right + c) * weight;
                const double bottom =
                    get(x, type, down + left + c) * (1 - weight) + get(x, type, down + right + c) * weight;
                put(y, type, (h * r->out_w + w) * y_stride + c, top * (1 - lower) + bottom * lower);
            }
        }
    }
}

void hck_real_copy(hck_real_type type, const hck_real_box *box, const void *x, void *y, size_t y_stride) {
    for (size_t h = 0; h < box->h; h++)
        for (size_t w = 0; w < box->w; w++)
            for (size_t c = 0; c < box->c; c++) {
                const ptrdiff_t from =
                    box->x_first + (ptrdiff_t)h * box->x_h + (ptrdiff_t)w * box->x_w + (ptrdiff_t)c * box->x_c;
                put(y, type, (h * box->y_w + w) * y_stride + c, get(x, type, (size_t)from));
            }
}

void hck_real_reshape(hck_real_type type, const size_t x_shape[3], const size_t y_shape[3], const void *x, void *y,
                      size_t y_stride) {
    size_t i = 0;
    for (size_t c = 0; c < y_shape[0]; c++)
        for (size_t h = 0; h < y_shape[1]; h++)
            for (size_t w = 0; w < y_shape[2]; w++, i++) {
                const size_t channel = i / (x_shape[1] * x_shape[2]), pixel = i % (x_shape[1] * x_shape[2]);
                put(y, type, (h * y_shape[2] + w) * y_stride + c, get(x, type, pixel * x_shape[0] + channel));
            }
}

static double rounded(double x, hck_rounding rounding) {
    const double size = magnitude(x), sign = x < 0 ? -1 : 1;
    switch (rounding) {
        case HCK_CEIL: return above(x);
        case HCK_FLOOR: return below(x);
        case HCK_AWAY_FROM_ZERO: return sign * above(size);
        case HCK_TOWARDS_ZERO: return sign * below(size);
        case HCK_HALF_AWAY: return sign * below(size + 0.5);
        case HCK_HALF_TOWARDS: return sign * above(size - 0.5);
        default: return nearest(x);
    }
}

void hck_real_to_integer(const hck_real_grid *grid, const double *x, void *y, hck_real_type y_type, size_t y_stride,
                         size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) {
            double value = x[p * channels + c] / grid->scale[c] + grid->zero;
            value = value >= grid->lo ? (value > grid->hi ? grid->hi : value) : grid->lo;
            const double whole = rounded(value, grid->rounding);
            put(y, y_type, p * y_stride + c, whole - grid->zero);
        }
}
