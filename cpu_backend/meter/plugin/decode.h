/* Instruction words -> what the meter has to know about them. Pure functions. */
#ifndef HC_METER_DECODE_H
#define HC_METER_DECODE_H

#include <stdint.h>

/* Classes that a machine may price differently. `unknown` is never counted silently: the report's reader refuses it. */
#define METER_CLASSES(X)                                                                                              \
    X(UNKNOWN, "unknown")                                                                                              \
    X(ALU, "alu")                                                                                                      \
    X(MUL, "mul")                                                                                                      \
    X(DIV, "div")                                                                                                      \
    X(LOAD, "load")                                                                                                    \
    X(STORE, "store")                                                                                                  \
    X(BRANCH, "branch")                                                                                                \
    X(JUMP, "jump")                                                                                                    \
    X(FLOAT, "float")                                                                                                  \
    X(SYSTEM, "system")       /* CSRs, fences, atomics, ecall */                                                       \
    X(VSET, "vset")           /* vsetvli, vsetivli, vsetvl */                                                          \
    X(VLOAD, "vload")                                                                                                  \
    X(VSTORE, "vstore")                                                                                                \
    X(VADD, "vadd")           /* add, subtract, minimum, maximum, saturating and averaging */                          \
    X(VMUL, "vmul")           /* multiply, multiply-accumulate */                                                      \
    X(VDIV, "vdiv")           /* divide, remainder, square root */                                                     \
    X(VLOGIC, "vlogic")       /* and, or, xor, shifts, rotations, bit counts, narrowing shifts and clips */            \
    X(VCOMPARE, "vcompare")   /* whatever writes a mask from elements */                                               \
    X(VMOVE, "vmove")         /* moves, merges, extensions, conversions */                                             \
    X(VPERM, "vperm")         /* slides, gathers, compress, element moves */                                           \
    X(VRED, "vred")                                                                                                    \
    X(VMASK, "vmask")         /* mask-register logic, vcpop.m, viota.m, vid.v */

#define METER_ENUM(name, text) CLASS_##name,
typedef enum { METER_CLASSES(METER_ENUM) CLASSES } meter_class;
#undef METER_ENUM

/* How many bits a vector instruction works on: the largest EMUL among destination and sources. */
typedef enum {
    SHAPE_NONE,      /* no vector data */
    SHAPE_GROUP,     /* LMUL */
    SHAPE_WIDE,      /* 2 * LMUL: widening (destination) and narrowing (source) */
    SHAPE_INDEX16,   /* vrgatherei16: the larger of LMUL and 16 / SEW * LMUL */
    SHAPE_ELEMENT,   /* one element, whatever LMUL */
    SHAPE_REGISTERS, /* `fields` whole registers, whatever vtype: masks, vmv<nr>r, vl<nr>r */
    SHAPE_UNIT,      /* EEW / SEW * LMUL: unit-stride loads and stores */
    SHAPE_ELEMENTS   /* `fields` * VLMAX accesses: strided, indexed, segment */
} meter_shape;

typedef enum {
    DO_NOTHING,
    DO_BEGIN,      /* sltiu x0, x0, N (0..2047), or slti x0, x0, 0x123 for region 0; `value` is the region */
    DO_END,        /* slti x0, x0, 0x124 */
    DO_FORGET,     /* slti x0, x0, 0x125: counts so far are dropped, caches stay warm */
    DO_SET_VTYPE,  /* vsetvli, vsetivli; `value` is vtype's low byte */
    DO_LOSE_VTYPE  /* vsetvl: vtype comes from a register, which plugins cannot read */
} meter_action;

typedef struct {
    meter_class class_;
    meter_shape shape;
    meter_action action;
    uint32_t value;
    uint32_t fields;   /* registers or segment fields */
    uint32_t eew_log2; /* of SHAPE_UNIT: log2(EEW / 8) */
    int memory;        /* may access memory */
} meter_instruction;

/* `size` is 2 or 4 bytes, `xlen` 32 or 64. */
meter_instruction meter_decode(uint32_t word, unsigned size, unsigned xlen);

/* The OP-V major opcode without its vset instructions. */
meter_instruction meter_decode_vector(uint32_t word);

#endif
