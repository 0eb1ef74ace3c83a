"""Memories filled before a loop nest with what the nest would compute again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from xdsl.dialects.affine import StoreOp as AffineStoreOp
from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.rewriter import InsertPoint, Rewriter

from .. import dialect as ir
from ..types import Int
from .common import root
from .invariants import Invariants, Level, Place

Kind = Literal["value", "mask", "difference"]
"""A value; -1 or 0 for true or false; which bits of two values differ."""


@dataclass(frozen=True)
class Table:
    """One element per iteration of `loops`."""

    memory: SSAValue
    loops: tuple[ir.ForOp, ...]

    @property
    def identity(self) -> AffineMapAttr:
        return AffineMapAttr(AffineMap.identity(len(self.loops)))

    def indices(self, variables: Mapping[SSAValue, SSAValue]) -> list[SSAValue]:
        return [variables.get(loop.variable, loop.variable) for loop in self.loops]


@dataclass(frozen=True)
class _Nest:
    """Loops that fill tables, their variables by those of the nest that reads, and what is computed in them."""

    body: Block
    variables: dict[SSAValue, SSAValue]
    done: dict[int, SSAValue] = field(default_factory=dict)


@dataclass(eq=False)
class Tables:
    """The tables of one nest, of signed integers of `bits` bits."""

    invariants: Invariants
    bits: int
    _tables: dict[tuple[Kind, tuple[int, ...]], Table] = field(default_factory=dict)
    _nests: dict[tuple[Level, tuple[ir.ForOp, ...]], _Nest] = field(default_factory=dict)

    def table(self, kind: Kind, values: Sequence[SSAValue], place: Place, label: str) -> Table:
        """The table of these values, made where it is first asked for."""
        key = (kind, tuple(self.invariants.key(value) for value in values))
        if key not in self._tables:
            shape = [len(loop.domain) for loop in place.loops]
            alloc = ir.AllocOp(label, Int(self.bits), shape)
            function = root(self.invariants.nest).parent
            assert function is not None
            Rewriter.insert_op(alloc, InsertPoint.at_start(function))
            self._tables[key] = table = Table(alloc.memory, place.loops)
            nest = self._nest(place)
            value = self._filling(kind, [self._copy(value, nest) for value in values], nest)
            nest.body.add_op(AffineStoreOp(value, table.memory, table.indices(nest.variables), table.identity))
        return self._tables[key]

    def _nest(self, place: Place) -> _Nest:
        at = (place.level, place.loops)
        if at not in self._nests:
            copies = [ir.ForOp(loop.label.data, 0, len(loop.domain)) for loop in place.loops]
            Rewriter.insert_op(copies[0], InsertPoint.before(place.level.scope))
            for outer, inner in pairwise(copies):
                outer.body.block.add_op(inner)
            variables = {loop.variable: copy.variable for loop, copy in zip(place.loops, copies, strict=True)}
            self._nests[at] = _Nest(copies[-1].body.block, variables)
        return self._nests[at]

    def _copy(self, value: SSAValue, nest: _Nest) -> SSAValue:
        value = self.invariants.seen(value)
        owner = self.invariants.inside(value)
        if value in nest.variables or owner is None:
            return nest.variables.get(value, value)
        key = self.invariants.key(value)
        if key not in nest.done:
            operands = {operand: self._copy(operand, nest) for operand in owner.operands}
            copy = owner.clone(operands)
            nest.body.add_op(copy)
            nest.done[key] = copy.results[0]
        return nest.done[key]

    def _filling(self, kind: Kind, values: Sequence[SSAValue], nest: _Nest) -> SSAValue:
        dtype = Int(self.bits)
        if kind == "mask":
            yes, no = (ir.ConstantOp(value, dtype) for value in (-1, 0))
            return _added(nest.body, yes, no, ir.SelectOp(values[0], yes.result, no.result, dtype))
        whole = [converted(value, self.bits, nest.body) for value in values]
        return whole[0] if kind == "value" else _added(nest.body, ir.XorOp(whole[0], whole[1], dtype))


def converted(value: SSAValue, bits: int, block: Block) -> SSAValue:
    """A value as a signed one of `bits` bits."""
    dtype = Int(bits)
    return value if value.type == ir.to_ir(dtype) else _added(block, ir.CastOp(value, dtype))


def _added(block: Block, *ops: Operation) -> SSAValue:
    for op in ops:
        block.add_op(op)
    return ops[-1].results[0]
