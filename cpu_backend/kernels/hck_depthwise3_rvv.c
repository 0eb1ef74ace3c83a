/*
 * Depthwise 3x3 convolution on RVV 1.0 from elements to 8-bit results without sums in memory: lanes are channels, whose
 * nine weights and the nine elements under a window stay in registers. A step to the right loads one column (two with
 * stride 2); what leaves the window makes room for it, so that after three steps all are where they were. What is
 * loaded after the first window can be beyond the right only: there pointers move to zeros once.
 *
 * Products are added up in 16 bits, in as few parts as hold them whatever the elements are: a block of channels takes
 * as many as its largest weights need. Parts are added in 32 bits, at twice the price of a product, so that a weight
 * shared by two parts can save one. Unsigned elements count less 128 there, at no price: parts start from -128 times
 * their weights, which the addend makes up for.
 * Few bits are added up in 8 bits, at half the price: a part that spans 255 at most fits there from the right start.
 * Parts are added in 16 bits, at the price of a product there, so that three products of nine are worth one.
 * Registers: 9 weights, 9 elements, 4 for a 32-bit sum, up to 8 for parts or for the map's constants.
 */
#include "hck.h"

#if defined(__riscv_vector)
#include "hck_narrow.h"
#include "hck_rvv.h"

#include "hck_depthwise3_parts.inc" /* behind what it uses */

/* Compilers load the map's constants and multiply ahead, more than there are registers for, unless the sum so far has
 * to be complete before. */
#define IN_ORDER(sum) __asm__ volatile("" : "+vr"(sum) : : "memory");

/* Likewise; and they keep an address for each column of a round, more than there are registers for, unless they cannot
 * tell. */
#define IN_ORDER_TOO(sum) __asm__ volatile("" : "+vr"(sum), "+r"(p[0]), "+r"(p[1]), "+r"(p[2]) : : "memory");

HCK_INLINE vint16m2_t multiply_add(hck_type type, vint16m2_t sum, vint8m1_t w, vint8m1_t x, size_t vl) {
    return type == HCK_I8 ? __riscv_vwmacc(sum, w, x, vl)
                          : __riscv_vwmaccsu(sum, w, __riscv_vreinterpret_u8m1(x), vl);
}

/* A part's first product. */
HCK_INLINE vint16m2_t begin(hck_type type, const int16_t *start, vint8m1_t w, vint8m1_t x, size_t vl) {
    return type == HCK_I8 ? __riscv_vwmul(w, x, vl) : multiply_add(type, __riscv_vle16_v_i16m2(start, vl), w, x, vl);
}

#define BEGIN(PART, I) begin(type, start + (PART) * vl, w##I, x##I, vl)
#define ADD(sum, I) sum = multiply_add(type, sum, w##I, x##I, vl);

/* What a map in 16 bits makes of a sum. */
HCK_INLINE void put_half(vint16m2_t sum, vint16m2_t mul16, uint32_t shift, uint32_t above, int32_t lo, int32_t hi,
                         void *to, size_t vl) {
    const vint16m2_t half = __riscv_vsmul(sum, mul16, __RISCV_VXRM_RDN, vl);
    if (above) {
        const vuint8m1_t value = __riscv_vreinterpret_u8m1(__riscv_vnclip(half, shift - 15, __RISCV_VXRM_RDN, vl));
        __riscv_vse8((uint8_t *)to, __riscv_vssubu(value, (uint8_t)above, vl), vl);
    } else {
        hck_put_half(half, shift - 15, lo, hi, to, vl);
    }
}

/* A result: a window's elements are numbered as its weights, row by row. */
HCK_INLINE void put(hck_type type, int parts, unsigned rows, const int16_t *start, const int8_t *shares,
                    const int32_t *mul, const int32_t *add, const int32_t *bounds, vint16m2_t mul16, int8_t factor,
                    uint32_t shift, uint32_t above, int32_t lo, int32_t hi, vint8m1_t w0, vint8m1_t w1, vint8m1_t w2,
                    vint8m1_t w3, vint8m1_t w4, vint8m1_t w5, vint8m1_t w6, vint8m1_t w7, vint8m1_t w8, vint8m1_t x0,
                    vint8m1_t x1, vint8m1_t x2, vint8m1_t x3, vint8m1_t x4, vint8m1_t x5, vint8m1_t x6, vint8m1_t x7,
                    vint8m1_t x8, const int8_t **p, void *to, size_t vl) {
    if (parts >= BYTES) { /* the lower 8 bits of a product do not depend on the type */
#define BYTES_OF(PART, I) __riscv_vmacc(__riscv_vle8_v_i8m1(shares + (PART) * vl, vl), w##I, x##I, vl)
#define ADD_BYTES(sum, I) sum = __riscv_vmacc(sum, w##I, x##I, vl);
#define ADD_PART(part) half = __riscv_vwmacc(half, factor, part, vl);
/* In 16 bits, with weights that are scaled, where 8 do not hold it. */
#define ADD_ROW(R, I, J, K)                    \
    if (rows >> R & 1) {                       \
        vint8m1_t row = BYTES_OF(R, I);        \
        ADD_BYTES(row, J) ADD_BYTES(row, K)    \
        ADD_PART(row)                          \
    } else {                                   \
        ADD(half, I) ADD(half, J) ADD(half, K) \
    }
        vint16m2_t half = __riscv_vle16_v_i16m2(start, vl);
        if (parts == BYTES_ROWS) {
            ADD_ROW(0, 0, 1, 2) ADD_ROW(1, 3, 4, 5) ADD_ROW(2, 6, 7, 8)
        } else {
            vint8m1_t part = BYTES_OF(0, 0);
            ADD_BYTES(part, 1) ADD_BYTES(part, 2) ADD_BYTES(part, 3) ADD_BYTES(part, 4)
            if (parts == BYTES) {
                ADD_BYTES(part, 5)
            } else {
                ADD_PART(part)
                part = BYTES_OF(1, 5);
            }
            ADD_BYTES(part, 6) ADD_BYTES(part, 7) ADD_BYTES(part, 8)
            ADD_PART(part)
        }
        IN_ORDER_TOO(half)
        put_half(half, mul16, shift, above, lo, hi, to, vl);
        return;
    }
    vint16m2_t first = parts == HALVES ? multiply_add(type, __riscv_vle16_v_i16m2(start, vl), w0, x0, vl) : BEGIN(0, 0);
    ADD(first, 1)
    if (parts <= WHOLE) {
        ADD(first, 2) ADD(first, 3) ADD(first, 4) ADD(first, 5) ADD(first, 6) ADD(first, 7) ADD(first, 8)
        if (parts == HALVES) { /* in order as it is */
            put_half(first, mul16, shift, above, lo, hi, to, vl);
        } else {
            IN_ORDER_TOO(first)
            hck_put_narrow(__riscv_vwmacc(__riscv_vle32_v_i32m4(add, vl), first, mul16, vl), shift, lo, hi, to, vl);
        }
        return;
    }
    vint32m4_t sum;
    if (parts == TWO) {
        ADD(first, 2) ADD(first, 3) ADD(first, 4)
        vint16m2_t second = BEGIN(1, 5);
        ADD(second, 6) ADD(second, 7) ADD(second, 8)
        sum = __riscv_vwadd_vv(first, second, vl);
    } else if (parts == ROWS) {
        ADD(first, 2)
        vint16m2_t second = BEGIN(1, 3), third = BEGIN(2, 6);
        ADD(second, 4) ADD(second, 5) ADD(third, 7) ADD(third, 8)
        sum = __riscv_vwadd_wv(__riscv_vwadd_vv(first, second, vl), third, vl);
    } else if (parts == FOUR) {
        ADD(first, 2)
        vint16m2_t second = begin(type, start + vl, __riscv_vle8_v_i8m1(shares + vl, vl), x2, vl), third = BEGIN(2, 5);
        ADD(second, 3) ADD(second, 4) ADD(third, 6)
        sum = __riscv_vwadd_wv(__riscv_vwadd_vv(first, second, vl), third, vl);
        IN_ORDER(sum)
        vint16m2_t fourth = BEGIN(3, 7);
        ADD(fourth, 8)
        sum = __riscv_vwadd_wv(sum, fourth, vl);
    } else {
        vint16m2_t second = BEGIN(1, 2), third = BEGIN(2, 4);
        ADD(second, 3) ADD(third, 5)
        sum = __riscv_vwadd_wv(__riscv_vwadd_vv(first, second, vl), third, vl);
        IN_ORDER(sum)
        vint16m2_t fourth = BEGIN(3, 6), fifth = BEGIN(4, 8);
        ADD(fourth, 7)
        sum = __riscv_vwadd_wv(__riscv_vwadd_wv(sum, fourth, vl), fifth, vl);
    }
    IN_ORDER_TOO(sum)
    if (bounds) {
        sum = __riscv_vmax(sum, __riscv_vle32_v_i32m4(bounds, vl), vl);
        sum = __riscv_vmin(sum, __riscv_vle32_v_i32m4(bounds + vl, vl), vl);
        IN_ORDER(sum)
    }
    sum = __riscv_vmadd(sum, __riscv_vle32_v_i32m4(mul, vl), __riscv_vle32_v_i32m4(add, vl), vl);
    hck_put_narrow(sum, shift, lo, hi, to, vl);
}

#define LOAD(p) __riscv_vle8_v_i8m1(p, vl)
#define LOAD_COLUMN(V) V##0 = LOAD(p[0]), V##1 = LOAD(p[1]), V##2 = LOAD(p[2]);
#define NEXT p[0] += step0, p[1] += step1, p[2] += step2;
#define COLUMN(V) LOAD_COLUMN(V) NEXT
#define COLUMN_OR_ZEROS(V, J)                             \
    if ((J) - pad < in_w) {                               \
        LOAD_COLUMN(V)                                    \
    } else {                                              \
        V##0 = V##1 = V##2 = __riscv_vmv_v_x_i8m1(0, vl); \
    }                                                     \
    NEXT
/* What follows is right of the picture, but for one column if `half`. */
#define BEYOND(P, STEP)   \
    if (!half) P = zeros; \
    STEP = (ptrdiff_t)((intptr_t)zeros - (intptr_t)P);
#define OUTPUT(A, B, C)                                                                                              \
    put(type, parts, rows, start, shares, mul, add, bounds, mul16, factor, shift, above, lo, hi, w0, w1, w2, w3, w4, \
        w5, w6, w7, w8, A##0, B##0, C##0, A##1, B##1, C##1, A##2, B##2, C##2, p, to, vl);                            \
    to += y_stride;                                                                                                  \
    if (to == end) {                                                                                                 \
        if (to == last) break;                                                                                       \
        BEYOND(p[0], step0) BEYOND(p[1], step1) BEYOND(p[2], step2)                                                  \
        end = last;                                                                                                  \
    }

/* All outputs of vl channels: elements, results, weights and constants are those from the first of these on. */
HCK_INLINE void block(hck_type type, int parts, unsigned rows, int stride, const hck_conv *c, const hck_requantise *q,
                      const int8_t *weights, const int32_t *mul, const int32_t *add, const int32_t *bounds,
                      const int16_t *start, const int8_t *shares, const int8_t *elements, uint8_t *y, size_t y_stride,
                      size_t vl) {
    const int8_t *const zeros = (const int8_t *)c->zeros;
    const ptrdiff_t pixel = (ptrdiff_t)c->in_c;
    const size_t in_w = c->in_w, pad = c->pad_left, s = (size_t)stride;
    const uint32_t in_h = c->in_h, shift = q->shift, above = q->above;
    const int32_t lo = q->lo, hi = q->hi;
    const int8_t factor = (int8_t)(1 << c->bytes.shift);
    /* windows not beyond the right, of those behind the first; whether the next one's second column is not either */
    const size_t inside = pad + in_w < 3 ? 1 : HCK_MIN((pad + in_w - 3) / s + 1, c->out_w);
    const int half = stride == 2 && inside * s + 1 - pad < in_w;
#define WEIGHT(I)                                                                               \
    const size_t shift##I = parts == BYTES_ROWS && !(rows >> (I) / 3 & 1) ? 0 : c->bytes.shift; \
    const int8_t *const at##I = parts == FOUR && (I) == 2 ? shares : weights + (I) * pixel;     \
    const vint8m1_t w##I = parts >= BYTES ? __riscv_vsra(LOAD(at##I), shift##I, vl) : LOAD(at##I);
    WEIGHT(0) WEIGHT(1) WEIGHT(2) WEIGHT(3) WEIGHT(4) WEIGHT(5) WEIGHT(6) WEIGHT(7) WEIGHT(8)
    const vint16m2_t mul16 = parts <= WHOLE || parts >= BYTES ? __riscv_vncvt_x(__riscv_vle32_v_i32m4(mul, vl), vl)
                                                              : __riscv_vundefined_i16m2();
    for (uint32_t row = 0; row < c->out_h; row++) {
        const uint32_t top = row * c->stride_h - c->pad_top; /* above the picture is a huge number */
        const int8_t *const corner = elements - (ptrdiff_t)c->pad_left * pixel;
        const ptrdiff_t width = (ptrdiff_t)c->in_w * pixel;
        ptrdiff_t step0 = top < in_h ? pixel : 0, step1 = top + 1 < in_h ? pixel : 0;
        ptrdiff_t step2 = top + 2 < in_h ? pixel : 0;
        const int8_t *p[] = {step0 ? corner + (ptrdiff_t)top * width : zeros,
                             step1 ? corner + (ptrdiff_t)(top + 1) * width : zeros,
                             step2 ? corner + (ptrdiff_t)(top + 2) * width : zeros};
        uint8_t *to = y + (size_t)row * c->out_w * y_stride;
        const uint8_t *const last = to + c->out_w * y_stride, *end = to + inside * y_stride;
        vint8m1_t l0, l1, l2, m0, m1, m2, r0, r1, r2;
        COLUMN_OR_ZEROS(l, (size_t)0)
        COLUMN_OR_ZEROS(m, (size_t)1)
        COLUMN_OR_ZEROS(r, (size_t)2)
        if (stride == 1) {
            for (;;) {
                OUTPUT(l, m, r)
                COLUMN(l)
                OUTPUT(m, r, l)
                COLUMN(m)
                OUTPUT(r, l, m)
                COLUMN(r)
            }
        } else {
            for (;;) {
                OUTPUT(l, m, r)
                COLUMN(l)
                COLUMN(m)
                OUTPUT(r, l, m)
                COLUMN(r)
                COLUMN(l)
                OUTPUT(m, r, l)
                COLUMN(m)
                COLUMN(r)
            }
        }
    }
}

typedef void (*block_fn)(unsigned rows, const hck_conv *c, const hck_requantise *q, const int8_t *weights,
                         const int32_t *mul, const int32_t *add, const int32_t *bounds, const int16_t *start,
                         const int8_t *shares, const int8_t *elements, uint8_t *y, size_t y_stride, size_t vl);

#define KERNEL(TYPE, PARTS, S)                                                                                     \
    static void HCK_NAME(TYPE, PARTS, S, block)(unsigned rows, const hck_conv *c, const hck_requantise *q,         \
                                                const int8_t *weights, const int32_t *mul, const int32_t *add,     \
                                                const int32_t *bounds, const int16_t *start, const int8_t *shares, \
                                                const int8_t *elements, uint8_t *y, size_t y_stride, size_t vl) {  \
        block(TYPE, PARTS, rows, S, c, q, weights, mul, add, bounds, start, shares, elements, y, y_stride, vl);    \
    }
#define STRIDES(TYPE, PARTS) KERNEL(TYPE, PARTS, 1) KERNEL(TYPE, PARTS, 2)
#define EACH(M, TYPE) M(TYPE, HALVES) M(TYPE, WHOLE) M(TYPE, TWO) M(TYPE, ROWS) M(TYPE, FOUR) M(TYPE, PAIRS)
#define EACH_BYTES(M) M(HCK_I8, BYTES) M(HCK_I8, BYTES_TWO) M(HCK_I8, BYTES_ROWS)
#define BOTH(TYPE, PARTS) [PARTS] = {HCK_NAME(TYPE, PARTS, 1, block), HCK_NAME(TYPE, PARTS, 2, block)},
EACH(STRIDES, HCK_U8)
EACH(STRIDES, HCK_I8)
EACH_BYTES(STRIDES)

int hck_depthwise3_rvv(const hck_conv *c, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                       void *scratch) {
    static const block_fn unsigneds[][2] = {EACH(BOTH, HCK_U8)}, signeds[][2] = {EACH(BOTH, HCK_I8) EACH_BYTES(BOTH)};
    if (c->fused == HCK_APART) return 0;
    const size_t reach = (size_t)(c->out_w - 1) * c->stride_w + 3;
    if (c->pad_left > 2 || reach > (size_t)c->pad_left + c->in_w + 2) return 0; /* windows with no pixel */
    const int bytes = c->bytes.room && __riscv_vsetvlmax_e8m1() >= 32; /* in shorter vectors instructions count */
    const int fits = c->fused == HCK_WHOLE_SUMS;
    size_t vl;
    for (size_t first = 0; first < c->in_c; first += vl) {
        vl = __riscv_vsetvl_e8m1(c->in_c - first);
        const int8_t *const w = c->weights + first, *const from = (const int8_t *)x + first;
        const int32_t *const mul = q->mul + first, *add = q->add + first;
        int32_t *const addends = (int32_t *)scratch;
        int16_t *const starts = (int16_t *)(addends + vl);
        int8_t *const shares = (int8_t *)(starts + PAIRS * vl);
        int32_t *const bounds = q->least ? addends + 5 * vl : NULL; /* behind the shares; least, most */
        if (bounds) {
            __riscv_vse32(bounds, __riscv_vle32_v_i32m4(q->least + first, vl), vl);
            __riscv_vse32(bounds + vl, __riscv_vle32_v_i32m4(q->most + first, vl), vl);
        }
        const int16_t *start = starts;
        int parts = fits ? q->before ? HALVES : WHOLE : parts_of(w, c->in_c, shares, vl);
        unsigned rows = 0;
        if (bytes) parts = bytes_of(&c->bytes, w, c->in_c, &rows, vl);
        if (parts == WHOLE && c->fused == HCK_PARTS) parts = TWO;
        if (parts >= BYTES) {
            start_bytes(&c->bytes, parts, rows, w, c->in_c, q->before + first, starts, shares, vl);
        } else if (parts == HALVES) {
            start = q->before + first;
        } else if (c->x_type == HCK_U8) {
            start_parts(parts, fits ? 0 : INT8_MIN, w, c->in_c, shares, mul, add, starts, addends, bounds, vl);
            add = addends;
        }
        uint8_t *const to = (uint8_t *)y + first;
        const block_fn *const kernels = c->x_type == HCK_I8 || parts >= BYTES ? signeds[parts] : unsigneds[parts];
        kernels[c->stride_w - 1](rows, c, q, w, mul, add, bounds, start, shares, from, to, y_stride, vl);
    }
    return 1;
}

#else
typedef int hck_no_depthwise3; /* C99 wants a declaration in every file */
#endif
