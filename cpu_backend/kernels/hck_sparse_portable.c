/* Tiles of the column-pruned convolution without vectors: runs do not matter, sums are in 32 bits (or float). */
#include "hck_sparse.h"

#if !defined(__riscv_vector)

#define PORTABLE_PIXELS 32u

/* Lanes beyond the operand's last pixel hold anything, so sums of these may overflow: they wrap. */
#define PORTABLE(NAME, X, W, SUM, WRAP)                                                                              \
    HCK_INLINE void tile_##NAME(size_t channels, const uint8_t *panel, unsigned row_shift, hck_cursor *at,           \
                                size_t runs, int fresh, size_t lanes, size_t pixels, SUM *sums) {                    \
        for (size_t m = 0; fresh && m < channels; m++)                                                               \
            for (size_t p = 0; p < lanes; p++) sums[m * pixels + p] = (SUM)(p - p);                                  \
        for (; runs; runs--)                                                                                         \
            for (size_t left = *at->lengths++; left; left--) {                                                       \
                const X *x = (const X *)(const void *)(panel + ((size_t)*at->columns++ << row_shift));               \
                const W *w = (const W *)(const void *)at->weights;                                                   \
                for (size_t m = 0; m < channels; m++)                                                                \
                    for (size_t p = 0; p < lanes; p++)                                                               \
                        sums[m * pixels + p] = (SUM)((WRAP)sums[m * pixels + p] + (WRAP)(x[p] * w[m]));              \
                at->weights += channels * sizeof(W);                                                                 \
            }                                                                                                        \
    }

#define PORTABLE_SIZE(NAME, SUM, N)                                                                                  \
    static void tile_##NAME##_##N(const uint8_t *panel, unsigned row_shift, hck_cursor *at, size_t runs, int fresh,  \
                                  size_t lanes, size_t pixels, void *sums) {                                         \
        tile_##NAME(N, panel, row_shift, at, runs, fresh, lanes, pixels, (SUM *)sums);                               \
    }

#define PORTABLE_SIZES(NAME, X, W, SUM, WRAP)                                                                        \
    PORTABLE(NAME, X, W, SUM, WRAP)                                                                                  \
    PORTABLE_SIZE(NAME, SUM, 1)                                                                                      \
    PORTABLE_SIZE(NAME, SUM, 2)                                                                                      \
    PORTABLE_SIZE(NAME, SUM, 3)                                                                                      \
    PORTABLE_SIZE(NAME, SUM, 4)                                                                                      \
    PORTABLE_SIZE(NAME, SUM, 5)                                                                                      \
    PORTABLE_SIZE(NAME, SUM, 6)                                                                                      \
    PORTABLE_SIZE(NAME, SUM, 7)

PORTABLE_SIZES(u8, uint8_t, int8_t, int32_t, uint32_t)
PORTABLE_SIZES(i8, int8_t, int8_t, int32_t, uint32_t)
PORTABLE_SIZES(u16, uint16_t, int8_t, int32_t, uint32_t)
PORTABLE_SIZES(i16, int16_t, int8_t, int32_t, uint32_t)
PORTABLE_SIZES(float, float, float, float, float)

#define SIZES(NAME)                                                                                                 \
    {                                                                                                               \
        tile_##NAME##_1, tile_##NAME##_2, tile_##NAME##_3, tile_##NAME##_4, tile_##NAME##_5, tile_##NAME##_6,        \
            tile_##NAME##_7                                                                                         \
    }

void hck_sparse_portable(const hck_sparse *c, hck_sparse_kernel *kernel) {
    static const hck_sparse_fn tiles[5][HCK_TILE] = {SIZES(u8), SIZES(i8), SIZES(u16), SIZES(i16), SIZES(float)};
    const size_t type = c->sums == HCK_RUN_FLOAT ? 4 : c->plane_type;
    for (size_t n = 0; n < HCK_TILE; n++) kernel->tile[n] = tiles[type][n];
    kernel->pixels = PORTABLE_PIXELS;
    kernel->sums = HCK_I32;
}

#else
typedef int hck_no_sparse_portable; /* C99 wants a declaration in every file */
#endif
