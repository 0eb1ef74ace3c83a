/* Multiply-shift, thresholds, clipping and PReLUs, on a convolution's sums as on tensors, after an optional maximum over
 * four rows. */
#include "hck.h"
#include "hck_element.h"

#if defined(__riscv_vector)
#include "hck_requantise_rvv.inc"
#else

HCK_INLINE int32_t clip(int64_t value, int32_t lo, int32_t hi) {
    return value < lo ? lo : value > hi ? hi : (int32_t)value;
}

/* An arithmetic shift right: C99 leaves that of negative numbers to the compiler. */
HCK_INLINE int64_t shift_right(int64_t value, uint32_t shift) {
    return value < 0 ? ~(~value >> shift) : value >> shift;
}

HCK_INLINE int32_t multiply_shift(const hck_requantise *q, int32_t x, size_t c) {
    if (q->add) {
        const int32_t scaled = x * q->mul[c] + q->add[c];
        return clip(shift_right(scaled, q->shift), q->lo, q->hi);
    }
    return clip(shift_right((int64_t)x * q->mul[c] + q->wide_add[c], q->shift), q->lo, q->hi);
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

HCK_INLINE void rows_of(hck_type type, const hck_requantise *q, const void *x, size_t x_stride, void *y,
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

#endif

void hck_requantise_rows(const hck_requantise *q, const void *x, hck_type x_type, size_t x_stride, void *y,
                         size_t y_stride, size_t rows, unsigned pool) {
    HCK_BY_TYPE(x_type, rows_of, q, x, x_stride, y, y_stride, rows, pool)
}
