/*
 * Convolution by minimal filtering on RVV 1.0: sums and results, whose lanes are output channels. Seven tiles share a
 * vector of weights, as pixels do in hck_conv_rvv.c; 16-bit weights are in memory as such, so that no product waits for
 * a widening.
 *
 * Registers: seven sums of LMUL 4, and 4 for weights or a flush; of results four half-finished ones of LMUL 4, and two
 * sums with what they add up to. In the name of a kernel of sums the LMUL is that of its operands: the smallest that
 * holds all lanes.
 */
#include "hck_winograd.h"

#if defined(__riscv_vector)
#include "hck_rvv.h"

#define HCK_TYPE_(BITS, SIZE) _v_i##BITS##SIZE
#define HCK_TYPE(BITS, SIZE) HCK_TYPE_(BITS, SIZE)
#define HCK_VECTOR_(BITS, SIZE) vint##BITS##SIZE##_t
#define HCK_VECTOR(BITS, SIZE) HCK_VECTOR_(BITS, SIZE)

/* Sums of 16 bits are kept, or added to those of 32. */
#define END_16(WIDE)                                                                                                \
    HCK_INLINE void end_16_##WIDE(int flushed, int fresh, void *sums, size_t at, vint16##WIDE##_t sum, size_t vl) { \
        if (flushed)                                                                                                \
            hck_flush_##WIDE((int32_t *)sums + at, sum, fresh, vl);                                                 \
        else                                                                                                        \
            __riscv_vse16((int16_t *)sums + at, sum, vl);                                                           \
    }
END_16(m1)
END_16(m2)
END_16(m4)

/* Sums of 32 bits are complete. */
#define END_32(WIDE)                                                                                        \
    HCK_INLINE void end_32_##WIDE(int flushed, int fresh, void *sums, size_t at, vint32##WIDE##_t sum, size_t vl) { \
        (void)flushed, (void)fresh;                                                                         \
        __riscv_vse32((int32_t *)sums + at, sum, vl);                                                       \
    }
END_32(m2)
END_32(m4)

#define BITS 8
#define ELEMENT int8_t
#define DOUBLE 16
#define SIZE mf2
#define WIDE m1
#include "hck_winograd_rvv_all.inc"
#undef SIZE
#undef WIDE
#define SIZE m1
#define WIDE m2
#include "hck_winograd_rvv_all.inc"
#undef SIZE
#undef WIDE
#define SIZE m2
#define WIDE m4
#include "hck_winograd_rvv_all.inc"
#undef SIZE
#undef WIDE
#undef BITS
#undef ELEMENT
#undef DOUBLE

#define BITS 16
#define ELEMENT int16_t
#define DOUBLE 32
#define SIZE m1
#define WIDE m2
#include "hck_winograd_rvv_all.inc"
#undef SIZE
#undef WIDE
#define SIZE m2
#define WIDE m4
#include "hck_winograd_rvv_all.inc"

typedef void (*sums_fn)(const hck_winograd *n, size_t p, const void *planes, size_t blocks, const void *weights,
                        void *sums, size_t lanes, size_t vl);

void hck_winograd_sums_rvv(const hck_winograd *n, const void *planes, size_t tiles, size_t channel, size_t lanes,
                           void *sums) {
    static const sums_fn kernels[2][3][2] = {
        {{sums_8_mf2_7, sums_8_mf2_4}, {sums_8_m1_7, sums_8_m1_4}, {sums_8_m2_7, sums_8_m2_4}},
        {{sums_16_m1_7, sums_16_m1_4}, {sums_16_m2_7, sums_16_m2_4}, {sums_16_m2_7, sums_16_m2_4}}};
    const size_t bytes = hck_size(n->operands), pixel = n->conv.in_c * bytes, kept = hck_size(n->sums);
    const size_t unit = __riscv_vsetvlmax_e8m1() / 2; /* lanes of the first kernels */
    const size_t size = lanes <= unit ? 0 : lanes <= 2 * unit ? 1 : 2;
    const size_t most = unit << (bytes == 1 ? size : HCK_MIN(size, 1u));
    const uint8_t *const w = (const uint8_t *)n->weights + HCK_PLANES * channel * pixel;
    /* what is left behind blocks of seven is one more of these or of four */
    const size_t sevens = (tiles + 2) / HCK_TILES, done = sevens * HCK_TILES;
    for (size_t k = 0, vl; k < lanes; k += vl) {
        vl = HCK_MIN(lanes - k, most);
        for (size_t p = 0; p < HCK_PLANES; p++) { /* whose weights a cache holds from one kernel to the next */
            if (sevens)
                kernels[bytes - 1][size][0](n, p, planes, sevens, w + k * bytes, (uint8_t *)sums + k * kept, lanes, vl);
            if (done < tiles)
                kernels[bytes - 1][size][1](n, p, (const uint8_t *)planes + done * pixel, 1, w + k * bytes,
                                            (uint8_t *)sums + (done * lanes + k) * kept, lanes, vl);
        }
    }
}

/*
 * A' M A, from sums of vectors FROM to results of vectors TO of BITS bits: LOAD a sum, PLUS and MINUS two of them, ADD
 * one to what was added up (TAKE it from that).
 */
#define RESULTS(...) DEFINE_RESULTS(__VA_ARGS__)
#define DEFINE_RESULTS(NAME, BITS, TO, VL, SUM, LOAD, PLUS, MINUS, ADD, TAKE)                                              \
    static void NAME(const hck_winograd *n, const void *sums, size_t tiles, size_t lanes, void *to, size_t step,    \
                     size_t down) {                                                                                 \
        const size_t plane = n->strip * lanes, out_c = n->conv.out_c;                                               \
        for (size_t k = 0, vl; k < lanes; k += vl) {                                                                \
            vl = VL(lanes - k);                                                                                     \
            const SUM *m = (const SUM *)sums + k;                                                                   \
            int##BITS##_t *y = (int##BITS##_t *)to + k;                                                             \
            for (size_t t = 0; t < tiles; t++, m += lanes, y += step) {                                             \
                COLUMN(1, BITS, TO, LOAD, PLUS, MINUS, ADD, TAKE)                                                   \
                COLUMN(2, BITS, TO, LOAD, PLUS, MINUS, ADD, TAKE)                                                   \
                const vint##BITS##TO##_t top = __riscv_vadd(top1, top2, vl), low = __riscv_vadd(low1, low2, vl);    \
                const vint##BITS##TO##_t top_less = __riscv_vsub(top1, top2, vl);                                   \
                const vint##BITS##TO##_t low_less = __riscv_vsub(low1, low2, vl);                                   \
                COLUMN(0, BITS, TO, LOAD, PLUS, MINUS, ADD, TAKE)                                                   \
                PUT(BITS, y, __riscv_vadd(top, top0, vl))                                                           \
                PUT(BITS, y + down, __riscv_vadd(low, low0, vl))                                                    \
                COLUMN(3, BITS, TO, LOAD, PLUS, MINUS, ADD, TAKE)                                                   \
                PUT(BITS, y + out_c, __riscv_vsub(top_less, top3, vl))                                              \
                PUT(BITS, y + down + out_c, __riscv_vsub(low_less, low3, vl))                                       \
            }                                                                                                       \
        }                                                                                                           \
    }
#define COLUMN(J, BITS, TO, LOAD, PLUS, MINUS, ADD, TAKE)                                                 \
    vint##BITS##TO##_t top##J = PLUS(LOAD(m + (4 + J) * plane, vl), LOAD(m + (8 + J) * plane, vl), vl);   \
    vint##BITS##TO##_t low##J = MINUS(LOAD(m + (4 + J) * plane, vl), LOAD(m + (8 + J) * plane, vl), vl);  \
    top##J = ADD(top##J, LOAD(m + J * plane, vl), vl);                                                    \
    low##J = TAKE(low##J, LOAD(m + (12 + J) * plane, vl), vl);
/* Four times a result. */
#define PUT(BITS, to, four) __riscv_vse##BITS(to, __riscv_vsra(four, 2, vl), vl);

#define SAME __riscv_vadd, __riscv_vsub, __riscv_vadd, __riscv_vsub
#define WIDER __riscv_vwadd_vv, __riscv_vwsub_vv, __riscv_vwadd_wv, __riscv_vwsub_wv
RESULTS(results_16_m1, 16, m1, __riscv_vsetvl_e16m1, int16_t, __riscv_vle16_v_i16m1, SAME)
RESULTS(results_16_m2, 16, m2, __riscv_vsetvl_e16m2, int16_t, __riscv_vle16_v_i16m2, SAME)
RESULTS(results_32_m2, 32, m2, __riscv_vsetvl_e32m2, int32_t, __riscv_vle32_v_i32m2, SAME)
RESULTS(results_32_m4, 32, m4, __riscv_vsetvl_e32m4, int32_t, __riscv_vle32_v_i32m4, SAME)
RESULTS(results_wider_m2, 32, m2, __riscv_vsetvl_e32m2, int16_t, __riscv_vle16_v_i16m1, WIDER)
RESULTS(results_wider_m4, 32, m4, __riscv_vsetvl_e32m4, int16_t, __riscv_vle16_v_i16m2, WIDER)

void hck_winograd_results_rvv(const hck_winograd *n, const void *sums, size_t tiles, size_t lanes, void *to, size_t step,
                              size_t down) {
    typedef void (*results_fn)(const hck_winograd *n, const void *sums, size_t tiles, size_t lanes, void *to, size_t step,
                               size_t down);
    static const results_fn kernels[3][2] = {
        {results_16_m1, results_16_m2}, {results_wider_m2, results_wider_m4}, {results_32_m2, results_32_m4}};
    const size_t kind = n->results == HCK_I16 ? 0 : n->sums == HCK_I16 ? 1 : 2;
    const int small = lanes <= __riscv_vsetvlmax_e32m2();
    kernels[kind][kind ? !small : lanes > __riscv_vsetvlmax_e16m1()](n, sums, tiles, lanes, to, step, down);
}

#else
typedef int hck_no_winograd_rvv; /* C99 wants a declaration in every file */
#endif
