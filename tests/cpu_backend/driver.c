/* The integer kernels' cases, and the column-pruned ones'; driver_core.h has the format. */
#include "driver_core.h"
#include "driver_scalar.h"
#include "hck.h"
#include "hck_bits.h"
#include "hck_full.h"
#include "hck_sparse.h"
#include "hck_winograd.h"

enum {
    CONV, CONV_WIDE, GATED, MAP, ADD, MULTIPLY, MAX_POOL, SUM_POOL, SPACE_TO_DEPTH, DEPTH_TO_SPACE_DCR,
    DEPTH_TO_SPACE_CRD, UPSAMPLE, RESIZE, COPY, SPARSE, SPARSE_FLOAT, TILE, XNOR, BITS, CHOSEN, FULL,
    GATED_BITS, FILTERED
};
enum { MAP_PARAMETERS = 11, CONV_PARAMETERS = 22 };
enum { OFFSETS = 10, CHANNELS, RUNS, LENGTHS, COLUMNS, KEPT }; /* of a column-pruned one, behind X */
enum { MUL, ADDENDS, WIDE_ADDENDS, TABLE, SIGN, AFTER, BEFORE, LEAST, MOST, X, WEIGHTS, THRESHOLD, BASE = THRESHOLD, BESIDE, GATE }; /* blobs beside a map */

static hck_requantise map_of(const int64_t *p, void *const *b) {
    hck_requantise q = {(hck_map)p[0], (hck_type)p[1], (uint32_t)p[2], b[MUL], b[ADDENDS], b[WIDE_ADDENDS],
                        (uint32_t)p[3], (int32_t)p[4], (int32_t)p[5], b[TABLE], b[SIGN], (uint32_t)p[6],
                        (int32_t)p[7], (int32_t)p[8], b[AFTER], b[BEFORE],
                        (uint32_t)p[9], b[LEAST], b[MOST]};
    return q;
}

static hck_conv conv_of(const int64_t *p, const void *weights, const void *zeros) {
    uint32_t u[CONV_PARAMETERS];
    for (int i = 1; i < CONV_PARAMETERS; i++) u[i] = (uint32_t)p[i];
    hck_conv c = {(hck_type)p[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
                  u[14], u[15], u[16], u[17], (hck_fused)u[18], weights, zeros, {HCK_USUAL, 0, 0, 0},
                  {u[19], u[20], (int32_t)p[21]}};
    return c;
}

static void convolve(uint64_t operator, const int64_t *p, void **b, void *y) {
    const hck_requantise q = map_of(p, b);
    const size_t stride = (size_t)p[MAP_PARAMETERS - 1], zeros = (size_t)p[MAP_PARAMETERS + CONV_PARAMETERS];
    const int64_t levels = p[MAP_PARAMETERS + CONV_PARAMETERS + 1];
    hck_conv c = conv_of(p + MAP_PARAMETERS, b[WEIGHTS], exactly(zeros));
    size_t bytes = HCK_CONV_SCRATCH(c.kernel_h, c.kernel_w, c.out_c);
    if (operator == GATED) bytes = HCK_GATED_SCRATCH(c.in_h * c.in_w * c.in_c, c.kernel_h, c.kernel_w, c.out_c);
    bytes = (bytes + 7) / 8 * 8;
    void *scratch = exactly(bytes);
    if (operator == CHOSEN) { /* after a convolution's parameters: family, sums, lmul, pixels of its kernel */
        const int64_t *k = p + MAP_PARAMETERS + CONV_PARAMETERS + 2;
        const hck_choice kernel = {(hck_family)k[0], (uint32_t)k[1], (uint32_t)k[2], (uint32_t)k[3]};
        c.kernel = kernel;
    }
    if (operator == CONV || operator == CHOSEN)
        hck_conv2d(&c, &q, b[X], y, stride, scratch);
    else if (operator == CONV_WIDE)
        hck_conv2d_wide(&c, b[WEIGHTS], &q, b[X], y, stride, scratch);
    else
        hck_gated_conv2d(&c, (hck_type)levels, b[THRESHOLD], &q, b[X], y, stride, scratch);
    drop(scratch, bytes);
    drop((void *)c.zeros, zeros);
}

static void convolve_pruned(uint64_t operator, const int64_t *p, void **b, void *y) {
    const size_t stride = (size_t)p[MAP_PARAMETERS - 1];
    const int64_t *f = p + MAP_PARAMETERS;
    uint32_t u[22];
    for (int i = 0; i < 22; i++) u[i] = (uint32_t)f[i];
    const hck_sparse c = {(hck_type)u[0], (hck_type)u[1], (hck_layout)u[2], (hck_layout)u[3], (hck_sums)u[4], u[5], u[6],
                          u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15], u[16], u[17], u[18], u[19], u[20],
                          u[21], b[OFFSETS], b[CHANNELS], b[RUNS], b[LENGTHS], b[COLUMNS], b[KEPT]};
    const size_t bytes = HCK_SPARSE_SCRATCH((size_t)f[22], hck_plane_bytes(&c), (size_t)c.block_rows, (size_t)c.out_c);
    void *scratch = exactly(bytes);
    if (operator == SPARSE) {
        const hck_requantise q = map_of(p, b);
        hck_sparse_conv2d(&c, &q, b[X], y, stride, scratch);
    } else {
        const float *bias = b[MUL]; /* the bounds, then one addend per channel */
        const hck_bias q = {bias + 2, bias[0], bias[1]};
        hck_sparse_conv2d_float(&c, &q, b[X], y, stride, scratch);
    }
    drop(scratch, bytes);
}

/* After a convolution's parameters: words, bits, mr of a tile kernel, or words, shift of a convolution of bits. */
static void convolve_scalar(uint64_t operator, const int64_t *p, void **b, void *y) {
    const hck_requantise q = map_of(p, b);
    const size_t stride = (size_t)p[MAP_PARAMETERS - 1], zeros = (size_t)p[MAP_PARAMETERS + CONV_PARAMETERS];
    const int64_t *more = p + MAP_PARAMETERS + CONV_PARAMETERS + 2;
    const hck_conv c = conv_of(p + MAP_PARAMETERS, b[WEIGHTS], exactly(zeros));
    const hck_xnor n = {c, b[WEIGHTS], b[BASE], b[BESIDE], (uint32_t)more[1]};
    const size_t wide = (size_t)more[0];
    size_t bytes = HCK_SCALAR_SCRATCH(hck_size(c.x_type), c.kernel_h, c.kernel_w, c.in_c, c.out_c);
    if (operator == XNOR) bytes = HCK_XNOR_SCRATCH(wide, c.in_h, c.in_w, c.in_c, c.kernel_h, c.kernel_w, c.out_c);
    bytes = (bytes + 7) / 8 * 8;
    void *scratch = exactly(bytes);
    if (operator == TILE) {
        const hck_tile tile = scalar_tile((int)wide, (int)more[1], (int)more[2], c.x_type);
        need(tile.tile != NULL, "no such tile kernel");
        hck_conv2d_tile(&c, &tile, &q, b[X], y, stride, scratch);
    } else {
        (wide == 32 ? hck_conv2d_xnor32 : hck_conv2d_xnor64)(&n, &q, b[X], y, stride, scratch);
    }
    drop(scratch, bytes);
    drop((void *)c.zeros, zeros);
}

/* After a convolution's parameters: planes, shift. */
static void convolve_bits(uint64_t operator, const int64_t *p, void **b, void *y) {
    const hck_requantise q = map_of(p, b);
    const int64_t *more = p + MAP_PARAMETERS + CONV_PARAMETERS + 2;
    const hck_conv c = conv_of(p + MAP_PARAMETERS, NULL, NULL);
    const hck_bits n = {c, b[WEIGHTS], b[BASE], b[BESIDE], (uint32_t)more[0], (uint32_t)more[1]};
    const size_t rows = HCK_BITS_EXTENT(c.out_h, c.kernel_h, c.stride_h);
    const size_t columns = HCK_BITS_EXTENT(c.out_w, c.kernel_w, c.stride_w);
    const size_t bytes = operator == BITS ? HCK_BITS_SCRATCH(n.planes, rows, columns, c.in_c, c.out_c)
                                          : HCK_GATED_BITS_SCRATCH(rows, columns, c.in_c, c.out_c);
    const size_t stride = (size_t)p[MAP_PARAMETERS - 1];
    void *scratch = exactly(bytes);
    if (operator == BITS)
        hck_conv2d_bits(&n, &q, b[X], y, stride, scratch);
    else
        hck_gated_conv2d_bits(&n, b[GATE], &q, b[X], y, stride, scratch);
    drop(scratch, bytes);
}

/* After a convolution's parameters: types of operands, sums and results, tiles of a strip, flush periods. */
static void convolve_filtered(const int64_t *p, void **b, void *y) {
    const hck_requantise q = map_of(p, b);
    const int64_t *more = p + MAP_PARAMETERS + CONV_PARAMETERS + 2;
    const size_t zeros = (size_t)p[MAP_PARAMETERS + CONV_PARAMETERS];
    const hck_conv c = conv_of(p + MAP_PARAMETERS, NULL, exactly(zeros));
    hck_winograd n = {c, b[WEIGHTS], (hck_type)more[0], (hck_type)more[1], (hck_type)more[2], (uint32_t)more[3], {0}};
    for (size_t i = 0; i < HCK_PLANES; i++) n.flush[i] = (uint16_t)more[4 + i];
    const size_t bytes = HCK_WINOGRAD_SCRATCH(n.strip, c.in_c, c.out_c, hck_size(n.operands), hck_size(n.sums),
                                              hck_size(n.results));
    void *scratch = exactly(bytes);
    hck_conv2d_winograd(&n, &q, b[X], y, (size_t)p[MAP_PARAMETERS - 1], scratch);
    drop(scratch, bytes);
    drop((void *)c.zeros, zeros);
}

/* After a convolution's parameters: lo, levels, reach, top. */
static void connect(const int64_t *p, void **b, void *y) {
    const hck_requantise q = map_of(p, b);
    const int64_t *more = p + MAP_PARAMETERS + CONV_PARAMETERS + 2;
    const hck_full f = {conv_of(p + MAP_PARAMETERS, b[WEIGHTS], NULL), (int32_t)more[0], (uint32_t)more[1],
                        (uint32_t)more[2], (uint32_t)more[3], (uint32_t)more[4], (uint32_t)more[5]};
    size_t bytes = HCK_FULL_SCRATCH(f.conv.kernel_h, f.conv.kernel_w, f.conv.in_c, f.conv.out_c);
    bytes = (bytes + 7) / 8 * 8;
    void *scratch = exactly(bytes);
    hck_full_layer(&f, &q, b[X], y, (size_t)p[MAP_PARAMETERS - 1], scratch);
    drop(scratch, bytes);
}

static hck_pair pair_of(const int64_t *p) {
    hck_pair pair = {(hck_type)p[0], (hck_type)p[1], (hck_type)p[2], (uint32_t)p[3],
                     (uint32_t)p[4], (uint32_t)p[5], (uint32_t)p[6]};
    return pair;
}

static hck_pool pool_of(const int64_t *p) {
    uint32_t u[14];
    for (int i = 2; i < 14; i++) u[i] = (uint32_t)p[i];
    hck_pool pool = {(hck_type)p[0], (hck_type)p[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
                     u[12], u[13]};
    return pool;
}

static void call(uint64_t operator, const int64_t *p, void **b, void *y) {
    switch (operator) {
        case CONV:
        case CONV_WIDE:
        case GATED:
        case CHOSEN: convolve(operator, p, b, y); break;
        case SPARSE:
        case SPARSE_FLOAT: convolve_pruned(operator, p, b, y); break;
        case TILE:
        case XNOR: convolve_scalar(operator, p, b, y); break;
        case BITS:
        case GATED_BITS: convolve_bits(operator, p, b, y); break;
        case FULL: connect(p, b, y); break;
        case FILTERED: convolve_filtered(p, b, y); break;
        case MAP: {
            const hck_requantise q = map_of(p, b);
            const int64_t *more = p + MAP_PARAMETERS;
            hck_requantise_rows(&q, b[X], (hck_type)more[0], (size_t)more[1], y, (size_t)p[MAP_PARAMETERS - 1],
                                (size_t)more[2], (unsigned)more[3]);
            break;
        }
        case ADD:
        case MULTIPLY: {
            const hck_pair pair = pair_of(p);
            (operator == ADD ? hck_add : hck_multiply)(&pair, b[0], b[1], y, (size_t)p[7]);
            break;
        }
        case MAX_POOL:
        case SUM_POOL: {
            const hck_pool pool = pool_of(p);
            (operator == MAX_POOL ? hck_max_pool : hck_sum_pool)(&pool, b[0], y, (size_t)p[14]);
            break;
        }
        case SPACE_TO_DEPTH:
            hck_space_to_depth((size_t)p[0], (size_t)p[1], (size_t)p[2], (size_t)p[3], b[0], y, (size_t)p[4]);
            break;
        case DEPTH_TO_SPACE_DCR:
        case DEPTH_TO_SPACE_CRD:
            (operator == DEPTH_TO_SPACE_DCR ? hck_depth_to_space_dcr : hck_depth_to_space_crd)(
                (hck_type)p[0], (size_t)p[1], (size_t)p[2], (size_t)p[3], (size_t)p[4], b[0], y, (size_t)p[5]);
            break;
        case UPSAMPLE:
            hck_upsample((size_t)p[0], (size_t)p[1], (size_t)p[2], (size_t)p[3], b[0], y, (size_t)p[4]);
            break;
        case RESIZE: {
            const hck_resize r = {(uint32_t)p[0], (uint32_t)p[1], (uint32_t)p[2], (uint32_t)p[3], b[1], b[2]};
            hck_resize_bilinear(&r, b[0], y, (size_t)p[4]);
            break;
        }
        default:
            need(operator == COPY, "no such operator");
            hck_copy_channels(b[0], (hck_type)p[0], y, (hck_type)p[1], (size_t)p[2], (size_t)p[3], (size_t)p[4]);
    }
}
