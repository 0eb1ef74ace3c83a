"""Sums over the iterations of a loop, in machine vectors.

An innermost loop that does nothing but add to memories and registers is rewritten: what its iterations add is made of
tables (`tables.py`) by additions and bit operations alone, several iterations at once; a choice becomes a mask. Where
the loop stands around another one, that one comes to stand around it: sums do not depend on the order. The result is
an ordinary program in which the loop has two notes for the printer, `LANES` and `LANE_BITS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.affine import LoadOp as AffineLoadOp
from xdsl.dialects.affine import StoreOp as AffineStoreOp
from xdsl.dialects.builtin import IntAttr, ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from .. import dialect as ir
from ..ranges import fits, type_range
from ..types import Int
from .common import functions, name_of
from .invariants import LOADS, PURE, Invariants, Level, Place
from .signs import HeldRanges
from .sums import REGISTER, Sum, sums_of
from .tables import Kind, Tables, converted

LANES, LANE_BITS = "stage.lanes", "stage.lane_bits"
VECTOR = 128
"""Bits of a machine vector that every machine has."""
REUSE = 4
"""How often a table's element is used at least."""
ELEMENTS = 1 << 21
"""Of a table, at most."""


@dataclass(frozen=True)
class LaneSums(ModulePass):
    """Rewrites the loops of a module that only sum; valid module in, valid module out, same results."""

    name = "lane-sums"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        ranges = HeldRanges()
        for function in functions(op):
            for loop in [inner for inner in function.walk() if isinstance(inner, ir.ForOp)]:
                if function.is_ancestor(loop):
                    _try(loop, ranges)


def _try(loop: ir.ForOp, ranges: HeldRanges) -> None:
    inner = [op for op in loop.body.block.ops if isinstance(op, ir.ForOp)]
    if len(inner) > 1 or len(loop.domain) < VECTOR // 32 or loop.domain != range(len(loop.domain)):
        return
    body = [op for op in loop.body.block.ops if op not in inner]
    if inner:
        if any(isinstance(op, AffineStoreOp) for op in body):
            return
        body += inner[0].body.block.ops
    allowed = (*PURE, *LOADS, ir.ScalarOp, AffineStoreOp, ir.CommentOp)
    sums = sums_of(loop, body) if all(isinstance(op, allowed) for op in body) else None
    if not sums:
        return
    within = inner[0] if inner else None
    for bits in (8, 16, 32):
        plan = _Plan(loop, within, sums, Invariants(loop, ranges), bits)
        if plan.holds:
            plan.rewrite()
            return


@dataclass(eq=False)
class _Plan:
    """One loop, `within` the loop inside it, with lanes of `bits` bits."""

    loop: ir.ForOp
    within: ir.ForOp | None
    sums: Sequence[Sum]
    invariants: Invariants
    bits: int
    _places: dict[SSAValue, Place | None] = field(default_factory=dict)

    @property
    def lanes(self) -> int:
        """Iterations at once: a whole vector or half of one, without a rest if possible."""
        trips, whole = len(self.loop.domain), VECTOR // self.bits
        return next((n for n in (whole, whole // 2) if trips % n == 0), whole if trips >= whole else whole // 2)

    @property
    def levels(self) -> list[Level]:
        """The nest as it is going to be, outermost first."""
        found = [Level(loop, self.loop) for loop in (self.loop, self.within) if loop is not None]
        parent = self.loop.parent_op()
        while parent is not None:
            if isinstance(parent, ir.ForOp):
                found.append(Level(parent, parent))
            parent = parent.parent_op()
        return found[::-1]

    # -- whether ------------------------------------------------------------------------------------------------

    @property
    def holds(self) -> bool:
        """Whether every value fits a lane, and every lane's part of a sum."""
        if len(self.loop.domain) < self.lanes:
            return False
        return all(self._sum_fits(each) and all(self._fits(value) for value, _ in each.terms) for each in self.sums)

    def _sum_fits(self, total: Sum) -> bool:
        lo = hi = 0
        for value, sign in total.terms:
            ends = [sign * end for end in self.invariants.ranges.of(self.invariants.seen(value))]
            lo, hi = lo + min(0, *ends), hi + max(0, *ends)  # no sum on the way lies outside either
        trips = len(self.loop.domain)
        rounds = trips // self.lanes
        return self._holds(lo * rounds, hi * rounds) and fits((lo * trips, hi * trips), (Int(32).lo, Int(32).hi))

    def _holds(self, lo: int, hi: int) -> bool:
        return fits((lo, hi), (Int(self.bits).lo, Int(self.bits).hi))

    def place(self, value: SSAValue) -> Place | None:
        """Where a value gets a table, if that is worth it."""
        value = self.invariants.seen(value)
        if value not in self._places:
            self._places[value] = self.invariants.place(value, self.levels, REUSE, ELEMENTS)
        return self._places[value]

    def _fits(self, value: SSAValue) -> bool:
        """Whether a value can be had in lanes."""
        value = self.invariants.seen(value)
        ranges, owner = self.invariants.ranges, self.invariants.inside(value)
        if not self._holds(*ranges.of(value)):
            return False
        if isinstance(value.owner, ir.ConstantOp) or self.place(value) is not None:
            return True
        match owner:
            case ir.SelectOp():
                arms, whole = (owner.on_true, owner.on_false), type_range(value)
                kept = all(fits(ranges.of(arm), whole) for arm in arms)
                return kept and self.place(owner.condition) is not None and all(self._fits(arm) for arm in arms)
            case ir.AddOp() | ir.SubOp() | ir.AndOp() | ir.OrOp() | ir.XorOp():
                kept = fits(ranges.exact(owner), type_range(value))
                return kept and all(self._fits(side) for side in (owner.lhs, owner.rhs))
            case ir.CastOp():
                return fits(ranges.of(owner.source), type_range(value)) and self._fits(owner.source)
        return False

    # -- rewriting ----------------------------------------------------------------------------------------------

    def rewrite(self) -> None:
        """Puts the new nest in the loop's place."""
        tables, trips = Tables(self.invariants, self.bits), len(self.loop.domain)
        main, block, parts = trips - trips % self.lanes, Block(), []
        for each in self.sums:
            zero = ir.ConstantOp(0, Int(32))
            part = ir.ScalarOp(f"{name_of(each.load.memref)}_part", zero.result)
            block.add_ops([zero, part])
            parts.append(part.memory)
        for start, stop in ((0, main), (main, trips)):
            if start < stop:
                copy = ir.ForOp(self.loop.label.data, start, stop)
                lanes = _Lanes(self, tables, copy.body.block, {self.loop.variable: copy.variable})
                if self.within is not None:
                    lanes.variables[self.within.variable] = self.within.variable
                for each, register in zip(self.sums, parts, strict=True):
                    lanes.add(each, register)
                block.add_op(copy)
                if not start:
                    copy.attributes |= {LANES: IntAttr(self.lanes), LANE_BITS: IntAttr(self.bits)}
        for each, register in zip(self.sums, parts, strict=True):
            each.finish(register, block)
        self._put(block)

    def _put(self, block: Block) -> None:
        """The block's operations where the loop stands, inside a copy of the loop that was within it."""
        ops: list[Operation] = list(block.ops)
        for op in ops:
            op.detach()  # type: ignore[no-untyped-call]
        if self.within is not None:
            outer = ir.ForOp(self.within.label.data, *_ends(self.within))
            outer.body.block.add_ops(ops)
            for op in ops:
                for inner in op.walk():
                    inner.operands = [
                        outer.variable if operand is self.within.variable else operand for operand in inner.operands
                    ]
            ops = [outer]
        Rewriter.insert_op(ops, InsertPoint.before(self.loop))
        Rewriter.erase_op(self.loop, safe_erase=False)


def _ends(loop: ir.ForOp) -> tuple[int, int, int]:
    return loop.lower.data, loop.upper.data, loop.step.data


@dataclass(eq=False)
class _Lanes:
    """Builds the body of a loop from tables."""

    plan: _Plan
    tables: Tables
    block: Block
    variables: dict[SSAValue, SSAValue]
    _done: dict[int, SSAValue] = field(default_factory=dict)
    _loads: dict[SSAValue, SSAValue] = field(default_factory=dict)

    def add(self, total: Sum, part: SSAValue) -> None:
        """The terms of a sum to its part."""
        for value, sign in total.terms:
            term, load = self.value(value, "term"), AffineLoadOp(part, [], REGISTER)
            combined = (ir.AddOp if sign > 0 else ir.SubOp)(load.result, term, Int(33))
            cast = ir.CastOp(combined.result, Int(32))
            self.block.add_ops([load, combined, cast, AffineStoreOp(cast.result, part, [], REGISTER)])

    def value(self, value: SSAValue, label: str) -> SSAValue:
        """A value in lanes."""
        invariants, label = self.plan.invariants, _register(value) or label
        value = invariants.seen(value)
        key = invariants.key(value)
        if key not in self._done:
            self._done[key] = self._make(value, label)
        return self._done[key]

    def _make(self, value: SSAValue, label: str) -> SSAValue:
        owner, dtype = value.owner, Int(self.plan.bits)
        if isinstance(owner, ir.ConstantOp):
            return self._emit(ir.ConstantOp(owner.value.data, dtype))
        place = self.plan.place(value)
        if place is not None:
            return self._load("value", [value], place, label)
        match owner:
            case ir.SelectOp():
                return self._choice(owner, label)
            case ir.CastOp():
                return self.value(owner.source, label)
        assert isinstance(owner, ir.BinaryOp)
        sides = [self.value(side, label) for side in (owner.lhs, owner.rhs)]
        sums = isinstance(owner, ir.AddOp | ir.SubOp)
        made = self._emit(type(owner)(sides[0], sides[1], Int(dtype.bits + sums)))
        return converted(made, dtype.bits, self.block)

    def _choice(self, op: ir.SelectOp, label: str) -> SSAValue:
        """`on_false ^ ((on_true ^ on_false) & mask)`, or less where an arm is zero."""
        dtype, place = Int(self.plan.bits), self.plan.place(op.condition)
        assert place is not None
        mask = self._load("mask", [op.condition], place, _register(op.condition) or f"{label}_mask")
        arms = (op.on_true, op.on_false)
        zero = self.plan.invariants.seen(arms[1]).owner
        if isinstance(zero, ir.ConstantOp) and zero.value.data == 0:
            return self._emit(ir.AndOp(self.value(arms[0], label), mask, dtype))
        places = [self.plan.place(arm) for arm in arms]
        if places[0] is not None and places[0] == places[1]:
            differ = self._load("difference", arms, places[0], f"{label}_differ")
        else:
            differ = self._emit(ir.XorOp(self.value(arms[0], label), self.value(arms[1], label), dtype))
        chosen = self._emit(ir.AndOp(differ, mask, dtype))
        return self._emit(ir.XorOp(self.value(arms[1], label), chosen, dtype))

    def _load(self, kind: Kind, values: Sequence[SSAValue], place: Place, label: str) -> SSAValue:
        table = self.tables.table(kind, values, place, label)
        if table.memory not in self._loads:
            load = AffineLoadOp(table.memory, table.indices(self.variables), table.identity)
            self._loads[table.memory] = self._emit(load)
        return self._loads[table.memory]

    def _emit(self, op: Operation) -> SSAValue:
        self.block.add_op(op)
        return op.results[0]


def _register(value: SSAValue) -> str:
    """Name of the register that a value or condition is read from, if it is."""
    owner = value.owner
    if isinstance(owner, ir.CompareOp):
        return _register(owner.lhs)
    register = owner.memref.owner if isinstance(owner, AffineLoadOp) else None
    return register.label.data if isinstance(register, ir.ScalarOp) else ""
