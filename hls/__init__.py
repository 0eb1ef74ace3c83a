"""Graph region to FPGA dataflow accelerator: packing, the HeteroCL layer language, layer generators, simulation."""
