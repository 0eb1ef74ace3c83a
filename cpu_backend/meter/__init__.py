"""What RISC-V code costs: instructions, vector beats, cache misses counted in an emulator; cycles by machine models.

``plugin/`` counts, per marked region of a program (``include/hc_meter.h``); `meter` builds and runs it; `counts` has
the results; `machine` turns them into cycles. Nothing is measured in time, so results repeat to the digit.
"""
