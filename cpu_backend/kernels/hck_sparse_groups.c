/*
 * Tiles of one channel whose weights repeat: the elements that have the same weight, or its negative, are added (or
 * subtracted) in 8 bits, and what comes of it is multiplied once (repetition of weights: Hegde et al., "UCNN", ISCA
 * 2018). Where the weights have 4 bits a group has many elements, and an addition in 8 bits takes half the time of a
 * product in 16.
 *
 * In the terms of hck_sparse: a run is a group; it has two lengths (the elements added, at least one, and those
 * subtracted), its columns in this order, and one weight. The first of the lengths leaves out the first element, which
 * is loaded; columns are bytes in the panel, whose rows have HCK_GROUP_ROW.
 */
#include "hck_sparse.h"

#if defined(__riscv_vector)
#include <riscv_vector.h>

#define LOAD(LMUL, row) __riscv_vle8_v_i8##LMUL((const int8_t *)(panel + (row)), vl)
#define STEP(LMUL, OPERATION, k) group = OPERATION(group, LOAD(LMUL, rows[-(k)]), vl);
#define NEXT __attribute__((fallthrough));
#define FOUR_m2 1 /* registers for four rows at a time */
#define FOUR_m4 1
#define FOUR_m8 0

/* group = group OPERATION each of the next `count` rows. Groups are short: loops would take longer than additions. */
#define CHAIN(LMUL, OPERATION, count)                                                                                  \
    for (; count > 8; count -= FOUR_##LMUL ? 4 : 1) {                                                                  \
        rows += FOUR_##LMUL ? 4 : 1;                                                                                   \
        if (FOUR_##LMUL) {                                                                                             \
            STEP(LMUL, OPERATION, 4) STEP(LMUL, OPERATION, 3) STEP(LMUL, OPERATION, 2)                                 \
        }                                                                                                              \
        STEP(LMUL, OPERATION, 1)                                                                                       \
    }                                                                                                                  \
    rows += count;                                                                                                     \
    switch (count) {                                                                                                   \
        case 8: STEP(LMUL, OPERATION, 8) NEXT                                                                          \
        case 7: STEP(LMUL, OPERATION, 7) NEXT                                                                          \
        case 6: STEP(LMUL, OPERATION, 6) NEXT                                                                          \
        case 5: STEP(LMUL, OPERATION, 5) NEXT                                                                          \
        case 4: STEP(LMUL, OPERATION, 4) NEXT                                                                          \
        case 3: STEP(LMUL, OPERATION, 3) NEXT                                                                          \
        case 2: STEP(LMUL, OPERATION, 2) NEXT                                                                          \
        case 1: STEP(LMUL, OPERATION, 1) NEXT                                                                          \
        default: break;                                                                                                \
    }

/* The sum of a group's elements, whose lists these move behind it. */
#define GROUP(LMUL)                                                                                                    \
    HCK_INLINE vint8##LMUL##_t group_##LMUL(const uint8_t *panel, const uint16_t **from, const uint16_t *lengths,      \
                                            size_t vl) {                                                               \
        const uint16_t *rows = *from;                                                                                  \
        size_t added = lengths[0], subtracted = lengths[1];                                                            \
        vint8##LMUL##_t group = LOAD(LMUL, *rows++);                                                                   \
        CHAIN(LMUL, __riscv_vadd, added)                                                                               \
        CHAIN(LMUL, __riscv_vsub, subtracted)                                                                          \
        *from = rows;                                                                                                  \
        return group;                                                                                                  \
    }

GROUP(m2)
GROUP(m4)
GROUP(m8)

#define BEGIN(LMUL, fresh, sums, vl)                                                                                   \
    ((fresh) ? __riscv_vmv_v_x_i16##LMUL(0, vl) : __riscv_vle16_v_i16##LMUL(sums, vl))

/* hck_sparse_fn, sums of LMUL SUM_LMUL. */
#define GROUPS(LMUL, SUM_LMUL)                                                                                         \
    static void groups_##LMUL(const uint8_t *panel, unsigned row_shift, hck_cursor *at, size_t runs, int fresh,        \
                              size_t lanes, size_t pixels, void *sums) {                                               \
        const uint16_t *rows = at->columns, *lengths = at->lengths;                                                    \
        const int8_t *weight = (const int8_t *)at->weights;                                                            \
        vint16##SUM_LMUL##_t sum = BEGIN(SUM_LMUL, fresh, (const int16_t *)sums, lanes);                               \
        (void)row_shift, (void)pixels;                                                                                 \
        for (; runs; runs--, lengths += 2)                                                                             \
            sum = __riscv_vwmacc(sum, *weight++, group_##LMUL(panel, &rows, lengths, lanes), lanes);                   \
        __riscv_vse16((int16_t *)sums, sum, lanes);                                                                    \
        *at = (hck_cursor){lengths, rows, (const uint8_t *)weight};                                                    \
    }

GROUPS(m2, m4)
GROUPS(m4, m8)

/* The same in all registers, for the shortest vectors. */
static void groups_m8(const uint8_t *panel, unsigned row_shift, hck_cursor *at, size_t runs, int fresh, size_t lanes,
                      size_t pixels, void *sums) {
    const uint16_t *rows = at->columns, *lengths = at->lengths;
    const int8_t *weight = (const int8_t *)at->weights;
    const size_t low = HCK_MIN(lanes, __riscv_vsetvlmax_e8m4()), high = lanes - low;
    int16_t *const first = (int16_t *)sums, *const second = first + low;
    vint16m8_t sum = BEGIN(m8, fresh, first, low), sum_high = BEGIN(m8, fresh, second, high);
    (void)row_shift, (void)pixels;
    for (; runs; runs--, lengths += 2) {
        const vint8m8_t group = group_m8(panel, &rows, lengths, lanes);
        sum = __riscv_vwmacc(sum, *weight, __riscv_vget_i8m4(group, 0), low);
        sum_high = __riscv_vwmacc(sum_high, *weight++, __riscv_vget_i8m4(group, 1), high);
    }
    __riscv_vse16(first, sum, low);
    __riscv_vse16(second, sum_high, high);
    *at = (hck_cursor){lengths, rows, (const uint8_t *)weight};
}

/* By the smallest group of registers that holds a row: longer ones would not fit a cache beside the result's pixels. */
void hck_sparse_groups(const hck_sparse *c, hck_sparse_kernel *kernel) {
    const size_t one = __riscv_vsetvlmax_e8m1();
    const hck_sparse_fn fn = HCK_GROUP_ROW <= 2 * one ? groups_m2 : HCK_GROUP_ROW <= 4 * one ? groups_m4 : groups_m8;
    (void)c;
    kernel->tile[0] = fn;
    kernel->pixels = HCK_GROUP_ROW;
    kernel->sums = HCK_I16;
}

#else

#define PORTABLE_PIXELS 32u /* as in hck_sparse_portable.c */

/* Lanes beyond the operand's last pixel hold anything, so sums of these may overflow: they wrap. */
HCK_INLINE void groups(int is_signed, const uint8_t *panel, hck_cursor *at, size_t runs, int fresh, size_t lanes,
                       int32_t *sums) {
    for (size_t p = 0; fresh && p < lanes; p++) sums[p] = 0;
    for (; runs; runs--, at->lengths += 2, at->weights++) {
        const int8_t weight = *(const int8_t *)at->weights;
        const size_t added = at->lengths[0] + 1u, all = added + at->lengths[1];
        for (size_t k = 0; k < all; k++) {
            const uint8_t *x = panel + *at->columns++;
            const int32_t factor = k < added ? weight : -weight;
            for (size_t p = 0; p < lanes; p++)
                sums[p] = (int32_t)((uint32_t)sums[p] + (uint32_t)(factor * (is_signed ? (int8_t)x[p] : x[p])));
        }
    }
}

static void groups_i8(const uint8_t *panel, unsigned row_shift, hck_cursor *at, size_t runs, int fresh, size_t lanes,
                      size_t pixels, void *sums) {
    (void)row_shift, (void)pixels;
    groups(1, panel, at, runs, fresh, lanes, (int32_t *)sums);
}

static void groups_u8(const uint8_t *panel, unsigned row_shift, hck_cursor *at, size_t runs, int fresh, size_t lanes,
                      size_t pixels, void *sums) {
    (void)row_shift, (void)pixels;
    groups(0, panel, at, runs, fresh, lanes, (int32_t *)sums);
}

void hck_sparse_groups(const hck_sparse *c, hck_sparse_kernel *kernel) {
    kernel->tile[0] = c->plane_type == HCK_I8 ? groups_i8 : groups_u8;
    kernel->pixels = PORTABLE_PIXELS;
    kernel->sums = HCK_I32;
}

#endif
