/* Rows of a result as a smaller problem of their own: a record for `rows` rows of y from `first` on, and the address of
 * the first row of x that they read. With as much of x as is read, whatever a kernel does to all of it is done once. */
#ifndef HCK_ROWS_H
#define HCK_ROWS_H

#include "hck_element.h"
#include "hck_sparse.h"

/* Windows start `top` rows further down and reach `reach` rows: adapts padding and height of x, returns what is skipped. */
HCK_INLINE uint32_t hck_skip_rows(uint32_t top, uint32_t reach, uint32_t *pad_top, uint32_t *in_h) {
    const uint32_t skipped = top > *pad_top ? HCK_MIN(top - *pad_top, *in_h) : 0;
    *pad_top -= HCK_MIN(top - skipped, *pad_top);
    *in_h = reach > *pad_top ? HCK_MIN(*in_h - skipped, reach - *pad_top) : 0;
    return skipped;
}

HCK_INLINE const void *hck_conv_rows(hck_conv *c, const void *x, uint32_t first, uint32_t rows) {
    c->out_h = rows * c->pool;
    return (const uint8_t *)x + hck_skip_rows(first * c->pool * c->stride_h, (c->out_h - 1) * c->stride_h + c->kernel_h,
                                              &c->pad_top, &c->in_h) *
                                    (size_t)c->in_w * c->in_c * hck_size(c->x_type);
}

HCK_INLINE const void *hck_sparse_rows(hck_sparse *c, const void *x, uint32_t first, uint32_t rows) {
    c->out_h = rows * c->pool;
    return (const uint8_t *)x + hck_skip_rows(first * c->pool * c->stride_h, (c->out_h - 1) * c->stride_h + c->kernel_h,
                                              &c->pad_top, &c->in_h) *
                                    (size_t)c->in_w * c->in_c * hck_size(c->x_type);
}

HCK_INLINE const void *hck_pool_rows(hck_pool *p, const void *x, uint32_t first, uint32_t rows) {
    p->out_h = rows;
    return (const uint8_t *)x + hck_skip_rows(first * p->stride_h, (rows - 1) * p->stride_h + p->kernel_h, &p->pad_top,
                                              &p->in_h) *
                                    (size_t)p->in_w * p->channels * hck_size(p->x_type);
}

#endif
