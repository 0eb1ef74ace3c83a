/* Scalar, compressed and vector memory instructions; the OP-V opcode is in decode_vector.c. */
#include "decode.h"

static uint32_t bits(uint32_t word, unsigned high, unsigned low) {
    return word >> low & ((1u << (high - low + 1)) - 1);
}

static meter_instruction of(meter_class class_) {
    meter_instruction i = {class_, SHAPE_NONE, DO_NOTHING, 0, 0, 0, 0};
    i.memory = class_ == CLASS_LOAD || class_ == CLASS_STORE || class_ == CLASS_VLOAD || class_ == CLASS_VSTORE;
    return i;
}

static meter_instruction doing(meter_class class_, meter_action action, uint32_t value) {
    meter_instruction i = of(class_);
    i.action = action;
    i.value = value;
    return i;
}

static meter_instruction compressed(uint32_t word, unsigned xlen) {
    const uint32_t funct3 = bits(word, 15, 13), rd = bits(word, 11, 7), rs2 = bits(word, 6, 2);
    switch (bits(word, 1, 0)) {
    case 0:
        if (funct3 == 0) return of(word ? CLASS_ALU : CLASS_UNKNOWN);
        if (funct3 < 4) return of(CLASS_LOAD);
        if (funct3 == 4) return of(bits(word, 12, 11) ? CLASS_STORE : CLASS_LOAD); /* Zcb: c.lbu, c.lh(u), c.sb, c.sh */
        return of(CLASS_STORE);
    case 1:
        if (funct3 == 1 && xlen == 32) return of(CLASS_JUMP); /* c.jal; c.addiw on rv64 */
        if (funct3 == 4 && bits(word, 12, 10) == 7 && bits(word, 6, 5) == 2) return of(CLASS_MUL); /* Zcb: c.mul */
        if (funct3 < 5) return of(CLASS_ALU);
        return of(funct3 == 5 ? CLASS_JUMP : CLASS_BRANCH);
    default:
        if (funct3 == 0) return of(CLASS_ALU);
        if (funct3 < 4) return of(CLASS_LOAD);
        if (funct3 > 4) return of(CLASS_STORE);
        if (rs2) return of(CLASS_ALU); /* c.mv, c.add */
        return of(rd ? CLASS_JUMP : CLASS_SYSTEM); /* c.jr, c.jalr; c.ebreak */
    }
}

static meter_instruction vector_memory(uint32_t word, meter_class class_) {
    static const uint32_t eew_log2[8] = {0, 0, 0, 0, 0, 1, 2, 3};
    const uint32_t mop = bits(word, 27, 26), kind = bits(word, 24, 20), nf = bits(word, 31, 29) + 1;
    meter_instruction i = of(class_);
    i.fields = nf;
    i.eew_log2 = eew_log2[bits(word, 14, 12)];
    i.shape = SHAPE_ELEMENTS;
    if (mop) return i; /* indexed or strided */
    if (kind == 8) {
        i.shape = SHAPE_REGISTERS;
    } else if (kind == 11) { /* vlm.v, vsm.v: a mask register */
        i.shape = SHAPE_REGISTERS;
        i.fields = 1;
    } else if (kind == 0 || kind == 16) { /* 16: fault-only-first */
        if (nf == 1) i.shape = SHAPE_UNIT;
    } else {
        return of(CLASS_UNKNOWN);
    }
    return i;
}

static meter_instruction load_store(uint32_t word, meter_class scalar, meter_class vector) {
    const uint32_t width = bits(word, 14, 12);
    return width == 0 || width >= 5 ? vector_memory(word, vector) : of(scalar);
}

static meter_instruction immediate(uint32_t word) {
    const uint32_t funct3 = bits(word, 14, 12), value = bits(word, 31, 20);
    if (bits(word, 11, 7) == 0 && bits(word, 19, 15) == 0) {
        if (funct3 == 3 && value < 0x800) return doing(CLASS_ALU, DO_BEGIN, value);
        if (funct3 == 2 && value == 0x123) return doing(CLASS_ALU, DO_BEGIN, 0);
        if (funct3 == 2 && value == 0x124) return doing(CLASS_ALU, DO_END, 0);
        if (funct3 == 2 && value == 0x125) return doing(CLASS_ALU, DO_FORGET, 0);
    }
    return of(CLASS_ALU);
}

static meter_instruction vector(uint32_t word) {
    if (bits(word, 14, 12) != 7) return meter_decode_vector(word);
    if (bits(word, 31, 31) == 0 || bits(word, 31, 30) == 3) return doing(CLASS_VSET, DO_SET_VTYPE, bits(word, 27, 20));
    return doing(CLASS_VSET, DO_LOSE_VTYPE, 0);
}

meter_instruction meter_decode(uint32_t word, unsigned size, unsigned xlen) {
    if (size == 2) return compressed(word & 0xffff, xlen);
    switch (bits(word, 6, 0)) {
    case 0x03: return of(CLASS_LOAD);
    case 0x23: return of(CLASS_STORE);
    case 0x07: return load_store(word, CLASS_LOAD, CLASS_VLOAD);
    case 0x27: return load_store(word, CLASS_STORE, CLASS_VSTORE);
    case 0x13: return immediate(word);
    case 0x1b:
    case 0x17:
    case 0x37: return of(CLASS_ALU);
    case 0x33:
    case 0x3b:
        if (bits(word, 31, 25) != 1) return of(CLASS_ALU);
        return of(bits(word, 14, 12) < 4 ? CLASS_MUL : CLASS_DIV);
    case 0x63: return of(CLASS_BRANCH);
    case 0x67:
    case 0x6f: return of(CLASS_JUMP);
    case 0x43:
    case 0x47:
    case 0x4b:
    case 0x4f:
    case 0x53: return of(CLASS_FLOAT);
    case 0x57: return vector(word);
    case 0x0f:
    case 0x73: return of(CLASS_SYSTEM);
    case 0x2f: {
        meter_instruction atomic = of(CLASS_SYSTEM);
        atomic.memory = 1;
        return atomic;
    }
    default: return of(CLASS_UNKNOWN);
    }
}
