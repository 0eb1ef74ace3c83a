/*
 * Depthwise convolution on RVV 1.0: lanes are channels, a block are neighbouring outputs of one row, whose sums stay in
 * registers from the first row of the window to the last; rows above and below the picture are left out.
 *
 * Where 16 bits hold the whole sum, 8-bit products go there; otherwise elements and weights are widened when they are
 * loaded, in vectors half as long. Registers, either way: 8 sums of LMUL 2 and twice the kernel's width.
 */
#include "hck.h"

#if defined(__riscv_vector)
#include "hck_rvv.h"

/* Compilers load all elements first, more than there are registers for, unless a sum has to be complete before. */
#define IN_ORDER(sum) __asm__ volatile("" : "+vr"(sum) : : "memory");

#define SET_LENGTH __riscv_vsetvl_e8m1
#define SUMS vint16m2_t
#define SUM_TYPE int16_t
#define CLEARED __riscv_vmv_v_x_i16m2
#define STORE_SUMS __riscv_vse16
#define WEIGHTS vint8m1_t
#define LOAD_WEIGHTS(w) __riscv_vle8_v_i8m1(w, vl)
#define NAME narrow_u8
#define X_TYPE uint8_t
#define ELEMENTS vuint8m1_t
#define LOAD(x) __riscv_vle8_v_u8m1(x, vl)
#define MULTIPLY_ADD(sum, x, w, vl) __riscv_vwmaccsu(sum, w, x, vl)
#include "hck_depthwise_rvv_all.inc"
#undef NAME
#undef X_TYPE
#undef ELEMENTS
#undef LOAD
#undef MULTIPLY_ADD
#define NAME narrow_i8
#define X_TYPE int8_t
#define ELEMENTS vint8m1_t
#define LOAD(x) __riscv_vle8_v_i8m1(x, vl)
#define MULTIPLY_ADD __riscv_vwmacc
#include "hck_depthwise_rvv_all.inc"
#undef NAME
#undef X_TYPE
#undef ELEMENTS
#undef LOAD
#undef SET_LENGTH
#undef SUMS
#undef SUM_TYPE
#undef CLEARED
#undef STORE_SUMS
#undef WEIGHTS
#undef LOAD_WEIGHTS

#define SET_LENGTH __riscv_vsetvl_e8mf2
#define SUMS vint32m2_t
#define SUM_TYPE int32_t
#define CLEARED __riscv_vmv_v_x_i32m2
#define STORE_SUMS __riscv_vse32
#define WEIGHTS vint16m1_t
#define LOAD_WEIGHTS(w) __riscv_vsext_vf2(__riscv_vle8_v_i8mf2(w, vl), vl)
#define ELEMENTS vint16m1_t
#define NAME wide_u8
#define X_TYPE uint8_t
#define LOAD(x) __riscv_vreinterpret_i16m1(__riscv_vzext_vf2(__riscv_vle8_v_u8mf2(x, vl), vl))
#include "hck_depthwise_rvv_all.inc"
#undef NAME
#undef X_TYPE
#undef LOAD
#define NAME wide_i8
#define X_TYPE int8_t
#define LOAD(x) __riscv_vsext_vf2(__riscv_vle8_v_i8mf2(x, vl), vl)
#include "hck_depthwise_rvv_all.inc"

typedef void (*row_fn)(const hck_conv *c, const void *x, int32_t top, int32_t left, void *sums);

#define STRIDES(NAME, PIXELS, KW) {NAME##_##PIXELS##_##KW##_1, NAME##_##PIXELS##_##KW##_2}
#define KERNELS(NAME, PIXELS) {STRIDES(NAME, PIXELS, 3), STRIDES(NAME, PIXELS, 5)}
#define BLOCKS(NAME) {KERNELS(NAME, 4), KERNELS(NAME, 8)}

int hck_depthwise_rvv(const hck_conv *c, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                      void *scratch) {
    /* whole sums in 16 bits?, HCK_I8?, 8 pixels?, 5 wide?, stride 2? */
    static const row_fn rows[2][2][2][2][2] = {{BLOCKS(wide_u8), BLOCKS(wide_i8)}, {BLOCKS(narrow_u8), BLOCKS(narrow_i8)}};
    const int fits = c->flush >= c->kernel_h * c->kernel_w;
    if (c->x_type > HCK_I8 || (c->kernel_w != 3 && c->kernel_w != 5) || c->stride_w > 2 || c->pool > 1) return 0;
    uint8_t *to = (uint8_t *)y;
    const uint32_t most = c->kernel.family == HCK_DEPTHWISE ? c->kernel.pixels : 8;
    for (uint32_t row = 0; row < c->out_h; row++)
        for (uint32_t column = 0, count; column < c->out_w; column += count) {
            const uint32_t left = HCK_MIN(c->out_w - column, most);
            const row_fn sums = rows[fits][c->x_type == HCK_I8][left > 4][c->kernel_w == 5][c->stride_w == 2];
            count = HCK_MIN(left, left > 4 ? 8 : 4);
            sums(c, x, (int32_t)(row * c->stride_h) - (int32_t)c->pad_top,
                 (int32_t)(column * c->stride_w) - (int32_t)c->pad_left, scratch);
            hck_requantise_rows(q, scratch, fits ? HCK_I16 : HCK_I32, c->out_c, to, y_stride, count, 1);
            to += count * y_stride * hck_size(q->y_type);
        }
    return 1;
}

#else
typedef int hck_no_depthwise; /* C99 wants a declaration in every file */
#endif
