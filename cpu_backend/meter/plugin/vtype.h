/* vtype as the program's vset instructions leave it, and the size of vector operations under it. */
#ifndef HC_METER_VTYPE_H
#define HC_METER_VTYPE_H

#include <stdint.h>

#include "decode.h"

#define METER_GROUPS 7 /* EMUL 1/8, 1/4, 1/2, 1, 2, 4, 8 */

typedef struct {
    int known;
    int lmul_log2; /* -3..3 */
    int sew_log2;  /* log2(SEW / 8): 0..3 */
} meter_vtype;

meter_vtype meter_vtype_of(uint32_t vtype);

/* Whether the size of `shape` depends on vtype. */
int meter_needs_vtype(meter_shape shape);

/* log2(8 * EMUL), 0..METER_GROUPS - 1, of every shape but SHAPE_NONE and SHAPE_ELEMENTS; -1 if no such EMUL exists. */
int meter_group(meter_shape shape, uint32_t fields, uint32_t eew_log2, meter_vtype vtype);

/* Elements of a register group: VLEN / SEW * LMUL. */
uint64_t meter_vlmax(uint32_t vlen, meter_vtype vtype);

#endif
