/* Tables, and whole tensors that are transposed, cut, padded or reshaped. */
#include "hck.h"
#include "hck_element.h"

#if defined(__riscv_vector)
void hck_lookup(const int32_t *table, int32_t first, const void *x, hck_type x_type, void *y, hck_type y_type,
                size_t y_stride, size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0, vl; c < channels; c += vl) {
            vl = __riscv_vsetvl_e32m4(channels - c);
            const vint32m4_t index = __riscv_vsub(hck_vload(x_type, x, p * channels + c, vl), first, vl);
            const vuint32m4_t bytes = __riscv_vreinterpret_u32m4(__riscv_vsll(index, 2, vl));
            hck_vstore(y_type, y, p * y_stride + c, __riscv_vluxei32_v_i32m4(table, bytes, vl), vl);
        }
}

/* y[i] = x[i * step] for n elements of one type. */
#define EVERY(WIDTH)                                                                                       \
    static void every_##WIDTH(const void *x, ptrdiff_t step, void *y, size_t n) {                          \
        const uint##WIDTH##_t *from = (const uint##WIDTH##_t *)x;                                          \
        uint##WIDTH##_t *to = (uint##WIDTH##_t *)y;                                                        \
        for (size_t vl; n; n -= vl, from += (ptrdiff_t)vl * step, to += vl) {                              \
            vl = __riscv_vsetvl_e##WIDTH##m4(n);                                                           \
            const ptrdiff_t bytes = step * (ptrdiff_t)sizeof *from;                                        \
            __riscv_vse##WIDTH(to, __riscv_vlse##WIDTH##_v_u##WIDTH##m4(from, bytes, vl), vl);             \
        }                                                                                                  \
    }
#else
void hck_lookup(const int32_t *table, int32_t first, const void *x, hck_type x_type, void *y, hck_type y_type,
                size_t y_stride, size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++)
            hck_put(y, y_type, p * y_stride + c, table[hck_get(x, x_type, p * channels + c) - first]);
}

#define EVERY(WIDTH)                                                                      \
    static void every_##WIDTH(const void *x, ptrdiff_t step, void *y, size_t n) {         \
        const uint##WIDTH##_t *from = (const uint##WIDTH##_t *)x;                         \
        uint##WIDTH##_t *to = (uint##WIDTH##_t *)y;                                       \
        for (size_t i = 0; i < n; i++) to[i] = from[(ptrdiff_t)i * step];                 \
    }
#endif
EVERY(8)
EVERY(16)
EVERY(32)

void hck_copy_volume(const hck_volume *v, const void *x, void *y) {
    const size_t size = hck_size(v->y_type);
    for (size_t row = 0; row < v->h; row++)
        for (size_t column = 0; column < v->w; column++) {
            const ptrdiff_t from = v->x_first + (ptrdiff_t)row * v->x_h + (ptrdiff_t)column * v->x_w;
            const size_t to = v->y_first + row * v->y_h + column * v->y_w;
            if (hck_size(v->x_type) != size) {
                for (size_t c = 0; c < v->c; c++)
                    hck_put(y, v->y_type, to + c, hck_get(x, v->x_type, (size_t)(from + (ptrdiff_t)c * v->x_c)));
                continue;
            }
            (size == 1 ? every_8 : size == 2 ? every_16 : every_32)(
                (const uint8_t *)x + from * (ptrdiff_t)size, v->x_c, (uint8_t *)y + to * size, v->c);
        }
}

void hck_fill(int32_t value, void *y, hck_type y_type, size_t y_stride, size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) hck_put(y, y_type, p * y_stride + c, value);
}

void hck_reshape(hck_type type, const size_t x_shape[3], const size_t y_shape[3], const void *x, void *y,
                 size_t y_stride) {
    const size_t x_pixels = x_shape[1] * x_shape[2], y_pixels = y_shape[1] * y_shape[2];
    for (size_t pixel = 0; pixel < y_pixels; pixel++)
        for (size_t c = 0; c < y_shape[0]; c++) {
            const size_t element = c * y_pixels + pixel; /* W fastest */
            const size_t from = element % x_pixels * x_shape[0] + element / x_pixels;
            hck_put(y, type, pixel * y_stride + c, hck_get(x, type, from));
        }
}
