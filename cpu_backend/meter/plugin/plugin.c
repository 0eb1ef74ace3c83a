/*
 * The meter: counts what a RISC-V program executes between marks (decode.h: meter_action), under QEMU's user mode.
 *
 *   qemu-riscv64 -plugin FILE,arg=out=PATH,arg=vlen=256[,arg=line=64,arg=l1=SETS:WAYS[,arg=l2=SETS:WAYS][,arg=around=1]] PROGRAM
 *
 * It writes JSON to PATH when the program exits. Without l1 no memory access is watched and all bytes and misses are 0.
 * around=1: stores to lines that are not in l1 go around it and are no misses; else they allocate like loads.
 */
#include <stdio.h>
#include <string.h>

#include "cache.h"
#include "decode.h"
#include "qemu_plugin.h"
#include "regions.h"
#include "vtype.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/* One per process, like the plugin; QEMU's callbacks have room for an instruction's facts only. */
static struct {
    meter_state state;
    meter_vtype vtype;
    uint32_t vlen, xlen;
    uint32_t line;     /* bytes of a cache line; 0: memory is not watched */
    int has_l2;
    unsigned around;   /* stores that miss go around the caches */
    meter_cache l1, l2;
    uint64_t last;     /* the line accessed last */
    char out[4096];
} meter;

/* --- while the program runs ------------------------------------------------------------------------------------ */

static void on_begin(unsigned cpu, void *data) {
    (void)cpu;
    meter_begin(&meter.state, (uint32_t)(uintptr_t)data);
}

static void on_end(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    meter_end(&meter.state);
}

static void on_forget(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    meter_forget(&meter.state);
}

static void on_vtype(unsigned cpu, void *data) {
    (void)cpu;
    meter.vtype = meter_vtype_of((uint32_t)(uintptr_t)data);
}

static void on_vtype_lost(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    meter.vtype.known = 0;
}

/* The facts of a vector instruction in a pointer's bits. */
static void *packed(meter_instruction i) {
    return (void *)(uintptr_t)((uint32_t)i.class_ | (uint32_t)i.shape << 8 | i.fields << 16 | i.eew_log2 << 24);
}

static void on_vector(unsigned cpu, void *data) {
    (void)cpu;
    meter_counts *counts = meter.state.open;
    if (!counts) return;
    const uint32_t facts = (uint32_t)(uintptr_t)data, class_ = facts & 0xff, fields = facts >> 16 & 0xff;
    const meter_shape shape = (meter_shape)(facts >> 8 & 0xff);
    if (!meter.vtype.known && meter_needs_vtype(shape)) {
        meter_fault(&meter.state, "vtype is unknown: it was set from a register (vsetvl) or not at all");
        return;
    }
    if (shape == SHAPE_ELEMENTS) {
        counts->elements[class_] += fields * meter_vlmax(meter.vlen, meter.vtype);
        return;
    }
    const int group = meter_group(shape, fields, facts >> 24, meter.vtype);
    if (group < 0) {
        meter_fault(&meter.state, "a vector instruction's EMUL is outside 1/8..8");
        return;
    }
    counts->groups[class_][group]++;
}

static void touch(meter_counts *counts, uint64_t line, int store) {
    if (line == meter.last) return; /* still the most recent one */
    if (store && meter.around && !meter_cache_holds(&meter.l1, line)) return;
    meter.last = line;
    if (meter_cache_access(&meter.l1, line)) return;
    if (counts) counts->l1_misses++;
    if (meter.has_l2 && !meter_cache_access(&meter.l2, line) && counts) counts->l2_misses++;
}

/* Also outside regions: what lies in the caches when a region begins is what the program left there. */
static void on_memory(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
    (void)cpu, (void)data;
    meter_counts *counts = meter.state.open;
    const uint64_t bytes = (uint64_t)1 << qemu_plugin_mem_size_shift(info);
    const int store = qemu_plugin_mem_is_store(info);
    if (counts) *(store ? &counts->stored : &counts->loaded) += bytes;
    const uint64_t last = (address + bytes - 1) / meter.line;
    for (uint64_t line = address / meter.line; line <= last; line++) touch(counts, line, store);
}

static void on_thread(qemu_plugin_id_t id, unsigned cpu) {
    (void)id;
    if (cpu > 0) meter_fault(&meter.state, "the program started a second thread");
}

static void on_exit(qemu_plugin_id_t id, void *data) {
    (void)id, (void)data;
    FILE *file = fopen(meter.out, "w");
    if (file) meter_report(&meter.state, file);
    if (!file || fclose(file) != 0) fprintf(stderr, "meter: cannot write %s\n", meter.out);
}

/* --- when code is translated ----------------------------------------------------------------------------------- */

static void instrument(struct qemu_plugin_insn *insn) {
    uint32_t word = 0;
    const size_t size = qemu_plugin_insn_size(insn);
    memcpy(&word, qemu_plugin_insn_data(insn), size < 4 ? size : 4);
    const meter_instruction i = meter_decode(word, (unsigned)size, meter.xlen);
    static const qemu_plugin_vcpu_udata_cb_t actions[] = {
        [DO_BEGIN] = on_begin,      [DO_END] = on_end,
        [DO_FORGET] = on_forget,    [DO_SET_VTYPE] = on_vtype,
        [DO_LOSE_VTYPE] = on_vtype_lost,
    };
    void *const value = (void *)(uintptr_t)i.value;
    if (i.action) qemu_plugin_register_vcpu_insn_exec_cb(insn, actions[i.action], QEMU_PLUGIN_CB_NO_REGS, value);
    if (i.action == DO_BEGIN || i.action == DO_END || i.action == DO_FORGET) return; /* marks are not counted */
    if (i.shape != SHAPE_NONE)
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_vector, QEMU_PLUGIN_CB_NO_REGS, packed(i));
    if (meter.line && i.memory)
        qemu_plugin_register_vcpu_mem_cb(insn, on_memory, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
    qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, &meter.state.live[i.class_], 1);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    const size_t count = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < count; i++) instrument(qemu_plugin_tb_get_insn(block, i));
}

/* --- start ----------------------------------------------------------------------------------------------------- */

static int parse(const char *argument) {
    unsigned sets, ways;
    if (!strncmp(argument, "out=", 4) && strlen(argument + 4) < sizeof meter.out) {
        strcpy(meter.out, argument + 4);
        return 1;
    }
    if (sscanf(argument, "vlen=%u", &meter.vlen) == 1 || sscanf(argument, "line=%u", &meter.line) == 1) return 1;
    if (sscanf(argument, "around=%u", &meter.around) == 1) return 1;
    if (sscanf(argument, "l1=%u:%u", &sets, &ways) == 2 && sets && ways)
        return meter_cache_open(&meter.l1, sets, ways);
    if (sscanf(argument, "l2=%u:%u", &sets, &ways) == 2 && sets && ways)
        return meter.has_l2 = meter_cache_open(&meter.l2, sets, ways);
    return 0;
}

static int refuse(const char *what, const char *value) {
    fprintf(stderr, "meter: %s '%s'\n", what, value);
    return -1;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    for (int i = 0; i < argc; i++)
        if (!parse(argv[i])) return refuse("cannot use the argument", argv[i]);
    if (sscanf(info->target_name, "riscv%u", &meter.xlen) != 1) return refuse("not a RISC-V:", info->target_name);
    if (!meter.out[0]) return refuse("no file to write:", "out=");
    if (!!meter.line != !!meter.l1.lines) return refuse("line and l1 go together:", "l1");
    meter.last = UINT64_MAX;
    qemu_plugin_register_vcpu_init_cb(id, on_thread);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit, NULL);
    return 0;
}
