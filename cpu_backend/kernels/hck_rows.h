/* Rows of a result as a smaller problem of their own: a record for `rows` rows of y from `first` on, and the address of
 * the first row of x that they read. With as much of x as is read, whatever a kernel does to all of it is done once. */
#ifndef HCK_ROWS_H
#define HCK_ROWS_H

#include "hck_element.h"
#include "hck_f32.h"
#include "hck_sparse.h"

/* Windows start `top` rows further down and reach `reach` rows: adapts padding and height of x, returns what is skipped. */
HCK_INLINE uint32_t hck_skip_rows(uint32_t top, uint32_t reach, uint32_t *pad_top, uint32_t *in_h) {
    const uint32_t skipped = top > *pad_top ? HCK_MIN(top - *pad_top, *in_h) : 0;
    *pad_top -= HCK_MIN(top - skipped, *pad_top);
    *in_h = reach > *pad_top ? HCK_MIN(*in_h - skipped, reach - *pad_top) : 0;
    return skipped;
}

/* The address of row 0 of such a problem; x has `row_bytes` a row. */
HCK_INLINE const void *hck_from_row(const void *x, size_t row_bytes, uint32_t top, uint32_t reach, uint32_t *pad_top,
                                    uint32_t *in_h) {
    return (const uint8_t *)x + hck_skip_rows(top, reach, pad_top, in_h) * row_bytes;
}

/* The same for every kind of convolution; sums are pooled in windows of `pool` rows. */
#define HCK_CONV_ROWS(type, element_bytes)                                                                        \
    HCK_INLINE const void *type##_rows(type *c, const void *x, uint32_t first, uint32_t rows) {                   \
        c->out_h = rows * c->pool;                                                                                \
        return hck_from_row(x, (size_t)c->in_w * c->in_c * (element_bytes), first * c->pool * c->stride_h,        \
                            (c->out_h - 1) * c->stride_h + c->kernel_h, &c->pad_top, &c->in_h);                   \
    }
HCK_CONV_ROWS(hck_conv, hck_size(c->x_type))
HCK_CONV_ROWS(hck_sparse, hck_size(c->x_type))
HCK_CONV_ROWS(hck_f32_conv, sizeof(float))

HCK_INLINE const void *hck_pool_rows(hck_pool *p, const void *x, uint32_t first, uint32_t rows) {
    p->out_h = rows;
    return hck_from_row(x, (size_t)p->in_w * p->channels * hck_size(p->x_type), first * p->stride_h,
                        (rows - 1) * p->stride_h + p->kernel_h, &p->pad_top, &p->in_h);
}

HCK_INLINE const void *hck_f32_pad_rows(hck_f32_pad *p, const void *x, uint32_t first, uint32_t rows) {
    p->out_h = rows;
    return hck_from_row(x, (size_t)p->in_w * p->in_c * sizeof(float), first, rows, &p->top, &p->in_h);
}

#endif
