/*
 * Convolution by minimal filtering on RVV 1.0: planes, whose lanes are input channels. For each row of B' the tiles of a
 * row are walked through: two columns of a tile are the next one's, so that a step makes two, of two vectors of elements
 * each, and four planes of these.
 */
#include "hck_winograd.h"

#if defined(__riscv_vector)
#include "hck_rvv.h"

/* A row of B': two of a column's elements are added, or the second is taken from the first. */
typedef struct {
    uint32_t a, b;
    int add;
} pair;
static const pair pairs[4] = {{0, 2, 0}, {1, 2, 1}, {2, 1, 0}, {1, 3, 0}};

/* Both elements of column `column`, which left of the picture is a huge number, as KIND says. */
#define COLUMN(t, KIND, BITS, SIZE, WIDE)                                                                                \
    t = column < in_w ? KIND(add, __riscv_vle8_v_u8##SIZE(a, vl), __riscv_vle8_v_u8##SIZE(b, vl), SIZE, WIDE)            \
                      : __riscv_vmv_v_x_i##BITS##WIDE(0, vl);                                                            \
    column++, a += step_a, b += step_b;
#define PUT(p, q, r, s, BITS)                                      \
    __riscv_vse##BITS(to, __riscv_vsub(p, r, vl), vl);             \
    __riscv_vse##BITS(to + plane, __riscv_vadd(q, r, vl), vl);     \
    __riscv_vse##BITS(to + 2 * plane, __riscv_vsub(r, q, vl), vl); \
    __riscv_vse##BITS(to + 3 * plane, __riscv_vsub(q, s, vl), vl); \
    to += in_c;                                                    \
    if (--tiles == 0) return;
#define STEP(KIND, BITS, SIZE, WIDE)    \
    COLUMN(y, KIND, BITS, SIZE, WIDE)   \
    COLUMN(z, KIND, BITS, SIZE, WIDE)   \
    PUT(w, x, y, z, BITS)               \
    COLUMN(w, KIND, BITS, SIZE, WIDE)   \
    COLUMN(x, KIND, BITS, SIZE, WIDE)   \
    PUT(y, z, w, x, BITS)

/* Four planes of vl channels of all tiles; then all planes of all channels. */
#define PLANES(NAME, KIND, BITS, SIZE, WIDE)                                                                           \
    HCK_INLINE void NAME##_four(const hck_winograd *n, int add, const uint8_t *a, ptrdiff_t step_a, const uint8_t *b,  \
                                ptrdiff_t step_b, size_t column, size_t tiles, int##BITS##_t *to, size_t vl) {         \
        const size_t in_c = n->conv.in_c, in_w = n->conv.in_w, plane = n->strip * in_c;                                \
        vint##BITS##WIDE##_t w, x, y, z;                                                                               \
        COLUMN(w, KIND, BITS, SIZE, WIDE)                                                                              \
        COLUMN(x, KIND, BITS, SIZE, WIDE)                                                                              \
        for (;;) {                                                                                                     \
            STEP(KIND, BITS, SIZE, WIDE)                                                                               \
        }                                                                                                              \
    }                                                                                                                  \
    static void NAME(const hck_winograd *n, const hck_rows_under *under, size_t column, size_t tiles, void *planes) {  \
        const size_t in_c = n->conv.in_c;                                                                              \
        for (size_t k = 0, vl; k < in_c; k += vl) {                                                                    \
            vl = __riscv_vsetvl_e8##SIZE(in_c - k);                                                                    \
            for (size_t i = 0; i < 4; i++) {                                                                           \
                const uint32_t first = pairs[i].a, second = pairs[i].b;                                                \
                const uint8_t *const a = under->at[first] + k, *const b = under->at[second] + k;                       \
                const ptrdiff_t step_a = under->step[first], step_b = under->step[second];                             \
                int##BITS##_t *const to = (int##BITS##_t *)planes + 4 * i * n->strip * in_c + k;                       \
                if (pairs[i].add)                                                                                      \
                    NAME##_four(n, 1, a, step_a, b, step_b, column, tiles, to, vl);                                    \
                else                                                                                                   \
                    NAME##_four(n, 0, a, step_a, b, step_b, column, tiles, to, vl);                                    \
            }                                                                                                          \
        }                                                                                                              \
    }

/* In 8 bits the type of the elements does not matter. */
#define SIGNED(x, SIZE) __riscv_vreinterpret_i8##SIZE(x)
#define BYTES(add, a, b, SIZE, WIDE) SIGNED(add ? __riscv_vadd(a, b, vl) : __riscv_vsub(a, b, vl), SIZE)
#define WIDE_U8(add, a, b, SIZE, WIDE) \
    __riscv_vreinterpret_i16##WIDE(add ? __riscv_vwaddu_vv(a, b, vl) : __riscv_vwsubu_vv(a, b, vl))
#define WIDE_I8(add, a, b, SIZE, WIDE)                                \
    (add ? __riscv_vwadd_vv(SIGNED(a, SIZE), SIGNED(b, SIZE), vl)     \
         : __riscv_vwsub_vv(SIGNED(a, SIZE), SIGNED(b, SIZE), vl))
PLANES(bytes_mf2, BYTES, 8, mf2, mf2)
PLANES(bytes_m1, BYTES, 8, m1, m1)
PLANES(bytes_m2, BYTES, 8, m2, m2)
PLANES(wide_u8_mf2, WIDE_U8, 16, mf2, m1)
PLANES(wide_u8_m1, WIDE_U8, 16, m1, m2)
PLANES(wide_u8_m2, WIDE_U8, 16, m2, m4)
PLANES(wide_i8_mf2, WIDE_I8, 16, mf2, m1)
PLANES(wide_i8_m1, WIDE_I8, 16, m1, m2)
PLANES(wide_i8_m2, WIDE_I8, 16, m2, m4)

void hck_winograd_planes_rvv(const hck_winograd *n, const void *x, size_t tile, size_t count, void *planes) {
    typedef void (*planes_fn)(const hck_winograd *n, const hck_rows_under *under, size_t column, size_t tiles, void *planes);
    static const planes_fn kernels[3][3] = {{bytes_mf2, bytes_m1, bytes_m2},
                                            {wide_u8_mf2, wide_u8_m1, wide_u8_m2},
                                            {wide_i8_mf2, wide_i8_m1, wide_i8_m2}};
    const hck_conv *c = &n->conv;
    const size_t one = __riscv_vsetvlmax_e8m1(), size = 2 * c->in_c <= one ? 0 : c->in_c <= one ? 1 : 2;
    const size_t kind = n->operands == HCK_I8 ? 0 : c->x_type == HCK_U8 ? 1 : 2;
    const hck_rows_under under = hck_rows_of_tile(c, x, tile);
    kernels[kind][size](n, &under, 2 * (tile % hck_tile_columns(c)) - c->pad_left, count, planes);
}

#else
typedef int hck_no_winograd_planes_rvv; /* C99 wants a declaration in every file */
#endif
