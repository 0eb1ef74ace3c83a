"""Which elements a memory access touches, in which order: the loops and guards around it, evaluated over their domain.

A guard is decided where it depends on loop variables and constants alone, elements of constant memories among them.
The evaluation is exact and vectorised; only the loops that matter to an access are enumerated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.affine import ApplyOp
from xdsl.dialects.affine import LoadOp as AffineLoadOp
from xdsl.dialects.affine import StoreOp as AffineStoreOp
from xdsl.dialects.builtin import MemRefType
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.dialects.memref import StoreOp as MemrefStoreOp
from xdsl.ir import Block, Operation, SSAValue

from . import dialect as ir
from .errors import StageError
from .ranges import linear_form
from .rom import rom_of, rom_values

Access = AffineLoadOp | AffineStoreOp | MemrefLoadOp | MemrefStoreOp
ACCESSES = (AffineLoadOp, AffineStoreOp, MemrefLoadOp, MemrefStoreOp)
WRITES = (AffineStoreOp, MemrefStoreOp)
LIMIT = 1 << 25
Array = npt.NDArray[np.int64]
Point = dict[SSAValue, Array]


def accesses(memory: SSAValue) -> list[Access]:
    """Loads and stores of a memory, in program order."""
    found = [use.operation for use in memory.uses if isinstance(use.operation, ACCESSES)]
    return sorted(found, key=position)


def position(op: Operation) -> tuple[int, ...]:
    """Sort key: program order."""
    path: list[int] = []
    current: Operation | None = op
    while current is not None and current.parent is not None:
        path.append(current.parent.get_operation_index(current))
        region = current.parent.parent
        owner = current.parent_op()
        if region is not None and owner is not None:
            path.append(owner.regions.index(region))
        current = owner
    return tuple(reversed(path))


@dataclass(frozen=True)
class Guard:
    """A condition and the value it has where the access is reached."""

    condition: SSAValue
    holds: bool


def _context(op: Operation) -> tuple[list[ir.ForOp], list[Guard]]:
    loops: list[ir.ForOp] = []
    guards: list[Guard] = []
    child: Operation = op
    parent = op.parent_op()
    while parent is not None:
        if isinstance(parent, ir.ForOp):
            loops.append(parent)
        elif isinstance(parent, ir.IfOp):
            guards.extend(_conjuncts(parent.condition, child.parent is parent.then_body.block))
        child, parent = parent, parent.parent_op()
    return loops[::-1], guards


def _conjuncts(condition: SSAValue, holds: bool) -> list[Guard]:
    owner = condition.owner
    if holds and isinstance(owner, ir.AndOp):
        return [*_conjuncts(owner.lhs, True), *_conjuncts(owner.rhs, True)]
    return [Guard(condition, holds)]


_COMPARE: dict[str, Callable[[Array, Array], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


_ARITHMETIC: dict[type[Operation], Callable[[Array, Array], Array]] = {
    ir.AddOp: np.add,
    ir.SubOp: np.subtract,
    ir.MulOp: np.multiply,
    ir.AndOp: np.bitwise_and,
}
_STATIC: tuple[type[Operation], ...] = (ir.ConstantOp, ApplyOp, ir.CompareOp, ir.CastOp, *_ARITHMETIC)


def variables_of(values: Iterable[SSAValue]) -> set[SSAValue] | None:
    """Loop variables that values depend on; None where they depend on data."""
    found: set[SSAValue] = set()
    for value in values:
        owner = value.owner
        if isinstance(owner, Block):
            found.add(value)
        elif (isinstance(owner, _STATIC) and ir.to_dtype(value.type).bits <= 62) or _is_constant(owner):
            inner = variables_of(owner.indices if isinstance(owner, AffineLoadOp) else owner.operands)
            if inner is None:
                return None
            found |= inner
        else:
            return None
    return found


def _is_constant(owner: Operation) -> bool:
    return isinstance(owner, AffineLoadOp) and rom_of(owner.memref) is not None


def evaluate(value: SSAValue, point: Point) -> Array:
    """A value that depends on loop variables alone, at every point."""
    owner = value.owner
    match owner:
        case ir.ConstantOp():
            return np.int64(owner.value.data)  # type: ignore[return-value]
        case ApplyOp():
            return _linear(owner.map.data, 0, list(owner.mapOperands), point)
        case ir.CastOp():
            return _wrapped(evaluate(owner.source, point), value)
        case ir.CompareOp():
            test = _COMPARE[owner.predicate.data]
            return test(evaluate(owner.lhs, point), evaluate(owner.rhs, point))  # type: ignore[no-any-return]
        case ir.BinaryOp():
            return _wrapped(_ARITHMETIC[type(owner)](evaluate(owner.lhs, point), evaluate(owner.rhs, point)), value)
        case AffineLoadOp():
            return _element(owner, point)
    return point[value]


def _wrapped(values: Array, result: SSAValue) -> Array:
    """Values as an operation's result holds them."""
    if isinstance(result.type, ir.IndexType):
        return values
    dtype = ir.to_dtype(result.type)
    return (values - dtype.lo) % (dtype.hi - dtype.lo + 1) + dtype.lo


def _element(load: AffineLoadOp, point: Point) -> Array:
    """Elements of a constant memory; points that no guard lets through may lie outside of it."""
    memory = rom_of(load.memref)
    assert memory is not None and isinstance(load.memref.type, MemRefType)
    shape, operands = load.memref.type.get_shape(), list(load.indices)
    columns = np.broadcast_arrays(*(_linear(load.map.data, d, operands, point) for d in range(len(shape))))
    values: Array = np.array(rom_values(memory), dtype=np.int64)
    return values[np.ravel_multi_index(tuple(columns), shape, mode="clip")]


def _linear(affine_map: Any, result: int, operands: Sequence[SSAValue], point: Point) -> Array:
    factors, constant = linear_form(affine_map, result)
    total: Any = np.int64(constant)
    for factor, operand in zip(factors, operands, strict=True):
        total = total + factor * evaluate(operand, point)
    result_column: Array = total
    return result_column


@dataclass(frozen=True)
class Reach:
    """The iterations in which an operation may run: each loop's values that no guard on that loop alone excludes.

    `joint`: guards on several loops. `free`: loops that change nothing. `decided`: no guard depends on data.
    """

    loops: tuple[ir.ForOp, ...]
    free: tuple[ir.ForOp, ...]
    domains: Point
    joint: tuple[Guard, ...]
    decided: bool

    @property
    def empty(self) -> bool:
        """Whether a guard excludes every iteration."""
        return any(not len(domain) for domain in self.domains.values())


def reach(op: Operation, indices: Sequence[SSAValue]) -> Reach:
    """Where `op` may be executed, over the loops that its `indices` and guards depend on."""
    loops, guards = _context(op)
    known = [(g, v) for g in guards if (v := variables_of([g.condition])) is not None]
    used = set().union(variables_of(indices) or set(), *(v for _, v in known))
    kept = tuple(loop for loop in loops if loop.variable in used)
    domains: Point = {loop.variable: np.array(loop.domain, dtype=np.int64) for loop in kept}
    for guard, variables in known:
        if len(variables) == 1:
            (variable,) = variables
            holds = np.broadcast_to(evaluate(guard.condition, domains), domains[variable].shape)
            domains[variable] = domains[variable][holds.astype(bool) == guard.holds]
    free = tuple(loop for loop in loops if loop not in kept and len(loop.domain) > 1)
    joint = tuple(guard for guard, variables in known if len(variables) != 1)
    return Reach(kept, free, domains, joint, len(known) == len(guards))


@dataclass(frozen=True)
class Visits:
    """Every point of a `Reach` at which the operation is executed, in order.

    ``point``: the values of each loop's variable along an axis of its own, so that what depends on few loops is
    computed for these alone. ``shape``: of all of them together. ``mask``: where guards on several loops hold; None:
    everywhere.
    """

    reach: Reach
    point: Point
    shape: tuple[int, ...]
    mask: npt.NDArray[np.bool_] | None

    @property
    def count(self) -> int:
        return math.prod(self.shape) if self.mask is None else int(np.count_nonzero(self.mask))

    def each(self, values: Array) -> Array:
        """(count,): values computed from the point, at each visit."""
        spread = np.broadcast_to(values, self.shape)
        return spread.reshape(-1) if self.mask is None else spread[self.mask]


def visits(within: Reach) -> Visits:
    """All points, in the order of execution.

    Raises:
        StageError: the domain has more than `LIMIT` points.
    """
    domains = [within.domains[loop.variable] for loop in within.loops]
    shape = tuple(len(domain) for domain in domains)
    size = math.prod(shape)
    if size > LIMIT:
        raise StageError(f"the order of an access over {size} iterations is not checked; the limit is {LIMIT}")
    grids = np.ix_(*domains)
    point: Point = {loop.variable: grid for loop, grid in zip(within.loops, grids, strict=True)}
    mask = np.ones(shape, dtype=bool) if within.joint else None
    for guard in within.joint:
        mask &= evaluate(guard.condition, point).astype(bool) == guard.holds
    return Visits(within, point, shape, mask)


def execution_order(found: Sequence[tuple[Operation, Visits]]) -> Any:
    """What puts the visits of operations of one stage, one operation's behind another's, in the order of execution."""
    if len(found) == 1:
        return slice(None)
    loops = [_context(op)[0] for op, _ in found]
    paths = [[position(above) for above in (*around, op)] for around, (op, _) in zip(loops, found, strict=True)]
    keys: list[Array] = [np.zeros((), np.int64) for _ in found]
    size = 1
    for level in range(max(map(len, paths), default=0)):
        ranks = [_rank(path, paths, level) for path in paths]
        here: list[Array] = [np.zeros((), np.int64) for _ in found]
        for i, (around, (_, visited)) in enumerate(zip(loops, found, strict=True)):
            if level < len(around):
                here[i] = visited.point.get(around[level].variable, np.array(around[level].lower.data))
        low, high = min(int(v.min(initial=0)) for v in here), max(int(v.max(initial=0)) for v in here)
        places, span = max(ranks) + 1, high - low + 1
        size *= places * span
        keys = [(key * places + rank) * span + v - low for key, rank, v in zip(keys, ranks, here, strict=True)]
    assert size < 1 << 63, "an order of as many steps is not a number of 64 bits"
    columns = [visited.each(key) for key, (_, visited) in zip(keys, found, strict=True)]
    return np.argsort(np.concatenate(columns), kind="stable") if columns else slice(None)


def _rank(path: Sequence[tuple[int, ...]], paths: Sequence[Sequence[tuple[int, ...]]], level: int) -> int:
    """Which of those in the same place above it comes how many others after."""
    if level >= len(path):
        return 0
    return sorted({p[level] for p in paths if len(p) > level and p[:level] == path[:level]}).index(path[level])


def subscripts(op: Access, found: Visits) -> list[Array] | None:
    """Index along each dimension at every visit; None where an index depends on data."""
    operands, point = list(op.indices), found.point
    if variables_of(operands) is None:
        return None
    if isinstance(op, AffineLoadOp | AffineStoreOp):
        columns = [_linear(op.map.data, d, operands, point) for d in range(len(op.map.data.results))]
    else:
        columns = [evaluate(index, point) for index in operands]
    return [found.each(column) for column in columns]
