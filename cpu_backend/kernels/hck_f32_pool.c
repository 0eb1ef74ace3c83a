/* Float32 maxima and means of windows, zeros around a picture, pixels behind each other; lanes are channels. */
#include "hck_f32.h"
#include "hck_pool.h"

#if defined(__riscv_vector)
#include <riscv_vector.h>
#endif

#if defined(__riscv_vector)
#define WINDOW(NAME, COMBINE)                                                                                          \
    static void NAME(const hck_pool *p, hck_window w, float factor, const float *x, float *y) {                        \
        const float *corner = x + w.pixel * p->channels;                                                               \
        for (size_t c = 0, vl; c < p->channels; c += vl) {                                                             \
            vl = __riscv_vsetvl_e32m4(p->channels - c);                                                                \
            vfloat32m4_t all = __riscv_vle32_v_f32m4(corner + c, vl);                                                  \
            for (size_t ky = 0; ky < w.rows; ky++)                                                                     \
                for (size_t kx = ky == 0; kx < w.columns; kx++)                                                        \
                    all = COMBINE(all, __riscv_vle32_v_f32m4(corner + (ky * p->in_w + kx) * p->channels + c, vl), vl); \
            __riscv_vse32(y + c, factor == 1.0f ? all : __riscv_vfmul(all, factor, vl), vl);                           \
        }                                                                                                              \
    }
WINDOW(largest, __riscv_vfmax)
WINDOW(sum, __riscv_vfadd)

static void zero(float *y, size_t n) {
    for (size_t vl; n; n -= vl, y += vl) {
        vl = __riscv_vsetvl_e32m8(n);
        __riscv_vse32(y, __riscv_vfmv_v_f_f32m8(0, vl), vl);
    }
}

static void copy(float *y, const float *x, size_t n) {
    for (size_t vl; n; n -= vl, x += vl, y += vl) {
        vl = __riscv_vsetvl_e32m8(n);
        __riscv_vse32(y, __riscv_vle32_v_f32m8(x, vl), vl);
    }
}
#else
#define LARGEST(a, b) ((a) > (b) ? (a) : (b))
#define SUM(a, b) ((a) + (b))
#define WINDOW(NAME, COMBINE)                                                                   \
    static void NAME(const hck_pool *p, hck_window w, float factor, const float *x, float *y) { \
        const float *corner = x + w.pixel * p->channels;                                        \
        memcpy(y, corner, p->channels * sizeof *y);                                             \
        for (size_t ky = 0; ky < w.rows; ky++)                                                  \
            for (size_t kx = ky == 0; kx < w.columns; kx++) {                                   \
                const float *at = corner + (ky * p->in_w + kx) * p->channels;                   \
                for (size_t c = 0; c < p->channels; c++) y[c] = COMBINE(y[c], at[c]);           \
            }                                                                                   \
        for (size_t c = 0; c < p->channels; c++) y[c] *= factor;                                \
    }
WINDOW(largest, LARGEST)
WINDOW(sum, SUM)

static void zero(float *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = 0.0f;
}

static void copy(float *y, const float *x, size_t n) {
    memcpy(y, x, n * sizeof *y);
}
#endif

void hck_f32_max_pool(const hck_pool *p, const float *x, float *y, size_t y_stride) {
    for (size_t oy = 0; oy < p->out_h; oy++)
        for (size_t ox = 0; ox < p->out_w; ox++)
            largest(p, hck_window_at(p, oy, ox), 1.0f, x, y + (oy * p->out_w + ox) * y_stride);
}

void hck_f32_mean_pool(const hck_pool *p, const float *x, float *y, size_t y_stride) {
    for (size_t oy = 0; oy < p->out_h; oy++)
        for (size_t ox = 0; ox < p->out_w; ox++) {
            const hck_window w = hck_window_at(p, oy, ox);
            const size_t count = p->count ? p->count : w.rows * w.columns;
            sum(p, w, 1.0f / (float)count, x, y + (oy * p->out_w + ox) * y_stride);
        }
}

void hck_f32_pad_zeros(const hck_f32_pad *p, const float *x, float *y, size_t y_stride) {
    for (size_t oy = 0; oy < p->out_h; oy++)
        for (size_t ox = 0; ox < p->out_w; ox++, y += y_stride) {
            const size_t iy = oy - p->top, ix = ox - p->left; /* beside the picture: huge numbers, or beyond it */
            if (iy >= p->in_h || ix >= p->in_w) {
                zero(y, p->out_c);
                continue;
            }
            zero(y, p->front);
            copy(y + p->front, x + (iy * p->in_w + ix) * p->in_c, p->in_c);
            zero(y + p->front + p->in_c, p->out_c - p->front - p->in_c);
        }
}

void hck_f32_flatten(const float *x, float *y, size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) y[c * pixels + p] = x[p * channels + c];
}
