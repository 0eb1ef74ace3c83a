/* Products of computed matrices, softmax and normalisation: what attention needs beside convolutions. */
#include "hck.h"
#include "hck_element.h"

#if defined(__riscv_vector)
static void product_row(const hck_matmul *p, const void *x, size_t at, const void *w, size_t batch, void *y, size_t to) {
    for (size_t n = 0, vl; n < p->n; n += vl) {
        vl = __riscv_vsetvl_e32m4(p->n - n);
        vint32m4_t sum = __riscv_vmv_v_x_i32m4(0, vl);
        for (size_t k = 0; k < p->k; k++)
            sum = __riscv_vmacc(sum, hck_get(x, p->x_type, at + k),
                                hck_vload(p->w_type, w, (k * p->batch + batch) * p->n + n, vl), vl);
        hck_vstore(p->y_type, y, to + n, sum, vl);
    }
}
#else
static void product_row(const hck_matmul *p, const void *x, size_t at, const void *w, size_t batch, void *y, size_t to) {
    for (size_t n = 0; n < p->n; n++) {
        int32_t sum = 0;
        for (size_t k = 0; k < p->k; k++)
            sum += hck_get(x, p->x_type, at + k) * hck_get(w, p->w_type, (k * p->batch + batch) * p->n + n);
        hck_put(y, p->y_type, to + n, sum);
    }
}
#endif

void hck_matmul_rows(const hck_matmul *p, const void *x, const void *w, void *y, size_t y_stride) {
    for (size_t row = 0; row < (size_t)p->m * p->batch; row++)
        product_row(p, x, row * p->k, w, row % p->batch, y, row * y_stride);
}

static int64_t exponential(const hck_softmax *s, int64_t t) {
    const int64_t z = HCK_MIN(-t / s->log2, 31);
    const int64_t p = t + z * s->log2 + s->b;
    return (p * p + s->c) >> z;
}

void hck_softmax_rows(const hck_softmax *s, const void *x, void *y, size_t y_stride) {
    for (size_t row = 0; row < s->pixels; row++) {
        const size_t at = row * s->channels;
        int32_t most = hck_get(x, s->x_type, at);
        for (size_t c = 1; c < s->channels; c++) most = HCK_MAX(most, hck_get(x, s->x_type, at + c));
        int64_t sum = 0;
        for (size_t c = 0; c < s->channels; c++)
            sum += exponential(s, (int64_t)hck_get(x, s->x_type, at + c) - most);
        for (size_t c = 0; c < s->channels; c++) {
            const int64_t e = exponential(s, (int64_t)hck_get(x, s->x_type, at + c) - most);
            hck_put(y, s->y_type, row * y_stride + c, (int32_t)(e * (s->levels - 1) / sum));
        }
    }
}

static int64_t square_root(int64_t value) {
    int64_t root = 0;
    for (int64_t bit = (int64_t)1 << 30; bit; bit >>= 1)
        if ((root | bit) * (root | bit) <= value) root |= bit;
    return root;
}

void hck_rms_norm_rows(const hck_rms_norm *r, const void *x, void *y, size_t y_stride) {
    for (size_t row = 0; row < r->pixels; row++) {
        const size_t at = row * r->channels;
        int64_t squares = 0;
        for (size_t c = 0; c < r->channels; c++) {
            const int64_t value = hck_get(x, r->x_type, at + c);
            squares += value * value;
        }
        const int64_t root = square_root(squares / r->channels + 1);
        for (size_t c = 0; c < r->channels; c++) {
            const int64_t product = (int64_t)hck_get(x, r->x_type, at + c) * r->weight[c];
            const int64_t quotient = product / root - (product % root < 0); /* rounded down */
            const int64_t value = quotient >> r->shift;
            hck_put(y, r->y_type, row * y_stride + c, (int32_t)HCK_MIN(HCK_MAX(value, r->lo), r->hi));
        }
    }
}
