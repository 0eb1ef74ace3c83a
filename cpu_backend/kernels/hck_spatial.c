/* Max-pooling, space-to-depth and joining of channels. */
#include "hck.h"
#include "hck_element.h"

#if defined(__riscv_vector)
#include <riscv_vector.h>

/* The maximum over a window; lanes are channels. */
#define WINDOW(TYPE, SUFFIX, WIDTH, MAX)                                                                          \
    static void window_##SUFFIX(const hck_pool *p, const void *x, void *y) {                                      \
        size_t vl;                                                                                                \
        for (size_t c = 0; c < p->channels; c += vl) {                                                            \
            vl = __riscv_vsetvl_e##WIDTH##m4(p->channels - c);                                                    \
            v##SUFFIX##m4_t most = __riscv_vle##WIDTH##_v_##TYPE##m4((const SUFFIX##_t *)x + c, vl);              \
            for (size_t ky = 0; ky < p->kernel_h; ky++)                                                           \
                for (size_t kx = 0; kx < p->kernel_w; kx++) {                                                     \
                    const SUFFIX##_t *at = (const SUFFIX##_t *)x + (ky * p->in_w + kx) * p->channels + c;         \
                    most = MAX(most, __riscv_vle##WIDTH##_v_##TYPE##m4(at, vl), vl);                              \
                }                                                                                                 \
            __riscv_vse##WIDTH((SUFFIX##_t *)y + c, most, vl);                                                    \
        }                                                                                                         \
    }
WINDOW(u8, uint8, 8, __riscv_vmaxu)
WINDOW(i8, int8, 8, __riscv_vmax)
WINDOW(u16, uint16, 16, __riscv_vmaxu)
WINDOW(i16, int16, 16, __riscv_vmax)
WINDOW(i32, int32, 32, __riscv_vmax)
#else
#define WINDOW(SUFFIX)                                                                               \
    static void window_##SUFFIX(const hck_pool *p, const void *x, void *y) {                         \
        SUFFIX##_t *most = (SUFFIX##_t *)y;                                                          \
        memcpy(most, x, p->channels * sizeof *most);                                                 \
        for (size_t ky = 0; ky < p->kernel_h; ky++)                                                  \
            for (size_t kx = 0; kx < p->kernel_w; kx++) {                                            \
                const SUFFIX##_t *at = (const SUFFIX##_t *)x + (ky * p->in_w + kx) * p->channels;    \
                for (size_t c = 0; c < p->channels; c++) most[c] = at[c] > most[c] ? at[c] : most[c]; \
            }                                                                                        \
    }
WINDOW(uint8)
WINDOW(int8)
WINDOW(uint16)
WINDOW(int16)
WINDOW(int32)
#endif

void hck_max_pool(const hck_pool *p, const void *x, void *y, size_t y_stride) {
    static void (*const windows[])(const hck_pool *, const void *, void *) = {window_uint8, window_int8, window_uint16,
                                                                              window_int16, window_int32};
    const size_t bytes = hck_size(p->type);
    for (size_t oy = 0; oy < p->out_h; oy++)
        for (size_t ox = 0; ox < p->out_w; ox++) {
            const size_t at = (oy * p->stride_h * p->in_w + ox * p->stride_w) * p->channels;
            windows[p->type](p, (const uint8_t *)x + at * bytes,
                             (uint8_t *)y + (oy * p->out_w + ox) * y_stride * bytes);
        }
}

void hck_space_to_depth(size_t pixel_bytes, size_t h, size_t w, size_t block, const void *x, void *y,
                        size_t y_pixel_bytes) {
    const uint8_t *from = (const uint8_t *)x;
    for (size_t row = 0; row < h * block; row++)
        for (size_t column = 0; column < w * block; column++, from += pixel_bytes) {
            const size_t pixel = row / block * w + column / block, part = row % block * block + column % block;
            memcpy((uint8_t *)y + pixel * y_pixel_bytes + part * pixel_bytes, from, pixel_bytes);
        }
}

void hck_copy_channels(const void *x, hck_type x_type, void *y, hck_type y_type, size_t y_stride, size_t pixels,
                       size_t channels) {
    const size_t bytes = hck_size(x_type);
    for (size_t p = 0; p < pixels; p++)
        if (bytes == hck_size(y_type))
            memcpy((uint8_t *)y + p * y_stride * bytes, (const uint8_t *)x + p * channels * bytes, channels * bytes);
        else
            for (size_t c = 0; c < channels; c++)
                hck_put(y, y_type, p * y_stride + c, hck_get(x, x_type, p * channels + c));
}
