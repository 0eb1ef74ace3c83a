/* Column-pruned convolution: walks planes, panels, blocks of rows and tiles (see hck_sparse.h). */
#include "hck_sparse.h"

/* Rows `row`.. of the panel for results `first`..: each row of the picture that they touch is a run of neighbours. */
static void pack(const hck_sparse *c, const uint8_t *planes, size_t first, size_t count, size_t lanes, size_t row,
                 size_t rows, uint8_t *panel, size_t row_bytes) {
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
                            row_bytes);
        }
    }
}

#if defined(__riscv_vector)
#define TOGETHER 4u /* channels whose sums are mapped at once: while the cache has them */
#else
#define TOGETHER UINT32_MAX
#endif

typedef struct {
    const hck_sparse *c;
    const hck_requantise *q; /* or bias */
    const hck_bias *bias;
    hck_sparse_kernel kernel;
    size_t channel;     /* bytes of a channel's sums */
    unsigned row_shift; /* of a panel's row */
    uint8_t *planes, *panel, *sums;
    void *y;
    size_t y_stride;
} walk;

static void end(const walk *w, void *sums, size_t first, size_t count, hck_sparse_channels channels) {
    if (w->bias)
        hck_sparse_bias(w->c, w->bias, sums, w->kernel.pixels, first, count, channels, w->y, w->y_stride);
    else
        hck_sparse_map(w->c, w->q, sums, w->kernel.sums, w->kernel.pixels, first, count, channels, w->y, w->y_stride);
}

/* All tiles, with `rows` rows of the panel from `row` on; after the last of these, their results from `first` on. */
static void tiles(const walk *w, hck_cursor *at, const uint16_t *runs, size_t row, size_t rows, size_t first,
                  size_t count) {
    const hck_sparse *c = w->c;
    const size_t used = c->pool == 1 ? count : w->kernel.pixels;
    const int fresh = row == 0, last = row + rows == c->rows;
    uint8_t *from = w->sums, *to = from;
    hck_sparse_channels ready = {0, 0};
    for (size_t t = 0; t < c->tiles; t++) {
        w->kernel.tile[c->channels[t] - 1](w->panel, w->row_shift, at, runs[t], fresh, used, w->kernel.pixels, to);
        to += c->channels[t] * w->channel;
        ready.end += c->channels[t];
        if (!last || (ready.end - ready.begin < TOGETHER && t + 1 < c->tiles)) continue;
        end(w, from, first, count, ready);
        ready.begin = ready.end;
        if (fresh) to = w->sums; /* no other block's sums are there */
        from = to;
    }
}

/* Fields are set one by one: compilers clear large records by calling memset, which a program may lack. */
static void convolve(const hck_sparse *c, const hck_requantise *q, const hck_bias *bias, const void *x, void *y,
                     size_t y_stride, uint8_t *scratch) {
    walk w;
    w.c = c;
    w.q = q;
    w.bias = bias;
    w.y = y;
    w.y_stride = y_stride;
    if (c->sums == HCK_GROUPS_SUM16)
        hck_sparse_groups(c, &w.kernel);
    else
#if defined(__riscv_vector)
        hck_sparse_rvv(c, &w.kernel);
#else
        hck_sparse_portable(c, &w.kernel);
#endif
    const size_t element = hck_plane_bytes(c), lanes = w.kernel.pixels / (c->pool * c->pool);
    const size_t total = (size_t)(c->out_h / c->pool) * (c->out_w / c->pool);
    const size_t plane = (size_t)HCK_PLANE_ROWS(c->out_h, c->kernel_h, c->stride_h) * c->stride_w * c->pool *
                         HCK_PLANE_COLUMNS(c->out_w, c->kernel_w, c->stride_w, c->pool);
    w.planes = scratch;
    w.panel = scratch + HCK_ALIGN_UP(c->in_place ? 0 : c->in_c * plane * element);
    w.sums = w.panel + (size_t)HCK_ROW_BYTES * c->block_rows;
    w.channel = w.kernel.pixels * (c->sums == HCK_RUN_FLOAT ? 4 : hck_size(w.kernel.sums));
    const size_t row_needs = c->sums == HCK_GROUPS_SUM16 ? HCK_GROUP_ROW : w.kernel.pixels * element;
    w.row_shift = 0;
    while (((size_t)1 << w.row_shift) < row_needs) w.row_shift++;
    if (!c->in_place) hck_sparse_planes(c, x, w.planes);
    for (size_t first = 0; first < total; first += lanes) {
        const size_t count = HCK_MIN(total - first, lanes);
        hck_cursor at = {c->lengths, c->columns, (const uint8_t *)c->weights};
        const uint16_t *runs = c->runs;
        size_t row = 0;
        do {
            const size_t rows = HCK_MIN(c->rows - row, c->block_rows), row_bytes = (size_t)1 << w.row_shift;
            if (c->in_place)
                hck_sparse_pack_in_place(c, x, first, c->offsets + row, rows, count, w.panel, row_bytes);
            else
                pack(c, w.planes, first, count, lanes, row, rows, w.panel, row_bytes);
            tiles(&w, &at, runs, row, rows, first, count);
            runs += c->tiles;
            row += rows;
        } while (row < c->rows);
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
