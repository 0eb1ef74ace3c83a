/* Column-pruned convolution: walks planes, panels, blocks of rows and tiles (see hck_sparse.h). */
#include "hck_sparse.h"

/* Rows `row`.. of the panel for results `first`..: each row of the picture that they touch is a run of neighbours. */
static void pack(const hck_sparse *c, const uint8_t *planes, size_t first, size_t count, size_t lanes, size_t row,
                 size_t rows, uint8_t *panel, unsigned row_shift) {
    const size_t element = hck_plane_bytes(c), width = c->out_w / c->pool;
    const size_t pitch = c->stride_w * c->pool * HCK_PLANE_COLUMNS(c->out_w, c->kernel_w, c->stride_w, c->pool);
    for (size_t sub = 0; sub < c->pool * c->pool; sub++) {
        const size_t py = sub / c->pool, px = sub % c->pool;
        uint8_t *to = panel + sub * lanes * element;
        size_t y = first / width, x = first % width;
        for (size_t left = count, n; left; left -= n, to += n * element, y++, x = 0) {
            n = HCK_MIN(left, width - x);
            const size_t at = (y * c->pool + py) * c->stride_h * pitch + x;
            hck_sparse_pack(element, planes + at * element, c->offsets + px * c->rows + row, rows, n, to,
                            (size_t)1 << row_shift);
        }
    }
}

static void convolve(const hck_sparse *c, const hck_requantise *q, const hck_bias *b, const void *x, void *y,
                     size_t y_stride, void *scratch) {
    hck_sparse_kernel kernel;
#if defined(__riscv_vector)
    hck_sparse_rvv(c, &kernel);
#else
    hck_sparse_portable(c, &kernel);
#endif
    const size_t element = hck_plane_bytes(c), per = c->pool * c->pool, lanes = kernel.pixels / per;
    const size_t total = (size_t)(c->out_h / c->pool) * (c->out_w / c->pool);
    const size_t plane = (size_t)HCK_PLANE_ROWS(c->out_h, c->kernel_h, c->stride_h) * c->stride_w * c->pool *
                         HCK_PLANE_COLUMNS(c->out_w, c->kernel_w, c->stride_w, c->pool);
    uint8_t *planes = (uint8_t *)scratch, *panel = planes + HCK_ALIGN_UP(c->in_c * plane * element);
    uint8_t *sums = panel + (size_t)HCK_ROW_BYTES * c->block_rows;
    const size_t channel = kernel.pixels * (c->sums == HCK_RUN_FLOAT ? 4 : hck_size(kernel.sums));
    unsigned row_shift = 0;
    while (((size_t)1 << row_shift) < kernel.pixels * element) row_shift++;
    hck_sparse_planes(c, x, planes);
    for (size_t first = 0; first < total; first += lanes) {
        const size_t count = HCK_MIN(total - first, lanes), used = per == 1 ? count : kernel.pixels;
        hck_cursor at = {c->lengths, c->columns, (const uint8_t *)c->weights};
        const uint16_t *runs = c->runs;
        size_t row = 0;
        do {
            const size_t rows = HCK_MIN(c->rows - row, c->block_rows);
            pack(c, planes, first, count, lanes, row, rows, panel, row_shift);
            uint8_t *to = sums;
            for (size_t t = 0; t < c->tiles; t++) {
                kernel.tile[c->channels[t] - 1](panel, row_shift, &at, *runs++, row == 0, used, kernel.pixels, to);
                to += c->channels[t] * channel;
            }
            row += rows;
        } while (row < c->rows);
        if (b)
            hck_sparse_bias(c, b, (const float *)(const void *)sums, kernel.pixels, first, count, (float *)y, y_stride);
        else
            hck_sparse_map(c, q, sums, kernel.sums, kernel.pixels, first, count, y, y_stride);
    }
}

void hck_sparse_conv2d(const hck_sparse *c, const hck_requantise *q, const void *x, void *y, size_t y_stride,
                       void *scratch) {
    convolve(c, q, NULL, x, y, y_stride, scratch);
}

void hck_sparse_conv2d_float(const hck_sparse *c, const hck_bias *q, const float *x, float *y, size_t y_stride,
                             void *scratch) {
    convolve(c, NULL, q, x, y, y_stride, scratch);
}
