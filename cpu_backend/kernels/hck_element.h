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

#endif
