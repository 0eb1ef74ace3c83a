/* The end of a multiply-shift to results of 8 bits, on RVV: shift, clip and store. */
#ifndef HCK_NARROW_H
#define HCK_NARROW_H

#include "hck_element.h"

#if defined(__riscv_vector)

/* Whether hck_put_narrow stores what this map makes: 32-bit arithmetic, results within 8 bits. */
HCK_INLINE int hck_is_narrow(const hck_requantise *q) {
    return q->map == HCK_MULTIPLY_SHIFT && q->add &&
           ((q->y_type == HCK_I8 && INT8_MIN <= q->lo && q->hi <= INT8_MAX) ||
            (q->y_type == HCK_U8 && 0 <= q->lo && q->hi <= UINT8_MAX));
}

/* clip(half >> shift, lo, hi), of which the bounds times 1 << shift fit 16 bits. Narrowing saturates at 8 bits, which is
 * right because lo and hi lie within. */
HCK_INLINE void hck_put_half(vint16m2_t half, uint32_t shift, int32_t lo, int32_t hi, void *y, size_t vl) {
    if (hi <= INT8_MAX) {
        vint8m1_t value = __riscv_vnclip(half, shift, __RISCV_VXRM_RDN, vl);
        if (lo > INT8_MIN) value = __riscv_vmax(value, (int8_t)lo, vl);
        if (hi < INT8_MAX) value = __riscv_vmin(value, (int8_t)hi, vl);
        __riscv_vse8((int8_t *)y, value, vl);
    } else {
        const vuint16m2_t positive = __riscv_vreinterpret_u16m2(__riscv_vmax(half, (int16_t)(lo << shift), vl));
        vuint8m1_t value = __riscv_vnclipu(positive, shift, __RISCV_VXRM_RDN, vl);
        if (hi < UINT8_MAX) value = __riscv_vminu(value, (uint8_t)hi, vl);
        __riscv_vse8((uint8_t *)y, value, vl);
    }
}

/* clip(scaled >> shift, lo, hi). The shift narrows at once, rounding down, so that clipping works on fewer beats. */
HCK_INLINE void hck_put_narrow(vint32m4_t scaled, uint32_t shift, int32_t lo, int32_t hi, void *y, size_t vl) {
    hck_put_half(__riscv_vnclip(scaled, shift, __RISCV_VXRM_RDN, vl), 0, lo, hi, y, vl);
}

#endif

#endif
