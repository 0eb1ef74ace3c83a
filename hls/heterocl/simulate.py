"""The stage simulator: a lowered module run exactly, at any width, with bounded streams.

The module is translated to Python generators, one a function, by rules of their own (every result is wrapped, at any
width), so that it is a reference for the printers. In a dataflow function all stages run at once and wait for their
streams: a stream that is too shallow shows as a deadlock, whatever the order in which stages run. The run then goes on
with one place more wherever nothing else helps, and the error says which depth was enough.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatchmethod
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.affine import ApplyOp
from xdsl.dialects.affine import LoadOp as AffineLoadOp
from xdsl.dialects.affine import StoreOp as AffineStoreOp
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.dialects.memref import GetGlobalOp, GlobalOp
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.dialects.memref import StoreOp as MemrefStoreOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import AffineMap

from . import dialect as ir
from .deadlock import Blocked, DeadlockError, blocked_streams
from .errors import BuildError, StageError
from .passes.common import functions, name_of, top
from .passes.streams import DATAFLOW
from .ranges import Ranges, affine_range, linear_form
from .rom import rom_values
from .types import DType

Array = npt.NDArray[Any]
Process = Generator["tuple[Stream, bool]", None, None]
"""Yields the stream that it waits for, and whether it waits to write."""
Waits = Mapping[Process, "tuple[Stream, bool]"]


@dataclass
class Stream:
    """A running stream; `peak` is the most elements it held, `depth` None = unbounded; `added`: places beyond it."""

    name: str
    depth: int | None
    items: deque[int] = field(default_factory=deque)
    peak: int = 0
    moves: int = 0
    added: int = 0

    @property
    def full(self) -> bool:
        return self.depth is not None and len(self.items) >= self.depth + self.added

    def write(self, value: int) -> None:
        self.items.append(value)
        self.moves += 1
        self.peak = max(self.peak, len(self.items))

    def read(self) -> int:
        self.moves += 1
        return self.items.popleft()


@dataclass(frozen=True)
class Run:
    """What a simulation gives: the arguments after the run, and the peak fill of each stream."""

    arrays: list[Array]
    peaks: dict[str, int]


class Simulator:
    """A module ready to run: `Simulator(lower(s)).run(a, out)`.

    Args:
        module: from `lower`.
        bounded: streams hold as many elements as declared; otherwise any number.
        garbage: what uninitialised memories hold, wrapped into their type.
    """

    def __init__(self, module: ModuleOp, bounded: bool = True, garbage: int = 0) -> None:
        self.module, self.bounded, self.garbage = module, bounded, garbage
        self.top = top(module)
        self._streams: list[Stream] = []
        self._readers = {op.label.data: _reader(op) for op in self.top.walk() if isinstance(op, ir.StreamOp)}
        self._processes: list[Process] = []
        scope: dict[str, Any] = {"_stream": self._stream, "_spawn": self._processes.append, "_at": _at}
        for op in module.ops:
            if isinstance(op, GlobalOp):
                scope[f"rom_{op.sym_name.data}"] = list(rom_values(op))
        for function in functions(module):
            exec(_Emitter(garbage).function(function), scope)
        self._entry: Callable[..., Process] = scope[f"f_{self.top.sym_name.data}"]

    def _stream(self, name: str, depth: int) -> Stream:
        stream = Stream(name, depth if self.bounded else None)
        self._streams.append(stream)
        return stream

    def run(self, *arrays: Array) -> Run:
        """Runs one frame; arrays in the order of the program's inputs, then its outputs, each of the tensor's shape.

        Raises:
            BuildError: a wrong number of arrays.
            DeadlockError: streams are too shallow; it says which, and which depths they need.
            StageError: elements left in a stream, or an index out of bounds.
        """
        arguments = list(self.top.body.block.args)
        if len(arrays) != len(arguments):
            raise BuildError(f"{len(arrays)} arrays are given; the program takes {len(arguments)}")
        self._streams.clear()
        self._processes.clear()
        values: list[Any] = []
        for argument, array in zip(arguments, arrays, strict=True):
            flat = [int(v) for v in np.asarray(array).reshape(-1).tolist()]
            streamed = isinstance(argument.type, ir.StreamType)
            written = any(isinstance(op, ir.WriteOp) for op in _stream_ends(argument)) if streamed else False
            values.append(Stream(name_of(argument), None, deque([] if written else flat)) if streamed else flat)
        self._finish([self._entry(*values)])
        results = []
        for argument, value, array in zip(arguments, values, arrays, strict=True):
            items = list(value.items) if isinstance(value, Stream) else value
            items = items if len(items) == np.size(array) else [int(v) for v in np.asarray(array).reshape(-1)]
            wide = ir.to_dtype(ir.element_of(argument)).bits > 63
            results.append(np.array(items, dtype=object if wide else np.int64).reshape(np.shape(array)))
        return Run(results, {stream.name: stream.peak for stream in self._streams})

    def _finish(self, running: list[Process]) -> None:
        """Lets every process run until it waits, again and again; none can move: a deadlock."""
        blocked: list[Blocked] = []
        while running:
            before = sum(stream.moves for stream in self._streams)
            waits = {process: wait for process in running if (wait := next(process, None)) is not None}
            moved = len(waits) < len(running) or before < sum(stream.moves for stream in self._streams)
            running = [*waits, *self._processes]
            self._processes.clear()
            if not moved:
                found = self._blocked(waits)
                blocked = blocked or found
                if not found:
                    raise self._deadlock(blocked, waits)
                next(stream for stream in self._streams if stream.name == found[0].stream).added += 1
        if blocked:
            raise self._deadlock(blocked, {})
        left = [s.name for s in self._streams if s.items]
        if left:
            raise StageError(f"elements are left in {', '.join(left)} at the end of the frame")

    def _blocked(self, waits: Waits) -> list[Blocked]:
        to_write = {_stage(process): stream.name for process, (stream, writes) in waits.items() if writes}
        to_read = {_stage(process): stream.name for process, (stream, writes) in waits.items() if not writes}
        return blocked_streams(to_write, to_read, self._readers, {s.name: s.depth or 0 for s in self._streams})

    def _deadlock(self, blocked: list[Blocked], waits: Waits) -> DeadlockError:
        """Of a run that went on with more places, to its end if nobody waits any more."""
        needs = {s.name: (s.depth or 0) + s.added for s in self._streams if s.added and not waits}
        starved = next((f"'{_stage(p)}' waits for '{s.name}', that nobody writes" for p, (s, _) in waits.items()), "")
        return DeadlockError(blocked, needs, {s.name: s.depth or 0 for s in self._streams}, starved)


def _stage(process: Process) -> str:
    return str(process.__name__).removeprefix("f_")  # type: ignore[attr-defined]


def _reader(stream: ir.StreamOp) -> str:
    """The function that reads a stream."""
    for op in _stream_ends(stream.stream):
        if isinstance(op, ir.ReadOp):
            function = op.parent_op()
            while not isinstance(function, FuncOp):
                assert function is not None
                function = function.parent_op()
            return function.sym_name.data
    return ""


def _at(index: int, extent: int, name: str) -> int:
    if not 0 <= index < extent:
        raise StageError(f"{name} is indexed with {index}; the dimension has {extent} elements")
    return index


def _stream_ends(stream: SSAValue) -> list[Operation]:
    ends: list[Operation] = []
    for use in stream.uses:
        if isinstance(use.operation, CallOp):
            module = use.operation.parent_op().parent_op()  # type: ignore[union-attr]
            assert isinstance(module, ModuleOp)
            callee = next(f for f in functions(module) if f.sym_name == use.operation.callee.root_reference)
            ends.extend(_stream_ends(callee.body.block.args[use.index]))
        else:
            ends.append(use.operation)
    return ends


class _Emitter:
    """Writes one function as a Python generator function; one variable a value."""

    def __init__(self, garbage: int) -> None:
        self.garbage = garbage
        self.lines: list[str] = []
        self.depth = 0
        self.names: dict[SSAValue, str] = {}
        self.ranges = Ranges()

    def function(self, op: FuncOp) -> str:
        names = [self.name(argument) for argument in op.body.block.args]
        self.dataflow = DATAFLOW in op.attributes
        self.line(f"def f_{op.sym_name.data}({', '.join(names)}):")
        self.body(op.body.block)
        self.line("    yield from ()")
        return "\n".join(self.lines)

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def body(self, block: Block) -> None:
        self.depth += 1
        self.line("pass")
        for op in block.ops:
            self.emit(op)
        self.depth -= 1

    def name(self, value: SSAValue) -> str:
        return self.names.setdefault(value, f"v{len(self.names)}")

    def assign(self, op: Operation, text: str) -> None:
        self.line(f"{self.name(op.results[0])} = {text}")

    @singledispatchmethod
    def emit(self, op: Operation) -> None:
        raise BuildError(f"the simulator has no rule for {op.name}")

    @emit.register
    def _(self, op: ReturnOp | ir.CommentOp) -> None:
        pass

    @emit.register
    def _(self, op: ir.ConstantOp) -> None:
        self.assign(op, str(op.value.data))

    @emit.register
    def _(self, op: ir.BinaryOp) -> None:
        lhs, rhs = self.name(op.lhs), self.name(op.rhs)
        self.assign(op, _wrapped(f"{lhs} {op.SYMBOL} {rhs}", ir.to_dtype(op.result.type)))

    @emit.register
    def _(self, op: ir.ShlOp | ir.ShrOp) -> None:
        lhs, rhs, dtype = self.name(op.lhs), self.name(op.rhs), ir.to_dtype(op.result.type)
        shifted = _wrapped(f"{lhs} {op.SYMBOL} {rhs}", dtype)
        self.assign(op, f"{shifted} if {rhs} < {dtype.bits} else 0")

    @emit.register
    def _(self, op: ir.CompareOp) -> None:
        self.assign(op, f"int({self.name(op.lhs)} {op.predicate.data} {self.name(op.rhs)})")

    @emit.register
    def _(self, op: ir.SelectOp) -> None:
        parts = [self.name(v) for v in (op.on_true, op.condition, op.on_false)]
        self.assign(op, _wrapped(f"({parts[0]} if {parts[1]} else {parts[2]})", ir.to_dtype(op.result.type)))

    @emit.register
    def _(self, op: ir.CastOp) -> None:
        source = self.name(op.source)
        index = isinstance(op.result.type, ir.IndexType)
        self.assign(op, source if index else _wrapped(source, ir.to_dtype(op.result.type)))

    @emit.register
    def _(self, op: ApplyOp) -> None:
        self.assign(op, self.linear(op.map.data, 0, op.mapOperands))

    def linear(self, affine_map: AffineMap, result: int, operands: Sequence[SSAValue]) -> str:
        factors, constant = linear_form(affine_map, result)
        terms = [f"{f} * {self.name(v)}" for f, v in zip(factors, operands, strict=True) if f]
        return " + ".join([*terms, str(constant)])

    # -- memories and streams ---------------------------------------------------------------------------------

    @emit.register
    def _(self, op: GetGlobalOp) -> None:
        self.assign(op, f"rom_{op.name_.root_reference.data}")

    @emit.register
    def _(self, op: ir.AllocOp) -> None:
        fill = ir.to_dtype(ir.element_of(op.memory)).wrap(self.garbage)
        self.assign(op, f"[{fill}] * {prod(op.memory.type.get_shape())}")

    @emit.register
    def _(self, op: ir.ScalarOp) -> None:
        self.assign(op, self.name(op.init))  # a register is a variable: it never leaves its function

    def offset(self, memory: SSAValue, indices: list[str], safe: list[bool]) -> str:
        assert isinstance(memory.type, MemRefType)
        shape = memory.type.get_shape()
        if not shape:
            return self.name(memory)
        terms = []
        for d, (extent, index) in enumerate(zip(shape, indices, strict=True)):
            checked = index if safe[d] else f"_at({index}, {extent}, {name_of(memory)!r})"
            terms.append(f"({checked}) * {prod(shape[d + 1 :])}")
        return f"{self.name(memory)}[{' + '.join(terms)}]"

    @emit.register
    def _(self, op: AffineLoadOp) -> None:
        self.assign(op, self.element(op))

    @emit.register
    def _(self, op: AffineStoreOp) -> None:
        self.line(f"{self.element(op)} = {self.name(op.value)}")

    def element(self, op: AffineLoadOp | AffineStoreOp) -> str:
        assert isinstance(op.memref.type, MemRefType)
        shape, subscripts = op.memref.type.get_shape(), op.map.data
        variables = [self.ranges.of(v) for v in op.indices]
        intervals = [affine_range(subscripts, d, variables) for d in range(len(shape))]
        safe = [lo >= 0 and hi < extent for (lo, hi), extent in zip(intervals, shape, strict=True)]
        return self.offset(op.memref, [self.linear(subscripts, d, op.indices) for d in range(len(shape))], safe)

    @emit.register
    def _(self, op: MemrefLoadOp) -> None:
        self.assign(op, self.dynamic(op))

    @emit.register
    def _(self, op: MemrefStoreOp) -> None:
        self.line(f"{self.dynamic(op)} = {self.name(op.value)}")

    def dynamic(self, op: MemrefLoadOp | MemrefStoreOp) -> str:
        return self.offset(op.memref, [self.name(i) for i in op.indices], [False] * len(op.indices))

    @emit.register
    def _(self, op: ir.StreamOp) -> None:
        self.assign(op, f"_stream({op.label.data!r}, {op.depth.data})")

    @emit.register
    def _(self, op: ir.ReadOp) -> None:
        stream = self.name(op.stream)
        self.line(f"while not {stream}.items: yield {stream}, False")
        self.assign(op, f"{stream}.read()")

    @emit.register
    def _(self, op: ir.WriteOp) -> None:
        stream = self.name(op.stream)
        self.line(f"while {stream}.full: yield {stream}, True")
        self.line(f"{stream}.write({self.name(op.value)})")

    # -- control ----------------------------------------------------------------------------------------------

    @emit.register
    def _(self, op: CallOp) -> None:
        call = f"f_{op.callee.root_reference.data}({', '.join(self.name(v) for v in op.arguments)})"
        self.line(f"_spawn({call})" if self.dataflow else f"yield from {call}")

    @emit.register
    def _(self, op: ir.ForOp) -> None:
        domain = op.domain
        self.line(f"for {self.name(op.variable)} in range({domain.start}, {domain.stop}, {domain.step}):")
        self.body(op.body.block)

    @emit.register
    def _(self, op: ir.IfOp) -> None:
        self.line(f"if {self.name(op.condition)}:")
        self.body(op.then_body.block)
        self.line("else:")
        self.body(op.else_body.block)


def _wrapped(text: str, dtype: DType) -> str:
    mask, half = (1 << dtype.bits) - 1, 1 << (dtype.bits - 1)
    return f"((({text}) + {half}) & {mask}) - {half}" if dtype.signed else f"({text}) & {mask}"


def simulate(module: ModuleOp, *arrays: Array, bounded: bool = True, garbage: int = 0) -> Run:
    """Runs a lowered module for one frame; see `Simulator`."""
    return Simulator(module, bounded, garbage).run(*arrays)
