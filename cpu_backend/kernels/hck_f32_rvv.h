/* What the float32 kernels on RVV share: the end of a layer, for a vector of channels. */
#ifndef HCK_F32_RVV_H
#define HCK_F32_RVV_H

#if defined(__riscv_vector)
#include <riscv_vector.h>

#include "hck_f32.h"

/* v < 0 times the slope is max(v, 0) + slope * min(v, 0): without a mask. */
#define HCK_F32_ENDED(LMUL)                                                                                           \
    HCK_INLINE vfloat32##LMUL##_t hck_f32_ended_##LMUL(const hck_f32_end *end, size_t channel, vfloat32##LMUL##_t v,  \
                                                       size_t vl) {                                                   \
        if (end->slope)                                                                                               \
            v = __riscv_vfmacc(__riscv_vfmax(v, 0, vl), __riscv_vfmin(v, 0, vl),                                      \
                               __riscv_vle32_v_f32##LMUL(end->slope + channel, vl), vl);                              \
        if (end->lo > -HCK_INFINITY) v = __riscv_vfmax(v, end->lo, vl);                                               \
        return end->hi < HCK_INFINITY ? __riscv_vfmin(v, end->hi, vl) : v;                                            \
    }

HCK_F32_ENDED(m1)
HCK_F32_ENDED(m2)
HCK_F32_ENDED(m4)
HCK_F32_ENDED(m8)

#endif
#endif
