"""Resource model: LUTs, flip-flops, block memories and multipliers of the logic that stages are made of."""
