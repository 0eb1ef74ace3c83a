/*
 * Convolution of bits on RVV 1.0 with Zvbb. Lanes are output channels; a vector of weights is loaded once for `mr`
 * windows.
 *
 * Registers: (mr + 1) * EMUL, and the differing bits of two or three windows: 28 of 32 at LMUL 4 and four windows.
 * One window at a time is what is left over, and fully connected layers.
 */
#include "hck_bits.h"

#if defined(HCK_BITS_RVV)
#include "hck_rvv.h"

#define SIZE m1
#define EACH HCK_EACH_8
#define MR 8
#define UNROLL 2
#include "hck_bits_rvv.inc"
#undef SIZE
#define SIZE m2
#include "hck_bits_rvv.inc"
#undef SIZE
#undef EACH
#undef MR
#undef UNROLL
#define SIZE m4
#define EACH HCK_EACH_4
#define MR 4
#define UNROLL 4
#include "hck_bits_rvv.inc"
#undef EACH
#undef MR
#define EACH HCK_EACH_1
#define MR 1
#include "hck_bits_rvv.inc"
#undef SIZE
#define SIZE m2
#include "hck_bits_rvv.inc"
#undef SIZE
#define SIZE m1
#include "hck_bits_rvv.inc"

hck_bits_tile hck_bits_tile_rvv(const hck_bits *n, size_t windows) {
    static const hck_bits_tile full[] = {{tile_bits_m1_8, 8}, {tile_bits_m2_8, 8}, {tile_bits_m4_4, 4}};
    static const hck_bits_tile single[] = {{tile_bits_m1_1, 1}, {tile_bits_m2_1, 1}, {tile_bits_m4_1, 1}};
    const size_t one = __riscv_vsetvlmax_e16m1(), lanes = n->conv.out_c;
    const size_t size = lanes <= one ? 0 : lanes <= 2 * one ? 1 : 2;
    return windows >= full[size].mr ? full[size] : single[size];
}

void hck_bits_pack_rvv(const hck_bits *n, unsigned plane, const uint8_t *x, size_t elements, uint16_t *to) {
    const size_t most = __riscv_vsetvlmax_e8m4(); /* a multiple of 16 */
    for (size_t count; elements; elements -= count, x += count, to += most / 16) {
        count = HCK_MIN(elements, most);
        const size_t whole = (count + 15) / 16 * 16;
        const vuint8m4_t zero = __riscv_vmv_v_x_u8m4(0, whole), bytes = __riscv_vle8_v_u8m4_tu(zero, x, count);
        const vbool2_t bits =
            n->conv.x_type == HCK_I8
                ? __riscv_vmseq(bytes, 1, whole)
                : __riscv_vmsne(__riscv_vand(bytes, (uint8_t)(1u << plane), whole), 0, whole);
        __riscv_vsm((uint8_t *)to, bits, whole);
    }
}

#else
typedef int hck_no_bits; /* C99 wants a declaration in every file */
#endif
