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

/* Levels: rows of weights in the order in which they are added. */
typedef struct {
    uint16_t *rows;
    size_t ends[HCK_LEVELS]; /* behind the last row of each level */
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

typedef void (*levels_fn)(const hck_full *f, const row_order *order, const int8_t *w, size_t vl, void *to);

static void by_levels(const hck_full *f, const uint8_t *x, size_t products, int fits, uint8_t *tile, void *scratch) {
    /* by the channels that they take: vectors of weights of half a register, one, two, four */
    static const levels_fn whole[4] = {levels_16_mf2, levels_16_m1, levels_16_m2, levels_16_m4};
    static const levels_fn parts[4] = {levels_32_mf2, levels_32_m1, levels_32_m2, levels_32_m2};
    const size_t channels = f->conv.out_c, one = __riscv_vsetvlmax_e8m1();
    row_order order;
    order.rows = (uint16_t *)scratch;
    order_levels(f, x, products, &order);
    for (size_t first = 0, taken; first < channels; first += taken) {
        const size_t left = channels - first, size = 2 * left <= one ? 0 : left <= one ? 1 : left <= 2 * one ? 2 : 3;
        taken = HCK_MIN(left, (fits ? 4 : 2) * one);
        (fits ? whole : parts)[size](f, &order, f->conv.weights + first, taken, tile + first * (fits ? 2 : 4));
    }
}

void hck_full_layer(const hck_full *f, const hck_requantise *q, const void *x, void *y, size_t y_stride, void *scratch) {
    const hck_conv *const c = &f->conv;
    const size_t products = (size_t)c->kernel_h * c->kernel_w * c->in_c;
    const int fits = f->levels && c->flush >= products;
    const order_kind kind = kind_of_order(f, products);
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
