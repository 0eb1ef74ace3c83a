"""Estimated cycles of fully connected layers on vectors (hck_full.h): beats of a datapath of VLEN / 2 bits, counted as
in `layers.py`, or the instructions of one a cycle where those are more."""

from __future__ import annotations

from cpu_backend.emit.convolution import weights_of
from cpu_backend.emit.full import Scheme
from cpu_backend.layers import Layer

ROW_CYCLES, MULTIPLY_CYCLES, WIDEN_CYCLES = 0.0625, 0.125, 0.25
"""At the reference: a weight added in 8 bits, or loaded; a product added in 16 bits; a sum added to 32 bits."""
TOTAL_CYCLES = 0.5
"""A total of 32 bits loaded and stored, as above."""
FIELD_CYCLES = {8: 0, 4: 0.0625, 2: 0.09375}
"""A weight of so many bits taken out of its byte."""
LEVEL_CYCLES = 0.2
"""Finding the elements of one level, each."""
PACKED = 0.88
"""How full groups are of elements in their order."""
LARGEST_FACTOR = 8
SHORT_ROWS = 512
"""Of hck_full_groups.inc."""


def full_cycles(layer: Layer, full: Scheme, vlen: int, scale: float) -> float | None:
    """At ``vlen``, whose beats are ``scale`` times those of the reference, for elements of which every value is as
    frequent; zeros cost nothing. None: the layer goes to hck_conv2d."""
    channels, products = layer.first.type.shape[0], int(weights_of(layer)[0].size)
    zeros = layer.x.lo <= 0 <= layer.x.hi and layer.x.dtype.kind != "bipolar"
    rows = products * (1 - 1 / (layer.x.hi - layer.x.lo + 1)) if zeros else products
    if full.levels:
        each = ROW_CYCLES + MULTIPLY_CYCLES / min(full.reach, products / full.levels)
        return (rows * channels * each + products * full.levels * LEVEL_CYCLES) * scale
    lists = min((2 if layer.x.lo < 0 else 1) * max(-layer.x.lo, layer.x.hi), 255)
    passes = -(-channels // vlen)
    by_lists = 11 * products + 25 * lists + passes * (8 * products + 13 * lists)
    in_order = (12 + 25 * passes) * products
    beats = products * channels // 4
    short = products <= SHORT_ROWS and in_order <= beats
    plain = full.stride == channels
    listed = by_lists < beats and (not short or by_lists <= max(in_order, beats * 4 // 5))
    if listed or not (plain or short):
        groups, issued = _listed_groups(layer, full, products), by_lists
    elif short:
        groups, issued = _groups_in_order(layer, full, products), in_order
    else:
        return None
    arithmetic = channels * (rows * (MULTIPLY_CYCLES + FIELD_CYCLES[full.bits]) + groups * WIDEN_CYCLES)
    memory = channels * (rows * ROW_CYCLES * full.bits / 8 + groups * TOTAL_CYCLES)
    return max(arithmetic * scale, memory * scale, issued)


def _listed_groups(layer: Layer, full: Scheme, products: int) -> float:
    """Of lists of equal elements, as make_runs of hck_full_groups.inc makes them."""
    lo, hi = layer.x.lo, layer.x.hi
    each = products / (hi - lo + 1)
    top, signs = max(-lo, hi), 2 if lo < 0 else 1
    groups = 0.0
    for scale in range(1, top + 1):
        factors = [k for k in ((1, 2, 4, 8) if scale % 2 else (8,)) if k * scale <= top]
        sums = sum(factors) * each * signs
        groups += max(1.0, sums / full.reach) if sums * scale > full.reach else sums * scale / full.reach
    return groups


def _groups_in_order(layer: Layer, full: Scheme, products: int) -> float:
    lo, hi = layer.x.lo, layer.x.hi
    mean = sum(abs(value) for value in range(lo, hi + 1)) / (hi - lo + 1)
    return products * mean / (full.reach * PACKED)
