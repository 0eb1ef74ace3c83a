"""Dot products of variables without multiplier blocks: the structure that `families.DotShape` counts.

One operand is taken apart into bit planes, the other into pairs of neighbours. In plane j a pair (u, v), with its two
plane bits (p, q), adds one of 0, u, v, u + v. So each bit of the choice has five inputs, and a sixth is left for the
running sum: choosing and adding are one LUT per bit in front of a carry chain. The running sum keeps the width of
u + v; what overflows are single bits of equal weight, counted apart (`compress`).

Two plane bits times two terms per LUT: a product of w by a bits costs about ``w * (a + 1) / 2`` LUTs and the counting,
where rows of AND gates need twice as much. The planes are those of the narrower operand. With weight planes u + v are
sums of activations, made once for all outputs; with activation planes they are sums of weights, out of the ROM, and a
row's sign bit is inverted, which adds a constant.
"""

from __future__ import annotations

from dataclasses import dataclass

from hls.resources.families import CHAIN_ROWS, DotShape, dot_shape, width
from hls.resources.verilog import Module


def offset(terms: int, weight: int, activation: int) -> int:
    """What the sum is too large by: a constant, for the requantisation to take away."""
    shape = dot_shape(terms, weight, activation)
    if weight <= activation:
        return 0
    return shape.rows * (1 << shape.row_bits - 1) * ((1 << shape.planes) - 1)


def lut_dot(terms: int, weight: int, activation: int, chain: int = CHAIN_ROWS) -> tuple[str, int, int]:
    """Verilog, bits of the result, latency. Inputs: ``w`` and ``a`` hold the terms, ``s`` the sums of pairs.

    The result is the dot product of signed weights (one bit: 0 or 1) and unsigned activations plus `offset`, modulo
    2^bits.
    """
    shape = dot_shape(terms, weight, activation, chain)
    by_weight = weight <= activation
    other = shape.row_bits - 1
    module = Module({"w": terms * weight, "a": terms * activation, "s": shape.rows * shape.row_bits})
    planes_of, values_of = ("w", "a") if by_weight else ("a", "w")
    sums = []
    for plane in range(shape.planes):
        rows = []
        for row in range(shape.rows):
            picks = [f"{planes_of}[{t * shape.planes + plane}]" for t in (2 * row, 2 * row + 1) if t < terms]
            values = [f"{values_of}[{(2 * row + k) * other} +: {other}]" for k in range(len(picks))]
            extended = [_extended(module, v, other, not by_weight) for v in values]
            both = f"s[{row * shape.row_bits} +: {shape.row_bits}]"
            rows.append(_row(extended, picks, both, shape.row_bits, not by_weight))
        sums.append(_plane(module, rows, shape, chain))
    result, bits = _combine(module, sums, shape, negate_top=by_weight and weight > 1)
    latency = 2 + (1 if shape.planes > 1 else 0)
    return module.text(bits, result), bits, latency


def _extended(module: Module, value: str, bits: int, signed: bool) -> str:
    name = module.wire(bits, value, "v")
    top = f"{name}[{bits - 1}]" if signed else "1'b0"
    return f"{{{top}, {name}}}"


def _row(values: list[str], picks: list[str], both: str, bits: int, flip: bool) -> str:
    zero = f"{bits}'d0"
    if len(values) == 1:
        chosen = f"({picks[0]} ? {values[0]} : {zero})"
    else:
        first, second = values
        chosen = f"({picks[0]} ? ({picks[1]} ? {both} : {first}) : ({picks[1]} ? {second} : {zero}))"
    return f"({chosen} ^ {bits}'d{1 << bits - 1})" if flip else chosen


def _plane(module: Module, rows: list[str], shape: DotShape, chain: int) -> str:
    """The rows of a plane added up: chains, registered, then their ends and all carries."""
    bits, ends, carries = shape.row_bits, [], []
    for start in range(0, len(rows), chain):
        total = module.wire(bits, rows[start], "r")
        for row in rows[start + 1 : start + chain]:
            wide = module.carry(bits, total, row)
            carries.append(module.register(1, f"{wide}[{bits}]"))
            total = f"{wide}[{bits - 1}:0]"
        ends.append(module.register(bits, total))
    total = ends[0]
    for end in ends[1:]:
        wide = module.carry(bits, total, end)
        carries.append(f"{wide}[{bits}]")
        total = f"{wide}[{bits - 1}:0]"
    if not carries:
        return module.register(bits, total)
    high = width(len(carries))
    return module.register(bits + high, f"{{{module.count({0: carries}, high)}, {total}}}")


def _combine(module: Module, sums: list[str], shape: DotShape, negate_top: bool) -> tuple[str, int]:
    """The planes added pair by pair, each shifted by its weight, the top one of signed weights subtracted: a signal
    and its bits. The bits below the higher plane's weight pass by the adder."""
    parts = [_Part(s, shape.sum_bits, j, False) for j, s in enumerate(sums)]
    subtract = negate_top
    while len(parts) > 1:
        merged = []
        for low, high in zip(parts[::2], parts[1::2], strict=False):
            gap, last = high.weight - low.weight, high is parts[-1]
            bits = max(low.bits - gap, high.bits) + 1
            upper = f"{{1'b0, {low.signal}[{low.bits - 1}:{gap}]}}"
            extension = (
                f"{{{bits - high.bits}{{{high.signal}[{high.bits - 1}]}}}}" if high.signed else f"{bits - high.bits}'d0"
            )
            sign = "-" if last and subtract else "+"
            total = module.wire(bits, f"{upper} {sign} {{{extension}, {high.signal}}}", "p")
            joined = module.wire(bits + gap, f"{{{total}, {low.signal}[{gap - 1}:0]}}", "p")
            merged.append(_Part(joined, bits + gap, low.weight, last and (high.signed or subtract)))
            subtract = subtract and not last
        parts = merged + parts[2 * len(merged) :]
    whole = parts[0]
    return (module.register(whole.bits, whole.signal) if len(sums) > 1 else whole.signal), whole.bits


@dataclass(frozen=True)
class _Part:
    """A sum of planes: its signal and bits, the weight of its lowest bit, whether its top bit is a sign."""

    signal: str
    bits: int
    weight: int
    signed: bool
