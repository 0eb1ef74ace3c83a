/* Convolution of bits: what all machines share, and the portable kernels. */
#include "hck_bits.h"

#if defined(HCK_BITS_RVV)
#define TILE hck_bits_tile_rvv
#define PACK hck_bits_pack_rvv
#else
#define EVERY(bits) (UINT64_C(0x0001000100010001) * (bits)) /* these bits in each quarter of a word */

/* The bits set in each quarter. */
HCK_INLINE uint64_t count_bits(uint64_t a) {
    a -= a >> 1 & EVERY(0x5555);
    a = (a & EVERY(0x3333)) + (a >> 2 & EVERY(0x3333));
    a = (a + (a >> 4)) & EVERY(0x0f0f);
    return (a + (a >> 8)) & EVERY(0x00ff);
}

/* One window, four channels in a word. */
static void tile_portable(const hck_bits *n, const uint16_t *const *x, size_t row_words, size_t plane_words,
                          int16_t *tile) {
    const size_t out_c = n->conv.out_c, run = n->conv.kernel_w * HCK_BITS_WORDS(n->conv.in_c);
    for (size_t k = 0, channels; k < out_c; k += channels) {
        uint64_t counts = 0;
        uint16_t each[4] = {0};
        channels = HCK_MIN(out_c - k, 4);
        for (size_t plane = 0; plane < n->planes; plane++) {
            const uint16_t *w = n->weights + k;
            counts *= 2;
            for (size_t ky = 0; ky < n->conv.kernel_h; ky++) {
                const uint16_t *bits = x[0] + plane * plane_words + ky * row_words;
                for (size_t i = 0; i < run; i++, w += out_c) {
                    uint64_t four;
                    for (size_t c = 0; c < channels; c++) each[c] = w[c];
                    memcpy(&four, each, sizeof four);
                    counts += count_bits(four ^ EVERY(bits[i]));
                }
            }
        }
        memcpy(each, &counts, sizeof counts);
        for (size_t c = 0; c < channels; c++) tile[k + c] = (int16_t)(n->base[k + c] - ((int32_t)each[c] << n->shift));
    }
}

static hck_bits_tile tile_of(const hck_bits *n, size_t windows) {
    const hck_bits_tile portable = {tile_portable, 1};
    (void)n, (void)windows;
    return portable;
}

static void pack_portable(const hck_bits *n, unsigned plane, const uint8_t *x, size_t elements, uint16_t *to) {
    for (size_t count; elements; elements -= count, x += count) {
        uint32_t packed = 0;
        count = HCK_MIN(elements, 16);
        for (size_t i = 0; i < count; i++) {
            const uint32_t bit = n->conv.x_type == HCK_I8 ? x[i] == 1 : x[i] >> plane & 1;
            packed |= bit << i;
        }
        *to++ = (uint16_t)packed;
    }
}

#define TILE tile_of
#define PACK pack_portable
#endif

HCK_INLINE void clear(uint16_t *to, size_t words) {
#if defined(HCK_BITS_RVV)
    for (size_t vl; words; words -= vl, to += vl) {
        vl = __riscv_vsetvl_e16m8(words);
        __riscv_vse16(to, __riscv_vmv_v_x_u16m8(0, vl), vl);
    }
#else
    while (words--) *(volatile uint16_t *)to++ = 0; /* volatile: or compilers call memset */
#endif
}

/* One plane of the picture, with zeros where windows leave it. */
static void pack_plane(const hck_bits *n, unsigned plane, const uint8_t *x, size_t rows, size_t columns, uint16_t *to) {
    const hck_conv *c = &n->conv;
    const size_t words = HCK_BITS_WORDS(c->in_c), left = HCK_MIN(c->pad_left, columns);
    const size_t inside = HCK_MIN(columns - left, c->in_w), right = columns - left - inside;
    for (size_t row = 0; row < rows; row++, to += columns * words) {
        const size_t y = row - c->pad_top; /* above the picture is a huge number */
        if (y >= c->in_h) {
            clear(to, columns * words);
            continue;
        }
        const uint8_t *from = x + y * c->in_w * c->in_c;
        clear(to, left * words);
        if (c->in_c % 16 == 0)
            PACK(n, plane, from, inside * c->in_c, to + left * words);
        else
            for (size_t i = 0; i < inside; i++) PACK(n, plane, from + i * c->in_c, c->in_c, to + (left + i) * words);
        clear(to + (left + inside) * words, right * words);
    }
}

/* Taps beside the picture were counted as if there were bits of 0. */
static void correct(const hck_bits *n, int32_t top, int32_t left, int16_t *sums) {
    const hck_conv *c = &n->conv;
    const int16_t *beside = n->beside;
    for (uint32_t ky = 0; ky < c->kernel_h; ky++)
        for (uint32_t kx = 0; kx < c->kernel_w; kx++, beside += c->out_c) {
            if ((uint32_t)top + ky < c->in_h && (uint32_t)left + kx < c->in_w) continue;
#if defined(HCK_BITS_RVV)
            for (size_t k = 0, vl; k < c->out_c; k += vl) {
                vl = __riscv_vsetvl_e16m4(c->out_c - k);
                const vint16m4_t more = __riscv_vle16_v_i16m4(beside + k, vl);
                __riscv_vse16(sums + k, __riscv_vadd(__riscv_vle16_v_i16m4(sums + k, vl), more, vl), vl);
            }
#else
            for (size_t k = 0; k < c->out_c; k++) sums[k] = (int16_t)(sums[k] + beside[k]);
#endif
        }
}

static int leaves(const hck_conv *c, int32_t top, int32_t left) {
    return top < 0 || left < 0 || (uint32_t)top + c->kernel_h > c->in_h || (uint32_t)left + c->kernel_w > c->in_w;
}

HCK_INLINE size_t words_in_row(const hck_conv *c) {
    return HCK_BITS_EXTENT(c->out_w, c->kernel_w, c->stride_w) * HCK_BITS_WORDS(c->in_c);
}

HCK_INLINE size_t words_in_plane(const hck_conv *c) {
    return HCK_BITS_EXTENT(c->out_h, c->kernel_h, c->stride_h) * words_in_row(c);
}

/* The padded planes, the highest bit first. */
static void pack_picture(const hck_bits *n, const void *x, uint16_t *picture) {
    const hck_conv *c = &n->conv;
    const size_t rows = HCK_BITS_EXTENT(c->out_h, c->kernel_h, c->stride_h);
    const size_t columns = HCK_BITS_EXTENT(c->out_w, c->kernel_w, c->stride_w);
    for (unsigned plane = n->planes; plane--; picture += words_in_plane(c))
        pack_plane(n, plane, (const uint8_t *)x, rows, columns, picture);
}

/* The sums of `windows` windows, those of the output pixels from `first` on, over n->planes planes. */
static void sums_of(const hck_bits *n, const uint16_t *planes, size_t first, size_t windows, int16_t *sums) {
    const hck_conv *c = &n->conv;
    const size_t row_words = words_in_row(c), words = HCK_BITS_WORDS(c->in_c);
    const uint16_t *x[HCK_BLOCK];
    int32_t top[HCK_BLOCK], left[HCK_BLOCK];
    hck_conv_corners(c, first, windows / (c->pool * c->pool), windows, top, left);
    for (size_t m = 0; m < windows; m++)
        x[m] = planes + (size_t)(top[m] + (int32_t)c->pad_top) * row_words +
               (size_t)(left[m] + (int32_t)c->pad_left) * words;
    for (size_t m = 0; m < windows;) {
        const hck_bits_tile kernel = TILE(n, windows - m);
        kernel.tile(n, x + m, row_words, words_in_plane(c), sums + m * c->out_c);
        m += kernel.mr;
    }
    for (size_t m = 0; n->beside && m < windows; m++)
        if (leaves(c, top[m], left[m])) correct(n, top[m], left[m], sums + m * c->out_c);
}

void hck_conv2d_bits(const hck_bits *n, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                     void *scratch) {
    const hck_conv *c = &n->conv;
    const size_t per = c->pool * c->pool, total = (size_t)(c->out_h / c->pool) * (c->out_w / c->pool);
    uint16_t *const picture = (uint16_t *)scratch;
    int16_t *const sums = (int16_t *)(picture + n->planes * words_in_plane(c));
    pack_picture(n, x, picture);
    for (size_t first = 0, count; first < total; first += count) {
        count = HCK_MIN(total - first, HCK_BLOCK / per);
        sums_of(n, picture, first, count * per, sums);
        hck_requantise_rows(q, sums, HCK_I16, c->out_c, (uint8_t *)y + first * y_stride * hck_size(q->y_type), y_stride,
                            count, per);
    }
}

void hck_gated_conv2d_bits(const hck_bits *n, const int32_t *threshold, const hck_requantise *q, const void *x, void *y,
                           size_t y_stride, void *scratch) {
    const hck_conv *c = &n->conv;
    const size_t per = c->pool * c->pool, total = (size_t)(c->out_h / c->pool) * (c->out_w / c->pool);
    uint16_t *const picture = (uint16_t *)scratch;
    int16_t *const sums = (int16_t *)(picture + 2 * words_in_plane(c)), *const lows = sums + HCK_BLOCK * c->out_c;
    hck_bits plane = *n; /* either is a bipolar convolution of its own */
    plane.planes = 1;
    pack_picture(n, x, picture);
    for (size_t first = 0, count; first < total; first += count) {
        count = HCK_MIN(total - first, HCK_BLOCK / per);
        sums_of(&plane, picture, first, count * per, sums);
        sums_of(&plane, picture + words_in_plane(c), first, count * per, lows);
        hck_gate(HCK_I16, threshold, sums, lows, count * per, c->out_c);
        hck_requantise_rows(q, sums, HCK_I16, c->out_c, (uint8_t *)y + first * y_stride * hck_size(q->y_type), y_stride,
                            count, per);
    }
}
