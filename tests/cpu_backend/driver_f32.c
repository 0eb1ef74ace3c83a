/* The float32 kernels' cases; driver_core.h has the format. */
#include "driver_core.h"
#include "hck_f32.h"

enum {
    F32_CONV, F32_MAP, F32_ADD, F32_MULTIPLY, F32_MAX_POOL, F32_MEAN_POOL, F32_PAD, F32_FLATTEN, F32_SIGMOID,
    F32_SOFTMAX
};
/* Blobs; bounds are lo and hi. Scratch memory and zeros are blobs, too: exactly as large as the header says. */
enum { F32_X, F32_OTHER, F32_BIAS, F32_ZEROS, F32_BOUNDS, F32_SLOPE, F32_SCRATCH };

/* p[0] is y_stride. */
static void call(uint64_t operator, const int64_t *p, void **b, void *y) {
    const float *bounds = b[F32_BOUNDS], *x = b[F32_X];
    const size_t stride = (size_t)p[0];
    hck_f32_end end = {-HCK_INFINITY, HCK_INFINITY, b[F32_SLOPE]};
    if (bounds) end.lo = bounds[0], end.hi = bounds[1];
    uint32_t u[16];
    for (int i = 0; i < 16; i++) u[i] = (uint32_t)p[1 + i];
    switch (operator) {
        case F32_CONV: {
            const hck_f32_conv c = {u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
                                    u[13], b[F32_OTHER], b[F32_BIAS], b[F32_ZEROS], end};
            hck_f32_conv2d(&c, x, y, stride, b[F32_SCRATCH]);
            return;
        }
        case F32_MAP: {
            const hck_f32_map m = {(hck_type)u[0], u[1], u[2], b[F32_OTHER], b[F32_BIAS], end};
            hck_f32_map_rows(&m, b[F32_X], y, stride);
            return;
        }
        case F32_ADD:
        case F32_MULTIPLY: {
            const hck_f32_pair pair = {u[0], u[1], u[2], u[3], end};
            (operator == F32_ADD ? hck_f32_add : hck_f32_multiply)(&pair, x, b[F32_OTHER], y, stride);
            return;
        }
        case F32_MAX_POOL:
        case F32_MEAN_POOL: {
            const hck_pool pool = {HCK_F32, HCK_F32, u[0], u[1], u[2], u[3], u[4], u[5],
                                   u[6],    u[7],    u[8], u[9], u[10], u[11]};
            (operator == F32_MAX_POOL ? hck_f32_max_pool : hck_f32_mean_pool)(&pool, x, y, stride);
            return;
        }
        case F32_PAD: {
            const hck_f32_pad pad = {u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8]};
            hck_f32_pad_zeros(&pad, x, y, stride);
            return;
        }
        case F32_FLATTEN: hck_f32_flatten(x, y, u[0], u[1]); return;
        case F32_SIGMOID: hck_f32_sigmoid(x, y, stride, u[0], u[1]); return;
        case F32_SOFTMAX: hck_f32_softmax(x, y, stride, u[0], u[1]); return;
        default: need(0, "no such operator");
    }
}
