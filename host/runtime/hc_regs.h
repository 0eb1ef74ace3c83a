/*
 * The device's registers: 32-bit words at fixed byte offsets, as an AXI-Lite port or the first page of the simulated
 * device's shared file has them. The host writes those marked w and reads the others.
 *
 * To start a device the host waits for STATUS = ready, checks ID, VERSION and PLAN_HASH, writes where the rings and
 * the pool are, and writes a new value to RESET; the device takes the addresses, forgets the commands up to DOORBELL
 * and, once nothing of them is under way any more, copies the value to RESET_DONE. DOORBELL is the number of the last
 * command that the host has put into the ring.
 */
#ifndef HC_REGS_H
#define HC_REGS_H

#include <stdint.h>

enum {
    HC_REG_ID = 0x00,              /* HC_DEVICE_ID */
    HC_REG_VERSION = 0x04,         /* HC_PROTOCOL_VERSION */
    HC_REG_PLAN_HASH_LO = 0x08,    /* hc_plan.hash of the package the device was built for */
    HC_REG_PLAN_HASH_HI = 0x0c,
    HC_REG_STATUS = 0x10,          /* HC_DEVICE_* below */
    HC_REG_RESET_DONE = 0x14,
    HC_REG_RESET = 0x18,           /* w */
    HC_REG_DOORBELL = 0x1c,        /* w */
    HC_REG_COMMAND_BASE_LO = 0x20, /* w: address of the command ring; in a shared file, its offset */
    HC_REG_COMMAND_BASE_HI = 0x24,
    HC_REG_COMPLETION_BASE_LO = 0x28, /* w */
    HC_REG_COMPLETION_BASE_HI = 0x2c,
    HC_REG_POOL_BASE_LO = 0x30, /* w: what the buffer offsets of commands count from */
    HC_REG_POOL_BASE_HI = 0x34,
    HC_REG_POOL_BYTES = 0x38, /* w */
    HC_REGS_BYTES = 0x1000
};

#define HC_DEVICE_ID 0x31644348u /* "HCd1" */
#define HC_PROTOCOL_VERSION 1u

enum { HC_DEVICE_ABSENT = 0, HC_DEVICE_READY = 1, HC_DEVICE_FAULTY = 2 };

typedef volatile uint32_t *hc_regs;

/* Loads acquire and stores release, so that what a register announces is there when it is seen. */
static inline uint32_t hc_reg_read(hc_regs regs, uint32_t offset) {
    return __atomic_load_n(&regs[offset / 4], __ATOMIC_ACQUIRE);
}

static inline void hc_reg_write(hc_regs regs, uint32_t offset, uint32_t value) {
    __atomic_store_n(&regs[offset / 4], value, __ATOMIC_RELEASE);
}

/* A pair of registers; not atomic: written before RESET, read after it. */
static inline uint64_t hc_reg_read64(hc_regs regs, uint32_t offset) {
    return hc_reg_read(regs, offset) | (uint64_t)hc_reg_read(regs, offset + 4) << 32;
}

static inline void hc_reg_write64(hc_regs regs, uint32_t offset, uint64_t value) {
    hc_reg_write(regs, offset, (uint32_t)value);
    hc_reg_write(regs, offset + 4, (uint32_t)(value >> 32));
}

#endif
