/* Convolutions for cores without vectors, for driver.c; a kernel is chosen by what its name is made of. */
#ifndef DRIVER_SCALAR_H
#define DRIVER_SCALAR_H

#include "hck_scalar.h"

typedef struct {
    int word, bits, mr; /* word 0: plain 8-bit weights */
    hck_type type;
    hck_tile_fn tile;
} named_tile;

#define BY_MR(word, bits, type, name) \
    {word, bits, 1, type, name##_1}, {word, bits, 4, type, name##_4}, {word, bits, 8, type, name##_8}

static hck_tile scalar_tile(int word, int bits, int mr, hck_type type) {
    static const named_tile tiles[] = {
        BY_MR(0, 0, HCK_U8, hck_block_u8), BY_MR(0, 0, HCK_I8, hck_block_i8), BY_MR(0, 0, HCK_U16, hck_block_u16),
        BY_MR(0, 0, HCK_I16, hck_block_i16), BY_MR(32, 8, HCK_U8, hck_swar32_u8_8),
        BY_MR(32, 8, HCK_I8, hck_swar32_i8_8), BY_MR(32, 16, HCK_U8, hck_swar32_u8_16),
        BY_MR(32, 16, HCK_I8, hck_swar32_i8_16), BY_MR(64, 8, HCK_U8, hck_swar64_u8_8),
        BY_MR(64, 8, HCK_I8, hck_swar64_i8_8), BY_MR(64, 16, HCK_U8, hck_swar64_u8_16),
        BY_MR(64, 16, HCK_I8, hck_swar64_i8_16), BY_MR(64, 32, HCK_U8, hck_swar64_u8_32),
        BY_MR(64, 32, HCK_I8, hck_swar64_i8_32)};
    hck_tile found = {NULL, (uint32_t)mr, HCK_I32};
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++)
        if (tiles[i].word == word && tiles[i].bits == bits && tiles[i].mr == mr && tiles[i].type == type)
            found.tile = tiles[i].tile;
    return found;
}

#endif
