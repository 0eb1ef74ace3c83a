#include "hc_convert.h"

#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are little-endian; this runtime needs a little-endian machine"
#endif

/*
 * Words without unused bits are one stream of `bits`-wide elements, whatever the word size. These loops make one byte
 * of the stream out of 2, 4 or 8 elements of one byte, and compilers turn them into vector code.
 */
static void pack_nibbles(uint32_t bytes, const uint8_t *restrict plain, uint8_t *restrict stream) {
    for (uint32_t i = 0; i < bytes; i++) {
        stream[i] = (uint8_t)((plain[2 * i] & 15u) | plain[2 * i + 1] << 4);
    }
}

static void pack_pairs(uint32_t bytes, const uint8_t *restrict plain, uint8_t *restrict stream) {
    for (uint32_t i = 0; i < bytes; i++) {
        const uint8_t *p = plain + 4 * i;
        stream[i] = (uint8_t)((p[0] & 3u) | (p[1] & 3u) << 2 | (p[2] & 3u) << 4 | p[3] << 6);
    }
}

static void pack_bits(uint32_t bytes, const uint8_t *restrict plain, uint8_t *restrict stream) {
    for (uint32_t i = 0; i < bytes; i++) {
        uint32_t byte = 0;
        for (uint32_t lane = 0; lane < 8; lane++) {
            byte |= (plain[8 * i + lane] & 1u) << lane;
        }
        stream[i] = (uint8_t)byte;
    }
}

/* `sign` is the sign bit's weight, or 0 for unsigned elements: (x ^ sign) - sign extends it. */
static void unpack_nibbles(uint32_t bytes, uint8_t sign, const uint8_t *restrict stream, uint8_t *restrict plain) {
    for (uint32_t i = 0; i < bytes; i++) {
        plain[2 * i] = (uint8_t)(((stream[i] & 15u) ^ sign) - sign);
        plain[2 * i + 1] = (uint8_t)((((uint32_t)stream[i] >> 4) ^ sign) - sign);
    }
}

static void unpack_fractions(uint32_t bytes, uint32_t bits, uint8_t sign, const uint8_t *restrict stream,
                             uint8_t *restrict plain) {
    const uint32_t lanes = 8 / bits, mask = (1u << bits) - 1;
    for (uint32_t i = 0; i < bytes; i++) {
        for (uint32_t lane = 0; lane < lanes; lane++) {
            plain[lanes * i + lane] = (uint8_t)((((uint32_t)stream[i] >> (lane * bits) & mask) ^ sign) - sign);
        }
    }
}

/*
 * Every other layout: one pair of functions per element size E and word size W, both in bits, computing in A bits.
 * The body is inlined once with three lanes known, which is how pictures arrive.
 */
#define DEFINE_CONVERSIONS(E, W, A)                                                                                   \
    static inline void pack_words_##E##_##W(const hc_conversion *c, uint32_t lanes, const uint##E##_t *restrict in,   \
                                            uint##W##_t *restrict out) {                                              \
        const uint32_t count = c->elements / lanes, bits = c->bits;                                                   \
        const uint##A##_t mask = (uint##A##_t)(~(uint64_t)0 >> (64 - bits));                                          \
        for (uint32_t i = 0; i < count; i++) {                                                                        \
            uint##A##_t word = 0;                                                                                     \
            for (uint32_t lane = 0; lane < lanes; lane++) {                                                           \
                word |= ((uint##A##_t)in[(size_t)i * lanes + lane] & mask) << (lane * bits);                          \
            }                                                                                                         \
            out[i] = (uint##W##_t)word;                                                                               \
        }                                                                                                             \
    }                                                                                                                 \
    static inline void unpack_words_##E##_##W(const hc_conversion *c, uint32_t lanes, const uint##W##_t *restrict in, \
                                              uint##E##_t *restrict out) {                                            \
        const uint32_t count = c->elements / lanes, bits = c->bits;                                                   \
        const uint##A##_t mask = (uint##A##_t)(~(uint64_t)0 >> (64 - bits));                                          \
        const uint##A##_t sign = c->is_signed ? (uint##A##_t)1 << (bits - 1) : 0;                                     \
        for (uint32_t i = 0; i < count; i++) {                                                                        \
            const uint##A##_t word = in[i];                                                                           \
            for (uint32_t lane = 0; lane < lanes; lane++) {                                                           \
                out[(size_t)i * lanes + lane] = (uint##E##_t)(((word >> (lane * bits) & mask) ^ sign) - sign);        \
            }                                                                                                         \
        }                                                                                                             \
    }                                                                                                                 \
    static void pack_##E##_##W(const hc_conversion *c, const void *in, void *out) {                                   \
        c->lanes == 3 ? pack_words_##E##_##W(c, 3, in, out) : pack_words_##E##_##W(c, c->lanes, in, out);             \
    }                                                                                                                 \
    static void unpack_##E##_##W(const hc_conversion *c, const void *in, void *out) {                                 \
        c->lanes == 3 ? unpack_words_##E##_##W(c, 3, in, out) : unpack_words_##E##_##W(c, c->lanes, in, out);         \
    }

DEFINE_CONVERSIONS(8, 8, 32)
DEFINE_CONVERSIONS(8, 16, 32)
DEFINE_CONVERSIONS(8, 32, 32)
DEFINE_CONVERSIONS(8, 64, 64)
DEFINE_CONVERSIONS(16, 8, 32)
DEFINE_CONVERSIONS(16, 16, 32)
DEFINE_CONVERSIONS(16, 32, 32)
DEFINE_CONVERSIONS(16, 64, 64)
DEFINE_CONVERSIONS(32, 8, 32)
DEFINE_CONVERSIONS(32, 16, 32)
DEFINE_CONVERSIONS(32, 32, 32)
DEFINE_CONVERSIONS(32, 64, 64)
DEFINE_CONVERSIONS(64, 8, 64)
DEFINE_CONVERSIONS(64, 16, 64)
DEFINE_CONVERSIONS(64, 32, 64)
DEFINE_CONVERSIONS(64, 64, 64)

typedef void (*convert)(const hc_conversion *, const void *, void *);

/* By log2 of element bytes and of word bytes. */
static const convert packers[4][4] = {
    {pack_8_8, pack_8_16, pack_8_32, pack_8_64},
    {pack_16_8, pack_16_16, pack_16_32, pack_16_64},
    {pack_32_8, pack_32_16, pack_32_32, pack_32_64},
    {pack_64_8, pack_64_16, pack_64_32, pack_64_64},
};
static const convert unpackers[4][4] = {
    {unpack_8_8, unpack_8_16, unpack_8_32, unpack_8_64},
    {unpack_16_8, unpack_16_16, unpack_16_32, unpack_16_64},
    {unpack_32_8, unpack_32_16, unpack_32_32, unpack_32_64},
    {unpack_64_8, unpack_64_16, unpack_64_32, unpack_64_64},
};

static void pack_bipolar(const hc_conversion *c, const int8_t *restrict plain, uint8_t *restrict words) {
    for (uint32_t i = 0; i < c->elements / c->lanes; i++) {
        uint64_t word = 0;
        for (uint32_t lane = 0; lane < c->lanes; lane++) {
            word |= (uint64_t)(plain[(size_t)i * c->lanes + lane] > 0) << (lane * c->bits);
        }
        memcpy(words + (size_t)i * c->word_bytes, &word, c->word_bytes);
    }
}

static void unpack_bipolar(const hc_conversion *c, const uint8_t *restrict words, int8_t *restrict plain) {
    for (uint32_t i = 0; i < c->elements / c->lanes; i++) {
        uint64_t word = 0;
        memcpy(&word, words + (size_t)i * c->word_bytes, c->word_bytes);
        for (uint32_t lane = 0; lane < c->lanes; lane++) {
            plain[(size_t)i * c->lanes + lane] = word >> (lane * c->bits) & 1 ? 1 : -1;
        }
    }
}

static uint32_t log2_of(uint32_t bytes) { return bytes == 8 ? 3 : bytes / 2; }

static int is_stream(const hc_conversion *c) { return c->lanes * c->bits == 8 * c->word_bytes; }

void hc_pack(const hc_conversion *c, const void *restrict plain, void *restrict words) {
    const uint32_t bytes = c->elements / c->lanes * c->word_bytes;
    if (c->is_bipolar) {
        pack_bipolar(c, plain, words);
    } else if (is_stream(c) && c->bits == 8 * c->element_bytes) {
        memcpy(words, plain, bytes);
    } else if (is_stream(c) && c->element_bytes == 1 && c->bits == 4) {
        pack_nibbles(bytes, plain, words);
    } else if (is_stream(c) && c->element_bytes == 1 && c->bits == 2) {
        pack_pairs(bytes, plain, words);
    } else if (is_stream(c) && c->element_bytes == 1 && c->bits == 1) {
        pack_bits(bytes, plain, words);
    } else {
        packers[log2_of(c->element_bytes)][log2_of(c->word_bytes)](c, plain, words);
    }
}

void hc_unpack(const hc_conversion *c, const void *restrict words, void *restrict plain) {
    const uint32_t bytes = c->elements / c->lanes * c->word_bytes;
    const uint8_t sign = (uint8_t)(c->is_signed && c->bits < 8 ? 1u << (c->bits - 1) : 0);
    if (c->is_bipolar) {
        unpack_bipolar(c, words, plain);
    } else if (is_stream(c) && c->bits == 8 * c->element_bytes) {
        memcpy(plain, words, bytes);
    } else if (is_stream(c) && c->element_bytes == 1 && c->bits == 4) {
        unpack_nibbles(bytes, sign, words, plain);
    } else if (is_stream(c) && c->element_bytes == 1 && (c->bits == 2 || c->bits == 1)) {
        unpack_fractions(bytes, c->bits, sign, words, plain);
    } else {
        unpackers[log2_of(c->element_bytes)][log2_of(c->word_bytes)](c, words, plain);
    }
}
