/* Bilinear resizing by tables of positions and weights. */
#include "hck.h"
#include "hck_element.h"

#if defined(__riscv_vector)
/* (left * (2048 - wx) + right * wx) >> 4: at most 255 * 2048 / 16, which fits 16 bits. */
HCK_INLINE vuint16m2_t across(const uint8_t *left, const uint8_t *right, uint16_t wx, size_t vl) {
    const vuint16m2_t first = __riscv_vzext_vf2(__riscv_vle8_v_u8m1(left, vl), vl);
    const vuint16m2_t second = __riscv_vzext_vf2(__riscv_vle8_v_u8m1(right, vl), vl);
    const vuint32m4_t sum = __riscv_vwmaccu(__riscv_vwmulu(first, (uint16_t)(2048 - wx), vl), wx, second, vl);
    return __riscv_vnsrl(sum, 4, vl);
}

static void pixel(const uint8_t *const corners[4], uint16_t wx, uint16_t wy, uint8_t *y, size_t channels) {
    size_t vl;
    for (size_t c = 0; c < channels; c += vl) {
        vl = __riscv_vsetvl_e8m1(channels - c);
        const vuint16m2_t above = across(corners[0] + c, corners[1] + c, wx, vl);
        const vuint16m2_t below = across(corners[2] + c, corners[3] + c, wx, vl);
        const vuint16m2_t upper = __riscv_vmulhu(above, (uint16_t)(2048 - wy), vl); /* the high half: >> 16 */
        const vuint16m2_t lower = __riscv_vmulhu(below, wy, vl);
        const vuint16m2_t sum = __riscv_vadd(__riscv_vadd(upper, lower, vl), 2, vl);
        __riscv_vse8(y + c, __riscv_vnsrl(sum, 2, vl), vl);
    }
}
#else
static void pixel(const uint8_t *const corners[4], uint16_t wx, uint16_t wy, uint8_t *y, size_t channels) {
    const uint32_t left = 2048u - wx, up = 2048u - wy;
    for (size_t c = 0; c < channels; c++) {
        const uint32_t above = (corners[0][c] * left + corners[1][c] * (uint32_t)wx) >> 4;
        const uint32_t below = (corners[2][c] * left + corners[3][c] * (uint32_t)wx) >> 4;
        y[c] = (uint8_t)(((above * up >> 16) + (below * (uint32_t)wy >> 16) + 2) >> 2);
    }
}
#endif

void hck_resize_bilinear(const hck_resize *r, const uint8_t *x, uint8_t *y, size_t y_stride) {
    for (size_t oy = 0; oy < r->out_h; oy++) {
        const uint32_t *row = r->rows + 3 * oy;
        const uint8_t *above = x + (size_t)row[0] * r->in_w * r->channels;
        const uint8_t *below = x + (size_t)row[1] * r->in_w * r->channels;
        for (size_t ox = 0; ox < r->out_w; ox++, y += y_stride) {
            const uint32_t *column = r->columns + 3 * ox;
            const size_t left = (size_t)column[0] * r->channels, right = (size_t)column[1] * r->channels;
            const uint8_t *const corners[4] = {above + left, above + right, below + left, below + right};
            pixel(corners, (uint16_t)column[2], (uint16_t)row[2], y, r->channels);
        }
    }
}
