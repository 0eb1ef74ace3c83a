/* What the files of RVV kernels that are instantiated by inclusion share. */
#ifndef HCK_RVV_H
#define HCK_RVV_H

#include "hck.h"

#if defined(__riscv_vector)
#include <riscv_vector.h>

/* Adds 16-bit sums to a row of 32-bit ones (sets it the first time). */
HCK_INLINE void hck_flush_m1(int32_t *row, vint16m1_t sum, int first, size_t vl) {
    if (first)
        __riscv_vse32(row, __riscv_vsext_vf2(sum, vl), vl);
    else
        __riscv_vse32(row, __riscv_vwadd_wv(__riscv_vle32_v_i32m2(row, vl), sum, vl), vl);
}

HCK_INLINE void hck_flush_m2(int32_t *row, vint16m2_t sum, int first, size_t vl) {
    if (first)
        __riscv_vse32(row, __riscv_vsext_vf2(sum, vl), vl);
    else
        __riscv_vse32(row, __riscv_vwadd_wv(__riscv_vle32_v_i32m4(row, vl), sum, vl), vl);
}

HCK_INLINE void hck_flush_m4(int32_t *row, vint16m4_t sum, int first, size_t vl) {
    const size_t half = __riscv_vsetvlmax_e16m2(), low = HCK_MIN(vl, half); /* in halves: eight registers fewer */
    hck_flush_m2(row, __riscv_vget_i16m2(sum, 0), first, low);
    hck_flush_m2(row + low, __riscv_vget_i16m2(sum, 1), first, vl - low);
}
#endif

#define HCK_EACH_1(M) M(0)
#define HCK_EACH_2(M) HCK_EACH_1(M) M(1)
#define HCK_EACH_3(M) HCK_EACH_2(M) M(2)
#define HCK_EACH_4(M) HCK_EACH_3(M) M(3)
#define HCK_EACH_7(M) HCK_EACH_4(M) M(4) M(5) M(6)
#define HCK_EACH_8(M) HCK_EACH_7(M) M(7)

#define HCK_JOIN_(a, b) a##b
#define HCK_JOIN(a, b) HCK_JOIN_(a, b)
#define HCK_NAME_(a, b, c, d) a##_##b##_##c##_##d
#define HCK_NAME(a, b, c, d) HCK_NAME_(a, b, c, d)

#endif
