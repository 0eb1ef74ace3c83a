"""A packing as data, complete enough that anyone can multiply with exactly this recipe.

A recipe computes the two-dimensional convolution (polynomial product, the kernel as it is) of ``weights`` (O, C, R, K)
with ``activations`` (C, Y, X), summed over input channels C, at every stride-th row and column:
``sums[o][y][x] = sum w[o][c][i][j] * a[c][s*y - i][s*x - j]``. Depthwise: O = C, and channel o sees activation o only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from hls.packing.digits import Digit
from hls.packing.geometry import Multiplier, parse_multiplier
from hls.packing.layout import Layout, convolve
from hls.packing.ranges import PackingError, Range
from hls.packing.refine import Built
from ir.types import Ints

FORMAT = "hetero-pack 1"


@dataclass(frozen=True)
class Place:
    """A patch of a kernel phase (row, column): its first column, and first rows of the groups that one chain adds.

    Rows from ``row_end`` on belong to another patch.
    """

    phase: tuple[int, int]
    column: int
    row_starts: tuple[int, ...]
    row_end: int


@dataclass(frozen=True)
class Pass:
    """Uses of the multipliers with one layout: a digit of either operand, at one or several places of the kernel.

    ``cost``: uses per output pixel, output channel and input channel for all places.
    """

    built: Built
    weight_digit: Digit
    activation_digit: Digit
    places: tuple[Place, ...]
    cost: Fraction

    @property
    def coefficient(self) -> int:
        return self.weight_digit.coefficient * self.activation_digit.coefficient

    def accumulate(self, sums: Ints, place: Place, weights: Ints, activations: Ints) -> None:
        """Add one place's share: weights (O, C, R, K) and activations (C, Y, X) of its phase, into sums (O, ...)."""
        (m, ky, kx), (ny, nx) = self.built.layout.weights, self.built.layout.activations
        digits = self.weight_digit.of(weights)
        pixels = self.activation_digit.of(activations) - self.built.offset
        shifts = [start - place.row_starts[0] for start in place.row_starts]
        last = shifts[-1]
        padded = np.pad(pixels, ((0, 0), (last, last + ny), (0, nx)), constant_values=-self.built.offset)
        columns = range(0, activations.shape[2], nx)
        for o in range(0, len(weights), m):
            block = digits[o : o + m, :, :, place.column : place.column + kx]
            terms = np.concatenate(
                [_filled(block[:, :, r : min(r + ky, place.row_end)], m, ky) for r in place.row_starts]
            )
            for y in range(0, activations.shape[1] + last, ny):
                tops = [y + last - shift for shift in shifts]
                blocks = [np.concatenate([padded[:, top : top + ny, x : x + nx] for top in tops]) for x in columns]
                for x, part in zip(columns, self._chains(terms[None], np.stack(blocks)), strict=True):
                    self._add(sums, part, o, place.row_starts[0] + y, place.column + x)

    def _chains(self, weights: Ints, activations: Ints) -> Ints:
        """(1, T, m, ky, kx), (B, T, ny, nx) -> sums of all T terms, at most ``depth`` in a chain."""
        layout, total = self.built.layout, np.zeros((), np.int64)
        for start in range(0, weights.shape[1], layout.depth):
            w, a = weights[:, start : start + layout.depth], activations[:, start : start + layout.depth]
            total = total + layout.multiply(w, a)
            if self.built.offset:
                total = total + self.built.offset * convolve(w, np.ones_like(a[:1]))
        return total

    def _add(self, sums: Ints, block: Ints, o: int, row: int, column: int) -> None:
        """What lies past the edges is what zeros beside the values gave."""
        target = sums[o : o + block.shape[0], row : row + block.shape[1], column : column + block.shape[2]]
        target += self.coefficient * block[: target.shape[0], : target.shape[1], : target.shape[2]]


def _filled(part: Ints, m: int, ky: int) -> Ints:
    """(o, C, r, kx) -> (C, m, ky, kx), zeros where the channels or the rows end."""
    o, _, r, _ = part.shape
    return np.pad(part.transpose(1, 0, 2, 3), ((0, 0), (0, m - o), (0, ky - r), (0, 0)))


@dataclass(frozen=True)
class Recipe:
    """All passes for a layer on one kind of multiplier."""

    dsp: str
    weight: Range
    activation: Range
    kernel: tuple[int, int]
    stride: int
    depthwise: bool
    passes: tuple[Pass, ...]

    @property
    def cost(self) -> Fraction:
        return sum((p.cost for p in self.passes), Fraction(0))

    @property
    def multiplies(self) -> Fraction:
        """Useful multiplications per multiplier and cycle."""
        return self.kernel[0] * self.kernel[1] / self.cost

    @property
    def luts(self) -> float:
        """Per multiplier: the mean over passes, weighted with their share of the uses."""
        return float(sum(float(p.cost) * p.built.luts for p in self.passes) / float(self.cost))

    def convolve(self, weights: Ints, activations: Ints) -> Ints:
        """Weights (O, C, R, K), activations (C, Y, X), R and K at most the kernel's -> sums, as the module says."""
        self._check(weights, activations)
        if self.depthwise:
            channels = zip(weights, activations, strict=True)
            return np.concatenate([self._sums(w[None], a[None]) for w, a in channels])
        return self._sums(weights, activations)

    def _sums(self, weights: Ints, activations: Ints) -> Ints:
        (o, _, r, k), (_, height, width), s = weights.shape, activations.shape, self.stride
        full = np.pad(weights, ((0, 0), (0, 0), (0, self.kernel[0] - r), (0, self.kernel[1] - k)))
        rows, columns = height + self.kernel[0] - 1, width + self.kernel[1] - 1
        sums = np.zeros((o, -(-rows // s), -(-columns // s)), np.int64)
        for one in self.passes:
            for place in one.places:
                row, column = place.phase
                pixels = np.pad(activations, ((0, 0), (row, 0), (column, 0)))[:, ::s, ::s]
                one.accumulate(sums, place, full[:, :, row::s, column::s], pixels)
        return sums[:, : -(-(height + r - 1) // s), : -(-(width + k - 1) // s)]

    def _check(self, weights: Ints, activations: Ints) -> None:
        shape = weights.shape[2:]
        if any(have > most for have, most in zip(shape, self.kernel, strict=True)):
            raise PackingError(f"kernel {shape[0]}x{shape[1]} (allowed: up to {self.kernel[0]}x{self.kernel[1]})")
        if weights.shape[0 if self.depthwise else 1] != len(activations):
            raise PackingError(f"weights {weights.shape} do not go with {len(activations)} channels of activations")
        for name, values, allowed in (("weight", weights, self.weight), ("activation", activations, self.activation)):
            outside = values[(values < allowed.lo) | (values > allowed.hi)]
            if outside.size:
                raise PackingError(f"{name} {outside[0]} is out of range (allowed: {allowed.lo}..{allowed.hi})")


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """Plain data of a recipe; `recipe_from_json` reads it back."""
    return {
        "format": FORMAT,
        "dsp": recipe.dsp,
        "weight": asdict(recipe.weight),
        "activation": asdict(recipe.activation),
        "kernel": list(recipe.kernel),
        "stride": recipe.stride,
        "depthwise": recipe.depthwise,
        "passes": [_pass_to_json(one) for one in recipe.passes],
    }


def _pass_to_json(one: Pass) -> dict[str, Any]:
    built, layout = one.built, one.built.layout
    return {
        "multiplier": asdict(built.multiplier),
        "weight_port": built.weight_port,
        "layout": asdict(layout),
        "activation_offset": built.offset,
        "weight_digit": asdict(one.weight_digit),
        "activation_digit": asdict(one.activation_digit),
        "coefficient": one.coefficient,
        "places": [asdict(place) for place in one.places],
        "cost": str(one.cost),
        "segments": [
            segment._asdict() | {"bits": layout.field_bits(segment), "shared_bits": shared}
            for segment, shared in zip(layout.segments, layout.overlaps, strict=True)
        ],
    }


def recipe_from_json(data: Mapping[str, Any]) -> Recipe:
    """PackingError if the data is no recipe."""
    if data.get("format") != FORMAT:
        raise PackingError(f"format {data.get('format')!r} is no packing (allowed: {FORMAT!r})")
    try:
        return Recipe(
            data["dsp"],
            Range(**data["weight"]),
            Range(**data["activation"]),
            (data["kernel"][0], data["kernel"][1]),
            data["stride"],
            data["depthwise"],
            tuple(_pass_from_json(one) for one in data["passes"]),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise PackingError(f"the packing is incomplete: {type(error).__name__} {error}") from None


def _pass_from_json(data: Mapping[str, Any]) -> Pass:
    shape = dict(data["layout"])
    weight, activation = Range(**shape.pop("weight")), Range(**shape.pop("activation"))
    lists: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in shape.items()}
    multiplier: Multiplier = parse_multiplier(data["multiplier"])
    built = Built(multiplier, data["weight_port"], Layout(weight, activation, **lists), data["activation_offset"])
    return Pass(
        built,
        _digit_from_json(data["weight_digit"]),
        _digit_from_json(data["activation_digit"]),
        tuple(
            Place((p["phase"][0], p["phase"][1]), p["column"], tuple(p["row_starts"]), p["row_end"])
            for p in data["places"]
        ),
        Fraction(data["cost"]),
    )


def _digit_from_json(data: Mapping[str, Any]) -> Digit:
    own = data["own"]
    return Digit(tuple((radix, low) for radix, low in data["below"]), None if own is None else (own[0], own[1]))
