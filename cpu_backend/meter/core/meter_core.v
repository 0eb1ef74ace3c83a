// VexRiscv with what leaves its last stage, for the cycle-true cross-check of the meter. Its buses are Wishbone.
module meter_core (
    input             clk,
    input             reset,
    input      [31:0] entry,
    output            retires,
    output     [31:0] instruction,
    output            writes,        // a register, in this cycle
    output     [4:0]  destination,
    output     [31:0] value,
    output            i_cyc,
    output            i_stb,
    output     [29:0] i_adr,
    input             i_ack,
    input      [31:0] i_data,
    output            d_cyc,
    output            d_stb,
    output            d_we,
    output     [29:0] d_adr,
    output     [31:0] d_out,
    output     [3:0]  d_sel,
    input             d_ack,
    input      [31:0] d_data
);
    VexRiscv core (
        .clk(clk), .reset(reset), .externalResetVector(entry),
        .timerInterrupt(1'b0), .softwareInterrupt(1'b0), .externalInterruptArray(32'b0),
        .iBusWishbone_CYC(i_cyc), .iBusWishbone_STB(i_stb), .iBusWishbone_ACK(i_ack), .iBusWishbone_WE(),
        .iBusWishbone_ADR(i_adr), .iBusWishbone_DAT_MISO(i_data), .iBusWishbone_DAT_MOSI(), .iBusWishbone_SEL(),
        .iBusWishbone_ERR(1'b0), .iBusWishbone_CTI(), .iBusWishbone_BTE(),
        .dBusWishbone_CYC(d_cyc), .dBusWishbone_STB(d_stb), .dBusWishbone_ACK(d_ack), .dBusWishbone_WE(d_we),
        .dBusWishbone_ADR(d_adr), .dBusWishbone_DAT_MISO(d_data), .dBusWishbone_DAT_MOSI(d_out),
        .dBusWishbone_SEL(d_sel), .dBusWishbone_ERR(1'b0), .dBusWishbone_CTI(), .dBusWishbone_BTE()
    );
    assign retires = core.lastStageIsFiring;
    assign instruction = core.lastStageInstruction;
    assign writes = core.lastStageRegFileWrite_valid;
    assign destination = core.lastStageRegFileWrite_payload_address;
    assign value = core.lastStageRegFileWrite_payload_data;
endmodule
