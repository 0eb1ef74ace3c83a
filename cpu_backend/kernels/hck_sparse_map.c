/* Maps where lanes are pixels: the constants of a channel are scalars, for all results of a panel. */
#include "hck_element.h"
#include "hck_sparse.h"

#if defined(__riscv_vector)

/* Where `lanes` results of a channel go. */
typedef struct {
    uint8_t *y;
    ptrdiff_t step; /* bytes from result to result */
} target;

HCK_INLINE int fits_16(int32_t value) {
    return value >= INT16_MIN && value <= INT16_MAX;
}

HCK_INLINE void store_8(target to, size_t element, vint8m1_t value, size_t vl) {
    int8_t *y = (int8_t *)to.y + (ptrdiff_t)element * to.step;
    if (to.step == 1)
        __riscv_vse8(y, value, vl);
    else
        __riscv_vsse8(y, to.step, value, vl);
}

HCK_INLINE void store_16(target to, size_t element, vint16m2_t value, size_t vl) {
    int16_t *y = (int16_t *)(void *)(to.y + (ptrdiff_t)element * to.step);
    if (to.step == 2)
        __riscv_vse16(y, value, vl);
    else
        __riscv_vsse16(y, to.step, value, vl);
}

HCK_INLINE void store_32(target to, size_t element, vint32m4_t value, size_t vl) {
    int32_t *y = (int32_t *)(void *)(to.y + (ptrdiff_t)element * to.step);
    if (to.step == 4)
        __riscv_vse32(y, value, vl);
    else
        __riscv_vsse32(y, to.step, value, vl);
}

HCK_INLINE void store(hck_type type, target to, size_t element, vint32m4_t value, size_t vl) {
    if (hck_size(type) == 1)
        store_8(to, element, __riscv_vncvt_x(__riscv_vncvt_x(value, vl), vl), vl);
    else if (hck_size(type) == 2)
        store_16(to, element, __riscv_vncvt_x(value, vl), vl);
    else
        store_32(to, element, value, vl);
}

HCK_INLINE void store_half(hck_type type, target to, size_t element, vint16m2_t value, size_t vl) {
    if (hck_size(type) == 1)
        store_8(to, element, __riscv_vncvt_x(value, vl), vl);
    else
        store_16(to, element, value, vl);
}

/* The maximum over the `pool` sums of each result, `apart` elements apart. */
HCK_INLINE vint32m4_t load_sums(hck_type type, const void *sums, size_t i, unsigned pool, size_t apart, size_t vl) {
    vint32m4_t value = hck_vload(type, sums, i, vl);
    for (unsigned k = 1; k < pool; k++) value = __riscv_vmax(value, hck_vload(type, sums, i + k * apart, vl), vl);
    return value;
}

HCK_INLINE vint16m2_t load_halves(const void *sums, size_t i, unsigned pool, size_t apart, size_t vl) {
    const int16_t *from = (const int16_t *)sums + i;
    vint16m2_t value = __riscv_vle16_v_i16m2(from, vl);
    for (unsigned k = 1; k < pool; k++) value = __riscv_vmax(value, __riscv_vle16_v_i16m2(from + k * apart, vl), vl);
    return value;
}

HCK_INLINE vint32m4_t multiply_wide(const hck_requantise *q, vint32m4_t x, size_t c, size_t vl) {
    vint64m8_t scaled = __riscv_vadd(__riscv_vwmul(x, q->mul[c], vl), q->wide_add[c], vl);
    scaled = __riscv_vsra(scaled, q->shift, vl);
    return __riscv_vncvt_x(__riscv_vmin(__riscv_vmax(scaled, q->lo, vl), q->hi, vl), vl);
}

/* x >= t is x > t - 1, and no threshold is the lowest integer. */
HCK_INLINE vint32m4_t count_thresholds(const hck_requantise *q, vint32m4_t x, size_t c, size_t vl) {
    vint32m4_t level = __riscv_vmv_v_x_i32m4(q->offset, vl);
    if (q->sign) x = __riscv_vmul(x, q->sign[c], vl);
    for (size_t t = 0; t < q->levels; t++)
        level = __riscv_vadd_mu(__riscv_vmsgt(x, q->table[t * q->channels + c] - 1, vl), level, level, q->step, vl);
    return level;
}

/* x << shift where x >= 0, else x * mul[c]: what overflows in the branch not taken is dropped. */
HCK_INLINE vint32m4_t bend(const hck_requantise *q, vint32m4_t x, size_t c, size_t vl) {
    return __riscv_vmul_mu(__riscv_vmslt(x, 0, vl), __riscv_vsll(x, q->shift, vl), x, q->mul[c], vl);
}

HCK_INLINE vint32m4_t map(const hck_requantise *q, vint32m4_t x, size_t c, size_t vl) {
    switch (q->map) {
        case HCK_MULTIPLY_SHIFT:
            if (!q->add) return multiply_wide(q, x, c, vl);
            if (q->least) x = __riscv_vmin(__riscv_vmax(x, q->least[c], vl), q->most[c], vl);
            x = __riscv_vsra(__riscv_vadd(__riscv_vmul(x, q->mul[c], vl), q->add[c], vl), q->shift, vl);
            return __riscv_vmin(__riscv_vmax(x, q->lo, vl), q->hi, vl);
        case HCK_THRESHOLDS: return count_thresholds(q, x, c, vl);
        case HCK_CLIP: return __riscv_vmin(__riscv_vmax(x, q->lo, vl), q->hi, vl);
        case HCK_ADD: return __riscv_vadd(x, q->add[c], vl);
        case HCK_PRELU: return bend(q, x, c, vl);
        case HCK_RPRELU: return __riscv_vadd(bend(q, __riscv_vadd(x, q->add[c], vl), c, vl), q->after[c], vl);
        default: return x;
    }
}

/* What the channels of a panel have in common. */
typedef struct {
    const void *sums;
    hck_sparse_channels channels;
    size_t pixels, count, apart; /* sums of a channel; results; elements between the sums of a result */
    unsigned pool;
    target to;
    size_t channel_bytes; /* from channel to channel of the result */
} panel;

/* A multiply-shift of 16-bit sums to results of at most 16 bits, products in 32: the shift narrows and saturates, the
 * bounds are met in 16. One channel. */
HCK_INLINE void multiply_shift_halves(const panel *p, const int16_t *sums, size_t bytes, int16_t mul, int32_t add,
                                      size_t shift, int16_t lo, int16_t hi, uint8_t *y) {
    const ptrdiff_t step = p->to.step;
    for (size_t i = 0, vl; i < p->count; i += vl, y += (ptrdiff_t)vl * step) {
        vl = __riscv_vsetvl_e16m4(p->count - i);
        vint16m4_t half = __riscv_vle16_v_i16m4(sums + i, vl);
        for (unsigned k = 1; k < p->pool; k++)
            half = __riscv_vmax(half, __riscv_vle16_v_i16m4(sums + i + k * p->apart, vl), vl);
        half = __riscv_vnclip(__riscv_vadd(__riscv_vwmul(half, mul, vl), add, vl), shift, __RISCV_VXRM_RDN, vl);
        half = __riscv_vmin(__riscv_vmax(half, lo, vl), hi, vl);
        if (bytes == 2 && step == 2)
            __riscv_vse16((int16_t *)(void *)y, half, vl);
        else if (bytes == 2)
            __riscv_vsse16((int16_t *)(void *)y, step, half, vl);
        else if (step == 1)
            __riscv_vse8((int8_t *)y, __riscv_vncvt_x(half, vl), vl);
        else
            __riscv_vsse8((int8_t *)y, step, __riscv_vncvt_x(half, vl), vl);
    }
}

/* The same for any sums and multipliers, half as many at a time. */
HCK_INLINE void multiply_shift_words(hck_type type, const panel *p, const void *sums, size_t bytes, int32_t mul,
                                     int32_t add, size_t shift, int16_t lo, int16_t hi, uint8_t *y) {
    const ptrdiff_t step = p->to.step;
    for (size_t i = 0, vl; i < p->count; i += vl, y += (ptrdiff_t)vl * step) {
        vl = __riscv_vsetvl_e32m4(p->count - i);
        const vint32m4_t x = load_sums(type, sums, i, p->pool, p->apart, vl);
        vint16m2_t half = __riscv_vnclip(__riscv_vadd(__riscv_vmul(x, mul, vl), add, vl), shift, __RISCV_VXRM_RDN, vl);
        half = __riscv_vmin(__riscv_vmax(half, lo, vl), hi, vl);
        const target to = {y, step};
        if (bytes == 2)
            store_16(to, 0, half, vl);
        else
            store_8(to, 0, __riscv_vncvt_x(half, vl), vl);
    }
}

/* What is proven to need no more than 16 bits (before): the results of one channel's sums, as bytes. The bounds are
 * those of a result; times 1 << shift they fit 16 bits. */
#define IN_16_BITS(LMUL, BYTES_LMUL)                                                                                  \
    HCK_INLINE vuint8##BYTES_LMUL##_t in_16_bits_##LMUL(const panel *p, const hck_requantise *q, const int16_t *sums, \
                                                        size_t o, size_t vl) {                                        \
        const unsigned shift = q->shift - 15u;                                                                        \
        vint16##LMUL##_t half = __riscv_vle16_v_i16##LMUL(sums, vl);                                                  \
        for (unsigned k = 1; k < p->pool; k++)                                                                        \
            half = __riscv_vmax(half, __riscv_vle16_v_i16##LMUL(sums + k * p->apart, vl), vl);                        \
        half = __riscv_vadd(half, q->before[o], vl);                                                                  \
        half = __riscv_vsmul(half, (int16_t)q->mul[o], __RISCV_VXRM_RDN, vl);                                         \
        if (q->hi > INT8_MAX) {                                                                                       \
            half = __riscv_vmax(half, (int16_t)(q->lo << shift), vl);                                                 \
            const vuint16##LMUL##_t positive = __riscv_vreinterpret_u16##LMUL(half);                                  \
            return __riscv_vminu(__riscv_vnclipu(positive, shift, __RISCV_VXRM_RDN, vl), (uint8_t)q->hi, vl);         \
        }                                                                                                             \
        vint8##BYTES_LMUL##_t value = __riscv_vnclip(half, shift, __RISCV_VXRM_RDN, vl);                              \
        if (q->above) return __riscv_vssubu(__riscv_vreinterpret_u8##BYTES_LMUL(value), (uint8_t)q->above, vl);       \
        value = __riscv_vmin(__riscv_vmax(value, (int8_t)q->lo, vl), (int8_t)q->hi, vl);                              \
        return __riscv_vreinterpret_u8##BYTES_LMUL(value);                                                            \
    }

IN_16_BITS(m2, m1)
IN_16_BITS(m4, m2)

HCK_INLINE vuint16m2_t zip_bytes(vuint8m1_t even, vuint8m1_t odd, size_t vl) {
    return __riscv_vwmaccu(__riscv_vwaddu_vv(even, odd, vl), UINT8_MAX, odd, vl);
}

HCK_INLINE vuint32m4_t zip_halves(vuint16m2_t even, vuint16m2_t odd, size_t vl) {
    return __riscv_vwmaccu(__riscv_vwaddu_vv(even, odd, vl), UINT16_MAX, odd, vl);
}

/* Four neighbouring channels of HWC results: each lane of a strided store costs, so it stores four. */
HCK_INLINE void four_channels(const panel *p, const hck_requantise *q, const int16_t *sums, size_t o, uint8_t *y) {
    for (size_t i = 0, vl; i < p->count; i += vl, sums += vl, y += (ptrdiff_t)vl * p->to.step) {
        vl = __riscv_vsetvl_e16m2(p->count - i);
        const vuint8m1_t a = in_16_bits_m2(p, q, sums, o, vl), b = in_16_bits_m2(p, q, sums + p->pixels, o + 1, vl);
        const vuint8m1_t c = in_16_bits_m2(p, q, sums + 2 * p->pixels, o + 2, vl);
        const vuint8m1_t d = in_16_bits_m2(p, q, sums + 3 * p->pixels, o + 3, vl);
        const vuint32m4_t all = zip_halves(zip_bytes(a, b, vl), zip_bytes(c, d, vl), vl);
        __riscv_vsse32((uint32_t *)(void *)y, p->to.step, all, vl);
    }
}

HCK_INLINE void multiply_shift_16(const panel *p, const hck_requantise *q) {
    const int16_t *sums = (const int16_t *)p->sums;
    uint8_t *y = p->to.y;
    const int words = __riscv_vsetvlmax_e16m2() >= 32 && p->channel_bytes == 1 && p->to.step % 4 == 0 &&
                      (uintptr_t)y % 4 == 0; /* of shorter vectors there would be more instructions than lanes saved */
    size_t o = p->channels.begin;
    for (; words && p->channels.end - o >= 4; o += 4, sums += 4 * p->pixels, y += 4) four_channels(p, q, sums, o, y);
    for (; o < p->channels.end; o++, sums += p->pixels, y += p->channel_bytes)
        for (size_t i = 0, vl; i < p->count; i += vl) {
            vl = __riscv_vsetvl_e16m4(p->count - i);
            const vuint8m2_t value = in_16_bits_m4(p, q, sums + i, o, vl);
            if (p->to.step == 1)
                __riscv_vse8(y + i, value, vl);
            else
                __riscv_vsse8(y + (ptrdiff_t)i * p->to.step, p->to.step, value, vl);
        }
}

HCK_INLINE void multiply_shift(hck_type type, const panel *panel_, const hck_requantise *q) {
    const panel p = *panel_;
    const size_t bytes = hck_size(q->y_type), shift = q->shift;
    const int16_t lo = (int16_t)q->lo, hi = (int16_t)q->hi;
    const int32_t *mul = q->mul + p.channels.begin, *add = q->add + p.channels.begin;
    const uint8_t *sums = (const uint8_t *)p.sums;
    uint8_t *y = p.to.y;
    for (size_t o = p.channels.end - p.channels.begin; o; o--, mul++, add++, y += p.channel_bytes) {
        const int16_t *halves = (const int16_t *)(const void *)sums;
        if (type == HCK_I16 && fits_16(*mul))
            multiply_shift_halves(&p, halves, bytes, (int16_t)*mul, *add, shift, lo, hi, y);
        else
            multiply_shift_words(type, &p, sums, bytes, *mul, *add, shift, lo, hi, y);
        sums += p.pixels * hck_size(type);
    }
}

/* Rising thresholds of 16-bit sums: those that no sum reaches count nothing, those below all sums always. */
HCK_INLINE void thresholds(const panel *p, const hck_requantise *q) {
    const int16_t *sums = (const int16_t *)p->sums;
    target to = p->to;
    for (size_t o = p->channels.begin; o < p->channels.end; o++, sums += p->pixels, to.y += p->channel_bytes)
        for (size_t i = 0, vl; i < p->count; i += vl) {
            vl = __riscv_vsetvl_e16m2(p->count - i);
            const vint16m2_t x = load_halves(sums, i, p->pool, p->apart, vl);
            vint16m2_t level = __riscv_vmv_v_x_i16m2(q->offset, vl);
            for (size_t t = 0; t < q->levels; t++) {
                const int32_t below = q->table[t * q->channels + o] - 1;
                if (below >= INT16_MAX) continue;
                if (below < INT16_MIN)
                    level = __riscv_vadd(level, q->step, vl);
                else
                    level = __riscv_vadd_mu(__riscv_vmsgt(x, below, vl), level, level, q->step, vl);
            }
            store_half(q->y_type, to, i, level, vl);
        }
}

HCK_INLINE void any_map(hck_type type, const panel *p, const hck_requantise *q) {
    const uint8_t *sums = (const uint8_t *)p->sums;
    const size_t bytes = p->pixels * hck_size(type);
    target to = p->to;
    for (size_t o = p->channels.begin; o < p->channels.end; o++, sums += bytes, to.y += p->channel_bytes)
        for (size_t i = 0, vl; i < p->count; i += vl) {
            vl = __riscv_vsetvl_e32m4(p->count - i);
            store(q->y_type, to, i, map(q, load_sums(type, sums, i, p->pool, p->apart, vl), o, vl), vl);
        }
}

HCK_INLINE void map_panel(hck_type type, const panel *p, const hck_requantise *q) {
    const int narrow = hck_size(q->y_type) < 4;
    if (q->before && type == HCK_I16)
        multiply_shift_16(p, q);
    else if (narrow && q->map == HCK_MULTIPLY_SHIFT && q->add && !q->least && fits_16(q->lo) && fits_16(q->hi))
        multiply_shift(type, p, q);
    else if (narrow && q->map == HCK_THRESHOLDS && type == HCK_I16 && !q->sign)
        thresholds(p, q);
    else
        any_map(type, p, q);
}

void hck_sparse_map(const hck_sparse *c, const hck_requantise *q, void *sums, hck_type type, size_t pixels,
                    size_t first, size_t count, hck_sparse_channels channels, void *y, size_t y_stride) {
    const size_t bytes = hck_size(q->y_type), pixel = c->y_layout == HCK_HWC ? y_stride : 1;
    const size_t channel = c->y_layout == HCK_HWC ? 1 : y_stride;
    const unsigned pool = c->pool * c->pool;
    const target to = {(uint8_t *)y + (first * pixel + channels.begin * channel) * bytes, (ptrdiff_t)(pixel * bytes)};
    const panel p = {sums, channels, pixels, count, pixels / pool, pool, to, channel * bytes};
    if (type == HCK_I16)
        map_panel(HCK_I16, &p, q);
    else
        map_panel(HCK_I32, &p, q);
}

void hck_sparse_bias(const hck_sparse *c, const hck_bias *q, const float *sums, size_t pixels, size_t first,
                     size_t count, hck_sparse_channels channels, float *y, size_t y_stride) {
    const size_t pixel = c->y_layout == HCK_HWC ? y_stride : 1, channel = c->y_layout == HCK_HWC ? 1 : y_stride;
    const unsigned pool = c->pool * c->pool;
    for (size_t o = channels.begin; o < channels.end; o++, sums += pixels) {
        float *to = y + first * pixel + o * channel;
        for (size_t i = 0, vl; i < count; i += vl) {
            vl = __riscv_vsetvl_e32m4(count - i);
            vfloat32m4_t value = __riscv_vle32_v_f32m4(sums + i, vl);
            for (unsigned k = 1; k < pool; k++)
                value = __riscv_vfmax(value, __riscv_vle32_v_f32m4(sums + i + k * (pixels / pool), vl), vl);
            value = __riscv_vfadd(value, q->bias[o], vl);
            value = __riscv_vfmin(__riscv_vfmax(value, q->lo, vl), q->hi, vl);
            if (pixel == 1)
                __riscv_vse32(to + i, value, vl);
            else
                __riscv_vsse32(to + i * pixel, (ptrdiff_t)(pixel * 4), value, vl);
        }
    }
}

#else

/* Results one after another: hck_requantise_rows maps them as rows of channels, which lie behind the sums; all of them,
 * as hck_sparse.c has it. */
void hck_sparse_map(const hck_sparse *c, const hck_requantise *q, void *sums, hck_type type, size_t pixels,
                    size_t first, size_t count, hck_sparse_channels channels, void *y, size_t y_stride) {
    (void)channels;
    const size_t bytes = hck_size(q->y_type), pool = c->pool * c->pool;
    const int32_t *from = (const int32_t *)sums;
    int32_t *row = (int32_t *)sums + c->out_c * pixels;
    uint8_t *mapped = (uint8_t *)(row + c->out_c * pool);
    for (size_t p = 0; p < count; p++) {
        for (size_t k = 0; k < pool; k++)
            for (size_t o = 0; o < c->out_c; o++)
                row[k * c->out_c + o] = from[o * pixels + k * (pixels / pool) + p];
        if (c->y_layout == HCK_HWC) {
            hck_requantise_rows(q, row, type, c->out_c, (uint8_t *)y + (first + p) * y_stride * bytes, y_stride, 1,
                                (unsigned)pool);
            continue;
        }
        hck_requantise_rows(q, row, type, c->out_c, mapped, c->out_c, 1, (unsigned)pool);
        for (size_t o = 0; o < c->out_c; o++)
            memcpy((uint8_t *)y + (o * y_stride + first + p) * bytes, mapped + o * bytes, bytes);
    }
}

void hck_sparse_bias(const hck_sparse *c, const hck_bias *q, const float *sums, size_t pixels, size_t first,
                     size_t count, hck_sparse_channels channels, float *y, size_t y_stride) {
    const size_t pixel = c->y_layout == HCK_HWC ? y_stride : 1, channel = c->y_layout == HCK_HWC ? 1 : y_stride;
    const size_t pool = c->pool * c->pool;
    for (size_t o = channels.begin; o < channels.end; o++, sums += pixels)
        for (size_t p = 0; p < count; p++) {
            float value = sums[p];
            for (size_t k = 1; k < pool; k++)
                value = sums[p + k * (pixels / pool)] > value ? sums[p + k * (pixels / pool)] : value;
            value += q->bias[o];
            value = value < q->lo ? q->lo : value > q->hi ? q->hi : value;
            y[(first + p) * pixel + o * channel] = value;
        }
}

#endif
