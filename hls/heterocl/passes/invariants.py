"""Values inside a loop nest that could be computed before it: what they depend on, and how far out they may move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import prod

from xdsl.dialects.affine import ApplyOp
from xdsl.dialects.affine import LoadOp as AffineLoadOp
from xdsl.dialects.builtin import MemRefType
from xdsl.dialects.func import CallOp
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.ir import Block, Operation, SSAValue

from .. import dialect as ir
from ..accesses import WRITES
from ..ranges import Range, Ranges, affine_range

PURE = (ir.ConstantOp, ApplyOp, ir.BinaryOp, ir.CompareOp, ir.SelectOp, ir.CastOp)
LOADS = (AffineLoadOp, MemrefLoadOp)


@dataclass(frozen=True)
class Needs:
    """Loop variables, memories that are read, and whatever else stands before the nest."""

    variables: frozenset[SSAValue] = frozenset()
    memories: frozenset[SSAValue] = frozenset()
    given: frozenset[SSAValue] = frozenset()

    def __or__(self, other: Needs) -> Needs:
        return Needs(self.variables | other.variables, self.memories | other.memories, self.given | other.given)


@dataclass(frozen=True)
class Level:
    """A loop of the nest as it is going to be, and the operation that holds all that runs in it now."""

    loop: ir.ForOp
    scope: Operation

    def allows(self, needs: Needs) -> bool:
        """Whether a value with these needs has one value before the loop and in it, but for the loop variables."""
        for value in needs.given | needs.memories:
            if isinstance(value.owner, Operation) and self.scope.is_ancestor(value.owner):
                return False
        writes = (op for op in self.scope.walk() if isinstance(op, (*WRITES, CallOp)))
        return all(isinstance(op, WRITES) and op.operands[1] not in needs.memories for op in writes)


@dataclass(frozen=True)
class Place:
    """Before `level`, for every value of the `variables`; each result is used `reuse` times."""

    level: Level
    loops: tuple[ir.ForOp, ...]
    reuse: int


@dataclass(eq=False)
class Invariants:
    """Of the values computed inside `nest`; registers that are set once are looked through."""

    nest: ir.ForOp
    ranges: Ranges
    _needs: dict[SSAValue, Needs | None] = field(default_factory=dict)
    _numbers: dict[tuple[object, ...], int] = field(default_factory=dict)
    _keys: dict[SSAValue, int] = field(default_factory=dict)

    def inside(self, value: SSAValue) -> Operation | None:
        """The operation of the nest that makes the value."""
        owner = value.owner
        return owner if isinstance(owner, Operation) and self.nest.is_ancestor(owner) else None

    def seen(self, value: SSAValue) -> SSAValue:
        """The value itself where it is read back from a register of the nest that nothing else is stored to."""
        owner = self.inside(value)
        register = owner.memref.owner if isinstance(owner, AffineLoadOp) else None
        if not isinstance(register, ir.ScalarOp) or self.inside(register.memory) is None:
            return value
        kept = not any(isinstance(use.operation, WRITES) for use in register.memory.uses)
        return self.seen(register.init) if kept else value

    def needs(self, value: SSAValue) -> Needs | None:
        """None where the value cannot be computed earlier."""
        value = self.seen(value)
        if value not in self._needs:
            self._needs[value] = self._find(value)
        return self._needs[value]

    def _find(self, value: SSAValue) -> Needs | None:
        owner = self.inside(value)
        if isinstance(value.owner, Block) and isinstance(value.owner.parent_op(), ir.ForOp):
            return Needs(variables=frozenset([value]))
        if owner is None:
            return Needs(given=frozenset([value]))
        if isinstance(owner, LOADS):
            found = [self.needs(index) for index in owner.indices]
            first = Needs(memories=frozenset([owner.memref])) if self._within(owner) else None
        elif isinstance(owner, PURE):
            found, first = [self.needs(operand) for operand in owner.operands], Needs()
        else:
            return None
        known = [each for each in (first, *found) if each is not None]
        return reduce(Needs.__or__, known) if len(known) == len(found) + 1 else None

    def _within(self, op: AffineLoadOp | MemrefLoadOp) -> bool:
        """Whether a read is in bounds, whatever guards stand around it."""
        assert isinstance(op.memref.type, MemRefType)
        shape, indices = op.memref.type.get_shape(), [self.ranges.of(index) for index in op.indices]
        intervals: Sequence[Range] = indices
        if isinstance(op, AffineLoadOp):
            intervals = [affine_range(op.map.data, d, indices) for d in range(len(shape))]
        return all(lo >= 0 and hi < extent for (lo, hi), extent in zip(intervals, shape, strict=True))

    def key(self, value: SSAValue) -> int:
        """Equal for values that are computed alike from the same."""
        value = self.seen(value)
        if value not in self._keys:
            owner, parts = self.inside(value), tuple[object, ...]([value])
            if owner is not None and isinstance(owner, (*PURE, *LOADS)):
                properties = sorted((name, str(each)) for name, each in owner.properties.items())
                operands = (self.key(operand) for operand in owner.operands)
                parts = (type(owner), value.type, *properties, *operands)
            self._keys[value] = self._numbers.setdefault(parts, len(self._numbers))
        return self._keys[value]

    def place(self, value: SSAValue, levels: Sequence[Level], least: int, most: int) -> Place | None:
        """Where the value is computed least often: before one of `levels` (outermost first) that allows it.

        The last loop always counts its results; at most `most` of them are kept, each used `least` times or more.
        Of places that are as good the innermost one is taken: it keeps less.
        """
        needs, best = self.needs(value), None
        for i, level in enumerate(levels if needs is not None else ()):
            assert needs is not None
            around = [each.loop for each in levels[i:]]
            loops = tuple(loop for loop in around if loop.variable in needs.variables or loop is around[-1])
            size = prod(len(loop.domain) for loop in loops)
            reuse = prod(len(loop.domain) for loop in around) // size
            if reuse < max(least, best.reuse if best else 0) or size > most or not all(map(_plain, loops)):
                continue
            if level.allows(needs):
                best = Place(level, loops, reuse)
        return best


def _plain(loop: ir.ForOp) -> bool:
    return loop.domain == range(len(loop.domain))
