/* Float32 maps, sums, products; sigmoid and softmax. */
#include "hck_element.h"
#include "hck_f32.h"

#if defined(__riscv_vector)
#include "hck_f32_rvv.h"

HCK_INLINE vfloat32m4_t load(hck_type type, const void *x, size_t i, size_t vl) {
    if (type == HCK_F32) return __riscv_vle32_v_f32m4((const float *)x + i, vl);
    return __riscv_vfcvt_f_x_v_f32m4(hck_vload(type, x, i, vl), vl);
}

static void map_row(const hck_f32_map *m, const void *x, size_t i, float *y) {
    for (size_t c = 0, vl; c < m->channels; c += vl) {
        vl = __riscv_vsetvl_e32m4(m->channels - c);
        vfloat32m4_t v = load(m->x_type, x, i + c, vl);
        if (m->scale)
            v = __riscv_vfmadd(v, __riscv_vle32_v_f32m4(m->scale + c, vl), __riscv_vle32_v_f32m4(m->offset + c, vl), vl);
        __riscv_vse32(y + c, hck_f32_ended_m4(&m->end, c, v, vl), vl);
    }
}

#define EACH(NAME, COMBINE)                                                                                   \
    static void NAME(const hck_f32_pair *p, const float *a, const float *b, float *y) {                       \
        for (size_t c = 0, vl; c < p->channels; c += vl) {                                                    \
            vl = __riscv_vsetvl_e32m4(p->channels - c);                                                       \
            const vfloat32m4_t x = __riscv_vle32_v_f32m4(a + c, vl);                                          \
            const vfloat32m4_t v =                                                                            \
                p->b_channel ? COMBINE(x, __riscv_vle32_v_f32m4(b + c, vl), vl) : COMBINE(x, b[0], vl);       \
            __riscv_vse32(y + c, hck_f32_ended_m4(&p->end, c, v, vl), vl);                                    \
        }                                                                                                     \
    }
EACH(add_pixel, __riscv_vfadd)
EACH(multiply_pixel, __riscv_vfmul)
#else

HCK_INLINE float ended(const hck_f32_end *end, size_t channel, float value) {
    if (end->slope && value < 0) value *= end->slope[channel];
    value = value < end->lo ? end->lo : value;
    return value > end->hi ? end->hi : value;
}

HCK_INLINE float load(hck_type type, const void *x, size_t i) {
    return type == HCK_F32 ? ((const float *)x)[i] : (float)hck_get(x, type, i);
}

static void map_row(const hck_f32_map *m, const void *x, size_t i, float *y) {
    for (size_t c = 0; c < m->channels; c++) {
        const float value = load(m->x_type, x, i + c);
        y[c] = ended(&m->end, c, m->scale ? value * m->scale[c] + m->offset[c] : value);
    }
}

#define EACH(NAME, SIGN)                                                                                      \
    static void NAME(const hck_f32_pair *p, const float *a, const float *b, float *y) {                       \
        for (size_t c = 0; c < p->channels; c++) y[c] = ended(&p->end, c, a[c] SIGN b[c * p->b_channel]);     \
    }
EACH(add_pixel, +)
EACH(multiply_pixel, *)
#endif

void hck_f32_map_rows(const hck_f32_map *m, const void *x, float *y, size_t y_stride) {
    for (size_t p = 0; p < m->pixels; p++) map_row(m, x, p * m->channels, y + p * y_stride);
}

void hck_f32_add(const hck_f32_pair *p, const float *a, const float *b, float *y, size_t y_stride) {
    for (size_t r = 0; r < p->pixels; r++) add_pixel(p, a + r * p->channels, b + r * p->b_pixel, y + r * y_stride);
}

void hck_f32_multiply(const hck_f32_pair *p, const float *a, const float *b, float *y, size_t y_stride) {
    for (size_t r = 0; r < p->pixels; r++) multiply_pixel(p, a + r * p->channels, b + r * p->b_pixel, y + r * y_stride);
}

/* exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2) / 2: ln 2 in two parts, so that n times the first is exact
 * (Cody and Waite); exp(r) by its series to r^7, whose rest is below 2^-27. */
float hck_f32_exp(float x) {
    if (x < -87.3f) return 0.0f;
    if (x > 88.7f) return HCK_INFINITY;
    const float scaled = x * 1.44269504f;
    const int32_t n = (int32_t)(scaled + (scaled < 0 ? -0.5f : 0.5f));
    const float r = (x - (float)n * 0.693359375f) + (float)n * 2.12194440e-4f;
    float sum = 1.98412698e-4f;
    sum = sum * r + 1.38888889e-3f;
    sum = sum * r + 8.33333333e-3f;
    sum = sum * r + 4.16666667e-2f;
    sum = sum * r + 1.66666667e-1f;
    sum = sum * r + 0.5f;
    const float power = 1.0f + (r + r * r * sum);
    const uint32_t bits[2] = {(uint32_t)(n / 2 + 127) << 23, (uint32_t)(n - n / 2 + 127) << 23};
    float half[2]; /* 2^n in two steps: n may be 128 */
    memcpy(half, bits, sizeof half);
    return power * half[0] * half[1];
}

void hck_f32_sigmoid(const float *x, float *y, size_t y_stride, size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) {
            const float v = x[p * channels + c], e = hck_f32_exp(v < 0 ? v : -v);
            y[p * y_stride + c] = (v < 0 ? e : 1.0f) / (1.0f + e);
        }
}

void hck_f32_softmax(const float *x, float *y, size_t y_stride, size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++, x += channels, y += y_stride) {
        float most = x[0], sum = 0.0f;
        for (size_t c = 1; c < channels; c++) most = x[c] > most ? x[c] : most;
        for (size_t c = 0; c < channels; c++) sum += y[c] = hck_f32_exp(x[c] - most);
        for (size_t c = 0; c < channels; c++) y[c] /= sum;
    }
}
