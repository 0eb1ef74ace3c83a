"""Memories between stages become streams, after proof that both ends touch every element once, in raster order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import MemRefType, ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from .. import dialect as ir
from ..accesses import WRITES, Access, accesses, execution_order, reach, subscripts, visits
from ..errors import StageError
from .common import name_of, root, set_type, stage_of, top

DATAFLOW = "stage.dataflow"


@dataclass(frozen=True)
class StreamLinks(ModulePass):
    """Replaces each memory that the schedule links to a stage by a stream."""

    name = "stream-links"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        allocs = [a for a in op.walk() if isinstance(a, ir.AllocOp) and a.stream_to is not None]
        for alloc in allocs:
            assert alloc.stream_to is not None and alloc.stream_depth is not None
            _check_ends(alloc.memory, alloc.stream_to.data)
            shape = alloc.memory.type.get_shape()
            tokens = int(np.prod(shape))
            stream = ir.StreamOp(alloc.label.data, ir.element_of(alloc.memory), alloc.stream_depth.data, tokens)
            Rewriter.insert_op(stream, InsertPoint.before(alloc))
            _replace(alloc.memory, stream.stream)
            Rewriter.erase_op(alloc)


@dataclass(frozen=True)
class StreamInterfaces(ModulePass):
    """In a dataflow function, turns each argument that is read or written in raster order into a stream."""

    name = "stream-interfaces"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        function = top(op)
        if DATAFLOW not in function.attributes:
            return
        for argument in function.body.block.args:
            if isinstance(argument.type, MemRefType):
                _stream_argument(argument)
        set_type(function)


def _stream_argument(argument: SSAValue) -> None:
    ends = accesses(argument)
    stages = {root(op) for op in ends}
    if len(stages) != 1:
        names = ", ".join(sorted(stage_of(op) for op in stages)) or "no stage"
        raise StageError(f"argument {name_of(argument)} is used by {names}: a stream has one end inside the function")
    if len({isinstance(op, WRITES) for op in ends}) != 1:
        raise StageError(f"stage {stage_of(ends[0])} reads and writes argument {name_of(argument)}: a stream does one")
    _check_raster(argument, ends)
    assert isinstance(argument.type, MemRefType)
    element = ir.element_of(argument)
    placeholder = Rewriter.replace_value_with_new_type(argument, ir.StreamType(element))
    _replace(placeholder, placeholder)


def _replace(memory: SSAValue, stream: SSAValue) -> None:
    for op in [use.operation for use in memory.uses]:
        if isinstance(op, WRITES):
            Rewriter.replace_op(op, ir.WriteOp(stream, op.operands[0]), [])
        elif op.results:
            Rewriter.replace_op(op, ir.ReadOp(stream))


def _check_ends(memory: SSAValue, reader: str) -> None:
    name, ends = name_of(memory), accesses(memory)
    writes = [op for op in ends if isinstance(op, WRITES)]
    reads = [op for op in ends if not isinstance(op, WRITES)]
    for verb, found in (("writes", writes), ("reads", reads)):
        stages = list(dict.fromkeys(stage_of(op) for op in found))
        if not stages:
            raise StageError(f"no stage {verb} stream {name}")
        if len(stages) > 1:
            fork = "; write a fork stage with two output tensors" if verb == "reads" else ""
            raise StageError(f"stream {name} has two ends that {verb[:-1]} it, {' and '.join(stages)}{fork}")
    if stage_of(reads[0]) != reader:
        raise StageError(f"stream {name} is declared to stage {reader}, but {stage_of(reads[0])} reads it")
    if stage_of(writes[0]) == reader:
        raise StageError(f"stage {reader} writes and reads stream {name}: that is a memory")
    _check_raster(memory, writes)
    _check_raster(memory, reads)


def _check_raster(memory: SSAValue, ends: Sequence[Access]) -> None:
    """Raises StageError unless `ends` together touch element 0, 1, 2, ... to the last, once each, in this order."""
    assert isinstance(memory.type, MemRefType)
    shape = memory.type.get_shape()
    verb = "writes" if isinstance(ends[0], WRITES) else "reads"
    where = f"stage {stage_of(ends[0])} {verb} stream {name_of(memory)}"
    met, order = [], []
    for op in ends:
        within = reach(op, list(op.indices))
        if not within.decided:
            raise StageError(f"{where} under a condition on data: make the number of elements static")
        if within.free:
            names = ", ".join(loop.label.data for loop in within.free)
            raise StageError(
                f"{where} again in each iteration of {names}: touch each element once, under an if_ on the loop"
            )
        found = visits(within)
        columns = subscripts(op, found)
        if columns is None:
            raise StageError(f"{where} at an index that depends on data")
        flat = np.ravel_multi_index(tuple(columns), shape, mode="wrap") if found.count else np.zeros(0, np.int64)
        met.append((op, found))
        order.append(flat)
    sequence = np.concatenate(order)[execution_order(met)]
    expected = np.arange(int(np.prod(shape)))
    if sequence.shape != expected.shape:
        raise StageError(f"{where} {sequence.size} times a frame; it has {expected.size} elements")
    wrong = np.flatnonzero(sequence != expected)
    if wrong.size:
        at, got = int(wrong[0]), tuple(int(i) for i in np.unravel_index(sequence[wrong[0]], shape))
        want = tuple(int(i) for i in np.unravel_index(at, shape))
        raise StageError(f"{where} out of raster order: access number {at} is to {got}, not to {want}")


def mark_dataflow(function: FuncOp) -> None:
    """Stages of this function run at the same time, joined by streams."""
    function.attributes[DATAFLOW] = UnitAttr()
