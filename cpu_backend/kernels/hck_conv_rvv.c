/*
 * Tile kernels of the convolution on RVV 1.0. Lanes are output channels; an activation is a scalar; a vector of
 * weights is loaded once for `mr` pixels.
 *
 * 16-bit sums (vwmacc on 8-bit elements) take half the beats of 32-bit ones, 8-bit sums (vmacc) a quarter, which have
 * to be added to 16-bit ones every few products. Where the proven range of a whole sum fits 16 bits, they are the
 * result; otherwise they are added to 32-bit sums in the tile every `flush` products.
 *
 * The loops over products are unrolled so far that mr * UNROLL activations still fit the scalar registers (compilers
 * load them all first).
 *
 * Registers: mr * EMUL(sums) + EMUL(weights) + temporaries <= 32; with 8-bit sums, mr * (EMUL(8-bit sums) + EMUL(16-bit
 * sums)), at LMUL 1 and 2 eight pixels and at 2 and 4 four: 24, and 2 for weights or 4 for a flush; at LMUL 4 there is
 * no room for 16-bit sums (hck_conv_rvv8_long.inc). In the name of a kernel, the LMUL is that of the 8-bit weights: the
 * smallest that holds all channels in one vector, to waste no beats on empty lanes.
 */
#include "hck.h"

#if defined(__riscv_vector)
#include "hck_rvv.h"

/* Adds 8-bit sums to 16-bit ones in the tile. */
HCK_INLINE void flush_bytes(int16_t *row, vint8m4_t sum, int first, size_t vl) {
    if (first)
        __riscv_vse16(row, __riscv_vsext_vf2(sum, vl), vl);
    else
        __riscv_vse16(row, __riscv_vwadd_wv(__riscv_vle16_v_i16m8(row, vl), sum, vl), vl);
}

/* Products of a vector of elements and one of weights, added to 32-bit sums. */
HCK_INLINE vint32m4_t multiply_add_u8(vint32m4_t sum, const uint8_t *x, vint16m2_t w, size_t vl) {
    return __riscv_vwmacc(sum, __riscv_vreinterpret_i16m2(__riscv_vzext_vf2(__riscv_vle8_v_u8m1(x, vl), vl)), w, vl);
}

HCK_INLINE vint32m4_t multiply_add_i8(vint32m4_t sum, const int8_t *x, vint16m2_t w, size_t vl) {
    return __riscv_vwmacc(sum, __riscv_vsext_vf2(__riscv_vle8_v_i8m1(x, vl), vl), w, vl);
}

HCK_INLINE vint32m4_t multiply_add_u16(vint32m4_t sum, const uint16_t *x, vint16m2_t w, size_t vl) {
    return __riscv_vwmaccsu(sum, w, __riscv_vle16_v_u16m2(x, vl), vl);
}

HCK_INLINE vint32m4_t multiply_add_i16(vint32m4_t sum, const int16_t *x, vint16m2_t w, size_t vl) {
    return __riscv_vwmacc(sum, __riscv_vle16_v_i16m2(x, vl), w, vl);
}

#define NAME_(a, b, c) a##_##b##_##c
#define NAME(a, b, c) NAME_(a, b, c)
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

/* 16-bit sums: uint8 and int8 elements, three sizes of vectors. */
#define X u8
#define X_TYPE uint8_t
#define MULTIPLY_ADD __riscv_vwmaccus
#include "hck_conv_rvv16_all.inc"
#undef X
#undef X_TYPE
#undef MULTIPLY_ADD
#define X i8
#define X_TYPE int8_t
#define MULTIPLY_ADD __riscv_vwmacc
#include "hck_conv_rvv16_all.inc"
#undef X
#undef X_TYPE
#undef MULTIPLY_ADD

/* 8-bit sums: one kernel for both types of elements. */
#define SIZE mf2
#define WIDE m1
#define EACH HCK_EACH_8
#define MR 8
#define UNROLL 2
#include "hck_conv_rvv8.inc"
#undef SIZE
#undef WIDE
#define SIZE m1
#define WIDE m2
#include "hck_conv_rvv8.inc"
#undef SIZE
#undef WIDE
#undef EACH
#undef MR
#undef UNROLL
#define SIZE m2
#define WIDE m4
#define EACH HCK_EACH_4
#define MR 4
#define UNROLL 4
#include "hck_conv_rvv8.inc"
#undef SIZE
#undef WIDE
#undef EACH
#undef MR
#undef UNROLL

#include "hck_conv_rvv8_long.inc"

/* 32-bit sums: weights are widened to 16 bits, so elements of either width serve. */
#define SCALAR int16_t
#define MULTIPLY __riscv_vwmul
#define MULTIPLY_ADD __riscv_vwmacc
#define X u8
#define X_TYPE uint8_t
#include "hck_conv_rvv32_all.inc"
#undef X
#undef X_TYPE
#define X i8
#define X_TYPE int8_t
#include "hck_conv_rvv32_all.inc"
#undef X
#undef X_TYPE
#define X i16
#define X_TYPE int16_t
#include "hck_conv_rvv32_all.inc"
#undef X
#undef X_TYPE
#undef SCALAR
#undef MULTIPLY
#undef MULTIPLY_ADD
#define SCALAR uint16_t
#define MULTIPLY __riscv_vwmulsu
#define MULTIPLY_ADD __riscv_vwmaccus
#define X u16
#define X_TYPE uint16_t
#include "hck_conv_rvv32_all.inc"

/* 8-bit sums save beats and cost instructions, of which a widening is one for each pixel. Counted under the meter, a
 * 3x3 layer gains by vectors of 64 bytes from 4 products per widening on, of 32 bytes from 12 on, of 16 bytes never. */
static int worth_8_bits(size_t vector_bytes, uint32_t products) {
    return products && (vector_bytes >= 64 || (vector_bytes >= 32 && products >= 12));
}

/* The kernels, by the bits of their sums (8, 16, 32) and then by their vectors: LMUL of the weights in eighths. Those that
 * only a tuner or a pool takes come last. */
typedef struct {
    uint32_t lmul, pixels;
    hck_tile_fn tile[4]; /* by type of elements */
} shape;

#define ANY(NAME) {NAME, NAME}
#define BYTES(SIZE) {tile16_u8_##SIZE, tile16_i8_##SIZE}
#define ALL(SIZE) {tile32_u8_##SIZE, tile32_i8_##SIZE, tile32_u16_##SIZE, tile32_i16_##SIZE}

static const shape shapes[3][4] = {
    {{4, 8, ANY(tile8_x8_mf2)}, {8, 8, ANY(tile8_x8_m1)}, {16, 4, ANY(tile8_x8_m2)}, {32, 4, ANY(tile8_x8_m4)}},
    {{4, 8, BYTES(mf2)}, {8, 8, BYTES(m1)}, {16, 4, BYTES(m2)}, {16, 7, BYTES(m2x7)}},
    {{4, 8, ALL(mf2)}, {8, 7, ALL(m1x7)}, {8, 4, ALL(m1)}},
};

hck_tile hck_tile_rvv(const hck_conv *c) {
    static const hck_tile depthwise[4] = {{depthwise_u8, 4, HCK_I32},
                                          {depthwise_i8, 4, HCK_I32},
                                          {depthwise_u16, 4, HCK_I32},
                                          {depthwise_i16, 4, HCK_I32}};
    const size_t in = c->in_c / c->groups, lanes = c->out_c / c->groups, one = __riscv_vsetvlmax_e8m1();
    if (c->groups > 1 && in == 1 && lanes == 1) return depthwise[c->x_type];
    const hck_choice *chosen = &c->kernel;
    if (chosen->family == HCK_FEW) return hck_tile_rvv_few(c, chosen->pixels);
    size_t sums = !c->flush || c->x_type > HCK_I8 ? 2 : 1, size = 0;
    const int fits = c->flush >= c->kernel_h * c->kernel_w * in;
    if (chosen->family == HCK_BLOCKS) {
        sums = chosen->sums / 16;
        while (size < 3 && (shapes[sums][size].lmul != chosen->lmul || shapes[sums][size].pixels != chosen->pixels)) size++;
    } else if (sums == 1 && c->flush8 && fits && (lanes - 1) % (4 * one) >= 2 * one) {
        sums = 0; /* vectors of LMUL 4 are filled for the most part */
        size = 3;
    } else {
        const size_t most = sums == 2 ? 1 : 2; /* sums of LMUL 4, or as 8-bit ones of 2 with 16-bit ones of 4 */
        size = HCK_MIN(2 * lanes <= one ? 0u : lanes <= one ? 1u : 2u, most);
        if (sums == 1 && worth_8_bits((one << size) / 2, c->flush8)) sums = 0;
        if (sums == 2 && size == 1 && c->pool > 1) size = 2; /* whole windows */
    }
    const int whole = sums < 2 && fits;
    const hck_tile kernel = {shapes[sums][size].tile[c->x_type], shapes[sums][size].pixels, whole ? HCK_I16 : HCK_I32};
    return kernel;
}

#else
typedef int hck_no_rvv; /* C99 wants a declaration in every file */
#endif
