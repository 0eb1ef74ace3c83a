/*
 * Tile kernels for few pixels - fully connected layers, the last pixels of a picture - on RVV 1.0. As in
 * hck_conv_rvv.c, lanes are output channels and activations scalars; the block is as wide as the pixels that exist, up
 * to four, and registers that others spend on pixels hold more channels instead.
 *
 * Where every weight is used for few pixels, widening it costs as much as a product. Sums that leave 16 bits are
 * therefore added up from groups of products that do not: for one pixel, with weights of LMUL 2 on a datapath of one
 * beat per register, 8 + 16 / group beats per vector and product, against 8 + 16 of weights widened to 16 bits.
 *
 * Registers: mr * (EMUL(16-bit sums) + EMUL(32-bit sums)) + EMUL(weights, of two products) <= 32.
 */
#include "hck.h"

#if defined(__riscv_vector)
#include "hck_rvv.h"

/* whole: 16-bit sums of weights up to LMUL 4 (four pixels: 2) */
#define FEW whole
#define KERNEL "hck_few_rvv16.inc"
#define SUM int16_t
#define MORE
#define TOP_1 4
#define TOP_2 4
#define TOP_3 4
#define TOP_4 2
#define X u8
#define X_TYPE uint8_t
#define MULTIPLY_ADD __riscv_vwmaccus
#include "hck_few_rvv_pixels.inc"
#undef X
#undef X_TYPE
#undef MULTIPLY_ADD
#define X i8
#define X_TYPE int8_t
#define MULTIPLY_ADD __riscv_vwmacc
#include "hck_few_rvv_pixels.inc"
#undef X
#undef X_TYPE
#undef MULTIPLY_ADD
#undef FEW
#undef KERNEL
#undef SUM
#undef MORE
#undef TOP_1
#undef TOP_2
#undef TOP_3
#undef TOP_4

/* flushed: 16-bit and 32-bit sums side by side, of weights up to LMUL 2 (three and four pixels: 1) */
#define FEW flushed
#define KERNEL "hck_few_rvv32.inc"
#define SUM int32_t
#define MORE , c->run16
#define TOP_1 2
#define TOP_2 2
#define TOP_3 1
#define TOP_4 1
#define X u8
#define X_TYPE uint8_t
#define MULTIPLY __riscv_vwmulsu
#define MULTIPLY_ADD __riscv_vwmaccus
#include "hck_few_rvv_pixels.inc"
#undef X
#undef X_TYPE
#undef MULTIPLY
#undef MULTIPLY_ADD
#define X i8
#define X_TYPE int8_t
#define MULTIPLY __riscv_vwmul
#define MULTIPLY_ADD __riscv_vwmacc
#include "hck_few_rvv_pixels.inc"
#undef X
#undef X_TYPE
#undef MULTIPLY
#undef MULTIPLY_ADD
#undef FEW
#undef KERNEL
#undef MORE

/* wide: weights widened to 16 bits, sums as above */
#define FEW wide
#define KERNEL "hck_few_rvv_wide.inc"
#define MORE
#define SCALAR int16_t
#define MULTIPLY_ADD __riscv_vwmacc
#define X u8
#define X_TYPE uint8_t
#include "hck_few_rvv_pixels.inc"
#undef X
#undef X_TYPE
#define X i8
#define X_TYPE int8_t
#include "hck_few_rvv_pixels.inc"
#undef X
#undef X_TYPE
#define X i16
#define X_TYPE int16_t
#include "hck_few_rvv_pixels.inc"
#undef X
#undef X_TYPE
#undef SCALAR
#undef MULTIPLY_ADD
#define SCALAR uint16_t
#define MULTIPLY_ADD __riscv_vwmaccus
#define X u16
#define X_TYPE uint16_t
#include "hck_few_rvv_pixels.inc"

#define PIXELS(FEW, X) {tile_##FEW##_##X##_1, tile_##FEW##_##X##_2, tile_##FEW##_##X##_3, tile_##FEW##_##X##_4}

hck_tile hck_tile_rvv_few(const hck_conv *c, size_t rows) {
    static const hck_tile_fn whole[2][4] = {PIXELS(whole, u8), PIXELS(whole, i8)};
    static const hck_tile_fn flushed[2][4] = {PIXELS(flushed, u8), PIXELS(flushed, i8)};
    static const hck_tile_fn wide[4][4] = {PIXELS(wide, u8), PIXELS(wide, i8), PIXELS(wide, u16), PIXELS(wide, i16)};
    const uint32_t mr = (uint32_t)HCK_MIN(rows, 4), products = c->kernel_h * c->kernel_w * (c->in_c / c->groups);
    const int bytes = c->x_type <= HCK_I8 && c->kernel.sums != 32;
    const hck_tile_fn tile = bytes && c->flush >= products ? whole[c->x_type][mr - 1]
                             : bytes && c->run16 >= 2      ? flushed[c->x_type][mr - 1]
                                                           : wide[c->x_type][mr - 1];
    const hck_tile kernel = {tile, mr, bytes && c->flush >= products ? HCK_I16 : HCK_I32};
    return kernel;
}

#else
typedef int hck_no_few; /* C99 wants a declaration in every file */
#endif
