"""How a function reads its arrays of constants: what has to lie apart so that an iteration finds its values.

A tool unrolls the loops inside a pipelined one, so their iterations read at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd, prod
from typing import NamedTuple

from .lookup import Text
from .symbols import Variable, root
from .syntax import (
    Binary,
    Block,
    Declaration,
    Expression,
    Function,
    Literal,
    Loop,
    Name,
    Subscript,
    blocks,
    expressions,
)


@dataclass(frozen=True)
class Rom:
    """An array of constants as one function reads it.

    ``apart`` are the dimensions (1-based) through which unrolled loops count, or from which only constants select.
    ``depth`` words remain in each part, of which up to ``reads`` different ones are read in one iteration. ``aligned``:
    all parts are read at one and the same place, so that they may be fields of one wide word.
    """

    array: Declaration
    apart: tuple[int, ...]
    depth: int
    reads: int
    aligned: bool


class _Counter(NamedTuple):
    """An unrolled loop: its variable and the values that it takes."""

    variable: Variable
    values: range


@dataclass(frozen=True)
class _Read:
    """One reading expression and the unrolled loops around it."""

    indices: tuple[Expression, ...]
    unrolled: tuple[_Counter, ...]


def roms(text: Text, function: Function) -> list[Rom]:
    """All arrays of constants that a function reads, in the order of the text."""
    found = [a for a in text.arrays(function) if a.constant and a.values and text.is_outside(a)]
    reads = _reads(text, function)
    return [_rom(text, array, reads.get(array.name, [])) for array in found]


def _rom(text: Text, array: Declaration, reads: Sequence[_Read]) -> Rom:
    apart = [d for d in range(1, len(array.shape) + 1) if array.shape[d - 1] > 1 and _is_apart(text, d, reads)]
    depth = prod(extent for d, extent in enumerate(array.shape, start=1) if d not in apart)
    distinct = list({_key(text, read): read for read in reads}.values())
    words = [_different(text, read, apart) for read in distinct]
    parts = [[_values(text, read, d) for d in apart] for read in distinct]
    in_one_part = (
        sum(count for other, count in zip(parts, words, strict=True) if part is other or _may_meet(part, other))
        for part in parts
    )
    most = min(max(in_one_part, default=0), depth)
    aligned = most <= 1 and len({_key(text, read, apart) for read in distinct}) == 1
    return Rom(array, tuple(apart), depth, most, aligned)


def _is_apart(text: Text, dimension: int, reads: Sequence[_Read]) -> bool:
    """Whether unrolled loops count through a dimension, or only constants select from it."""
    fixed = True
    for read in reads:
        origins = _origins(text, read.indices[dimension - 1])
        unrolled = {id(variable) for variable, _ in read.unrolled}
        moved = {id(v) for v in origins}
        if moved & unrolled and all(v.counter for v in origins):
            return True
        fixed &= not origins
    return fixed


def _key(text: Text, read: _Read, apart: Sequence[int] = ()) -> tuple[object, ...]:
    """Equal for two expressions that surely read the same word: the same sums of the same counters. With dimensions
    ``apart``: whatever part it is in."""
    indices = [index for dimension, index in enumerate(read.indices, start=1) if dimension not in apart]
    origins = [v for index in indices for v in _origins(text, index)]
    if not all(v.counter for v in origins):
        return (id(read),)
    return (*(text.source(index) for index in indices), *(id(v) for v in origins))


def _may_meet(part: Sequence[range | None], other: Sequence[range | None]) -> bool:
    """Whether two expressions may read from the same part: the values of no index of its dimensions tell them apart."""
    return not any(a and b and _disjoint(a, b) for a, b in zip(part, other, strict=True))


def _disjoint(a: range, b: range) -> bool:
    """Of arithmetic progressions: they do not overlap, or never hit the same remainder."""
    return a[-1] < b[0] or b[-1] < a[0] or (a[0] - b[0]) % gcd(a.step, b.step) != 0


def _values(text: Text, read: _Read, dimension: int) -> range | None:
    """The values that an index takes, or more in between; None where it is no sum of constants and loop counters."""
    linear = _linear(text, read.indices[dimension - 1])
    counters = {id(variable): values for variable, values in read.unrolled}
    if linear is None or not linear.keys() - {0} <= counters.keys():
        return None
    moving = {v: factor for v, factor in linear.items() if v and len(counters[v]) > 1}
    if any(factor < 0 for factor in moving.values()):
        return None
    first = linear.get(0, 0) + sum(factor * counters[v][0] for v, factor in linear.items() if v)
    last = first + sum(factor * (counters[v][-1] - counters[v][0]) for v, factor in moving.items())
    return range(first, last + 1, gcd(*(factor * counters[v].step for v, factor in moving.items())) or 1)


def _linear(text: Text, e: Expression) -> dict[int, int] | None:
    """Factor by loop counter's identity, the constant under 0."""
    if isinstance(e, Literal) and e.value is not None:
        return {0: e.value}
    if isinstance(e, Name):
        variable = text.symbols.variable(e)
        return {id(variable): 1} if variable and variable.counter else None
    if not isinstance(e, Binary) or e.operator not in ("+", "-", "*"):
        return None
    left, right = _linear(text, e.left), _linear(text, e.right)
    if left is None or right is None:
        return None
    if e.operator != "*":
        sign = 1 if e.operator == "+" else -1
        return {v: left.get(v, 0) + sign * right.get(v, 0) for v in left.keys() | right.keys()}
    constant, other = (left, right) if left.keys() == {0} else (right, left)
    return {v: factor * constant[0] for v, factor in other.items()} if constant.keys() == {0} else None


def _different(text: Text, read: _Read, apart: Sequence[int]) -> int:
    """Words that one expression reads from one part in an iteration of the pipelined loop.

    An index that data decides is taken to differ in every iteration of the loops that do not count through the parts.
    """
    counted, moving = set[int](), list[Variable]()
    for dimension, index in enumerate(read.indices, start=1):
        if dimension in apart:
            counted |= {id(v) for v in _origins(text, index)}
        else:
            moving += _origins(text, index)
    by_data = any(not v.counter for v in moving)
    varying = {id(v) for v in moving}
    loops = (c for c in read.unrolled if id(c.variable) not in counted and (by_data or id(c.variable) in varying))
    return prod(len(counter.values) for counter in loops)


def _origins(text: Text, expression: Expression) -> list[Variable]:
    """The variables that an index is computed from, back to loop counters where copies lead there."""
    found: list[Variable] = []
    pending, seen = [expression], set[int]()
    while pending:
        for e in pending.pop().walk():
            variable = text.symbols.variable(e) if isinstance(e, Name) else None
            if variable is None or id(variable) in seen:
                continue
            seen.add(id(variable))
            if variable.only_value:
                pending.append(variable.only_value)
            else:
                found.append(variable)
    return found


def _reads(text: Text, function: Function) -> dict[str, list[_Read]]:
    """The reads of each array, by its name."""
    whole = function.body.pragma("pipeline") is not None
    found: dict[str, list[_Read]] = {}
    for name, read in _within(text, function.body, (), whole):
        found.setdefault(name, []).append(read)
    return found


def _within(text: Text, block: Block, unrolled: tuple[_Counter, ...], pipelined: bool) -> Iterator[tuple[str, _Read]]:
    for statement in block.statements:
        for expression in expressions(statement):
            yield from ((name, _Read(indices, unrolled)) for name, indices in _elements(expression))
        inner, below = pipelined, unrolled
        if isinstance(statement, Loop):
            pragma = statement.body.pragma("unroll")
            inner = pipelined or statement.body.pragma("pipeline") is not None
            if pipelined or (pragma and "factor" not in pragma.options):
                below = (*unrolled, _Counter(text.symbols.counter(statement), _counted(statement)))
        for part in blocks(statement):
            yield from _within(text, part, below, inner)


def _elements(expression: Expression) -> Iterator[tuple[str, tuple[Expression, ...]]]:
    """The array and the subscripts of every element in an expression."""
    base = root(expression)
    if not isinstance(expression, Subscript):
        for operand in expression.operands:
            yield from _elements(operand)
        return
    indices: list[Expression] = []
    while isinstance(expression, Subscript):
        indices.insert(0, expression.index)
        expression = expression.base
    if isinstance(base, Name):
        yield base.text, tuple(indices)
    for index in indices:
        yield from _elements(index)


def _counted(loop: Loop) -> range:
    """The values of a loop's variable; both printers write constant bounds only."""
    start, condition, step = loop.head
    assert isinstance(condition, Binary)
    first, end = (e.value if isinstance(e, Literal) and e.value is not None else 0 for e in (start, condition.right))
    return range(first, max(end, first + 1), step.value if isinstance(step, Literal) and step.value else 1)
