/* The operand of a column-pruned convolution: into padded planes, and from these into the rows of a panel. */
#include "hck_element.h"
#include "hck_sparse.h"

#if defined(__riscv_vector)

/* Neighbouring plane elements from operand elements `step` bytes apart; the smallest group of registers that holds them
 * all, since each lane of a strided access costs. */
#define FETCH(NAME, X, Y, BITS, LMUL, LOAD, STORE)                                                                   \
    static void NAME##LMUL(const uint8_t *x, ptrdiff_t step, size_t count, uint8_t *y) {                             \
        Y *to = (Y *)(void *)y;                                                                                      \
        for (size_t vl; count; count -= vl, x += (ptrdiff_t)vl * step, to += vl) {                                   \
            vl = __riscv_vsetvl_e##BITS##LMUL(count);                                                                \
            STORE(to, LOAD##LMUL((const X *)(const void *)x, step, vl), vl);                                         \
        }                                                                                                            \
    }

#define FETCH_SIZES(NAME, X, Y, BITS, LOAD, STORE)                                                                   \
    FETCH(NAME, X, Y, BITS, m1, LOAD, STORE)                                                                         \
    FETCH(NAME, X, Y, BITS, m2, LOAD, STORE)                                                                         \
    FETCH(NAME, X, Y, BITS, m4, LOAD, STORE)                                                                         \
    static void NAME(const uint8_t *x, ptrdiff_t step, size_t count, uint8_t *y) {                                   \
        const size_t one = __riscv_vsetvlmax_e##BITS##m1();                                                          \
        (count <= one ? NAME##m1 : count <= 2 * one ? NAME##m2 : NAME##m4)(x, step, count, y);                       \
    }

#define STORE_BYTES(to, v, vl) __riscv_vse8(to, v, vl)
#define STORE_UNSIGNED(to, v, vl) __riscv_vse16(to, __riscv_vzext_vf2(v, vl), vl)
#define STORE_SIGNED(to, v, vl) __riscv_vse16(to, __riscv_vsext_vf2(v, vl), vl)
#define STORE_HALVES(to, v, vl) __riscv_vse16(to, v, vl)
#define STORE_WORDS(to, v, vl) __riscv_vse32(to, v, vl)

FETCH_SIZES(fetch_bytes, uint8_t, uint8_t, 8, __riscv_vlse8_v_u8, STORE_BYTES)
FETCH_SIZES(fetch_u8_as_16, uint8_t, uint16_t, 8, __riscv_vlse8_v_u8, STORE_UNSIGNED)
FETCH_SIZES(fetch_i8_as_16, int8_t, int16_t, 8, __riscv_vlse8_v_i8, STORE_SIGNED)
FETCH_SIZES(fetch_halves, uint16_t, uint16_t, 16, __riscv_vlse16_v_u16, STORE_HALVES)
FETCH_SIZES(fetch_words, uint32_t, uint32_t, 32, __riscv_vlse32_v_u32, STORE_WORDS)

static void clear(uint8_t *y, size_t bytes) {
    for (size_t vl; bytes; bytes -= vl, y += vl) {
        vl = __riscv_vsetvl_e8m8(bytes);
        __riscv_vse8(y, __riscv_vmv_v_x_u8m8(0, vl), vl);
    }
}

static void fetch(const hck_sparse *c, const uint8_t *x, ptrdiff_t step, size_t count, uint8_t *y) {
    if (c->sums == HCK_RUN_FLOAT)
        fetch_words(x, step, count, y);
    else if (hck_size(c->x_type) == 2)
        fetch_halves(x, step, count, y);
    else if (hck_size(c->plane_type) == 1)
        fetch_bytes(x, step, count, y);
    else
        (c->x_type == HCK_U8 ? fetch_u8_as_16 : fetch_i8_as_16)(x, step, count, y);
}

/* The same of four neighbouring channels that are bytes, at once, into rows `row` bytes apart. */
static void fetch_four(const uint8_t *x, ptrdiff_t step, size_t count, uint8_t *y, size_t row) {
    for (size_t vl; count; count -= vl, x += (ptrdiff_t)vl * step, y += vl) {
        vl = __riscv_vsetvl_e32m4(count);
        const vuint32m4_t four = __riscv_vlse32_v_u32m4((const uint32_t *)(const void *)x, step, vl);
        const vuint16m2_t low = __riscv_vncvt_x(four, vl), high = __riscv_vnsrl(four, 16, vl);
        __riscv_vse8(y, __riscv_vncvt_x(low, vl), vl);
        __riscv_vse8(y + row, __riscv_vnsrl(low, 8, vl), vl);
        __riscv_vse8(y + 2 * row, __riscv_vncvt_x(high, vl), vl);
        __riscv_vse8(y + 3 * row, __riscv_vnsrl(high, 8, vl), vl);
    }
}

#define LOAD_AT(BITS, LMUL, offset) \
    __riscv_vle##BITS##_v_u##BITS##LMUL((const uint##BITS##_t *)(const void *)(from + (offset)), vl)

/* One group of registers per row; its size is the smallest that holds the run. */
#define PACK(BITS, LMUL)                                                                                             \
    static void pack_##BITS##LMUL(const uint8_t *from, const uint32_t *offsets, size_t rows, size_t count,    \
                                  uint##BITS##_t *to, size_t row) {                                                  \
        const size_t vl = __riscv_vsetvl_e##BITS##LMUL(count);                                                       \
        for (; rows >= 4; rows -= 4, offsets += 4, to += 4 * row) {                                                  \
            const vuint##BITS##LMUL##_t a = LOAD_AT(BITS, LMUL, offsets[0]);              \
            const vuint##BITS##LMUL##_t b = LOAD_AT(BITS, LMUL, offsets[1]);              \
            const vuint##BITS##LMUL##_t c = LOAD_AT(BITS, LMUL, offsets[2]);              \
            const vuint##BITS##LMUL##_t d = LOAD_AT(BITS, LMUL, offsets[3]);              \
            __riscv_vse##BITS(to, a, vl);                                                                            \
            __riscv_vse##BITS(to + row, b, vl);                                                                      \
            __riscv_vse##BITS(to + 2 * row, c, vl);                                                                  \
            __riscv_vse##BITS(to + 3 * row, d, vl);                                                                  \
        }                                                                                                            \
        for (; rows; rows--, offsets++, to += row)                                                                   \
            __riscv_vse##BITS(to, LOAD_AT(BITS, LMUL, *offsets), vl);                     \
    }

#define PACK_ELEMENT(BITS)                                                                                           \
    PACK(BITS, m1)                                                                                                   \
    PACK(BITS, m2)                                                                                                   \
    PACK(BITS, m4)                                                                                                   \
    static void pack_##BITS(const void *from, const uint32_t *offsets, size_t rows, size_t count, void *to,          \
                            size_t row_bytes) {                                                                      \
        const size_t one = __riscv_vsetvlmax_e##BITS##m1(), row = row_bytes / (BITS / 8);                            \
        (count <= one ? pack_##BITS##m1 : count <= 2 * one ? pack_##BITS##m2 : pack_##BITS##m4)(                     \
            (const uint8_t *)from, offsets, rows, count, (uint##BITS##_t *)to, row);                          \
    }

PACK_ELEMENT(8)
PACK_ELEMENT(16)
PACK_ELEMENT(32)

#else

HCK_INLINE void pack_elements(size_t element, const uint8_t *from, const uint32_t *offsets, size_t rows, size_t count,
                              uint8_t *to, size_t row_bytes) {
    for (; rows; rows--, offsets++, to += row_bytes) memcpy(to, from + *offsets, count * element);
}

static void pack_8(const void *from, const uint32_t *offsets, size_t rows, size_t count, void *to, size_t row_bytes) {
    pack_elements(1, (const uint8_t *)from, offsets, rows, count, (uint8_t *)to, row_bytes);
}

static void pack_16(const void *from, const uint32_t *offsets, size_t rows, size_t count, void *to, size_t row_bytes) {
    pack_elements(2, (const uint8_t *)from, offsets, rows, count, (uint8_t *)to, row_bytes);
}

static void pack_32(const void *from, const uint32_t *offsets, size_t rows, size_t count, void *to, size_t row_bytes) {
    pack_elements(4, (const uint8_t *)from, offsets, rows, count, (uint8_t *)to, row_bytes);
}

static void fetch(const hck_sparse *c, const uint8_t *x, ptrdiff_t step, size_t count, uint8_t *y) {
    for (size_t i = 0; i < count; i++, x += step) {
        if (c->sums == HCK_RUN_FLOAT)
            memcpy(y + 4 * i, x, 4);
        else
            hck_put(y, c->plane_type, i, hck_get(x, c->x_type, 0));
    }
}

static void fetch_four(const uint8_t *x, ptrdiff_t step, size_t count, uint8_t *y, size_t row) {
    for (size_t i = 0; i < count; i++, x += step)
        for (size_t k = 0; k < 4; k++) y[k * row + i] = x[k];
}

static void clear(uint8_t *y, size_t bytes) {
    static const uint8_t zeros[64];
    for (size_t n; bytes; bytes -= n, y += n) {
        n = HCK_MIN(bytes, sizeof zeros);
        memcpy(y, zeros, n);
    }
}

#endif

void hck_sparse_pack(size_t element, const uint8_t *from, const uint32_t *offsets, size_t rows, size_t count,
                     uint8_t *panel, size_t row_bytes) {
    (element == 1 ? pack_8 : element == 2 ? pack_16 : pack_32)(from, offsets, rows, count, panel, row_bytes);
}

/* Some pixels at a time, so that their other channels are still in the cache when their turn comes. */
#define NEAR_PIXELS 64u

void hck_sparse_pack_in_place(const hck_sparse *c, const void *x, size_t first, const uint32_t *channels, size_t rows,
                              size_t count, uint8_t *panel, size_t row_bytes) {
    const size_t from = c->sums == HCK_RUN_FLOAT ? 4 : hck_size(c->x_type), to = hck_plane_bytes(c);
    const int hwc = c->x_layout == HCK_HWC;
    const size_t pixel = hwc ? c->in_c * from : from, channel = hwc ? from : (size_t)c->in_h * c->in_w * from;
    const int words = hwc && from == 1 && to == 1 && c->in_c % 4 == 0 && (uintptr_t)x % 4 == 0;
    const size_t row = c->stride_h * c->stride_w == 1 ? (size_t)c->out_h * c->out_w : c->out_w; /* of equal steps */
    const ptrdiff_t step = (ptrdiff_t)(c->stride_w * pixel);
    for (size_t done = 0, n; done < count; done += n) {
        const size_t out_y = (first + done) / row, out_x = (first + done) % row;
        n = HCK_MIN(HCK_MIN(count - done, NEAR_PIXELS), row - out_x);
        const uint8_t *source = (const uint8_t *)x + (out_y * c->stride_h * c->in_w + out_x * c->stride_w) * pixel;
        uint8_t *target = panel + done * to;
        for (size_t k = 0; k < rows; target += row_bytes, k++) {
            const uint8_t *at = source + channels[k] * channel;
            if (words && rows - k >= 4 && channels[k] % 4 == 0 && channels[k + 3] == channels[k] + 3) {
                fetch_four(at, step, n, target, row_bytes);
                target += 3 * row_bytes;
                k += 3;
            } else {
                fetch(c, at, step, n, target);
            }
        }
    }
}

void hck_sparse_planes(const hck_sparse *c, const void *x, void *planes) {
    const size_t from = c->sums == HCK_RUN_FLOAT ? 4 : hck_size(c->x_type), to = hck_plane_bytes(c);
    const size_t rows = HCK_PLANE_ROWS(c->out_h, c->kernel_h, c->stride_h), phases = c->stride_w * c->pool;
    const size_t columns = HCK_PLANE_COLUMNS(c->out_w, c->kernel_w, c->stride_w, c->pool);
    const int hwc = c->x_layout == HCK_HWC;
    const size_t pixel = hwc ? c->in_c : 1, channel = hwc ? 1 : (size_t)c->in_h * c->in_w; /* elements apart */
    clear((uint8_t *)planes, c->in_c * rows * phases * columns * to);
    for (size_t row = c->pad_top; row < rows && row - c->pad_top < c->in_h; row++)
        for (size_t phase = 0; phase < phases; phase++) {
            /* columns j whose pixel phase + phases * j - pad_left lies inside the picture */
            const size_t first = phase < c->pad_left ? (c->pad_left - phase + phases - 1) / phases : 0;
            const size_t edge = c->in_w + c->pad_left;
            const size_t end = phase < edge ? HCK_MIN((edge - phase + phases - 1) / phases, columns) : 0;
            if (first >= end) continue;
            const size_t in_x = phase + phases * first - c->pad_left;
            const uint8_t *source = (const uint8_t *)x + ((row - c->pad_top) * c->in_w + in_x) * pixel * from;
            uint8_t *target = (uint8_t *)planes + ((row * phases + phase) * columns + first) * to;
            for (size_t i = 0; i < c->in_c; i++)
                fetch(c, source + i * channel * from, (ptrdiff_t)(phases * pixel * from), end - first,
                      target + i * rows * phases * columns * to);
        }
}
