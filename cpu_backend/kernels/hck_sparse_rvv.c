/*
 * Tiles of the column-pruned convolution on RVV 1.0: a row of the panel, a vector of pixels, times a scalar weight for
 * each of the tile's channels.
 *
 * Registers: channels * EMUL(run) + EMUL(x) + temporaries <= 32. Runs have EMUL 4, so that an instruction works for
 * several beats and the loads of scalar weights hide behind them even where VLEN is 128; with seven channels and a row
 * of at most EMUL 4, 32 registers are in use, so what is flushed at the end of a run goes in halves.
 */
#include "hck_sparse.h"

#if defined(__riscv_vector)
#include <riscv_vector.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME_(a, b) a##_##b
#define NAME(a, b) NAME_(a, b)

/* The runs' conversions stay where they are written: all at once, there are no registers for them. */
#define IN_ORDER(v) __asm__ volatile("" : "+vr"(v) : : "memory")

/* Adds (or, where fresh, sets) the sums of a row in memory. */
HCK_INLINE void add_half(int16_t *row, vint8m2_t run, int fresh, size_t vl) {
    IN_ORDER(run);
    if (fresh)
        __riscv_vse16(row, __riscv_vsext_vf2(run, vl), vl);
    else
        __riscv_vse16(row, __riscv_vwadd_wv(__riscv_vle16_v_i16m4(row, vl), run, vl), vl);
}

HCK_INLINE void add_halves(int16_t *row, vint8m4_t run, int fresh, size_t vl) {
    const size_t half = __riscv_vsetvlmax_e8m2(), low = HCK_MIN(vl, half);
    add_half(row, __riscv_vget_i8m2(run, 0), fresh, low);
    add_half(row + low, __riscv_vget_i8m2(run, 1), fresh, vl - low);
}

HCK_INLINE void add_half_words(int32_t *row, vint16m2_t run, int fresh, size_t vl) {
    IN_ORDER(run);
    if (fresh)
        __riscv_vse32(row, __riscv_vsext_vf2(run, vl), vl);
    else
        __riscv_vse32(row, __riscv_vwadd_wv(__riscv_vle32_v_i32m4(row, vl), run, vl), vl);
}

HCK_INLINE void add_words(int32_t *row, vint16m4_t run, int fresh, size_t vl) {
    const size_t half = __riscv_vsetvlmax_e16m2(), low = HCK_MIN(vl, half);
    add_half_words(row, __riscv_vget_i16m2(run, 0), fresh, low);
    add_half_words(row + low, __riscv_vget_i16m2(run, 1), fresh, vl - low);
}

HCK_INLINE void add_16(int16_t *row, vint16m4_t run, int fresh, size_t vl) {
    if (!fresh) run = __riscv_vadd(run, __riscv_vle16_v_i16m4(row, vl), vl);
    __riscv_vse16(row, run, vl);
}

HCK_INLINE void add_32(int32_t *row, vint32m4_t run, int fresh, size_t vl) {
    if (!fresh) run = __riscv_vadd(run, __riscv_vle32_v_i32m4(row, vl), vl);
    __riscv_vse32(row, run, vl);
}

HCK_INLINE void add_float(float *row, vfloat32m4_t run, int fresh, size_t vl) {
    if (!fresh) run = __riscv_vfadd(run, __riscv_vle32_v_f32m4(row, vl), vl);
    __riscv_vse32(row, run, vl);
}

/* Each: the run's vector type and its zero, the panel's and how to load it, the weight's, the products, the flush; what
 * stands between columns: rows of EMUL 4 are loaded one at a time, for two there are no registers. */
#define ONE_ROW __asm__ volatile("" : : : "memory");
#define ANY_ROWS
#define BETWEEN ONE_ROW
#define W_TYPE int8_t
#define RUN_ZERO(vl) __riscv_vmv_v_x_i8m4(0, vl)
#define RUN vint8m4_t
#define X_TYPE int8_t
#define X_VECTOR vint8m4_t
#define X_LOAD __riscv_vle8_v_i8m4
#define MULTIPLY(w, x, vl) __riscv_vmul(x, w, vl)
#define MULTIPLY_ADD(run, w, x, vl) __riscv_vmacc(run, w, x, vl)
#define KERNEL run8_sum16
#define SUM int16_t
#define FLUSH add_halves
#include "hck_sparse_rvv_all.inc"
#undef BETWEEN
#define BETWEEN ANY_ROWS
#undef RUN_ZERO
#undef RUN
#undef X_VECTOR
#undef X_LOAD
#undef MULTIPLY
#undef MULTIPLY_ADD
#undef KERNEL

#define RUN_ZERO(vl) __riscv_vmv_v_x_i16m4(0, vl)
#define RUN vint16m4_t
#define X_VECTOR vint8m2_t
#define X_LOAD __riscv_vle8_v_i8m2
#define MULTIPLY(w, x, vl) __riscv_vwmul(x, w, vl)
#define MULTIPLY_ADD(run, w, x, vl) __riscv_vwmacc(run, w, x, vl)
#undef FLUSH
#define FLUSH add_16
#define KERNEL run16_sum16_i8
#include "hck_sparse_rvv_all.inc"
#undef KERNEL
#undef SUM
#undef FLUSH
#define SUM int32_t
#define FLUSH add_words
#define KERNEL run16_sum32_i8
#include "hck_sparse_rvv_all.inc"
#undef KERNEL
#undef X_TYPE
#undef X_VECTOR
#undef X_LOAD
#undef MULTIPLY
#undef MULTIPLY_ADD
#define X_TYPE uint8_t
#define X_VECTOR vuint8m2_t
#define X_LOAD __riscv_vle8_v_u8m2
#define MULTIPLY(w, x, vl) MULTIPLY_ADD(RUN_ZERO(vl), w, x, vl) /* none with a signed scalar */
#define MULTIPLY_ADD(run, w, x, vl) __riscv_vwmaccsu(run, w, x, vl)
#define KERNEL run16_sum32_u8
#include "hck_sparse_rvv_all.inc"
#undef KERNEL
#undef SUM
#undef FLUSH
#define SUM int16_t
#define FLUSH add_16
#define KERNEL run16_sum16_u8
#include "hck_sparse_rvv_all.inc"
#undef KERNEL
#undef SUM
#undef FLUSH
#undef RUN_ZERO
#undef RUN
#undef X_TYPE
#undef X_VECTOR
#undef X_LOAD

#define SUM int32_t
#define FLUSH add_32
#define RUN_ZERO(vl) __riscv_vmv_v_x_i32m4(0, vl)
#define RUN vint32m4_t
#define X_TYPE uint16_t
#define X_VECTOR vuint16m2_t
#define X_LOAD __riscv_vle16_v_u16m2
#define KERNEL run32_sum32_u16
#include "hck_sparse_rvv_all.inc"
#undef KERNEL
#undef X_TYPE
#undef X_VECTOR
#undef X_LOAD
#undef MULTIPLY
#undef MULTIPLY_ADD
#define X_TYPE int16_t
#define X_VECTOR vint16m2_t
#define X_LOAD __riscv_vle16_v_i16m2
#define MULTIPLY(w, x, vl) __riscv_vwmul(x, w, vl)
#define MULTIPLY_ADD(run, w, x, vl) __riscv_vwmacc(run, w, x, vl)
#define KERNEL run32_sum32_i16
#include "hck_sparse_rvv_all.inc"
#undef KERNEL
#undef SUM
#undef FLUSH
#undef RUN_ZERO
#undef RUN
#undef X_TYPE
#undef X_VECTOR
#undef X_LOAD
#undef MULTIPLY
#undef MULTIPLY_ADD
#undef W_TYPE

#define W_TYPE float
#define SUM float
#define FLUSH add_float
#define RUN_ZERO(vl) __riscv_vfmv_v_f_f32m4(0, vl)
#define RUN vfloat32m4_t
#define X_TYPE float
#define X_VECTOR vfloat32m4_t
#define X_LOAD __riscv_vle32_v_f32m4
#define MULTIPLY(w, x, vl) __riscv_vfmul(x, w, vl)
#define MULTIPLY_ADD(run, w, x, vl) __riscv_vfmacc(run, w, x, vl)
#define KERNEL run_float
#undef BETWEEN
#define BETWEEN ONE_ROW
#include "hck_sparse_rvv_all.inc"

#define SIZES(KERNEL)                                                                                        \
    {                                                                                                        \
        tile_1_##KERNEL, tile_2_##KERNEL, tile_3_##KERNEL, tile_4_##KERNEL, tile_5_##KERNEL, tile_6_##KERNEL, \
            tile_7_##KERNEL                                                                                  \
    }

void hck_sparse_rvv(const hck_sparse *c, hck_sparse_kernel *kernel) {
    static const hck_sparse_fn tiles[][2][HCK_TILE] = {
        [HCK_RUN8_SUM16] = {SIZES(run8_sum16), SIZES(run8_sum16)},
        [HCK_RUN16_SUM16] = {SIZES(run16_sum16_u8), SIZES(run16_sum16_i8)},
        [HCK_RUN16_SUM32] = {SIZES(run16_sum32_u8), SIZES(run16_sum32_i8)},
        [HCK_RUN32_SUM32] = {SIZES(run32_sum32_u16), SIZES(run32_sum32_i16)},
        [HCK_RUN_FLOAT] = {SIZES(run_float), SIZES(run_float)}};
    const int is_signed = c->plane_type == HCK_I8 || c->plane_type == HCK_I16;
    for (size_t n = 0; n < HCK_TILE; n++) kernel->tile[n] = tiles[c->sums][is_signed][n];
    kernel->sums = c->sums == HCK_RUN8_SUM16 || c->sums == HCK_RUN16_SUM16 ? HCK_I16 : HCK_I32;
    /* as many pixels as a run has elements, and as both rows and sums have room for */
    const size_t run = c->sums == HCK_RUN8_SUM16 ? 1 : c->sums <= HCK_RUN16_SUM32 ? 2 : 4;
    const size_t most = HCK_SUM_BYTES / (kernel->sums == HCK_I16 ? 2 : 4), room = HCK_ROW_BYTES / hck_plane_bytes(c);
    const size_t vector = __riscv_vsetvlmax_e8m4() / run;
    kernel->pixels = (uint32_t)HCK_MIN(vector, HCK_MIN(most, room));
}

#else
typedef int hck_no_sparse_rvv; /* C99 wants a declaration in every file */
#endif
