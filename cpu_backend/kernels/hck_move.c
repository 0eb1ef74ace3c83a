/* Rearranging, repeating and joining: bytes move, values stay. */
#include "hck.h"
#include "hck_element.h"

void hck_space_to_depth(size_t pixel_bytes, size_t h, size_t w, size_t block, const void *x, void *y,
                        size_t y_pixel_bytes) {
    const uint8_t *from = (const uint8_t *)x;
    for (size_t row = 0; row < h * block; row++)
        for (size_t column = 0; column < w * block; column++, from += pixel_bytes) {
            const size_t pixel = row / block * w + column / block, part = row % block * block + column % block;
            hck_copy((uint8_t *)y + pixel * y_pixel_bytes + part * pixel_bytes, from, pixel_bytes);
        }
}

void hck_depth_to_space_dcr(hck_type type, size_t h, size_t w, size_t channels, size_t block, const void *x, void *y,
                            size_t y_stride) {
    const uint8_t *from = (const uint8_t *)x;
    const size_t bytes = hck_size(type), part = channels * bytes;
    for (size_t row = 0; row < h; row++)
        for (size_t column = 0; column < w; column++)
            for (size_t sy = 0; sy < block; sy++)
                for (size_t sx = 0; sx < block; sx++, from += part) {
                    const size_t pixel = (row * block + sy) * w * block + column * block + sx;
                    hck_copy((uint8_t *)y + pixel * y_stride * bytes, from, part);
                }
}

/* y[i] = x[i * step] for n elements. */
#if defined(__riscv_vector)
#define EVERY(WIDTH)                                                                                      \
    static void every_##WIDTH(const void *x, size_t step, void *y, size_t n) {                            \
        const uint##WIDTH##_t *from = (const uint##WIDTH##_t *)x;                                         \
        uint##WIDTH##_t *to = (uint##WIDTH##_t *)y;                                                       \
        const ptrdiff_t bytes = (ptrdiff_t)(step * sizeof *from);                                         \
        for (size_t vl; n; n -= vl, from += vl * step, to += vl) {                                        \
            vl = __riscv_vsetvl_e##WIDTH##m4(n);                                                          \
            __riscv_vse##WIDTH(to, __riscv_vlse##WIDTH##_v_u##WIDTH##m4(from, bytes, vl), vl);            \
        }                                                                                                 \
    }
#else
#define EVERY(WIDTH)                                                               \
    static void every_##WIDTH(const void *x, size_t step, void *y, size_t n) {     \
        const uint##WIDTH##_t *from = (const uint##WIDTH##_t *)x;                  \
        uint##WIDTH##_t *to = (uint##WIDTH##_t *)y;                                \
        for (size_t i = 0; i < n; i++) to[i] = from[i * step];                     \
    }
#endif
EVERY(8)
EVERY(16)
EVERY(32)

void hck_depth_to_space_crd(hck_type type, size_t h, size_t w, size_t channels, size_t block, const void *x, void *y,
                            size_t y_stride) {
    const size_t bytes = hck_size(type), parts = block * block;
    for (size_t row = 0; row < h * block; row++)
        for (size_t column = 0; column < w * block; column++) {
            const size_t pixel = row / block * w + column / block, part = row % block * block + column % block;
            const uint8_t *from = (const uint8_t *)x + (pixel * parts * channels + part) * bytes;
            uint8_t *to = (uint8_t *)y + (row * w * block + column) * y_stride * bytes;
            (bytes == 1 ? every_8 : bytes == 2 ? every_16 : every_32)(from, parts, to, channels);
        }
}

void hck_upsample(size_t pixel_bytes, size_t h, size_t w, size_t factor, const void *x, void *y,
                  size_t y_pixel_bytes) {
    uint8_t *to = (uint8_t *)y;
    for (size_t row = 0; row < h * factor; row++) {
        const uint8_t *from = (const uint8_t *)x + row / factor * w * pixel_bytes;
        for (size_t column = 0; column < w; column++, from += pixel_bytes)
            for (size_t k = 0; k < factor; k++, to += y_pixel_bytes) hck_copy(to, from, pixel_bytes);
    }
}

#if defined(__riscv_vector)
static void convert(const void *x, hck_type x_type, size_t i, void *y, hck_type y_type, size_t j, size_t n) {
    for (size_t vl; n; n -= vl, i += vl, j += vl) {
        vl = __riscv_vsetvl_e32m4(n);
        hck_vstore(y_type, y, j, hck_vload(x_type, x, i, vl), vl);
    }
}
#else
static void convert(const void *x, hck_type x_type, size_t i, void *y, hck_type y_type, size_t j, size_t n) {
    for (size_t k = 0; k < n; k++) hck_put(y, y_type, j + k, hck_get(x, x_type, i + k));
}
#endif

void hck_copy_channels(const void *x, hck_type x_type, void *y, hck_type y_type, size_t y_stride, size_t pixels,
                       size_t channels) {
    const size_t bytes = hck_size(x_type);
    for (size_t p = 0; p < pixels; p++)
        if (bytes == hck_size(y_type))
            hck_copy((uint8_t *)y + p * y_stride * bytes, (const uint8_t *)x + p * channels * bytes, channels * bytes);
        else
            convert(x, x_type, p * channels, y, y_type, p * y_stride, channels);
}
