/* Float32 convolution: walks the output in blocks of pixels, gathers pointers to what lies under their windows, and has
 * a tile kernel (portable here, RVV in hck_f32_conv_rvv.c) compute and store the results. */
#include "hck_f32.h"

/* Keeps loops of a few turns from becoming vector code for many, which costs more than it saves. */
#define FEW_TURNS __asm__ volatile("");

static int is_depthwise(const hck_f32_conv *c) {
    return c->groups > 1 && c->groups == c->in_c && c->groups == c->out_c;
}

/* The windows' upper left corners, in input pixels; a pooled block holds the four pixels of each pooling window.
 * Whether a window leaves the picture sideways (1), or upwards or downwards (2). */
HCK_INLINE unsigned corners(const hck_f32_conv *c, size_t row, size_t column, size_t count, size_t mr, int32_t *top,
                            int32_t *left) {
    const size_t width = c->out_w / c->pool;
    const int32_t last = (int32_t)c->in_w - (int32_t)c->kernel_w, lowest = (int32_t)c->in_h - (int32_t)c->kernel_h;
    const int32_t down = (int32_t)(c->stride_h * c->pool), right = (int32_t)(c->stride_w * c->pool);
    int32_t y = (int32_t)row * down - (int32_t)c->pad_top, x = (int32_t)column * right - (int32_t)c->pad_left;
    unsigned leaves = 0;
    for (size_t m = 0; m < mr;) {
        for (size_t sub = 0; sub < c->pool * c->pool; sub++, m++) {
            FEW_TURNS
            top[m] = y + (sub >= 2 ? (int32_t)c->stride_h : 0);
            left[m] = x + (sub % 2 ? (int32_t)c->stride_w : 0);
            leaves |= (left[m] < 0 || left[m] > last) | (unsigned)(top[m] < 0 || top[m] > lowest) << 1;
        }
        if (--count == 0) { /* a short block repeats its last pixel */
            count = 1;
        } else if (x += right, ++column == width) {
            column = 0;
            x = -(int32_t)c->pad_left;
            y += down;
        }
    }
    return leaves;
}

/* Taps of one row of a window, `step` pointers apart: of the picture, or zeros. */
HCK_INLINE void row_taps(const hck_f32_conv *c, const float *x, int32_t iy, int32_t ix, size_t taps, size_t step,
                         const float **to) {
    const ptrdiff_t at = ((ptrdiff_t)iy * (ptrdiff_t)c->in_w + ix) * (ptrdiff_t)c->in_c;
    const int there = (uint32_t)iy < c->in_h; /* above the picture is a huge number */
    if (there && ix >= 0 && ix + taps <= c->in_w) {
        const float *from = x + at;
        for (size_t k = 0; k < taps; k++, to += step, from += c->in_c) {
            FEW_TURNS
            *to = from;
        }
        return;
    }
    for (size_t k = 0; k < taps; k++, to += step) {
        FEW_TURNS
        *to = there && (uint32_t)(ix + (int32_t)k) < c->in_w ? x + (at + (ptrdiff_t)(k * c->in_c))
                                                             : (const float *)c->zeros;
    }
}

/* The same tap of every pixel is as far from its window's corner. Four pixels at a time, whose corners stay in
 * registers; what a block has beyond a multiple of four by itself. */
HCK_INLINE void inside(const hck_f32_conv *c, const float *x, const int32_t *top, const int32_t *left, size_t mr,
                       size_t taps, const float **pixels) {
    const size_t pitch = (size_t)c->in_w * c->in_c;
#define CORNER(m) (x + (size_t)top[m] * pitch + (size_t)left[m] * c->in_c)
    size_t m = 0;
    for (; m + 4 <= mr; m += 4) {
        const float *a = CORNER(m), *b = CORNER(m + 1), *d = CORNER(m + 2), *e = CORNER(m + 3), **to = pixels + m;
        for (size_t ky = 0, row = 0; ky < c->kernel_h; ky++, row += pitch)
            for (size_t kx = 0, at = row; kx < taps; kx++, at += c->in_c, to += mr)
                to[0] = a + at, to[1] = b + at, to[2] = d + at, to[3] = e + at;
    }
    for (; m < mr; m++) {
        const float *a = CORNER(m), **to = pixels + m;
        for (size_t ky = 0, row = 0; ky < c->kernel_h; ky++, row += pitch)
            for (size_t kx = 0, at = row; kx < taps; kx++, at += c->in_c, to += mr) {
                FEW_TURNS
                *to = a + at;
            }
    }
#undef CORNER
}

/* Pointers for each run: a row of a window where none of the block's leaves the picture sideways, else a tap. */
static void gather(hck_f32_block *b, const float *x, size_t row, size_t column, const float **pixels) {
    const hck_f32_conv own = *b->c, *c = &own; /* a copy, which nothing that is stored can be part of */
    int32_t top[HCK_F32_BLOCK], left[HCK_F32_BLOCK];
    const unsigned leaves = corners(c, row, column, b->count, b->mr, top, left);
    const int whole = !(leaves & 1) && c->groups == 1;
    const size_t taps = whole ? 1 : c->kernel_w, step = b->mr;
    b->shared = b->shared && !leaves;
    if (!leaves) inside(c, x, top, left, b->shared ? 1 : step, b->shared ? 1 : taps, pixels);
    for (size_t m = 0; leaves && m < step; m++)
        for (uint32_t ky = 0; ky < c->kernel_h; ky++)
            row_taps(c, x, top[m] + (int32_t)ky, left[m], taps, step, pixels + m + ky * taps * step);
    b->pixels = pixels;
    b->runs = c->kernel_h * taps;
    b->run = (whole ? c->kernel_w : 1) * (c->in_c / c->groups);
}

void hck_f32_conv2d(const hck_f32_conv *c, const float *x, float *y, size_t y_stride, void *scratch) {
    const size_t per = c->pool * c->pool, in = c->in_c / c->groups, out = c->out_c / c->groups;
    const size_t width = c->out_w / c->pool, total = (c->out_h / c->pool) * width;
    const int takes_shared = hck_f32_takes_shared(c);
    hck_f32_block b = {c, NULL, 0, 0, 0, 0, 0, y_stride, 0};
    for (size_t first = 0, row = 0, column = 0; first < total; first += b.count, column += b.count) {
        b.mr = hck_f32_block_pixels(c, (total - first) * per);
        b.count = HCK_MIN(total - first, b.mr / per);
        for (; column >= width; column -= width) row++;
        b.shared = takes_shared && column + b.mr <= width;
        gather(&b, x, row, column, (const float **)scratch);
        if (is_depthwise(c)) {
            hck_f32_depthwise_tile(&b, y + first * y_stride);
            continue;
        }
        for (size_t g = 0; g < c->groups; g++) {
            b.from = g * in;
            hck_f32_tile(&b, c->weights + g * c->kernel_h * c->kernel_w * in * out, g * out, out, y + first * y_stride);
        }
    }
}

#if !defined(__riscv_vector)

/* Register block: 4 pixels by as many channels as scalar registers hold; where compilers vectorise, 16. */
#define PIXELS 4u
#if defined(__riscv)
#define CHANNELS 4u
#else
#define CHANNELS 16u
#endif

size_t hck_f32_block_pixels(const hck_f32_conv *c, size_t left) {
    (void)c, (void)left;
    return PIXELS;
}

int hck_f32_takes_shared(const hck_f32_conv *c) {
    (void)c;
    return 0;
}

HCK_INLINE float ended(const hck_f32_end *end, size_t channel, float value) {
    if (end->slope && value < 0) value *= end->slope[channel];
    value = value < end->lo ? end->lo : value;
    return value > end->hi ? end->hi : value;
}

/* The sums of `channels` channels (a constant) of PIXELS pixels, to y: the largest of four where pooled. */
HCK_INLINE void store(const hck_f32_block *b, size_t channel, size_t channels, float sum[PIXELS][CHANNELS], float *y) {
    for (size_t k = 0; k < channels && b->c->pool == 2; k++)
        for (size_t m = 1; m < PIXELS; m++) sum[0][k] = sum[m][k] > sum[0][k] ? sum[m][k] : sum[0][k];
    for (size_t m = 0; m < b->count; m++)
        for (size_t k = 0; k < channels; k++)
            y[m * b->y_stride + channel + k] = ended(&b->c->end, channel + k, sum[m][k]);
}

HCK_INLINE void block(const hck_f32_block *b, size_t channels, const float *w, size_t channel, size_t lanes, float *y) {
    const float *const *pixels = b->pixels;
    float sum[PIXELS][CHANNELS];
    for (size_t m = 0; m < PIXELS; m++)
        for (size_t k = 0; k < channels; k++) sum[m][k] = b->c->bias[channel + k];
    for (size_t r = 0; r < b->runs; r++, pixels += PIXELS)
        for (size_t i = b->from; i < b->from + b->run; i++, w += lanes)
            for (size_t m = 0; m < PIXELS; m++)
                for (size_t k = 0; k < channels; k++) sum[m][k] += pixels[m][i] * w[k];
    store(b, channel, channels, sum, y);
}

void hck_f32_tile(const hck_f32_block *b, const float *weights, size_t channel, size_t lanes, float *y) {
    size_t k = 0;
    for (; k + CHANNELS <= lanes; k += CHANNELS) block(b, CHANNELS, weights + k, channel + k, lanes, y);
    for (; k < lanes; k++) block(b, 1, weights + k, channel + k, lanes, y);
}

HCK_INLINE void depthwise(const hck_f32_block *b, size_t channels, size_t channel, float *y) {
    const float *w = b->c->weights + channel;
    float sum[PIXELS][CHANNELS];
    for (size_t m = 0; m < PIXELS; m++)
        for (size_t k = 0; k < channels; k++) sum[m][k] = b->c->bias[channel + k];
    for (size_t r = 0; r < b->runs; r++, w += b->c->out_c)
        for (size_t m = 0; m < PIXELS; m++) {
            const float *x = b->pixels[r * PIXELS + m] + channel;
            for (size_t k = 0; k < channels; k++) sum[m][k] += x[k] * w[k];
        }
    store(b, channel, channels, sum, y);
}

void hck_f32_depthwise_tile(const hck_f32_block *b, float *y) {
    size_t k = 0;
    for (; k + CHANNELS <= b->c->out_c; k += CHANNELS) depthwise(b, CHANNELS, k, y);
    for (; k < b->c->out_c; k++) depthwise(b, 1, k, y);
}

#endif
