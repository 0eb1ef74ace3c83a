#include "vtype.h"

meter_vtype meter_vtype_of(uint32_t vtype) {
    const int lmul = (int)(vtype & 7), sew = (int)(vtype >> 3 & 7);
    const meter_vtype v = {lmul != 4 && sew < 4, lmul < 4 ? lmul : lmul - 8, sew};
    return v;
}

int meter_needs_vtype(meter_shape shape) {
    return shape != SHAPE_NONE && shape != SHAPE_REGISTERS && shape != SHAPE_ELEMENT;
}

int meter_group(meter_shape shape, uint32_t fields, uint32_t eew_log2, meter_vtype vtype) {
    int log2 = vtype.lmul_log2;
    switch (shape) {
    case SHAPE_WIDE: log2++; break;
    case SHAPE_INDEX16: log2 += vtype.sew_log2 == 0; break;
    case SHAPE_UNIT: log2 += (int)eew_log2 - vtype.sew_log2; break;
    case SHAPE_ELEMENT: return 0;
    case SHAPE_REGISTERS:
        for (log2 = 0; (1u << log2) < fields; log2++) {}
        break;
    default: break;
    }
    return log2 < -3 || log2 > 3 ? -1 : log2 + 3;
}

uint64_t meter_vlmax(uint32_t vlen, meter_vtype vtype) {
    return ((uint64_t)vlen << (vtype.lmul_log2 + 3)) / ((uint64_t)64 << vtype.sew_log2);
}
