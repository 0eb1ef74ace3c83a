/* Sums and products of two tensors. */
#include "hck.h"
#include "hck_element.h"

#if defined(__riscv_vector)
#define EACH(NAME, COMBINE)                                                                                       \
    static void NAME(const hck_pair *p, const void *a, size_t i, const void *b, size_t j, void *y, size_t k) {    \
        size_t vl;                                                                                                \
        for (size_t c = 0; c < p->channels; c += vl) {                                                            \
            vl = __riscv_vsetvl_e32m4(p->channels - c);                                                           \
            const vint32m4_t x = hck_vload(p->a_type, a, i + c, vl);                                              \
            const vint32m4_t result = p->b_channel ? COMBINE(x, hck_vload(p->b_type, b, j + c, vl), vl)           \
                                                   : COMBINE(x, hck_get(b, p->b_type, j), vl);                    \
            hck_vstore(p->y_type, y, k + c, result, vl);                                                          \
        }                                                                                                         \
    }
EACH(add_pixel, __riscv_vadd)
EACH(multiply_pixel, __riscv_vmul)
#else

/* Channels that are widened to 32 bits at a time: one loop per type, not one per combination of three types. */
enum { CHUNK = 32 };

HCK_INLINE void get_each(hck_type type, const void *x, size_t i, size_t n, int32_t *values) {
    for (size_t k = 0; k < n; k++) values[k] = hck_get(x, type, i + k);
}

HCK_INLINE void put_each(hck_type type, void *y, size_t i, size_t n, const int32_t *values) {
    for (size_t k = 0; k < n; k++) hck_put(y, type, i + k, values[k]);
}

#define EACH(NAME, SIGN)                                                                                          \
    static void NAME(const hck_pair *p, const void *a, size_t i, const void *b, size_t j, void *y, size_t k) {    \
        int32_t x[CHUNK], other[CHUNK];                                                                           \
        for (size_t m = 0; m < CHUNK; m++) other[m] = hck_get(b, p->b_type, j);                                   \
        for (size_t c = 0, n; c < p->channels; c += n) {                                                          \
            n = HCK_MIN(p->channels - c, (size_t)CHUNK);                                                          \
            HCK_BY_TYPE(p->a_type, get_each, a, i + c, n, x)                                                      \
            if (p->b_channel) HCK_BY_TYPE(p->b_type, get_each, b, j + c, n, other)                                \
            for (size_t m = 0; m < n; m++) x[m] = x[m] SIGN other[m];                                             \
            HCK_BY_TYPE(p->y_type, put_each, y, k + c, n, x)                                                      \
        }                                                                                                         \
    }
EACH(add_pixel, +)
EACH(multiply_pixel, *)
#endif

void hck_add(const hck_pair *p, const void *a, const void *b, void *y, size_t y_stride) {
    for (size_t r = 0; r < p->pixels; r++) add_pixel(p, a, r * p->channels, b, r * p->b_pixel, y, r * y_stride);
}

void hck_multiply(const hck_pair *p, const void *a, const void *b, void *y, size_t y_stride) {
    for (size_t r = 0; r < p->pixels; r++) multiply_pixel(p, a, r * p->channels, b, r * p->b_pixel, y, r * y_stride);
}
