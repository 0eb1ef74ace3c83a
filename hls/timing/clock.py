"""When the iterations of a stage's loops start, in cycles of a stage that never waits.

The rules are those of Vitis HLS (UG1399, "Loop Pipelining", "Perfect and Semi-Perfect Loops"):

* a pipelined loop starts an iteration every II cycles; loops inside it are unrolled and take no time of their own;
* an innermost loop without annotation is pipelined at an II of one (`config_compile -pipeline_loops`);
* a loop that holds one loop and nothing else is flattened: no cycle is lost between its iterations;
* any other loop runs what it holds one after another; a statement beside loops takes a cycle if it touches a stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation
from xdsl.traits import Pure

from hls.heterocl import dialect as ir
from hls.heterocl.accesses import Array, Point
from hls.heterocl.errors import StageError


@dataclass(frozen=True)
class Clock:
    """The cycle at which each operation of a stage is due.

    ``gap``: cycles lost behind every loop nest, and so between frames; none where the tool overlaps them (`rewind`).
    """

    gap: int = 0

    def cycles(self, function: FuncOp) -> int:
        """Cycles per frame."""
        return self._length(function.body.block)

    def due(self, op: Operation, point: Point) -> Array:
        """The cycle of ``op``, from the start of the frame; values of loops may lie along axes of their own."""
        total: Array = np.zeros((), np.int64)
        for loop in loops_around(op):
            number = (point[loop.variable] - loop.lower.data) // loop.step.data // _copies(loop)
            total = total + self._before(loop) + self._pace(loop) * number
            if _is_pipelined(loop):
                return total  # an iteration does all it does when it starts
        return total + self._before(op)

    def _pace(self, loop: ir.ForOp) -> int:
        """Cycles from an iteration to the next."""
        if _is_pipelined(loop):
            return loop.ii.data if loop.ii is not None else 1
        inner = _flattened(loop)
        return self._length(loop.body.block) if inner is None else self._span(inner)

    def _span(self, loop: ir.ForOp) -> int:
        """Cycles of a loop, without the gap behind it."""
        return self._pace(loop) * -(-len(loop.domain) // _copies(loop))

    def _length(self, block: Block) -> int:
        return sum(map(self._time, block.ops))

    def _before(self, op: Operation) -> int:
        """Cycles of what stands before an operation, or the guard around it, in the body of a loop or function."""
        while isinstance(above := op.parent_op(), ir.IfOp):
            op = above
        assert op.parent is not None
        return sum(map(self._time, list(op.parent.ops)[: op.parent.get_operation_index(op)]))

    def _time(self, op: Operation) -> int:
        if isinstance(op, ir.ForOp):
            span = self._span(op)
            return span + self.gap if span else 0
        if isinstance(op, ir.IfOp) and any(isinstance(inner, ir.ForOp) for inner in op.walk()):
            raise StageError("a loop under a condition has no fixed time: compute always and guard only the store")
        return int(any(isinstance(inner, ir.ReadOp | ir.WriteOp) for inner in op.walk()))


def loops_around(op: Operation) -> list[ir.ForOp]:
    """The loops that an operation stands in, outermost first."""
    loops: list[ir.ForOp] = []
    above = op.parent_op()
    while above is not None:
        if isinstance(above, ir.ForOp):
            loops.insert(0, above)
        above = above.parent_op()
    return loops


def _is_pipelined(loop: ir.ForOp) -> bool:
    if loop.ii is not None:
        return True
    return not _is_unrolled(loop) and all(
        _is_unrolled(op) for op in loop.walk() if isinstance(op, ir.ForOp) and op is not loop
    )


def _is_unrolled(loop: ir.ForOp) -> bool:
    return loop.ii is None and loop.unroll is not None and loop.unroll.data == 0


def _copies(loop: ir.ForOp) -> int:
    """Iterations that run at once."""
    if loop.unroll is None or loop.ii is not None:
        return 1
    return loop.unroll.data or len(loop.domain)


def _flattened(loop: ir.ForOp) -> ir.ForOp | None:
    """The only thing that a loop holds, if that is a loop."""
    held = [op for op in loop.body.block.ops if not op.has_trait(Pure) and not isinstance(op, ir.CommentOp)]
    only = held[0] if len(held) == 1 else None
    return only if isinstance(only, ir.ForOp) else None
