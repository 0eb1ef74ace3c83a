/* Element access by run-time type; inlined with a constant type it is one load or store. */
#ifndef HCK_ELEMENT_H
#define HCK_ELEMENT_H

#include "hck.h"

HCK_INLINE int32_t hck_get(const void *x, hck_type type, size_t i) {
    switch (type) {
        case HCK_U8: return ((const uint8_t *)x)[i];
        case HCK_I8: return ((const int8_t *)x)[i];
        case HCK_U16: return ((const uint16_t *)x)[i];
        case HCK_I16: return ((const int16_t *)x)[i];
        default: return ((const int32_t *)x)[i];
    }
}

HCK_INLINE void hck_put(void *y, hck_type type, size_t i, int32_t value) {
    switch (type) {
        case HCK_U8: ((uint8_t *)y)[i] = (uint8_t)value; break;
        case HCK_I8: ((int8_t *)y)[i] = (int8_t)value; break;
        case HCK_U16: ((uint16_t *)y)[i] = (uint16_t)value; break;
        case HCK_I16: ((int16_t *)y)[i] = (int16_t)value; break;
        default: ((int32_t *)y)[i] = value; break;
    }
}

/* Calls `f(type, ...)` with a constant type, so that f's inlined body is specialised. */
#define HCK_BY_TYPE(type, f, ...)                  \
    switch (type) {                                \
        case HCK_U8: f(HCK_U8, __VA_ARGS__); break;   \
        case HCK_I8: f(HCK_I8, __VA_ARGS__); break;   \
        case HCK_U16: f(HCK_U16, __VA_ARGS__); break; \
        case HCK_I16: f(HCK_I16, __VA_ARGS__); break; \
        default: f(HCK_I32, __VA_ARGS__); break;      \
    }

#if defined(__riscv_vector)
#include <riscv_vector.h>

/* `vl` elements from index i on, as 32-bit integers. */
HCK_INLINE vint32m4_t hck_vload(hck_type type, const void *x, size_t i, size_t vl) {
    switch (type) {
        case HCK_I8: return __riscv_vsext_vf4(__riscv_vle8_v_i8m1((const int8_t *)x + i, vl), vl);
        case HCK_I16: return __riscv_vsext_vf2(__riscv_vle16_v_i16m2((const int16_t *)x + i, vl), vl);
        case HCK_I32: return __riscv_vle32_v_i32m4((const int32_t *)x + i, vl);
        default: break;
    }
    const vuint32m4_t wide = type == HCK_U8 ? __riscv_vzext_vf4(__riscv_vle8_v_u8m1((const uint8_t *)x + i, vl), vl)
                                            : __riscv_vzext_vf2(__riscv_vle16_v_u16m2((const uint16_t *)x + i, vl), vl);
    return __riscv_vreinterpret_i32m4(wide);
}

/* The values fit the type; signedness does not matter to the bits stored. */
HCK_INLINE void hck_vstore(hck_type type, void *y, size_t i, vint32m4_t value, size_t vl) {
    if (type == HCK_I32) {
        __riscv_vse32((int32_t *)y + i, value, vl);
        return;
    }
    const vint16m2_t half = __riscv_vncvt_x(value, vl);
    if (hck_size(type) == 2)
        __riscv_vse16((int16_t *)y + i, half, vl);
    else
        __riscv_vse8((int8_t *)y + i, __riscv_vncvt_x(half, vl), vl);
}
#endif

/* memcpy; pixels are too short for a call to pay where vectors copy them. */
HCK_INLINE void hck_copy(void *to, const void *from, size_t bytes) {
#if defined(__riscv_vector)
    uint8_t *y = (uint8_t *)to;
    const uint8_t *x = (const uint8_t *)from;
    for (size_t vl; bytes; bytes -= vl, x += vl, y += vl) {
        vl = __riscv_vsetvl_e8m8(bytes);
        __riscv_vse8(y, __riscv_vle8_v_u8m8(x, vl), vl);
    }
#else
    memcpy(to, from, bytes);
#endif
}

#endif
