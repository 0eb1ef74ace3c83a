/*
 * The OP-V opcode: one table per operand category, indexed by funct6 ("riscv-v-spec", Vector Instruction Listing; Zvbb
 * and Zvbc of the vector cryptography extension). What is not in a table is `unknown`.
 */
#include "decode.h"

typedef struct {
    uint8_t class_, shape;
} entry;

#define ADD {CLASS_VADD, SHAPE_GROUP}
#define ADD_WIDE {CLASS_VADD, SHAPE_WIDE}
#define MUL {CLASS_VMUL, SHAPE_GROUP}
#define MUL_WIDE {CLASS_VMUL, SHAPE_WIDE}
#define DIVIDE {CLASS_VDIV, SHAPE_GROUP}
#define LOGIC {CLASS_VLOGIC, SHAPE_GROUP}
#define LOGIC_WIDE {CLASS_VLOGIC, SHAPE_WIDE}
#define COMPARE {CLASS_VCOMPARE, SHAPE_GROUP}
#define MOVE {CLASS_VMOVE, SHAPE_GROUP}
#define MOVE_WIDE {CLASS_VMOVE, SHAPE_WIDE}
#define PERMUTE {CLASS_VPERM, SHAPE_GROUP}
#define REDUCE {CLASS_VRED, SHAPE_GROUP} /* the scalar operands are one element, also of widening reductions */
#define MASK {CLASS_VMASK, SHAPE_REGISTERS}
#define ELEMENT {CLASS_VPERM, SHAPE_ELEMENT}

/* OPIVV, OPIVX, OPIVI */
static const entry integer[64] = {
    [0x00] = ADD,     [0x01] = LOGIC /* vandn */, [0x02] = ADD,     [0x03] = ADD,     [0x04] = ADD,     [0x05] = ADD,
    [0x06] = ADD,     [0x07] = ADD,     [0x09] = LOGIC,   [0x0a] = LOGIC,   [0x0b] = LOGIC,   [0x0c] = PERMUTE,
    [0x0e] = PERMUTE, [0x0f] = PERMUTE, [0x10] = ADD,     [0x11] = COMPARE, [0x12] = ADD,     [0x13] = COMPARE,
    [0x14] = LOGIC /* vror */, [0x15] = LOGIC /* vrol */, [0x17] = MOVE,
    [0x18] = COMPARE, [0x19] = COMPARE, [0x1a] = COMPARE, [0x1b] = COMPARE, [0x1c] = COMPARE, [0x1d] = COMPARE,
    [0x1e] = COMPARE, [0x1f] = COMPARE, [0x20] = ADD,     [0x21] = ADD,     [0x22] = ADD,     [0x23] = ADD,
    [0x25] = LOGIC,   [0x27] = MUL /* vsmul */, [0x28] = LOGIC,   [0x29] = LOGIC,   [0x2a] = LOGIC,   [0x2b] = LOGIC,
    [0x2c] = LOGIC_WIDE, [0x2d] = LOGIC_WIDE, [0x2e] = LOGIC_WIDE, [0x2f] = LOGIC_WIDE,
    [0x30] = REDUCE,  [0x31] = REDUCE,  [0x35] = LOGIC_WIDE /* vwsll */,
};

/* OPMVV, OPMVX */
static const entry multiply[64] = {
    [0x00] = REDUCE,  [0x01] = REDUCE,  [0x02] = REDUCE,  [0x03] = REDUCE,  [0x04] = REDUCE,  [0x05] = REDUCE,
    [0x06] = REDUCE,  [0x07] = REDUCE,  [0x08] = ADD,     [0x09] = ADD,     [0x0a] = ADD,     [0x0b] = ADD,
    [0x0c] = MUL /* vclmul */, [0x0d] = MUL, [0x0e] = PERMUTE, [0x0f] = PERMUTE, [0x17] = PERMUTE,
    [0x18] = MASK,    [0x19] = MASK,    [0x1a] = MASK,    [0x1b] = MASK,    [0x1c] = MASK,    [0x1d] = MASK,
    [0x1e] = MASK,    [0x1f] = MASK,    [0x20] = DIVIDE,  [0x21] = DIVIDE,  [0x22] = DIVIDE,  [0x23] = DIVIDE,
    [0x24] = MUL,     [0x25] = MUL,     [0x26] = MUL,     [0x27] = MUL,     [0x29] = MUL,     [0x2b] = MUL,
    [0x2d] = MUL,     [0x2f] = MUL,     [0x30] = ADD_WIDE, [0x31] = ADD_WIDE, [0x32] = ADD_WIDE, [0x33] = ADD_WIDE,
    [0x34] = ADD_WIDE, [0x35] = ADD_WIDE, [0x36] = ADD_WIDE, [0x37] = ADD_WIDE,
    [0x38] = MUL_WIDE, [0x3a] = MUL_WIDE, [0x3b] = MUL_WIDE, [0x3c] = MUL_WIDE,
    [0x3d] = MUL_WIDE, [0x3e] = MUL_WIDE, [0x3f] = MUL_WIDE,
};

/* OPFVV, OPFVF */
static const entry floating[64] = {
    [0x00] = ADD,     [0x01] = REDUCE,  [0x02] = ADD,     [0x03] = REDUCE,  [0x04] = ADD,     [0x05] = REDUCE,
    [0x06] = ADD,     [0x07] = REDUCE,  [0x08] = LOGIC,   [0x09] = LOGIC,   [0x0a] = LOGIC,   [0x0e] = PERMUTE,
    [0x0f] = PERMUTE, [0x10] = ELEMENT, [0x17] = MOVE,    [0x18] = COMPARE, [0x19] = COMPARE, [0x1b] = COMPARE,
    [0x1c] = COMPARE, [0x1d] = COMPARE, [0x1f] = COMPARE, [0x20] = DIVIDE,  [0x21] = DIVIDE,  [0x24] = MUL,
    [0x27] = ADD,     [0x28] = MUL,     [0x29] = MUL,     [0x2a] = MUL,     [0x2b] = MUL,     [0x2c] = MUL,
    [0x2d] = MUL,     [0x2e] = MUL,     [0x2f] = MUL,     [0x30] = ADD_WIDE, [0x31] = REDUCE, [0x32] = ADD_WIDE,
    [0x33] = REDUCE,  [0x34] = ADD_WIDE, [0x36] = ADD_WIDE, [0x38] = MUL_WIDE, [0x3c] = MUL_WIDE,
    [0x3d] = MUL_WIDE, [0x3e] = MUL_WIDE, [0x3f] = MUL_WIDE,
};

static const entry unknown = {CLASS_UNKNOWN, SHAPE_NONE};

/* Unary operations, which vs1's place tells apart. */
static entry unary_multiply(uint32_t funct6, uint32_t vs1, int scalar) {
    static const entry element = ELEMENT, mask = MASK, move = MOVE, logic = LOGIC;
    static const entry numbering = {CLASS_VMASK, SHAPE_GROUP};
    if (funct6 == 0x10) return scalar || vs1 == 0 ? element : vs1 == 16 || vs1 == 17 ? mask : unknown;
    if (funct6 == 0x12) return vs1 >= 2 && vs1 <= 7 ? move : vs1 >= 8 && vs1 <= 14 ? logic : unknown;
    if (vs1 == 16 || vs1 == 17) return numbering; /* viota.m, vid.v */
    return vs1 >= 1 && vs1 <= 3 ? mask : unknown;
}

static entry unary_floating(uint32_t funct6, uint32_t vs1) {
    static const entry move = MOVE, wide = MOVE_WIDE, root = DIVIDE;
    if (funct6 == 0x13) return vs1 == 0 ? root : move;
    return vs1 < 8 ? move : wide; /* conversions: 8..15 widen, 16..23 narrow */
}

meter_instruction meter_decode_vector(uint32_t word) {
    const uint32_t funct3 = word >> 12 & 7, funct6 = word >> 26, vs1 = word >> 15 & 31;
    const entry gather16 = {CLASS_VPERM, SHAPE_INDEX16}, whole = {CLASS_VMOVE, SHAPE_REGISTERS};
    uint32_t fields = 1;
    entry found;
    if (funct3 == 1 || funct3 == 5) {
        found = funct6 == 0x12 || funct6 == 0x13 ? unary_floating(funct6, vs1) : floating[funct6];
    } else if (funct3 == 2 || funct3 == 6) {
        const int unary = funct6 == 0x10 || funct6 == 0x12 || funct6 == 0x14;
        found = unary ? unary_multiply(funct6, vs1, funct3 == 6) : multiply[funct6];
    } else if (funct3 == 0 && funct6 == 0x0e) {
        found = gather16;
    } else if (funct3 == 3 && funct6 == 0x27) {
        found = whole; /* vmv<nr>r.v */
        fields = vs1 + 1;
    } else {
        found = integer[funct6];
    }
    const meter_instruction i = {
        (meter_class)found.class_, (meter_shape)found.shape, DO_NOTHING, 0, fields, 0, 0,
    };
    return i;
}
