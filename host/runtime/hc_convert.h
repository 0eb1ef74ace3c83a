/*
 * Between plain elements and packed words (ir/layouts.py states both layouts).
 *
 * Plain: one native integer per element. Words: `lanes` neighbouring elements in one little-endian word of
 * `word_bytes`, lane 0 in the low bits, each in `bits` bits of two's complement; unused high bits are zero.
 * Bipolar elements are -1 or +1 in one plain byte, 0 or 1 in a lane.
 */
#ifndef HC_CONVERT_H
#define HC_CONVERT_H

#include <stdint.h>

typedef struct hc_conversion {
    uint32_t elements;      /* a multiple of lanes */
    uint32_t element_bytes; /* 1, 2, 4 or 8 */
    uint32_t is_signed;     /* whether unpacking extends the sign */
    uint32_t lanes;
    uint32_t bits; /* lanes * bits <= 8 * word_bytes */
    uint32_t word_bytes;
    uint32_t is_bipolar;
} hc_conversion;

void hc_pack(const hc_conversion *conversion, const void *restrict plain, void *restrict words);
void hc_unpack(const hc_conversion *conversion, const void *restrict words, void *restrict plain);

#endif
