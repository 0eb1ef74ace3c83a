/* Windows of pooling, of integers and of floats. */
#ifndef HCK_POOL_H
#define HCK_POOL_H

#include "hck.h"

/* A window's first pixel inside the picture, and how much of the window lies there. */
typedef struct {
    size_t pixel, rows, columns;
} hck_window;

HCK_INLINE size_t hck_inside(size_t at, uint32_t pad, uint32_t kernel, uint32_t extent, size_t *first) {
    *first = at > pad ? at - pad : 0;
    return HCK_MIN(at + kernel - pad, extent) - *first; /* pad < kernel */
}

HCK_INLINE hck_window hck_window_at(const hck_pool *p, size_t oy, size_t ox) {
    size_t row, column;
    hck_window w;
    w.rows = hck_inside(oy * p->stride_h, p->pad_top, p->kernel_h, p->in_h, &row);
    w.columns = hck_inside(ox * p->stride_w, p->pad_left, p->kernel_w, p->in_w, &column);
    w.pixel = row * p->in_w + column;
    return w;
}

#endif
