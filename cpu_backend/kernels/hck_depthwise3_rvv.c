/*
 * Depthwise 3x3 convolution on RVV 1.0 from elements to 8-bit results without sums in memory: lanes are channels, whose
 * nine weights and the nine elements under a window stay in registers. A step to the right loads one column (two with
 * stride 2); what leaves the window makes room for it, so that after three steps all are where they were.
 *
 * Whole sums in 16 bits, where it is proven with the map in 16 bits too; or in 32 bits from pairs of products, which 16
 * bits hold: those of unsigned bytes less 128, which the addend makes up for.
 * Registers: 9 weights, 9 elements, 4 for a 32-bit sum, up to 8 for pairs or for the map's constants.
 */
#include "hck.h"

#if defined(__riscv_vector)
#include "hck_narrow.h"
#include "hck_rvv.h"

/* Compilers load the map's constants and multiply ahead, more than there are registers for, unless the sum so far has to
 * be complete before. */
#define IN_ORDER(sum) __asm__ volatile("" : "+vr"(sum) : : "memory");

/* SUMS */
#define PAIRS 0
#define WHOLE 1
#define HALVES 2

#define SHIFTED 0
#define ELEMENTS vint8m1_t
#define X_TYPE int8_t
#define LOAD(x) __riscv_vle8_v_i8m1(x, vl)
#define NOTHING __riscv_vmv_v_x_i8m1(0, vl)
#define MULTIPLY(w, x) __riscv_vwmul(w, x, vl)
#define MULTIPLY_ADD(sum, w, x) __riscv_vwmacc(sum, w, x, vl)
#define SUMS PAIRS
#define NAME pairs_i8
#define S 1
#include "hck_depthwise3_rvv.inc"
#undef S
#define S 2
#include "hck_depthwise3_rvv.inc"
#undef S
#undef NAME
#undef SUMS
#define SUMS WHOLE
#define NAME whole_i8
#define S 1
#include "hck_depthwise3_rvv.inc"
#undef S
#define S 2
#include "hck_depthwise3_rvv.inc"
#undef S
#undef NAME
#undef SUMS
#define SUMS HALVES
#define NAME halves_i8
#define S 1
#include "hck_depthwise3_rvv.inc"
#undef S
#define S 2
#include "hck_depthwise3_rvv.inc"
#undef S
#undef NAME
#undef SUMS
#undef X_TYPE
#undef LOAD
#undef NOTHING
#undef SHIFTED
#define SHIFTED 1
#define X_TYPE uint8_t
#define LOAD(x) __riscv_vreinterpret_i8m1(__riscv_vxor(__riscv_vle8_v_u8m1(x, vl), 128, vl))
#define NOTHING __riscv_vmv_v_x_i8m1(-128, vl)
#define SUMS PAIRS
#define NAME pairs_u8
#define S 1
#include "hck_depthwise3_rvv.inc"
#undef S
#define S 2
#include "hck_depthwise3_rvv.inc"
#undef S
#undef NAME
#undef SUMS
#undef ELEMENTS
#undef X_TYPE
#undef LOAD
#undef NOTHING
#undef SHIFTED
#undef MULTIPLY
#undef MULTIPLY_ADD
#define SHIFTED 0
#define ELEMENTS vuint8m1_t
#define X_TYPE uint8_t
#define LOAD(x) __riscv_vle8_v_u8m1(x, vl)
#define NOTHING __riscv_vmv_v_x_u8m1(0, vl)
#define MULTIPLY(w, x) __riscv_vwmulsu(w, x, vl)
#define MULTIPLY_ADD(sum, w, x) __riscv_vwmaccsu(sum, w, x, vl)
#define SUMS WHOLE
#define NAME whole_u8
#define S 1
#include "hck_depthwise3_rvv.inc"
#undef S
#define S 2
#include "hck_depthwise3_rvv.inc"
#undef S
#undef NAME
#undef SUMS
#define SUMS HALVES
#define NAME halves_u8
#define S 1
#include "hck_depthwise3_rvv.inc"
#undef S
#define S 2
#include "hck_depthwise3_rvv.inc"
#undef S
#undef NAME
#undef SUMS

typedef void (*picture_fn)(const hck_conv *c, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                           int32_t *scratch);

static int in_16_bits(const hck_requantise *q) {
    int fits = 1;
    for (size_t i = 0; i < q->channels; i++) fits &= q->mul[i] == (int16_t)q->mul[i];
    return fits;
}

/* Whether 16 bits hold two products; unsigned elements are -128 to 127 then. */
static int pairs_fit(const hck_conv *c) {
    int fit = 1;
    if (c->x_type == HCK_I8) return c->run16 >= 2;
    for (size_t i = 0; i < (size_t)9 * c->in_c; i++) fit &= c->weights[i] != INT8_MIN;
    return fit;
}

int hck_depthwise3_rvv(const hck_conv *c, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                       void *scratch) {
    static const picture_fn whole[2][2] = {{whole_u8_1, whole_u8_2}, {whole_i8_1, whole_i8_2}};
    static const picture_fn halves[2][2] = {{halves_u8_1, halves_u8_2}, {halves_i8_1, halves_i8_2}};
    static const picture_fn pairs[2][2] = {{pairs_u8_1, pairs_u8_2}, {pairs_i8_1, pairs_i8_2}};
    if (c->kernel_h != 3 || c->kernel_w != 3 || c->stride_w > 2 || c->pool > 1 || c->x_type > HCK_I8) return 0;
    if (!hck_is_narrow(q)) return 0;
    const int fits = c->flush >= 9 && in_16_bits(q);
    if (!fits && !pairs_fit(c)) return 0;
    const picture_fn *const picture = (!fits ? pairs : q->before ? halves : whole)[c->x_type];
    picture[c->stride_w - 1](c, q, x, y, y_stride, (int32_t *)scratch);
    return 1;
}

#else
typedef int hck_no_depthwise3; /* C99 wants a declaration in every file */
#endif
