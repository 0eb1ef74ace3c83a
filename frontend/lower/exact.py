"""Requantisation without an error: which integers a quantiser makes of an accumulator, found by asking it.

From accumulator to quantised integer everything is one function per channel that never falls, or never rises: a scale,
a batch norm, an activation, a rounding. So it is told by its thresholds, which bisection finds with the function
evaluated in float64, ties included. A multiply-shift that has the same thresholds is taken where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from frontend.lower.values import State, Value
from ir.graph import Node
from ir.ops import Lookup, MultiplyShift, Op, Sign, Thresholds
from ir.types import Array, Ints, TensorType

LARGEST_TABLE = 1 << 24
LARGEST_THRESHOLDS = 1 << 22
"""Of a table that an executor is to search: 16 MiB."""
LARGEST_LOOKUP = 1 << 16
LONGEST_SHIFT = 40
Levels = Callable[[Array], Array]
"""Real values (C, n) -> quantised integers (C, n)."""
Reached = Callable[[Ints, Ints], Array]
"""Whether integers (C, n) reach n of the levels."""
FEW = 32
"""Levels by which most shifts are found too small."""
MANY, STRIDE = 1 << 10, 64
"""Of more levels than `MANY` every `STRIDE`-th is searched for first; those tell where the others are."""


@dataclass(frozen=True, eq=False)
class Staircase:
    """``lowest + #{k : t >= bounds[c, k]}`` with t the integer x, or ``x.lo + x.hi - x`` where ``falling[c]``."""

    x: TensorType
    lowest: int
    bounds: Ints
    falling: Array

    @property
    def highest(self) -> int:
        return self.lowest + int(self.bounds.shape[1])


def requantise(state: State, node: Node, value: Value, levels: Levels, scale: Array) -> str:
    """The tensor of the quantised integers; ``scale`` (1,) or (C,) is what a step of them is in real values."""
    if any(step.falls for step in value.curve):
        return _table(state, node, value, levels)
    stairs = staircase(state, node, value, levels)
    slopes = value.slopes
    shift = multiply_shift(stairs, None if slopes is None else np.abs(slopes) / scale)
    if shift is None:
        channels, count = stairs.bounds.shape
        if channels * count > LARGEST_THRESHOLDS:
            state.fail(
                node,
                f"no multiply-shift makes exactly its {count + 1} levels of {state.type_of(value.tensor)}, and {count} "
                f"thresholds for each of {channels} channels are too many (allowed: {LARGEST_THRESHOLDS} in all)",
            )
        return _emit(state, node, value, Thresholds(stairs.lowest), *thresholds(stairs), names=("thresholds", "rising"))
    op, mul, add = shift
    return _emit(state, node, value, op, mul, add, names=("mul", "add"))


def _table(state: State, node: Node, value: Value, levels: Levels) -> str:
    """A function that rises and falls, as all its results."""
    x = state.type_of(value.tensor)
    if not value.uniform or x.hi - x.lo >= LARGEST_LOOKUP:
        state.fail(node, f"an activation that rises and falls needs an operand quantised with one scale, has {x}")
    results = levels(value.real(np.arange(x.lo, x.hi + 1)[None, :]))
    if results.shape[0] != 1:
        state.fail(node, "an activation that rises and falls has to be quantised with one scale")
    table = state.constant(f"{node.name}.table", results[0])
    return state.emit(node, Lookup(x.lo), (value.tensor, table))


def sign(state: State, node: Node, value: Value, levels: Levels) -> str:
    """The same for two levels, as -1 and +1."""
    stairs = staircase(state, node, value, levels, (0, 1))
    table, rising = thresholds(stairs)
    return _emit(state, node, value, Sign(), table[:, 0], rising, names=("threshold", "rising"))


def _emit(state: State, node: Node, value: Value, op: Op, *constants: Array, names: tuple[str, str]) -> str:
    made = (state.constant(f"{node.name}.{name}", c) for name, c in zip(names, constants, strict=True))
    return state.emit(node, op, (value.tensor, *made))


def staircase(state: State, node: Node, value: Value, levels: Levels, ends: tuple[int, int] | None = None) -> Staircase:
    """The function of x in its true range, by bisection; ``ends``: its levels, else those that x meets."""
    x = state.type_of(value.tensor)
    channels = x.shape[0]

    def at(integers: Array) -> Array:
        result = levels(value.real(np.broadcast_to(integers, (channels, integers.shape[1]))))
        return np.broadcast_to(result, (channels, integers.shape[1]))

    edges = at(np.array([[x.lo, x.hi]]))
    falling = edges[:, 0] > edges[:, 1]
    lowest, highest = ends or (int(edges.min()), int(edges.max()))
    if lowest == highest:
        highest += 1
    if channels * (highest - lowest) > LARGEST_TABLE:
        state.fail(node, f"{highest - lowest} thresholds for each of {channels} channels are too many")
    wanted = np.arange(lowest + 1, highest + 1)

    def reached(integers: Ints, columns: Ints) -> Array:
        inside = np.clip(integers, x.lo, x.hi)
        return at(np.where(falling[:, None], x.lo + x.hi - inside, inside)) >= wanted[columns]

    bounds = _bisected(reached, len(wanted), np.full(channels, x.lo - 1), np.full(channels, x.hi + 1))
    return Staircase(x, lowest, bounds, falling)


def _bisected(reached: Reached, count: int, lowest: Ints, highest: Ints) -> Ints:
    """(C, count): the least integer that reaches each level; ``lowest`` (C,) reaches none, ``highest`` is taken to
    reach all. Of many levels every `STRIDE`-th is found first, and the others near where these let expect them."""
    below, above = (np.repeat(end[:, None].astype(np.int64), count, 1) for end in (lowest, highest))
    every = np.arange(count)
    if count > MANY:
        coarse = np.unique(np.append(every[::STRIDE], count - 1))
        _narrow(reached, below, above, coarse)
        known = above[:, coarse]
        after = np.searchsorted(coarse, every)
        before = np.maximum(after - 1, 0)
        share = (every - coarse[before]) / np.maximum(coarse[after] - coarse[before], 1)
        first, last = known[:, before], known[:, after]
        guess = first + np.rint((last - first) * share).astype(np.int64)
        below, above = first - 1, last
        for end in (guess - 2, guess + 1):
            tried = np.clip(end, np.maximum(below, lowest[:, None] + 1), np.minimum(above, highest[:, None] - 1))
            met = reached(tried, every)
            below, above = (
                np.where(met, below, np.maximum(below, tried)),
                np.where(met, np.minimum(above, tried), above),
            )
    _narrow(reached, below, above, every)
    return above


def _narrow(reached: Reached, below: Ints, above: Ints, columns: Array) -> None:
    """Bisects these columns until ``above`` is one more than ``below``."""
    while columns.size:
        lo, hi = below[:, columns], above[:, columns]
        open_ = hi - lo > 1
        left = open_.any(0)
        columns, lo, hi, open_ = columns[left], lo[:, left], hi[:, left], open_[:, left]
        middle = (lo + hi) // 2
        met = reached(middle, columns)
        above[:, columns] = np.where(open_ & met, middle, hi)
        below[:, columns] = np.where(open_ & ~met, middle, lo)


def thresholds(stairs: Staircase) -> tuple[Ints, Ints]:
    """(table (C, N), rising (C,)) of `ir.ops.Thresholds`."""
    turned = stairs.x.lo + stairs.x.hi - stairs.bounds
    return np.where(stairs.falling[:, None], turned, stairs.bounds), 1 - stairs.falling.astype(np.int64)


def multiply_shift(stairs: Staircase, slopes: Array | None) -> tuple[MultiplyShift, Ints, Ints] | None:
    """(operator, mul (C,), add (C,)) equal to the staircase everywhere, with the least shift; None if there is none.

    For a multiplier m, ``(t * m + a) >> s`` reaches level k at ``bounds[k]`` and not before if and only if ``a`` is at
    least ``(k << s) - bounds[k] * m`` and less than ``(k << s) - (bounds[k] - 1) * m``.
    """
    x, bounds = stairs.x, stairs.bounds
    met, missed = bounds <= x.hi, bounds > x.lo
    inner = met & missed
    levels = np.arange(stairs.lowest + 1, stairs.highest + 1, dtype=np.int64)[None, :]
    ideal, lone = _slopes(stairs, inner, slopes), inner.sum(1) == 1
    largest = max(abs(x.lo), abs(x.hi)) + 1
    never = np.int64(1 << 62)
    few = np.unique(np.linspace(0, bounds.shape[1] - 1, FEW).astype(np.int64))
    for shift in range(1, LONGEST_SHIFT + 1):
        mul = np.where(lone, np.maximum(1, np.rint(ideal * 2.0**shift)), np.rint(ideal * 2.0**shift))
        if (
            mul.max() >= 1 << 31
            or float(mul.max()) * largest >= 1 << 60
            or int(np.abs(levels).max()) << shift >= 1 << 60
        ):
            return None
        m = mul.astype(np.int64)[:, None]
        for columns in (few, slice(None)):
            steps, edges = levels[:, columns] << shift, bounds[:, columns] * m
            least = np.where(met[:, columns], steps - edges, -never).max(1)
            most = np.where(missed[:, columns], steps - edges + m - 1, never).min(1)
            if (least > most).any():
                break
        else:
            return _operator(stairs, shift, m[:, 0], _between(least, most, never))
    return None


def _between(least: Ints, most: Ints, never: np.int64) -> Ints:
    """The middle of each interval; its one end where the other is open."""
    middle = least + (most - least) // 2
    return np.where(least == -never, np.where(most == never, 0, most), np.where(most == never, least, middle))


def _slopes(stairs: Staircase, inner: Array, slopes: Array | None) -> Array:
    """(C,) levels per step of x: as known, or as the outermost thresholds say; 0 where no threshold lies inside."""
    if slopes is not None:
        return np.where(inner.any(1), np.broadcast_to(slopes, inner.shape[:1]), 0.0)
    first = inner.argmax(1)
    last = inner.shape[1] - 1 - inner[:, ::-1].argmax(1)
    rows = np.arange(len(inner))
    width = stairs.bounds[rows, last] - stairs.bounds[rows, first]
    return np.where(inner.any(1) & (width > 0), (last - first) / np.maximum(width, 1), 0.0)


def _operator(stairs: Staircase, shift: int, m: Ints, a: Ints) -> tuple[MultiplyShift, Ints, Ints]:
    turned = a + m * (stairs.x.lo + stairs.x.hi)
    mul, add = np.where(stairs.falling, -m, m), np.where(stairs.falling, turned, a)
    return MultiplyShift(shift, stairs.lowest, stairs.highest), mul, add - (1 << (shift - 1))
