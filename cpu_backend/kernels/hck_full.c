/* Fully connected layers on RVV 1.0 (hck_full.h): lanes are output channels. */
#include "hck_full.h"

#include "hck_element.h"

#if defined(__riscv_vector)

/* Bytes of zeros, without a call of memset. */
static void clear(void *to, size_t bytes) {
    uint8_t *at = (uint8_t *)to;
    for (size_t vl; bytes; bytes -= vl, at += vl) {
        vl = __riscv_vsetvl_e8m8(bytes);
        __riscv_vse8(at, __riscv_vmv_v_x_u8m8(0, vl), vl);
    }
}

#include "hck_full_groups.inc"

/* Levels: rows of weights in the order in which they are added, and where their sums go. */
typedef struct {
    uint16_t *rows;
    size_t ends[HCK_LEVELS]; /* behind the last row of each level */
    size_t room;             /* so large a sum of elements' magnitudes, times the largest weight, fits 16 bits */
    int16_t *sums;
    int32_t *wide; /* sums go there when there is no room left; NULL: 16 bits hold whole ones */
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

/* Moves `channels` sums of 16 bits to those of 32 bits. */
static void widen(const row_order *order, size_t first, size_t channels) {
    int16_t *from = order->sums + first;
    int32_t *to = order->wide + first;
    for (size_t vl; channels; channels -= vl, from += vl, to += vl) {
        vl = __riscv_vsetvl_e32m8(channels);
        __riscv_vse32(to, __riscv_vwadd_wv(__riscv_vle32_v_i32m8(to, vl), __riscv_vle16_v_i16m4(from, vl), vl), vl);
        __riscv_vse16(from, __riscv_vmv_v_x_i16m4(0, vl), vl);
    }
}

/*
 * The sums of `vl` channels from `first` on. Rows with the same element are added up in 8 bits: ROW_1 is the first of
 * them, TWO_ROWS takes pairs, if it does, and ROW_N one more; ADD_SUMS adds `value` times that to sums of 16 bits. SAVE
 * stores these, after which they are 0.
 */
#define LEVELS(NAME, CLEAR, ROW_1, TWO_ROWS, ROW_N, ADD_SUMS, SAVE)                                               \
    static void NAME(const hck_full *f, const row_order *order, size_t first, size_t vl) {                        \
        const size_t lanes = f->conv.out_c, reach = f->reach;                                                     \
        const int8_t *const w = f->conv.weights + first;                                                          \
        const uint16_t *rows = order->rows;                                                                       \
        int16_t *const to = order->sums + first;                                                                  \
        size_t room = order->room;                                                                                \
        CLEAR                                                                                                     \
        for (size_t v = 0; v < f->levels; v++) {                                                                  \
            const int32_t element = f->lo + (int32_t)v;                                                           \
            const int8_t value = (int8_t)element;                                                                 \
            const size_t magnitude = (size_t)(element < 0 ? -element : element);                                  \
            for (size_t left = (size_t)(order->rows + order->ends[v] - rows), n; left; left -= n) {               \
                n = HCK_MIN(left, reach);                                                                         \
                if (order->wide && n * magnitude > room) {                                                        \
                    SAVE                                                                                          \
                    widen(order, first, vl);                                                                      \
                    room = order->room;                                                                           \
                }                                                                                                 \
                room -= n * magnitude;                                                                            \
                const uint16_t *const end = rows + n;                                                             \
                ROW_1                                                                                             \
                rows++;                                                                                           \
                TWO_ROWS                                                                                          \
                for (; rows < end; rows++) {                                                                      \
                    ROW_N                                                                                         \
                }                                                                                                 \
                ADD_SUMS                                                                                          \
            }                                                                                                     \
        }                                                                                                         \
        SAVE                                                                                                      \
        if (order->wide) widen(order, first, vl);                                                                 \
    }

/* With sums in registers. */
#define ROW(SIZE, row) __riscv_vle8_v_i8##SIZE(w + rows[row] * lanes, vl)
#define IN_REGISTERS(NAME, SIZE, TOTAL)                                                 \
    LEVELS(                                                                             \
        NAME, vint16##TOTAL##_t total = __riscv_vmv_v_x_i16##TOTAL(0, vl);              \
        , vint8##SIZE##_t sum = ROW(SIZE, 0);                                           \
        , for (; rows + 2 <= end; rows += 2) {                                          \
            sum = __riscv_vadd(sum, ROW(SIZE, 0), vl);                                  \
            sum = __riscv_vadd(sum, ROW(SIZE, 1), vl);                                  \
        }, sum = __riscv_vadd(sum, ROW(SIZE, 0), vl);                                   \
        , total = __riscv_vwmacc(total, value, sum, vl);                                \
        , __riscv_vse16(to, total, vl); total = __riscv_vmv_v_x_i16##TOTAL(0, vl);)
IN_REGISTERS(levels_mf2, mf2, m1)
IN_REGISTERS(levels_m1, m1, m2)
IN_REGISTERS(levels_m2, m2, m4)
IN_REGISTERS(levels_m4, m4, m8)

/* With sums in memory, of eight or sixteen registers of channels. */
HCK_INLINE void add_half(int16_t *to, vint8m4_t sum, int8_t value, size_t vl) {
    __riscv_vse16(to, __riscv_vwmacc(__riscv_vle16_v_i16m8(to, vl), value, sum, vl), vl);
}
#define CLEAR_SUMS const size_t half = __riscv_vsetvlmax_e8m4(); clear(to, vl * sizeof *to);
#define EIGHT(k) __riscv_vle8_v_i8m8(w + *rows * lanes + 2 * k * half, 2 * half)
#define FIRST_ROW(k) vint8m8_t sum##k = EIGHT(k);
#define NEXT_ROW(k) sum##k = __riscv_vadd(sum##k, EIGHT(k), 2 * half);
#define ADD_HALVES(k)                                                                     \
    add_half(to + 2 * k * half, __riscv_vget_v_i8m8_i8m4(sum##k, 0), value, half);        \
    add_half(to + (2 * k + 1) * half, __riscv_vget_v_i8m8_i8m4(sum##k, 1), value, half);
LEVELS(levels_m8, CLEAR_SUMS, FIRST_ROW(0), , NEXT_ROW(0), ADD_HALVES(0), )
LEVELS(levels_m16, CLEAR_SUMS, FIRST_ROW(0) FIRST_ROW(1), , NEXT_ROW(0) NEXT_ROW(1), ADD_HALVES(0) ADD_HALVES(1), )

typedef void (*levels_fn)(const hck_full *f, const row_order *order, size_t first, size_t vl);

static void by_levels(const hck_full *f, const uint8_t *x, size_t products, int fits, uint8_t *tile, void *scratch) {
    /* by the channels that they take: vectors of weights of half a register, one, two, four, eight, twice eight */
    static const levels_fn levels[6] = {levels_mf2, levels_m1, levels_m2, levels_m4, levels_m8, levels_m16};
    const size_t channels = f->conv.out_c, one = __riscv_vsetvlmax_e8m1();
    const int is_long = one <= 16 && f->reach >= 8; /* where instructions count for more than sums in memory do */
    row_order order;
    order.rows = (uint16_t *)scratch;
    order.room = 258 * f->reach; /* 258 * 127 fits 16 bits */
    order.sums = (int16_t *)(void *)(fits ? tile : tile + 4 * channels);
    order.wide = fits ? NULL : (int32_t *)(void *)tile;
    order_levels(f, x, products, &order);
    if (!fits) clear(tile, 4 * channels);
    for (size_t first = 0, taken; first < channels; first += taken) {
        const size_t left = channels - first;
        size_t size = 2 * left <= one ? 0 : left <= one ? 1 : left <= 2 * one ? 2 : 3;
        taken = HCK_MIN(left, 4 * one);
        if (is_long && left >= 8 * one) {
            size = left >= 16 * one ? 5 : 4;
            taken = (size == 5 ? 16 : 8) * one;
        }
        levels[size](f, &order, first, taken);
    }
}

void hck_full_layer(const hck_full *f, const hck_requantise *q, const void *x, void *y, size_t y_stride, void *scratch) {
    const hck_conv *const c = &f->conv;
    const size_t products = (size_t)c->kernel_h * c->kernel_w * c->in_c;
    const int fits = f->levels && c->flush >= products;
    const order_kind kind = f->levels ? HCK_NOT : kind_of_order(f, products);
    uint8_t *const tile = (uint8_t *)scratch + HCK_FULL_ORDER(c->kernel_h, c->kernel_w, c->in_c);
    if (f->levels) {
        by_levels(f, (const uint8_t *)x, products, fits, tile, scratch);
    } else if (kind != HCK_NOT) {
        by_groups(f, kind, (const uint8_t *)x, products, (int32_t *)(void *)tile, scratch);
    } else {
        hck_conv2d(c, q, x, y, y_stride, scratch);
        return;
    }
    hck_requantise_rows(q, tile, fits ? HCK_I16 : HCK_I32, c->out_c, y, y_stride, 1, 1);
}

#else

void hck_full_layer(const hck_full *f, const hck_requantise *q, const void *x, void *y, size_t y_stride, void *scratch) {
    hck_conv2d(&f->conv, q, x, y, y_stride, scratch);
}

#endif
