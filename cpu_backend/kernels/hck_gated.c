/* The gated convolution: q = 2 * sign + low, both -1 or +1, so that two convolutions of 8-bit planes make it up:
 * a = 2 * conv(sign, w) and b = a + conv(low, w). */
#include "hck.h"
#include "hck_element.h"

#if defined(__riscv_vector)
static void split(const void *x, hck_type type, size_t elements, int8_t *sign, int8_t *low) {
    size_t vl;
    for (size_t i = 0; i < elements; i += vl) {
        vl = __riscv_vsetvl_e32m4(elements - i);
        const vint32m4_t level = hck_vload(type, x, i, vl);
        hck_vstore(HCK_I8, sign, i, __riscv_vsub(__riscv_vand(level, 2, vl), 1, vl), vl);
        hck_vstore(HCK_I8, low, i, __riscv_vsub(__riscv_vsll(__riscv_vand(level, 1, vl), 1, vl), 1, vl), vl);
    }
}

HCK_INLINE void gate_rows(hck_type type, const int32_t *threshold, void *sums, const void *lows, size_t rows,
                          size_t channels) {
    size_t vl;
    for (size_t c = 0; c < channels; c += vl) {
        vl = __riscv_vsetvl_e32m4(channels - c);
        const vint32m4_t closed = __riscv_vle32_v_i32m4(threshold + c, vl);
        for (size_t r = 0; r < rows; r++) {
            const size_t i = r * channels + c;
            const vint32m4_t a = __riscv_vsll(hck_vload(type, sums, i, vl), 1, vl), low = hck_vload(type, lows, i, vl);
            const vbool8_t open = __riscv_vmsgt(a, closed, vl);
            hck_vstore(type, sums, i, __riscv_vadd_mu(open, a, a, low, vl), vl);
        }
    }
}
#else
static void split(const void *x, hck_type type, size_t elements, int8_t *sign, int8_t *low) {
    for (size_t i = 0; i < elements; i++) {
        const int32_t level = hck_get(x, type, i);
        sign[i] = (int8_t)((level & 2) - 1);
        low[i] = (int8_t)((level & 1) * 2 - 1);
    }
}

HCK_INLINE void gate_rows(hck_type type, const int32_t *threshold, void *sums, const void *lows, size_t rows,
                          size_t channels) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < channels; c++) {
            const size_t i = r * channels + c;
            const int32_t a = 2 * hck_get(sums, type, i);
            hck_put(sums, type, i, a > threshold[c] ? a + hck_get(lows, type, i) : a);
        }
}
#endif

void hck_gate(hck_type type, const int32_t *threshold, void *sums, const void *lows, size_t rows, size_t channels) {
    if (type == HCK_I16)
        gate_rows(HCK_I16, threshold, sums, lows, rows, channels);
    else
        gate_rows(HCK_I32, threshold, sums, lows, rows, channels);
}

void hck_gated_conv2d(const hck_conv *c, hck_type levels, const int32_t *threshold, const hck_requantise *q,
                      const void *x, void *y, size_t y_stride, void *scratch) {
    const size_t elements = (size_t)c->in_h * c->in_w * c->in_c, tile_bytes = (size_t)HCK_BLOCK * 4u * c->out_c;
    const void **pixels = (const void **)scratch;
    uint8_t *sums = (uint8_t *)scratch + (size_t)HCK_BLOCK * 8u * c->kernel_h * c->kernel_w, *lows = sums + tile_bytes;
    int8_t *sign = (int8_t *)lows + tile_bytes, *low = sign + elements;
    const size_t per = c->pool * c->pool;
    const size_t total = (size_t)(c->out_h / c->pool) * (c->out_w / c->pool);
    split(x, levels, elements, sign, low);
    for (size_t first = 0, count; first < total; first += count) {
        const hck_tile kernel = hck_conv_tile(c, (total - first) * per);
        count = HCK_MIN(total - first, kernel.mr / per);
        hck_conv_sums(c, &kernel, sign, first, count, pixels, sums);
        hck_conv_sums(c, &kernel, low, first, count, pixels, lows);
        hck_gate(kernel.sums, threshold, sums, lows, count * per, c->out_c);
        hck_requantise_rows(q, sums, kernel.sums, c->out_c, (uint8_t *)y + first * y_stride * hck_size(q->y_type),
                            y_stride, count, per);
    }
}
