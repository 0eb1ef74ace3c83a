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

static void fill(int32_t *to, int32_t value, size_t count) {
    for (size_t vl; count; count -= vl, to += vl) {
        vl = __riscv_vsetvl_e32m8(count);
        __riscv_vse32(to, __riscv_vmv_v_x_i32m8(value, vl), vl);
    }
}

#include "hck_full_groups.inc"

/* Levels: rows of weights in the order in which they are added, and where their sums go. */
typedef struct {
    uint16_t *rows;
    uint32_t *places;        /* where these rows' weights begin, behind the first row's; NULL: not worth it */
    size_t ends[HCK_LEVELS]; /* behind the last row of each level */
    size_t room;             /* so large a sum of elements' magnitudes, times the largest weight, fits 16 bits */
    int16_t *sums;
    int32_t *wide; /* sums go there when there is no room left; NULL: 16 bits hold whole ones */
} row_order;

/* Fills `rows` and `ends`. Few rows of many have a level's element, so those found are moved in short vectors. */
#define ORDER_LEVELS(SIZE, MASK, FEW, WIDE)                                                                    \
    static void order_levels_##SIZE(const hck_full *f, const uint8_t *x, size_t products, row_order *order) {  \
        const vuint8##SIZE##_t all = __riscv_vid_v_u8##SIZE(__riscv_vsetvlmax_e8##SIZE());                     \
        const size_t some = __riscv_vsetvlmax_e16##WIDE();                                                     \
        uint16_t *rows = order->rows;                                                                          \
        for (size_t v = 0; v < f->levels; v++) {                                                               \
            const uint8_t value = (uint8_t)(f->lo + (int32_t)v);                                               \
            for (size_t i = 0, vl; value && i < products; i += vl) {                                           \
                vl = __riscv_vsetvl_e8##SIZE(HCK_MIN(products - i, 256)); /* numbers in bytes */               \
                const MASK equal = __riscv_vmseq(__riscv_vle8_v_u8##SIZE(x + i, vl), value, vl);               \
                vuint8##SIZE##_t numbers = __riscv_vcompress(all, equal, vl);                                  \
                size_t left = __riscv_vcpop(equal, vl);                                                        \
                while (left) {                                                                                 \
                    const size_t n = HCK_MIN(left, some);                                                      \
                    const vuint16##WIDE##_t wide = __riscv_vzext_vf2(__riscv_vlmul_trunc_u8##FEW(numbers), n); \
                    __riscv_vse16(rows, __riscv_vadd(wide, (uint16_t)i, n), n);                                \
                    rows += n;                                                                                 \
                    left -= n;                                                                                 \
                    if (left) numbers = __riscv_vslidedown(numbers, some, vl);                                 \
                }                                                                                              \
            }                                                                                                  \
            order->ends[v] = (size_t)(rows - order->rows);                                                     \
        }                                                                                                      \
    }
ORDER_LEVELS(m4, vbool2_t, mf2, m1)
ORDER_LEVELS(m8, vbool1_t, m1, m2)

static void order_levels(const hck_full *f, const uint8_t *x, size_t products, row_order *order) {
    if (__riscv_vsetvlmax_e8m4() < 256) {
        order_levels_m8(f, x, products, order);
    } else {
        order_levels_m4(f, x, products, order);
    }
    for (size_t i = 0, vl, count = order->places ? order->ends[f->levels - 1] : 0; i < count; i += vl) {
        vl = __riscv_vsetvl_e16m4(count - i);
        const vuint16m4_t rows = __riscv_vle16_v_u16m4(order->rows + i, vl);
        __riscv_vse32(order->places + i, __riscv_vwmulu(rows, (uint16_t)f->stride, vl), vl);
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
 * The sums of `vl` channels from `first` on, of rows of PLACES, each a PLACE. Those with the same element are added up
 * in 8 bits: ROW_1 is the first of them, TWO_ROWS takes pairs and ROW_N one more; ADD_SUMS adds `value` times that to
 * sums of 16 bits. SAVE stores these, after which they are 0.
 */
#define LEVELS(NAME, PLACE, PLACES, CLEAR, ROW_1, TWO_ROWS, ROW_N, ADD_SUMS, SAVE)                    \
    static void NAME(const hck_full *f, const row_order *order, size_t first, size_t vl) {            \
        const size_t stride = f->stride, reach = f->reach;                                            \
        const int8_t *const w = f->conv.weights + first;                                              \
        const PLACE *rows = order->PLACES;                                                            \
        int16_t *const to = order->sums + first;                                                      \
        size_t room = order->room;                                                                    \
        (void)stride; /* places make up for it */                                                     \
        CLEAR                                                                                         \
        for (size_t v = 0; v < f->levels; v++) {                                                      \
            const int32_t element = f->lo + (int32_t)v;                                               \
            const int8_t value = (int8_t)element;                                                     \
            const size_t magnitude = (size_t)(element < 0 ? -element : element);                      \
            for (size_t left = (size_t)(order->PLACES + order->ends[v] - rows), n; left; left -= n) { \
                n = HCK_MIN(left, reach);                                                             \
                if (order->wide && n * magnitude > room) {                                            \
                    SAVE                                                                              \
                    widen(order, first, vl);                                                          \
                    room = order->room;                                                               \
                }                                                                                     \
                room -= n * magnitude;                                                                \
                const PLACE *const end = rows + n;                                                    \
                ROW_1                                                                                 \
                rows++;                                                                               \
                for (; rows + 2 <= end; rows += 2) {                                                  \
                    TWO_ROWS                                                                          \
                }                                                                                     \
                for (; rows < end; rows++) {                                                          \
                    ROW_N                                                                             \
                }                                                                                     \
                ADD_SUMS                                                                              \
            }                                                                                         \
        }                                                                                             \
        SAVE                                                                                          \
        if (order->wide) widen(order, first, vl);                                                     \
    }

/* Of up to four registers of weights. */
#define ROW(SIZE, row) __riscv_vle8_v_i8##SIZE(w + rows[row] * stride, vl)
#define UP_TO_FOUR(NAME, SIZE, TOTAL)                                                      \
    LEVELS(                                                                                \
        NAME, uint16_t, rows, vint16##TOTAL##_t total = __riscv_vmv_v_x_i16##TOTAL(0, vl); \
        , vint8##SIZE##_t sum = ROW(SIZE, 0);                                              \
        , sum = __riscv_vadd(sum, ROW(SIZE, 0), vl);                                       \
        sum = __riscv_vadd(sum, ROW(SIZE, 1), vl);                                         \
        , sum = __riscv_vadd(sum, ROW(SIZE, 0), vl);                                       \
        , total = __riscv_vwmacc(total, value, sum, vl);                                   \
        , __riscv_vse16(to, total, vl); total = __riscv_vmv_v_x_i16##TOTAL(0, vl);)
UP_TO_FOUR(levels_mf2, mf2, m1)
UP_TO_FOUR(levels_m1, m1, m2)
UP_TO_FOUR(levels_m2, m2, m4)
UP_TO_FOUR(levels_m4, m4, m8)

/* Of eight, which are full: sums take eight, totals sixteen, and the other eight are for the next row. */
#define ALL_LANES __riscv_vsetvlmax_e8m8()
#define HALF __riscv_vsetvlmax_e16m8()
#define EIGHT(row) __riscv_vle8_v_i8m8(w + rows[row], ALL_LANES)
LEVELS(
    levels_m8, uint32_t, places, vint16m8_t total0 = __riscv_vmv_v_x_i16m8(0, HALF); vint16m8_t total1 = total0;
    , vint8m8_t sum = EIGHT(0);
    , sum = __riscv_vadd(sum, EIGHT(0), ALL_LANES); sum = __riscv_vadd(sum, EIGHT(1), ALL_LANES);
    , sum = __riscv_vadd(sum, EIGHT(0), ALL_LANES);
    , total0 = __riscv_vwmacc(total0, value, __riscv_vget_v_i8m8_i8m4(sum, 0), HALF);
    total1 = __riscv_vwmacc(total1, value, __riscv_vget_v_i8m8_i8m4(sum, 1), HALF);
    , __riscv_vse16(to, total0, HALF); __riscv_vse16(to + HALF, total1, HALF);
    total0 = total1 = __riscv_vmv_v_x_i16m8(0, HALF);)

typedef void (*levels_fn)(const hck_full *f, const row_order *order, size_t first, size_t vl);

static void by_levels(const hck_full *f, const uint8_t *x, size_t products, int fits, uint8_t *tile, void *scratch) {
    /* by the channels that they take: vectors of weights of half a register, one, two, four, eight */
    static const levels_fn levels[5] = {levels_mf2, levels_m1, levels_m2, levels_m4, levels_m8};
    const size_t channels = f->conv.out_c, one = __riscv_vsetvlmax_e8m1();
    const int is_long = one <= 16 && f->reach >= 8; /* where instructions count for more than sums in memory do */
    row_order order;
    order.places = is_long && channels >= 8 * one ? (uint32_t *)scratch : NULL;
    order.rows = (uint16_t *)scratch + 2 * products;
    order.room = 258 * f->reach; /* 258 * 127 fits 16 bits */
    order.sums = (int16_t *)(void *)(fits ? tile : tile + 4 * channels);
    order.wide = fits ? NULL : (int32_t *)(void *)tile;
    order_levels(f, x, products, &order);
    if (!fits) clear(tile, 4 * channels);
    for (size_t first = 0, taken; first < channels; first += taken) {
        const size_t left = channels - first;
        const int is_full = is_long && left >= 8 * one;
        const size_t size = 2 * left <= one ? 0 : left <= one ? 1 : left <= 2 * one ? 2 : 3;
        taken = is_full ? 8 * one : HCK_MIN(left, 4 * one);
        levels[is_full ? 4 : size](f, &order, first, taken);
    }
}

void hck_full_layer(const hck_full *f, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                    void *scratch) {
    const hck_conv *const c = &f->conv;
    const size_t products = (size_t)c->kernel_h * c->kernel_w * c->in_c;
    const int fits = f->levels && c->flush >= products;
    const int is_plain = f->bits == 8 && f->stride == c->out_c;
    order_kind kind = f->levels ? HCK_NOT : kind_of_order(f, products);
    if (kind == HCK_NOT && !is_plain) kind = HCK_LISTS;
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

/* The totals of rows that are no hck_conv's. */
static void add_products(const hck_full *f, const void *x, size_t products, size_t row, int32_t *totals) {
    const uint8_t *w = (const uint8_t *)f->conv.weights, mask = (uint8_t)((1u << f->bits) - 1);
    for (size_t i = 0; i < products; i++, w += f->stride) {
        const int32_t element = hck_get(x, f->conv.x_type, i);
        int32_t *to = totals;
        for (uint32_t shift = 0; shift < 8; shift += f->bits)
            for (size_t k = 0; k < row; k++) {
                const uint8_t stored = w[k] >> shift & mask;
                *to++ += element * (f->bits < 8 ? stored - HCK_FULL_OFFSET(f) : (int8_t)stored);
            }
    }
}

void hck_full_layer(const hck_full *f, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                    void *scratch) {
    const hck_conv *const c = &f->conv;
    if (f->bits == 8 && f->stride == c->out_c) {
        hck_conv2d(c, q, x, y, y_stride, scratch);
        return;
    }
    const size_t fields = 8 / f->bits, row = (c->out_c + fields - 1) / fields;
    int32_t *const totals = (int32_t *)scratch;
    for (size_t k = 0; k < fields * row; k++) totals[k] = 0;
    add_products(f, x, (size_t)c->kernel_h * c->kernel_w * c->in_c, row, totals);
    hck_requantise_rows(q, totals, HCK_I32, c->out_c, y, y_stride, 1, 1);
}

#endif
