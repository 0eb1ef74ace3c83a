/* Start-up: the first hart sets its stack, copies initialised data from ROM, zeroes the rest and runs main; its result
 * ends the emulation. */
    .section .text.start, "ax"
    .globl _start
_start:
    csrr t0, mhartid
    bnez t0, halt
#if defined(__riscv_vector)
    li t0, 0x2200 /* mstatus.FS and VS: initial */
    csrs mstatus, t0
#endif
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, stack_top
    la t0, trap
    csrw mtvec, t0

    la a0, data_start
    la a1, data_end
    la a2, data_load
copy:
    bgeu a0, a1, wipe
    lw t0, 0(a2)
    sw t0, 0(a0)
    addi a0, a0, 4
    addi a2, a2, 4
    j copy
wipe:
    la a0, bss_start
    la a1, bss_end
clear:
    bgeu a0, a1, run
    sw zero, 0(a0)
    addi a0, a0, 4
    j clear
run:
    call main
    j finish

    .balign 4
trap: /* nothing here may trap: report failure */
    li a0, 1
finish: /* the machine's test device: 0x5555 ends with status 0, 0x3333 with the status in the upper half */
    li t0, 0x5555
    beqz a0, 1f
    slli t0, a0, 16
    li t1, 0x3333
    or t0, t0, t1
1:
    li t1, 0x100000
    sw t0, 0(t1)
halt:
    wfi
    j halt
