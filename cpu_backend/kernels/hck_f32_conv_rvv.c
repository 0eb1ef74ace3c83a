/*
 * Tile kernels of the float32 convolution on RVV 1.0. Lanes are output channels, an activation is a scalar, a vector of
 * weights is loaded once for `mr` pixels.
 *
 * Registers: mr * LMUL + LMUL of weights <= 32. A product costs the same beats at every LMUL, so the smallest that
 * holds all channels wastes none on empty lanes; with LMUL 4, seven pixels use all 32 registers and a vector works for
 * so long that the loads of scalars hide behind it. One pixel, as of a fully connected layer, needs LMUL 8 for that.
 */
#include "hck_f32.h"

#if defined(__riscv_vector)
#include "hck_f32_rvv.h"

/* Products are not reordered: loads of the next ones at once would not leave registers. */
#define IN_ORDER __asm__ volatile("" : : : "memory");

#define EACH_1(M) M(0)
#define EACH_2(M) EACH_1(M) M(1)
#define EACH_4(M) EACH_2(M) M(2) M(3)
#define EACH_7(M) EACH_4(M) M(4) M(5) M(6)
#define EACH_8(M) EACH_7(M) M(7)

#define LMUL m1
#include "hck_f32_conv_rvv_all.inc"
#undef LMUL
#define LMUL m2
#include "hck_f32_conv_rvv_all.inc"
#undef LMUL
#define LMUL m4
#define NO_8
#include "hck_f32_conv_rvv_all.inc"
#undef LMUL
#define LMUL m8
#define MR 1
#define EACH EACH_1
#include "hck_f32_conv_rvv.inc"
#undef MR
#undef EACH
#undef LMUL

typedef void (*tile_fn)(const hck_f32_block *b, const float *w, size_t channel, size_t lanes, size_t vl, float *y);

enum { OF_1, OF_2, OF_4, OF_7, OF_8 };

static size_t most_lanes(const hck_f32_conv *c, int of) { /* of a vector; two pooling windows have eight pixels */
    if (of == OF_8 || c->pool == 2) return __riscv_vsetvlmax_e32m2();
    return of == OF_1 ? __riscv_vsetvlmax_e32m8() : __riscv_vsetvlmax_e32m4();
}

size_t hck_f32_block_pixels(const hck_f32_conv *c, size_t left) {
    const int depthwise = c->groups > 1 && c->groups == c->out_c && c->groups == c->in_c;
    const size_t full = c->pool == 2 ? 8 : c->out_c / c->groups > __riscv_vsetvlmax_e32m2() ? 7 : 8;
    if (depthwise) return 4;
    return left >= full || left > 4 ? full : left > 2 ? 4 : left;
}

void hck_f32_tile(const hck_f32_block *b, const float *weights, size_t channel, size_t lanes, float *y) {
    static const tile_fn tiles[4][5] = {
        {tile_m1_1, tile_m1_2, tile_m1_4, tile_m1_7, tile_m1_8},
        {tile_m2_1, tile_m2_2, tile_m2_4, tile_m2_7, tile_m2_8},
        {tile_m4_1, tile_m4_2, tile_m4_4, tile_m4_7, NULL},
        {tile_m8_1, NULL, NULL, NULL, NULL},
    };
    const int of = b->mr == 8 ? OF_8 : b->mr == 7 ? OF_7 : b->mr == 4 ? OF_4 : b->mr == 2 ? OF_2 : OF_1;
    const size_t one = __riscv_vsetvlmax_e32m1(), most = most_lanes(b->c, of);
    for (size_t k = 0, vl; k < lanes; k += vl) {
        vl = HCK_MIN(lanes - k, most);
        tiles[vl <= one ? 0 : vl <= 2 * one ? 1 : vl <= 4 * one ? 2 : 3][of](b, weights + k, channel + k, lanes, vl, y);
    }
}

int hck_f32_takes_shared(const hck_f32_conv *c) {
    return c->groups > 1 && c->groups == c->out_c && c->groups == c->in_c && c->kernel_w == 3 && c->stride_w == 1 &&
           c->pool == 1;
}

HCK_INLINE void store_four(const hck_f32_block *b, size_t k, size_t count, vfloat32m4_t sum0, vfloat32m4_t sum1,
                       vfloat32m4_t sum2, vfloat32m4_t sum3, size_t vl, float *y) {
    const hck_f32_end end = b->c->end;
    float *to = y + k;
    __riscv_vse32(to, hck_f32_ended_m4(&end, k, sum0, vl), vl);
    if (count > 1) __riscv_vse32(to += b->y_stride, hck_f32_ended_m4(&end, k, sum1, vl), vl);
    if (count > 2) __riscv_vse32(to += b->y_stride, hck_f32_ended_m4(&end, k, sum2, vl), vl);
    if (count > 3) __riscv_vse32(to + b->y_stride, hck_f32_ended_m4(&end, k, sum3, vl), vl);
}

/* Four neighbours read six columns of pixels, not twelve. With three weights of a row all registers are taken. */
static void shared_tile(const hck_f32_block *b, float *y) {
    const hck_f32_conv *c = b->c;
    const size_t channels = c->out_c, pitch = (size_t)c->in_w * channels;
    for (size_t k = 0, vl; k < channels; k += vl) {
        vl = __riscv_vsetvl_e32m4(channels - k);
        const float *w = c->weights + k, *row = b->pixels[0] + k;
        vfloat32m4_t sum0 = __riscv_vle32_v_f32m4(c->bias + k, vl), sum1 = sum0, sum2 = sum0, sum3 = sum0;
        for (uint32_t ky = 0; ky < c->kernel_h; ky++, w += 3 * channels, row += pitch) {
            const vfloat32m4_t w0 = __riscv_vle32_v_f32m4(w, vl), w1 = __riscv_vle32_v_f32m4(w + channels, vl);
            const vfloat32m4_t w2 = __riscv_vle32_v_f32m4(w + 2 * channels, vl);
            const float *at = row;
            vfloat32m4_t x = __riscv_vle32_v_f32m4(at, vl);
            sum0 = __riscv_vfmacc(sum0, w0, x, vl);
            IN_ORDER
            x = __riscv_vle32_v_f32m4(at += channels, vl);
            sum0 = __riscv_vfmacc(sum0, w1, x, vl);
            sum1 = __riscv_vfmacc(sum1, w0, x, vl);
            IN_ORDER
            x = __riscv_vle32_v_f32m4(at += channels, vl);
            sum0 = __riscv_vfmacc(sum0, w2, x, vl);
            sum1 = __riscv_vfmacc(sum1, w1, x, vl);
            sum2 = __riscv_vfmacc(sum2, w0, x, vl);
            IN_ORDER
            x = __riscv_vle32_v_f32m4(at += channels, vl);
            sum1 = __riscv_vfmacc(sum1, w2, x, vl);
            sum2 = __riscv_vfmacc(sum2, w1, x, vl);
            sum3 = __riscv_vfmacc(sum3, w0, x, vl);
            IN_ORDER
            x = __riscv_vle32_v_f32m4(at += channels, vl);
            sum2 = __riscv_vfmacc(sum2, w2, x, vl);
            sum3 = __riscv_vfmacc(sum3, w1, x, vl);
            IN_ORDER
            x = __riscv_vle32_v_f32m4(at + channels, vl);
            sum3 = __riscv_vfmacc(sum3, w2, x, vl);
            IN_ORDER
        }
        store_four(b, k, b->count, sum0, sum1, sum2, sum3, vl, y);
    }
}

/* Four pixels: each tap's weights are loaded once for them. */
void hck_f32_depthwise_tile(const hck_f32_block *b, float *y) {
    if (b->shared) {
        shared_tile(b, y);
        return;
    }
    const hck_f32_conv *c = b->c;
    const size_t channels = c->out_c, count = c->pool == 2 ? 1 : b->count;
    for (size_t k = 0, vl; k < channels; k += vl) {
        vl = __riscv_vsetvl_e32m4(channels - k);
        const float *w = c->weights + k;
        const float *const *pixels = b->pixels, *const *const behind = pixels + 4 * b->runs;
        const vfloat32m4_t bias = __riscv_vle32_v_f32m4(c->bias + k, vl);
        vfloat32m4_t sum0 = bias, sum1 = bias, sum2 = bias, sum3 = bias;
        for (; pixels < behind; w += channels, pixels += 4) {
            const vfloat32m4_t weight = __riscv_vle32_v_f32m4(w, vl);
            sum0 = __riscv_vfmacc(sum0, weight, __riscv_vle32_v_f32m4(pixels[0] + k, vl), vl);
            sum1 = __riscv_vfmacc(sum1, weight, __riscv_vle32_v_f32m4(pixels[1] + k, vl), vl);
            sum2 = __riscv_vfmacc(sum2, weight, __riscv_vle32_v_f32m4(pixels[2] + k, vl), vl);
            sum3 = __riscv_vfmacc(sum3, weight, __riscv_vle32_v_f32m4(pixels[3] + k, vl), vl);
        }
        if (c->pool == 2) sum0 = __riscv_vfmax(__riscv_vfmax(sum0, sum1, vl), __riscv_vfmax(sum2, sum3, vl), vl);
        store_four(b, k, count, sum0, sum1, sum2, sum3, vl, y);
    }
}

#else
typedef int hck_no_f32_conv_rvv; /* C99 wants a declaration in every file */
#endif
