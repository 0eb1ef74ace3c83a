/* Float32 convolution: walks the output in blocks of pixels, gathers pointers to what lies under their windows, and has
 * a tile kernel (portable here, RVV in hck_f32_conv_rvv.c) compute and store the results. */
#include "hck_f32.h"

static int is_depthwise(const hck_f32_conv *c) {
    return c->groups > 1 && c->groups == c->in_c && c->groups == c->out_c;
}

/* The windows' upper left corners, in input pixels; a pooled block holds the four pixels of each pooling window. */
static void corners(const hck_f32_conv *c, size_t first, size_t count, size_t mr, int32_t *top, int32_t *left) {
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

/* Pointers for each run: a row of a window where none of the block's leaves the picture sideways, else a tap. */
static void gather(hck_f32_block *b, const float *x, size_t first, const float **pixels) {
    const hck_f32_conv *c = b->c;
    int32_t top[HCK_F32_BLOCK], left[HCK_F32_BLOCK];
    corners(c, first, b->count, b->mr, top, left);
    int inside = c->groups == 1;
    for (size_t m = 0; m < b->mr; m++)
        inside = inside && left[m] >= 0 && left[m] + (int32_t)c->kernel_w <= (int32_t)c->in_w;
    const uint32_t taps = inside ? 1 : c->kernel_w;
    for (size_t m = 0; m < b->mr; m++) {
        const float **to = pixels + m;
        uint32_t iy = (uint32_t)top[m]; /* above the picture is a huge number */
        for (uint32_t ky = 0; ky < c->kernel_h; ky++, iy++) {
            uint32_t ix = (uint32_t)left[m];
            for (uint32_t kx = 0; kx < taps; kx++, ix++, to += b->mr)
                *to = iy < c->in_h && ix < c->in_w ? x + ((size_t)iy * c->in_w + ix) * c->in_c : (const float *)c->zeros;
        }
    }
    b->pixels = pixels;
    b->runs = c->kernel_h * taps;
    b->run = (inside ? c->kernel_w : 1) * (c->in_c / c->groups);
}

void hck_f32_conv2d(const hck_f32_conv *c, const float *x, float *y, size_t y_stride, void *scratch) {
    const size_t per = c->pool * c->pool, in = c->in_c / c->groups, out = c->out_c / c->groups;
    const size_t total = (size_t)(c->out_h / c->pool) * (c->out_w / c->pool);
    hck_f32_block b = {c, NULL, 0, 0, 0, 0, 0, y_stride};
    for (size_t first = 0; first < total; first += b.count) {
        b.mr = hck_f32_block_pixels(c, (total - first) * per);
        b.count = HCK_MIN(total - first, b.mr / per);
        gather(&b, x, first, (const float **)scratch);
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
