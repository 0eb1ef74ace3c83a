/* Multiply-shift, thresholds, clipping and PReLUs, on a convolution's sums as on tensors, after an optional maximum over
 * four rows. */
#include "hck.h"
#include "hck_element.h"

#if defined(__riscv_vector)
#include "hck_narrow.h"
#include "hck_requantise_rvv.inc"
#else

HCK_INLINE int32_t clip(int32_t value, int32_t lo, int32_t hi) {
    return value < lo ? lo : value > hi ? hi : value;
}

HCK_INLINE int32_t clip_wide(int64_t value, int32_t lo, int32_t hi) {
    return value < lo ? lo : value > hi ? hi : (int32_t)value;
}

/* Arithmetic shifts right: C99 leaves those of negative numbers to the compiler. */
HCK_INLINE int32_t shift_right(int32_t value, uint32_t shift) {
    return value < 0 ? ~(~value >> shift) : value >> shift;
}

HCK_INLINE int64_t shift_right_wide(int64_t value, uint32_t shift) {
    return value < 0 ? ~(~value >> shift) : value >> shift;
}

HCK_INLINE int32_t multiply_shift(const hck_requantise *q, int32_t x, size_t c) {
    if (q->add) {
        if (q->least) x = clip(x, q->least[c], q->most[c]);
        const int32_t scaled = x * q->mul[c] + q->add[c];
        return clip(shift_right(scaled, q->shift), q->lo, q->hi);
    }
    return clip_wide(shift_right_wide((int64_t)x * q->mul[c] + q->wide_add[c], q->shift), q->lo, q->hi);
}

HCK_INLINE int32_t count_thresholds(const hck_requantise *q, int32_t x, size_t c) {
    const int32_t signed_x = q->sign ? x * q->sign[c] : x;
    int32_t level = 0;
    for (size_t t = 0; t < q->levels; t++) level += signed_x >= q->table[t * q->channels + c];
    return q->offset + q->step * level;
}

HCK_INLINE int32_t bend(const hck_requantise *q, int32_t x, size_t c) {
    return x >= 0 ? x << q->shift : x * q->mul[c];
}

HCK_INLINE int32_t map(const hck_requantise *q, int32_t x, size_t c) {
    switch (q->map) {
        case HCK_MULTIPLY_SHIFT: return multiply_shift(q, x, c);
        case HCK_THRESHOLDS: return count_thresholds(q, x, c);
        case HCK_CLIP: return clip(x, q->lo, q->hi);
        case HCK_ADD: return x + q->add[c];
        case HCK_PRELU: return bend(q, x, c);
        case HCK_RPRELU: return bend(q, x + q->add[c], c) + q->after[c];
        default: return x;
    }
}

HCK_INLINE void rows_as(hck_type type, const hck_requantise *q, const void *x, size_t x_stride, void *y,
                        size_t y_stride, size_t rows, unsigned pool) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < q->channels; c++) {
            int32_t value = hck_get(x, type, r * pool * x_stride + c);
            for (size_t k = 1; k < pool; k++) {
                const int32_t other = hck_get(x, type, (r * pool + k) * x_stride + c);
                value = other > value ? other : value;
            }
            hck_put(y, q->y_type, r * y_stride + c, map(q, value, c));
        }
}

/* The usual way from sums to activations: a loop of its own, with its fields in variables, which no store to y reaches. */
HCK_INLINE void scale_sums(int bounded, const hck_requantise *q, const int32_t *x, size_t x_stride, uint8_t *y,
                           size_t y_stride, size_t rows, unsigned pool) {
    const int32_t *const mul = q->mul, *const add = q->add, *const least = q->least, *const most = q->most;
    const size_t channels = q->channels;
    const int32_t lo = q->lo, hi = q->hi;
    const uint32_t shift = q->shift;
    for (size_t r = 0; r < rows; r++, x += pool * x_stride, y += y_stride)
        for (size_t c = 0; c < channels; c++) {
            int32_t value = x[c];
            for (size_t k = 1; k < pool; k++) value = HCK_MAX(value, x[k * x_stride + c]);
            if (bounded) value = clip(value, least[c], most[c]);
            y[c] = (uint8_t)clip(shift_right(value * mul[c] + add[c], shift), lo, hi);
        }
}

static void scale_all(const hck_requantise *q, const int32_t *x, size_t x_stride, uint8_t *y, size_t y_stride,
                      size_t rows, unsigned pool) {
    if (q->least)
        scale_sums(1, q, x, x_stride, y, y_stride, rows, pool);
    else
        scale_sums(0, q, x, x_stride, y, y_stride, rows, pool);
}

/* Likewise one rising threshold. */
static void compare_sums(const hck_requantise *q, const int32_t *x, size_t x_stride, uint8_t *y, size_t y_stride,
                         size_t rows) {
    const int32_t *const table = q->table;
    const size_t channels = q->channels;
    const int32_t below = q->offset, step = q->step;
    for (size_t r = 0; r < rows; r++, x += x_stride, y += y_stride) {
        size_t c = 0;
        for (; c + 4 <= channels; c += 4) { /* all four before the first store, which might reach x */
            const int a = x[c] >= table[c], b = x[c + 1] >= table[c + 1];
            const int d = x[c + 2] >= table[c + 2], e = x[c + 3] >= table[c + 3];
            y[c] = (uint8_t)(below + (-a & step));
            y[c + 1] = (uint8_t)(below + (-b & step));
            y[c + 2] = (uint8_t)(below + (-d & step));
            y[c + 3] = (uint8_t)(below + (-e & step));
        }
        for (; c < channels; c++) y[c] = (uint8_t)(below + (-(x[c] >= table[c]) & step));
    }
}

HCK_INLINE void rows_of(hck_type type, const hck_requantise *q, const void *x, size_t x_stride, void *y,
                        size_t y_stride, size_t rows, unsigned pool) {
    const int usual = type == HCK_I32 && hck_size(q->y_type) == 1;
    if (usual && q->map == HCK_MULTIPLY_SHIFT && q->add)
        scale_all(q, (const int32_t *)x, x_stride, (uint8_t *)y, y_stride, rows, pool);
    else if (usual && q->map == HCK_THRESHOLDS && q->levels == 1 && !q->sign && pool == 1)
        compare_sums(q, (const int32_t *)x, x_stride, (uint8_t *)y, y_stride, rows);
    else
        rows_as(type, q, x, x_stride, y, y_stride, rows, pool);
}

#endif

void hck_requantise_rows(const hck_requantise *q, const void *x, hck_type x_type, size_t x_stride, void *y,
                         size_t y_stride, size_t rows, unsigned pool) {
    HCK_BY_TYPE(x_type, rows_of, q, x, x_stride, y, y_stride, rows, pool)
}
