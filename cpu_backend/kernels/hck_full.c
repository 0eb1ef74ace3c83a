/* Fully connected layers on RVV 1.0 (hck_full.h): lanes are output channels. */
#include "hck_full.h"

#include "hck_element.h"

#if defined(__riscv_vector)

typedef struct {
    uint16_t *rows;          /* levels: rows of weights, in the order in which they are added */
    size_t ends[HCK_LEVELS]; /* behind the last row of each level */
    uint64_t *entries;       /* groups: where a row of weights begins, times 256, and its element */
    size_t count;            /* of entries */
    uint16_t *lengths;       /* entries in each group */
} row_order;

/* Appends the rows whose element is `value`, `vl` of them after another. */
static size_t rows_with(uint8_t value, const uint8_t *x, size_t products, uint16_t *rows) {
    const vuint8m4_t all = __riscv_vid_v_u8m4(__riscv_vsetvlmax_e8m4());
    size_t found = 0;
    for (size_t i = 0, vl; i < products; i += vl) {
        vl = __riscv_vsetvl_e8m4(HCK_MIN(products - i, 256)); /* numbers in bytes */
        const vbool2_t equal = __riscv_vmseq(__riscv_vle8_v_u8m4(x + i, vl), value, vl);
        vuint8m4_t numbers = __riscv_vcompress(all, equal, vl);
        const size_t end = found + __riscv_vcpop(equal, vl), some = __riscv_vsetvlmax_e16m1();
        while (found < end) { /* few of many, as a rule: in short vectors */
            const size_t n = HCK_MIN(end - found, some);
            const vuint16m1_t wide = __riscv_vzext_vf2(__riscv_vlmul_trunc_u8mf2(numbers), n);
            __riscv_vse16(rows + found, __riscv_vadd(wide, (uint16_t)i, n), n);
            found += n;
            if (found < end) numbers = __riscv_vslidedown(numbers, some, vl);
        }
    }
    return found;
}

static void order_levels(const hck_full *f, const uint8_t *x, size_t products, row_order *order) {
    size_t count = 0;
    for (size_t v = 0; v < f->levels; v++) {
        const int32_t value = f->lo + (int32_t)v;
        if (value) count += rows_with((uint8_t)value, x, products, order->rows + count);
        order->ends[v] = count;
    }
}

HCK_INLINE void order_groups(hck_type type, const hck_full *f, const void *x, size_t products, row_order *order) {
    const uint32_t reach = f->reach;
    const uint64_t step = (uint64_t)f->conv.out_c << 8;
    uint32_t room = reach;
    uint64_t *to = order->entries, *first = to, row = 0;
    uint16_t *length = order->lengths;
    for (size_t i = 0; i < products; i++, row += step) {
        const int32_t value = hck_get(x, type, i);
        const uint32_t magnitude = (uint32_t)(value < 0 ? -value : value);
        if (value == 0) continue;
        if (magnitude > room) {
            *length++ = (uint16_t)(to - first);
            first = to;
            room = reach;
        }
        room -= magnitude;
        *to++ = row | (uint8_t)value;
    }
    *length = (uint16_t)(to - first);
    order->count = (size_t)(to - order->entries);
}

#define ROW(SIZE, row) __riscv_vle8_v_i8##SIZE(w + rows[row] * lanes, vl)

/* Levels with sums of BITS bits: MULTIPLY_ADD adds `value` times `sum`, which is of rows added up in 8 bits. */
#define LEVELS(NAME, SIZE, BITS, TOTAL, MULTIPLY_ADD)                                                             \
    static void NAME(const hck_full *f, const row_order *order, const int8_t *w, size_t vl, void *to) {           \
        const size_t lanes = f->conv.out_c, reach = f->reach;                                                     \
        const uint16_t *rows = order->rows;                                                                       \
        vint##BITS##TOTAL##_t total = __riscv_vmv_v_x_i##BITS##TOTAL(0, vl);                                      \
        for (size_t v = 0; v < f->levels; v++) {                                                                  \
            const int8_t value = (int8_t)(f->lo + (int32_t)v);                                                    \
            for (size_t left = (size_t)(order->rows + order->ends[v] - rows), n; left; left -= n) {               \
                n = HCK_MIN(left, reach);                                                                         \
                const uint16_t *const end = rows + n;                                                             \
                vint8##SIZE##_t sum = ROW(SIZE, 0);                                                               \
                for (rows++; rows + 4 <= end; rows += 4) {                                                        \
                    sum = __riscv_vadd(sum, ROW(SIZE, 0), vl);                                                    \
                    sum = __riscv_vadd(sum, ROW(SIZE, 1), vl);                                                    \
                    sum = __riscv_vadd(sum, ROW(SIZE, 2), vl);                                                    \
                    sum = __riscv_vadd(sum, ROW(SIZE, 3), vl);                                                    \
                }                                                                                                 \
                for (; rows < end; rows++) sum = __riscv_vadd(sum, ROW(SIZE, 0), vl);                             \
                MULTIPLY_ADD                                                                                      \
            }                                                                                                     \
        }                                                                                                         \
        __riscv_vse##BITS((int##BITS##_t *)to, total, vl);                                                        \
    }
#define IN_16 total = __riscv_vwmacc(total, value, sum, vl);
#define IN_32 total = __riscv_vwadd_wv(total, __riscv_vwmul(sum, value, vl), vl);
LEVELS(levels_16_mf2, mf2, 16, m1, IN_16)
LEVELS(levels_16_m1, m1, 16, m2, IN_16)
LEVELS(levels_16_m2, m2, 16, m4, IN_16)
LEVELS(levels_16_m4, m4, 16, m8, IN_16)
LEVELS(levels_32_mf2, mf2, 32, m2, IN_32)
LEVELS(levels_32_m1, m1, 32, m4, IN_32)
LEVELS(levels_32_m2, m2, 32, m8, IN_32)

/* EACH(M): M(k) for each of one or two vectors, `vl` channels apart, which share the scalar work. */
#define GROUPS(NAME, EACH, X_TYPE, SIZE, PART, TOTAL, MULTIPLY, MULTIPLY_ADD)                                     \
    static void NAME(const hck_full *f, const row_order *order, const int8_t *w, size_t vl, void *to) {           \
        const uint64_t *entry = order->entries, *const end = entry + order->count;                                \
        const uint16_t *length = order->lengths;                                                                  \
        (void)f;                                                                                                  \
        EACH(CLEAR, TOTAL, )                                                                                      \
        while (entry != end) {                                                                                    \
            const uint64_t *const last = entry + *length++;                                                       \
            const int8_t *at = w + (*entry >> 8);                                                                 \
            X_TYPE value = (X_TYPE)*entry++;                                                                      \
            EACH(START, SIZE, PART, MULTIPLY)                                                                     \
            for (; entry != last; entry++) {                                                                      \
                at = w + (*entry >> 8);                                                                           \
                value = (X_TYPE)*entry;                                                                           \
                EACH(ACCUMULATE, SIZE, MULTIPLY_ADD)                                                              \
            }                                                                                                     \
            EACH(FLUSH, , )                                                                                       \
        }                                                                                                         \
        EACH(STORE, , )                                                                                           \
    }
#define ONE(M, ...) M(0, __VA_ARGS__)
#define TWO(M, ...) M(0, __VA_ARGS__) M(1, __VA_ARGS__)
#define CLEAR(k, TOTAL, unused) vint32##TOTAL##_t total##k = __riscv_vmv_v_x_i32##TOTAL(0, vl);
#define START(k, SIZE, PART, MULTIPLY) \
    vint16##PART##_t part##k = MULTIPLY(__riscv_vle8_v_i8##SIZE(at + k * vl, vl), value, vl);
#define ACCUMULATE(k, SIZE, MULTIPLY_ADD) \
    part##k = MULTIPLY_ADD(part##k, value, __riscv_vle8_v_i8##SIZE(at + k * vl, vl), vl);
#define FLUSH(k, unused, unused_too) total##k = __riscv_vwadd_wv(total##k, part##k, vl);
#define STORE(k, unused, unused_too) __riscv_vse32((int32_t *)to + k * vl, total##k, vl);
GROUPS(groups_u8_mf2, ONE, uint8_t, mf2, m1, m2, __riscv_vwmulsu, __riscv_vwmaccus)
GROUPS(groups_u8_m1, ONE, uint8_t, m1, m2, m4, __riscv_vwmulsu, __riscv_vwmaccus)
GROUPS(groups_u8_m2, ONE, uint8_t, m2, m4, m8, __riscv_vwmulsu, __riscv_vwmaccus)
GROUPS(groups_u8_m4, TWO, uint8_t, m2, m4, m8, __riscv_vwmulsu, __riscv_vwmaccus)
GROUPS(groups_i8_mf2, ONE, int8_t, mf2, m1, m2, __riscv_vwmul, __riscv_vwmacc)
GROUPS(groups_i8_m1, ONE, int8_t, m1, m2, m4, __riscv_vwmul, __riscv_vwmacc)
GROUPS(groups_i8_m2, ONE, int8_t, m2, m4, m8, __riscv_vwmul, __riscv_vwmacc)
GROUPS(groups_i8_m4, TWO, int8_t, m2, m4, m8, __riscv_vwmul, __riscv_vwmacc)

/* Counted under the meter, groups cost about 17 instructions for a row and again for each pair of vectors of weights;
 * without them four channels of a row cost a beat. */
static int worth_ordering(size_t vector_bytes, size_t channels) {
    return vector_bytes > 17 && channels * (vector_bytes - 17) >= 68 * vector_bytes;
}

typedef void (*sums_fn)(const hck_full *f, const row_order *order, const int8_t *w, size_t vl, void *to);

void hck_full_layer(const hck_full *f, const hck_requantise *q, const void *x, void *y, size_t y_stride, void *scratch) {
    /* by the channels that they take: vectors of weights of half a register, one, two, four (or twice two) */
    static const sums_fn whole[4] = {levels_16_mf2, levels_16_m1, levels_16_m2, levels_16_m4};
    static const sums_fn levels[4] = {levels_32_mf2, levels_32_m1, levels_32_m2, levels_32_m2};
    static const sums_fn groups[2][4] = {{groups_u8_mf2, groups_u8_m1, groups_u8_m2, groups_u8_m4},
                                         {groups_i8_mf2, groups_i8_m1, groups_i8_m2, groups_i8_m4}};
    const hck_conv *const c = &f->conv;
    const size_t products = (size_t)c->kernel_h * c->kernel_w * c->in_c, one = __riscv_vsetvlmax_e8m1();
    const int fits = f->levels && c->flush >= products;
    const sums_fn *const sums = fits ? whole : f->levels ? levels : groups[c->x_type];
    row_order order;
    if (!f->levels && !worth_ordering(one, c->out_c)) {
        hck_conv2d(c, q, x, y, y_stride, scratch);
        return;
    }
    order.rows = (uint16_t *)scratch;
    order.entries = (uint64_t *)scratch;
    order.lengths = (uint16_t *)(order.entries + products);
    uint8_t *const tile = (uint8_t *)scratch + 12 * products;
    if (f->levels)
        order_levels(f, (const uint8_t *)x, products, &order);
    else if (c->x_type == HCK_U8)
        order_groups(HCK_U8, f, x, products, &order);
    else
        order_groups(HCK_I8, f, x, products, &order);
    for (size_t first = 0, taken; first < c->out_c; first += taken) {
        const size_t left = c->out_c - first, size = 2 * left <= one ? 0 : left <= one ? 1 : 2;
        const int pair = !f->levels && left >= 4 * one, wide = fits && left > 2 * one;
        taken = HCK_MIN(left, (pair || wide ? 4 : 2) * one);
        sums[pair || wide ? 3 : size](f, &order, c->weights + first, pair ? taken / 2 : taken,
                                      tile + first * (fits ? 2 : 4));
    }
    hck_requantise_rows(q, tile, fits ? HCK_I16 : HCK_I32, c->out_c, y, y_stride, 1, 1);
}

#else

void hck_full_layer(const hck_full *f, const hck_requantise *q, const void *x, void *y, size_t y_stride, void *scratch) {
    hck_conv2d(&f->conv, q, x, y, y_stride, scratch);
}

#endif
