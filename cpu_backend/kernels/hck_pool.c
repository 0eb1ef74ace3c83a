/* Maxima and sums of windows; lanes are channels. */
#include "hck_element.h"
#include "hck_pool.h"

#if defined(__riscv_vector)
#define MAXIMUM(TYPE, SUFFIX, WIDTH, MAX)                                                  \
    static void max_##SUFFIX(const hck_pool *p, hck_window w, const void *x, void *y) {    \
        const SUFFIX##_t *corner = (const SUFFIX##_t *)x + w.pixel * p->channels;          \
        size_t vl;                                                                         \
        for (size_t c = 0; c < p->channels; c += vl) {                                     \
            vl = __riscv_vsetvl_e##WIDTH##m4(p->channels - c);                             \
            v##SUFFIX##m4_t most = __riscv_vle##WIDTH##_v_##TYPE##m4(corner + c, vl);      \
            for (size_t ky = 0; ky < w.rows; ky++)                                         \
                for (size_t kx = 0; kx < w.columns; kx++) {                                \
                    const SUFFIX##_t *at = corner + (ky * p->in_w + kx) * p->channels + c; \
                    most = MAX(most, __riscv_vle##WIDTH##_v_##TYPE##m4(at, vl), vl);       \
                }                                                                          \
            __riscv_vse##WIDTH((SUFFIX##_t *)y + c, most, vl);                             \
        }                                                                                  \
    }
MAXIMUM(u8, uint8, 8, __riscv_vmaxu)
MAXIMUM(i8, int8, 8, __riscv_vmax)
MAXIMUM(u16, uint16, 16, __riscv_vmaxu)
MAXIMUM(i16, int16, 16, __riscv_vmax)
MAXIMUM(i32, int32, 32, __riscv_vmax)

HCK_INLINE void sum_of(hck_type type, const hck_pool *p, hck_window w, const void *x, void *y) {
    size_t vl;
    for (size_t c = 0; c < p->channels; c += vl) {
        vl = __riscv_vsetvl_e32m4(p->channels - c);
        vint32m4_t sum = __riscv_vmv_v_x_i32m4(0, vl);
        for (size_t ky = 0; ky < w.rows; ky++)
            for (size_t kx = 0; kx < w.columns; kx++)
                sum = __riscv_vadd(sum, hck_vload(type, x, (w.pixel + ky * p->in_w + kx) * p->channels + c, vl), vl);
        hck_vstore(p->y_type, y, c, sum, vl);
    }
}
#else
#define MAXIMUM(SUFFIX)                                                                               \
    static void max_##SUFFIX(const hck_pool *p, hck_window w, const void *x, void *y) {               \
        const SUFFIX##_t *corner = (const SUFFIX##_t *)x + w.pixel * p->channels;                     \
        SUFFIX##_t *most = (SUFFIX##_t *)y;                                                           \
        memcpy(most, corner, p->channels * sizeof *most);                                             \
        for (size_t ky = 0; ky < w.rows; ky++)                                                        \
            for (size_t kx = 0; kx < w.columns; kx++) {                                               \
                const SUFFIX##_t *at = corner + (ky * p->in_w + kx) * p->channels;                    \
                for (size_t c = 0; c < p->channels; c++) most[c] = at[c] > most[c] ? at[c] : most[c]; \
            }                                                                                         \
    }
MAXIMUM(uint8)
MAXIMUM(int8)
MAXIMUM(uint16)
MAXIMUM(int16)
MAXIMUM(int32)

enum { CHUNK = 16 }; /* channels whose sums stay in registers */

HCK_INLINE void sum_of(hck_type type, const hck_pool *p, hck_window w, const void *x, void *y) {
    for (size_t c = 0, n; c < p->channels; c += n) {
        int32_t sum[CHUNK] = {0};
        n = HCK_MIN(p->channels - c, (size_t)CHUNK);
        for (size_t ky = 0; ky < w.rows; ky++)
            for (size_t kx = 0; kx < w.columns; kx++)
                for (size_t k = 0; k < n; k++)
                    sum[k] += hck_get(x, type, (w.pixel + ky * p->in_w + kx) * p->channels + c + k);
        for (size_t k = 0; k < n; k++) hck_put(y, p->y_type, c + k, sum[k]);
    }
}
#endif

#define SUM(SUFFIX, TYPE)                                                               \
    static void sum_##SUFFIX(const hck_pool *p, hck_window w, const void *x, void *y) { \
        sum_of(TYPE, p, w, x, y);                                                       \
    }
SUM(uint8, HCK_U8)
SUM(int8, HCK_I8)
SUM(uint16, HCK_U16)
SUM(int16, HCK_I16)
SUM(int32, HCK_I32)

typedef void (*pool_fn)(const hck_pool *p, hck_window w, const void *x, void *y);

static void pool(const hck_pool *p, pool_fn each, const void *x, void *y, size_t y_stride) {
    const size_t pixel_bytes = y_stride * hck_size(p->y_type);
    for (size_t oy = 0; oy < p->out_h; oy++)
        for (size_t ox = 0; ox < p->out_w; ox++)
            each(p, hck_window_at(p, oy, ox), x, (uint8_t *)y + (oy * p->out_w + ox) * pixel_bytes);
}

void hck_max_pool(const hck_pool *p, const void *x, void *y, size_t y_stride) {
    static const pool_fn maxima[] = {max_uint8, max_int8, max_uint16, max_int16, max_int32};
    pool(p, maxima[p->x_type], x, y, y_stride);
}

void hck_sum_pool(const hck_pool *p, const void *x, void *y, size_t y_stride) {
    static const pool_fn sums[] = {sum_uint8, sum_int8, sum_uint16, sum_int16, sum_int32};
    pool(p, sums[p->x_type], x, y, y_stride);
}
