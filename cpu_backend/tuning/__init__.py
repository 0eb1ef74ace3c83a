"""Which kernel executes a convolution fastest: candidates, a model that orders them, measurements, their database.

`signature` is what time depends on, `variants` (a level up) what can be chosen, `model` an estimate, `call` the input
of the measured program, `measure` runs it under the meter and `ssh` on a board, `database` keeps the results, `tuner`
goes through a network's layers, `choice` is what the engine asks, `verify` measures entries again.
"""
