/* Convolution: walks the output in blocks of pixels, gathers pointers to what lies under their windows, and has a tile
 * kernel (portable here, RVV in hck_conv_rvv.c) compute the sums, which are requantised while they are in the cache. */
#include "hck.h"
#include "hck_element.h"

/* Register block of the portable kernel: 4 pixels by 2 channels, with their operands and addresses, fill the registers
 * of a scalar RISC-V (4 by 4 spill); where compilers vectorise, 16 channels fill theirs. */
#define PIXELS 4
#if defined(__riscv)
#define CHANNELS 2
#else
#define CHANNELS 16
#endif

/* `channels` is a constant, and every loop over it and over pixels is unrolled: the sums stay in registers. */
HCK_INLINE void block_portable(hck_type type, size_t channels, const hck_conv *c, const void *const *pixels,
                               size_t from, size_t runs, size_t run, const int8_t *w, size_t lanes, int32_t *tile) {
    int32_t sum[PIXELS][CHANNELS] = {{0}};
    for (size_t r = 0; r < runs; r++, pixels += PIXELS)
        for (size_t i = from; i < from + run; i++, w += lanes) {
            int32_t weight[CHANNELS];
            for (size_t k = 0; k < channels; k++) weight[k] = w[k];
            for (size_t m = 0; m < PIXELS; m++) {
                const int32_t x = hck_get(pixels[m], type, i);
                for (size_t k = 0; k < channels; k++) sum[m][k] += x * weight[k];
            }
        }
    for (size_t m = 0; m < PIXELS; m++)
        for (size_t k = 0; k < channels; k++) tile[m * c->out_c + k] = sum[m][k];
}

HCK_INLINE void tile_portable(hck_type type, const hck_conv *c, const void *const *pixels, size_t from, size_t runs,
                              size_t run, const int8_t *weights, size_t lanes, int32_t *tile) {
    size_t k = 0;
    for (; k + CHANNELS <= lanes; k += CHANNELS)
        block_portable(type, CHANNELS, c, pixels, from, runs, run, weights + k, lanes, tile + k);
    for (; k < lanes; k++) block_portable(type, 1, c, pixels, from, runs, run, weights + k, lanes, tile + k);
}

/* One channel in, one out: channels are the lanes, and a run is one pixel of all groups. */
HCK_INLINE void depthwise_portable(hck_type type, const hck_conv *c, const void *const *pixels, size_t runs,
                                   const int8_t *weights, size_t lanes, int32_t *tile) {
    for (size_t m = 0; m < PIXELS; m++, tile += c->out_c) {
        for (size_t k = 0; k < lanes; k++) tile[k] = 0;
        for (size_t r = 0; r < runs; r++) {
            const void *x = pixels[r * PIXELS + m];
            const int8_t *w = weights + r * lanes;
            for (size_t k = 0; k < lanes; k++) tile[k] += hck_get(x, type, k) * w[k];
        }
    }
}

#define PORTABLE(NAME, TYPE)                                                                                          \
    static void tile_##NAME(const hck_conv *c, const void *const *pixels, size_t from, size_t runs, size_t run,       \
                            const int8_t *weights, size_t lanes, void *tile) {                                        \
        tile_portable(TYPE, c, pixels, from, runs, run, weights, lanes, (int32_t *)tile);                             \
    }                                                                                                                 \
    static void depthwise_##NAME(const hck_conv *c, const void *const *pixels, size_t from, size_t runs, size_t run,  \
                                 const int8_t *weights, size_t lanes, void *tile) {                                   \
        (void)from, (void)run;                                                                                        \
        depthwise_portable(TYPE, c, pixels, runs, weights, lanes, (int32_t *)tile);                                   \
    }

PORTABLE(u8, HCK_U8)
PORTABLE(i8, HCK_I8)
PORTABLE(u16, HCK_U16)
PORTABLE(i16, HCK_I16)

static int is_depthwise(const hck_conv *c) {
    return c->groups > 1 && c->groups == c->in_c && c->groups == c->out_c;
}

hck_tile hck_conv_tile(const hck_conv *c, size_t rows) {
    static const hck_tile_fn tiles[2][4] = {{tile_u8, tile_i8, tile_u16, tile_i16},
                                            {depthwise_u8, depthwise_i8, depthwise_u16, depthwise_i16}};
#if defined(__riscv_vector)
    hck_tile vector = hck_tile_rvv(c);
    if (rows < vector.mr && !is_depthwise(c)) vector = hck_tile_rvv_few(c, rows);
    if (vector.tile) return vector;
#endif
    (void)rows;
    hck_tile portable = {tiles[is_depthwise(c)][c->x_type], PIXELS, HCK_I32};
    return portable;
}

void hck_conv_corners(const hck_conv *c, size_t first, size_t count, size_t mr, int32_t *top, int32_t *left) {
    const size_t pooled_w = c->out_w / c->pool;
    size_t row = first / pooled_w, column = first % pooled_w;
    for (size_t m = 0; m < mr;) {
        for (size_t y = 0; y < c->pool; y++)
            for (size_t x = 0; x < c->pool; x++, m++) {
                top[m] = (int32_t)((row * c->pool + y) * c->stride_h) - (int32_t)c->pad_top;
                left[m] = (int32_t)((column * c->pool + x) * c->stride_w) - (int32_t)c->pad_left;
            }
        if (--count == 0) { /* a short block repeats its last pixel */
            count = 1;
        } else if (++column == pooled_w) {
            column = 0;
            row++;
        }
    }
}

/*
 * Pointers for each run. Where no window leaves the picture sideways, a row of a window is one run of kernel_w * in_c
 * neighbouring elements; otherwise, and with groups, every tap is a run of its own.
 */
static size_t gather(const hck_conv *c, const void *x, size_t mr, const int32_t *top, const int32_t *left,
                     const void **pixels, size_t *run) {
    const ptrdiff_t pixel_bytes = (ptrdiff_t)(c->in_c * hck_size(c->x_type)), row_bytes = c->in_w * pixel_bytes;
    int inside = c->groups == 1;
    for (size_t m = 0; m < mr; m++)
        inside = inside && left[m] >= 0 && left[m] + (int32_t)c->kernel_w <= (int32_t)c->in_w;
    const uint32_t taps = inside ? 1 : c->kernel_w;
    for (size_t m = 0; m < mr; m++) {
        const void **to = pixels + m;
        ptrdiff_t row = top[m] * row_bytes + left[m] * pixel_bytes;
        uint32_t iy = (uint32_t)top[m]; /* above the picture is a huge number */
        for (uint32_t ky = 0; ky < c->kernel_h; ky++, iy++, row += row_bytes) {
            uint32_t ix = (uint32_t)left[m];
            ptrdiff_t at = row;
            for (uint32_t kx = 0; kx < taps; kx++, ix++, at += pixel_bytes, to += mr)
                *to = iy < c->in_h && ix < c->in_w ? (const uint8_t *)x + at : c->zeros;
        }
    }
    *run = (inside ? c->kernel_w : 1) * (c->in_c / c->groups);
    return c->kernel_h * taps;
}

/* Windows are the pixels themselves, one after another. */
static int is_pointwise(const hck_conv *c) {
    return c->kernel_h == 1 && c->kernel_w == 1 && c->stride_h == 1 && c->stride_w == 1 && c->pool == 1 &&
           c->groups == 1 && c->out_h == c->in_h && c->out_w == c->in_w;
}

size_t hck_conv_windows(const hck_conv *c, size_t mr, const void *x, size_t first, size_t count, const void **pixels,
                        size_t *run) {
    if (is_pointwise(c)) {
        const size_t pixel_bytes = c->in_c * hck_size(c->x_type);
        const uint8_t *at = (const uint8_t *)x + first * pixel_bytes;
        for (size_t m = 0; m < mr; m++) {
            pixels[m] = at;
            if (m + 1 < count) at += pixel_bytes; /* a short block repeats its last pixel */
        }
        *run = c->in_c;
        return 1;
    }
    int32_t top[HCK_BLOCK], left[HCK_BLOCK];
    hck_conv_corners(c, first, count, mr, top, left);
    return gather(c, x, mr, top, left, pixels, run);
}

void hck_conv_sums(const hck_conv *c, const hck_tile *kernel, const void *x, size_t first, size_t count,
                   const void **pixels, void *tile) {
    const size_t groups = is_depthwise(c) ? 1 : c->groups;
    const size_t in = c->in_c / groups, out = c->out_c / groups;
    const size_t group_weights = (size_t)c->kernel_h * c->kernel_w * in * out;
    size_t run;
    const size_t runs = hck_conv_windows(c, kernel->mr, x, first, count, pixels, &run);
    for (size_t g = 0; g < groups; g++)
        kernel->tile(c, pixels, g * in, runs, run, c->weights + g * group_weights, out,
                     (uint8_t *)tile + g * out * hck_size(kernel->sums));
}

/* All blocks of pixels, by one kernel or each by that for the pixels which are left. */
static void blocks(const hck_conv *c, const hck_tile *only, const hck_requantise *q, const void *x, void *y,
                   size_t y_stride, void *scratch) {
    const void **pixels = (const void **)scratch;
    void *tile = (uint8_t *)scratch + (size_t)HCK_BLOCK * 8u * c->kernel_h * c->kernel_w;
    const size_t per = c->pool * c->pool;
    const size_t total = (size_t)(c->out_h / c->pool) * (c->out_w / c->pool);
    for (size_t first = 0, count; first < total; first += count) {
        const hck_tile kernel = only ? *only : hck_conv_tile(c, (total - first) * per);
        count = HCK_MIN(total - first, kernel.mr / per);
        hck_conv_sums(c, &kernel, x, first, count, pixels, tile);
        hck_requantise_rows(q, tile, kernel.sums, c->out_c, (uint8_t *)y + first * y_stride * hck_size(q->y_type),
                            y_stride, count, per);
    }
}

void hck_conv2d(const hck_conv *c, const hck_requantise *q, const void *x, void *y, size_t y_stride, void *scratch) {
#if defined(__riscv_vector)
    if (is_depthwise(c) && hck_depthwise3_rvv(c, q, x, y, y_stride, scratch)) return;
    if (is_depthwise(c) && hck_depthwise_rvv(c, q, x, y, y_stride, scratch)) return;
#endif
    blocks(c, NULL, q, x, y, y_stride, scratch);
}

void hck_conv2d_tile(const hck_conv *c, const hck_tile *kernel, const hck_requantise *q, const void *x, void *y,
                     size_t y_stride, void *scratch) {
    blocks(c, kernel, q, x, y, y_stride, scratch);
}

void hck_conv2d_wide(const hck_conv *c, const int32_t *weights, const hck_requantise *q, const void *x, void *y,
                     size_t y_stride, void *scratch) {
    int32_t *tile = (int32_t *)scratch;
    const size_t per = c->pool * c->pool, in = c->in_c / c->groups, out = c->out_c / c->groups;
    const size_t total = (size_t)(c->out_h / c->pool) * (c->out_w / c->pool);
    for (size_t p = 0; p < total; p++) {
        int32_t top[4], left[4];
        hck_conv_corners(c, p, 1, per, top, left);
        for (size_t m = 0; m < per; m++)
            for (size_t o = 0; o < c->out_c; o++) {
                const size_t g = o / out;
                const int32_t *w = weights + g * c->kernel_h * c->kernel_w * in * out + o % out;
                int64_t sum = 0;
                for (size_t ky = 0; ky < c->kernel_h; ky++)
                    for (size_t kx = 0; kx < c->kernel_w; kx++, w += in * out) {
                        const int32_t iy = top[m] + (int32_t)ky, ix = left[m] + (int32_t)kx;
                        if (iy < 0 || iy >= (int32_t)c->in_h || ix < 0 || ix >= (int32_t)c->in_w) continue;
                        const size_t at = ((size_t)iy * c->in_w + (size_t)ix) * c->in_c + g * in;
                        for (size_t i = 0; i < in; i++)
                            sum += (int64_t)hck_get(x, c->x_type, at + i) * w[i * out];
                    }
                tile[m * c->out_c + o] = (int32_t)sum;
            }
        hck_requantise_rows(q, tile, HCK_I32, c->out_c, (uint8_t *)y + p * y_stride * hck_size(q->y_type), y_stride, 1,
                            c->pool == 2 ? 4 : 1);
    }
}
