/* Convolution by minimal filtering (hck_winograd.h): what all machines share, and the portable steps. */
#include "hck_winograd.h"

#include "hck_element.h"

#if defined(__riscv_vector)
#define planes_of hck_winograd_planes_rvv
#define sums_of hck_winograd_sums_rvv
#define results_of hck_winograd_results_rvv
#else

/* Register block of the sums: tiles by output channels, as in hck_conv.c. */
#define TILES 4
#if defined(__riscv)
#define CHANNELS 2
#else
#define CHANNELS 16
#endif

/* One row of B' with four numbers. */
HCK_INLINE void transform(const int32_t *d, int32_t *t) {
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[1] - d[3];
}

HCK_INLINE void put_planes(const hck_winograd *n, const int32_t d[4][4], void *planes, size_t at) {
    const size_t step = (size_t)n->strip * n->conv.in_c;
    int32_t half[4][4], plane[4][4];
    for (size_t j = 0; j < 4; j++) {
        const int32_t column[4] = {d[0][j], d[1][j], d[2][j], d[3][j]};
        transform(column, half[j]);
    }
    for (size_t i = 0; i < 4; i++) {
        const int32_t row[4] = {half[0][i], half[1][i], half[2][i], half[3][i]};
        transform(row, plane[i]);
        for (size_t j = 0; j < 4; j++) hck_put(planes, n->operands, at + (4 * i + j) * step, plane[i][j]);
    }
}

static void planes_of(const hck_winograd *n, const void *x, size_t tile, size_t count, void *planes) {
    const hck_conv *c = &n->conv;
    for (size_t t = 0; t < count; t++, tile++) {
        const hck_rows_under under = hck_rows_of_tile(c, x, tile);
        const size_t left = 2 * (tile % hck_tile_columns(c)) - c->pad_left;
        for (size_t k = 0; k < c->in_c; k++) {
            int32_t d[4][4];
            for (size_t i = 0; i < 4; i++)
                for (size_t j = 0; j < 4; j++) /* left of the picture is a huge number */
                    d[i][j] = left + j < c->in_w
                                  ? hck_get(under.at[i] + (ptrdiff_t)j * under.step[i], c->x_type, k)
                                  : 0;
            put_planes(n, (const int32_t(*)[4])d, planes, t * c->in_c + k);
        }
    }
}

/* `tiles` and `channels` are constants: the sums stay in registers. */
HCK_INLINE void block(hck_type type, size_t tiles, size_t channels, const void *x, size_t in_c, const void *w,
                      hck_type kept, void *sums, size_t at, size_t lanes) {
    int32_t sum[TILES][CHANNELS] = {{0}};
    for (size_t i = 0; i < in_c; i++)
        for (size_t t = 0; t < tiles; t++) {
            const int32_t element = hck_get(x, type, t * in_c + i);
            for (size_t k = 0; k < channels; k++) sum[t][k] += element * hck_get(w, type, i * lanes + k);
        }
    for (size_t t = 0; t < tiles; t++)
        for (size_t k = 0; k < channels; k++) hck_put(sums, kept, at + t * lanes + k, sum[t][k]);
}

HCK_INLINE void products(hck_type type, const hck_winograd *n, const uint8_t *x, size_t tiles, const uint8_t *w,
                         size_t lanes, void *sums) {
    const size_t in_c = n->conv.in_c, size = hck_size(type);
    for (size_t t = 0, count; t < tiles; t += count) {
        count = tiles - t < TILES ? 1 : TILES;
        for (size_t k = 0, width; k < lanes; k += width) {
            const uint8_t *const at = x + t * in_c * size, *const from = w + k * size;
            const size_t to = t * lanes + k;
            width = lanes - k < CHANNELS ? 1 : CHANNELS;
            if (count == TILES && width == CHANNELS)
                block(type, TILES, CHANNELS, at, in_c, from, n->sums, sums, to, lanes);
            else if (count == TILES)
                block(type, TILES, 1, at, in_c, from, n->sums, sums, to, lanes);
            else if (width == CHANNELS)
                block(type, 1, CHANNELS, at, in_c, from, n->sums, sums, to, lanes);
            else
                block(type, 1, 1, at, in_c, from, n->sums, sums, to, lanes);
        }
    }
}

static void sums_of(const hck_winograd *n, const void *planes, size_t tiles, size_t channel, size_t lanes, void *sums) {
    const size_t in_c = n->conv.in_c, size = hck_size(n->operands);
    for (size_t p = 0; p < HCK_PLANES; p++) {
        const uint8_t *const x = (const uint8_t *)planes + p * n->strip * in_c * size;
        const uint8_t *const w = (const uint8_t *)n->weights + (HCK_PLANES * channel + p * lanes) * in_c * size;
        uint8_t *const to = (uint8_t *)sums + p * n->strip * lanes * hck_size(n->sums);
        if (n->operands == HCK_I8)
            products(HCK_I8, n, x, tiles, w, lanes, to);
        else
            products(HCK_I16, n, x, tiles, w, lanes, to);
    }
}

/* A' of four numbers; what wraps is right in the end. */
HCK_INLINE void combine(const uint32_t *m, uint32_t *y) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
}

static void results_of(const hck_winograd *n, const void *sums, size_t tiles, size_t lanes, void *to, size_t step,
                       size_t down) {
    const size_t plane = n->strip * lanes;
    for (size_t t = 0; t < tiles; t++)
        for (size_t k = 0; k < lanes; k++) {
            uint32_t half[4][2];
            for (size_t j = 0; j < 4; j++) {
                uint32_t column[4];
                for (size_t i = 0; i < 4; i++) column[i] = (uint32_t)hck_get(sums, n->sums, (4 * i + j) * plane + t * lanes + k);
                combine(column, half[j]);
            }
            for (size_t i = 0; i < 2; i++) {
                const uint32_t row[4] = {half[0][i], half[1][i], half[2][i], half[3][i]};
                uint32_t y[2];
                combine(row, y);
                for (size_t j = 0; j < 2; j++) {
                    const int32_t four = n->results == HCK_I16 ? (int16_t)y[j] : (int32_t)y[j];
                    hck_put(to, n->results, t * step + i * down + j * n->conv.out_c + k, four >> 2);
                }
            }
        }
}
#endif

/* Results of the strip's tiles from `tile` on, which are `count` of one row of these and lie in `rows` from column
 * `at` on, two rows of 2 * strip each. */
static void put_row(const hck_winograd *n, const hck_requantise *q, const uint8_t *rows, size_t tile, size_t count,
                    size_t at, uint8_t *y, size_t y_stride) {
    const hck_conv *c = &n->conv;
    const size_t top = tile / hck_tile_columns(c) * 2, left = tile % hck_tile_columns(c) * 2;
    const size_t wide = c->out_c * hck_size(n->results), pixel = y_stride * hck_size(q->y_type);
    for (size_t i = 0; i < 2 && top + i < c->out_h; i++)
        hck_requantise_rows(q, rows + (i * 2 * n->strip + 2 * at) * wide, n->results, c->out_c,
                            y + ((top + i) * c->out_w + left) * pixel, y_stride, HCK_MIN(2 * count, c->out_w - left), 1);
}

void hck_conv2d_winograd(const hck_winograd *n, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                         void *scratch) {
    const hck_conv *c = &n->conv;
    const size_t columns = hck_tile_columns(c), strip = n->strip;
    const size_t total = columns * ((c->out_h + (c->pool == 1)) / 2);
    const size_t step = (c->pool == 1 ? 2 : 4) * c->out_c, down = (c->pool == 1 ? 2 * strip : 2) * c->out_c;
    uint8_t *const planes = (uint8_t *)scratch;
    uint8_t *const sums = planes + HCK_WINOGRAD_PLANE_BYTES(strip, (size_t)c->in_c, hck_size(n->operands));
    uint8_t *const rows = sums + HCK_WINOGRAD_SUM_BYTES(strip, c->out_c, hck_size(n->sums));
    for (size_t first = 0, count; first < total; first += count) {
        count = HCK_MIN(total - first, strip);
        for (size_t t = 0, some; t < count; t += some) { /* of one row of tiles */
            some = HCK_MIN(count - t, columns - (first + t) % columns);
            planes_of(n, x, first + t, some, planes + t * c->in_c * hck_size(n->operands));
        }
        for (size_t k = 0, lanes; k < c->out_c; k += lanes) {
            lanes = HCK_MIN(c->out_c - k, HCK_LANES);
            sums_of(n, planes, count, k, lanes, sums);
            results_of(n, sums, count, lanes, rows + k * hck_size(n->results), step, down);
        }
        if (c->pool == 2) {
            hck_requantise_rows(q, rows, n->results, c->out_c, (uint8_t *)y + first * y_stride * hck_size(q->y_type),
                                y_stride, count, 4);
            continue;
        }
        for (size_t t = 0, some; t < count; t += some) {
            some = HCK_MIN(count - t, columns - (first + t) % columns);
            put_row(n, q, rows, first + t, some, t, (uint8_t *)y, y_stride);
        }
    }
}
