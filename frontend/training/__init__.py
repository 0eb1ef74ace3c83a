"""Training of the shipped example: procedural aerial scenes, quantisation-aware training, honest evaluation.

`python -m frontend.training --out examples/ultranet_4w4a.pt` trains, `python -m frontend.training.evaluate CHECKPOINT`
measures on scenes never seen.
"""
