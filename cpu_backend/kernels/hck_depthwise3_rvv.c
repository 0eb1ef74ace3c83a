/*
 * Depthwise 3x3 convolution on RVV 1.0 from elements to 8-bit results without sums in memory: lanes are channels, whose
 * nine weights and the nine elements under a window stay in registers. A step to the right loads one column (two with
 * stride 2); what leaves the window makes room for it, so that after three steps all are where they were.
 *
 * Whole sums in 16 bits, or, of signed bytes, in 32 bits from pairs of products that 16 bits hold.
 * Registers: 9 weights, 9 elements, 4 for a 32-bit sum, up to 8 for pairs or for the map's constants.
 */
#include "hck.h"

#if defined(__riscv_vector)
#include "hck_narrow.h"
#include "hck_rvv.h"

/* Compilers load the map's constants and multiply ahead, more than there are registers for, unless the sum so far has to
 * be complete before. */
#define IN_ORDER(sum) __asm__ volatile("" : "+vr"(sum) : : "memory");

#define ELEMENTS vint8m1_t
#define X_TYPE int8_t
#define LOAD(x) __riscv_vle8_v_i8m1(x, vl)
#define NOTHING __riscv_vmv_v_x_i8m1(0, vl)
#define MULTIPLY(w, x) __riscv_vwmul(w, x, vl)
#define MULTIPLY_ADD(sum, w, x) __riscv_vwmacc(sum, w, x, vl)
#define WHOLE 0
#define NAME pairs_i8
#define S 1
#include "hck_depthwise3_rvv.inc"
#undef S
#define S 2
#include "hck_depthwise3_rvv.inc"
#undef S
#undef NAME
#undef WHOLE
#define WHOLE 1
#define NAME whole_i8
#define S 1
#include "hck_depthwise3_rvv.inc"
#undef S
#define S 2
#include "hck_depthwise3_rvv.inc"
#undef S
#undef NAME
#undef ELEMENTS
#undef X_TYPE
#undef LOAD
#undef NOTHING
#undef MULTIPLY
#undef MULTIPLY_ADD
#define ELEMENTS vuint8m1_t
#define X_TYPE uint8_t
#define LOAD(x) __riscv_vle8_v_u8m1(x, vl)
#define NOTHING __riscv_vmv_v_x_u8m1(0, vl)
#define MULTIPLY(w, x) __riscv_vwmulsu(w, x, vl)
#define MULTIPLY_ADD(sum, w, x) __riscv_vwmaccsu(sum, w, x, vl)
#define NAME whole_u8
#define S 1
#include "hck_depthwise3_rvv.inc"
#undef S
#define S 2
#include "hck_depthwise3_rvv.inc"
#undef S

typedef void (*picture_fn)(const hck_conv *c, const hck_requantise *q, const void *x, void *y, size_t y_stride);

static int in_16_bits(const hck_requantise *q) {
    int fits = 1;
    for (size_t i = 0; i < q->channels; i++) fits &= q->mul[i] == (int16_t)q->mul[i];
    return fits;
}

int hck_depthwise3_rvv(const hck_conv *c, const hck_requantise *q, const void *x, void *y, size_t y_stride) {
    static const picture_fn whole[2][2] = {{whole_u8_1, whole_u8_2}, {whole_i8_1, whole_i8_2}};
    static const picture_fn pairs[2] = {pairs_i8_1, pairs_i8_2};
    if (c->kernel_h != 3 || c->kernel_w != 3 || c->stride_w > 2 || c->pool > 1 || c->x_type > HCK_I8) return 0;
    if (!hck_is_narrow(q)) return 0;
    const int fits = c->flush >= 9 && in_16_bits(q);
    if (!fits && (c->x_type != HCK_I8 || c->run16 < 2)) return 0;
    (fits ? whole[c->x_type] : pairs)[c->stride_w - 1](c, q, x, y, y_stride);
    return 1;
}

#else
typedef int hck_no_depthwise3; /* C99 wants a declaration in every file */
#endif
