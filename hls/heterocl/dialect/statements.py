"""Statements: memories, registers, streams, loops, branches, comments."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ArrayAttr, IndexType, IntAttr, IntegerType, MemRefType, StringAttr
from xdsl.ir import Block, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
)
from xdsl.traits import NoTerminator
from xdsl.utils.exceptions import VerifyException

from ..types import DType
from .types import UI1, PartitionAttr, StreamType, element_of, to_ir


@irdl_op_definition
class AllocOp(IRDLOperation):
    """A named on-chip memory, uninitialised; `stream_to`: the stage it becomes a stream of `stream_depth` places to."""

    name = "stage.alloc"
    label = prop_def(StringAttr)
    stream_to = opt_prop_def(StringAttr)
    stream_depth = opt_prop_def(IntAttr)
    partition = opt_prop_def(ArrayAttr[PartitionAttr])
    memory = result_def(MemRefType)

    def __init__(self, label: str, dtype: DType, shape: Sequence[int]) -> None:
        super().__init__(properties={"label": StringAttr(label)}, result_types=[MemRefType(to_ir(dtype), tuple(shape))])
        self.memory.name_hint = label

    def verify_(self) -> None:
        if any(extent < 1 for extent in self.memory.type.get_shape()):
            raise VerifyException(f"memory {self.label.data} has an empty shape {self.memory.type.get_shape()}")


@irdl_op_definition
class ScalarOp(IRDLOperation):
    """A named register, initialised each time it is reached: a memory of rank 0."""

    name = "stage.scalar"
    label = prop_def(StringAttr)
    init = operand_def(IntegerType)
    memory = result_def(MemRefType)

    def __init__(self, label: str, init: SSAValue) -> None:
        super().__init__(
            operands=[init], properties={"label": StringAttr(label)}, result_types=[MemRefType(init.type, ())]
        )
        self.memory.name_hint = label

    def verify_(self) -> None:
        if self.memory.type.get_shape() != () or element_of(self.memory) != self.init.type:
            raise VerifyException(f"scalar {self.label.data} is {self.memory.type}, initialised with {self.init.type}")


@irdl_op_definition
class StreamOp(IRDLOperation):
    """A named stream of `depth` places that carries `tokens` elements a frame."""

    name = "stage.create_stream"
    label = prop_def(StringAttr)
    depth = prop_def(IntAttr)
    tokens = prop_def(IntAttr)
    stream = result_def(StreamType)

    def __init__(self, label: str, element: IntegerType, depth: int, tokens: int) -> None:
        super().__init__(
            properties={"label": StringAttr(label), "depth": IntAttr(depth), "tokens": IntAttr(tokens)},
            result_types=[StreamType(element)],
        )
        self.stream.name_hint = label

    def verify_(self) -> None:
        if self.depth.data < 1:
            raise VerifyException(f"stream {self.label.data} has depth {self.depth.data}; the least is 1")


@irdl_op_definition
class ReadOp(IRDLOperation):
    """Takes the oldest element of a stream."""

    name = "stage.read"
    stream = operand_def(StreamType)
    result = result_def(IntegerType)

    def __init__(self, stream: SSAValue) -> None:
        super().__init__(operands=[stream], result_types=[element_of(stream)])

    def verify_(self) -> None:
        if element_of(self.stream) != self.result.type:
            raise VerifyException(f"a {self.result.type} is read from a {self.stream.type}")


@irdl_op_definition
class WriteOp(IRDLOperation):
    """Appends an element to a stream."""

    name = "stage.write"
    stream = operand_def(StreamType)
    value = operand_def(IntegerType)

    def __init__(self, stream: SSAValue, value: SSAValue) -> None:
        super().__init__(operands=[stream, value])

    def verify_(self) -> None:
        if element_of(self.stream) != self.value.type:
            raise VerifyException(f"a {self.value.type} is written to a {self.stream.type}")


@irdl_op_definition
class ForOp(IRDLOperation):
    """`for (label = lower; label < upper; label += step)`; `stage` names the top-level nest it is the root of.

    `ii`: pipeline with this initiation interval. `unroll`: factor, 0 = completely. `group`: function it is outlined to.
    """

    name = "stage.for"
    label = prop_def(StringAttr)
    lower = prop_def(IntAttr)
    upper = prop_def(IntAttr)
    step = prop_def(IntAttr)
    stage = opt_prop_def(StringAttr)
    ii = opt_prop_def(IntAttr)
    unroll = opt_prop_def(IntAttr)
    group = opt_prop_def(IntAttr)
    body = region_def("single_block")
    traits = traits_def(NoTerminator())

    def __init__(self, label: str, lower: int, upper: int, step: int = 1, stage: str | None = None) -> None:
        super().__init__(
            properties={
                "label": StringAttr(label),
                "lower": IntAttr(lower),
                "upper": IntAttr(upper),
                "step": IntAttr(step),
                "stage": None if stage is None else StringAttr(stage),
            },
            regions=[Region(Block(arg_types=[IndexType()]))],
        )
        self.variable.name_hint = label

    @property
    def variable(self) -> SSAValue:
        return self.body.block.args[0]

    @property
    def domain(self) -> range:
        """Values the loop variable takes."""
        return range(self.lower.data, self.upper.data, self.step.data)

    def verify_(self) -> None:
        if self.step.data < 1 or not self.domain:
            raise VerifyException(f"loop {self.label.data} over {self.domain} is empty or does not count upwards")


@irdl_op_definition
class IfOp(IRDLOperation):
    """Conditional execution; the else region may be empty."""

    name = "stage.if"
    condition = operand_def(UI1)
    then_body = region_def("single_block")
    else_body = region_def("single_block")
    traits = traits_def(NoTerminator())

    def __init__(self, condition: SSAValue) -> None:
        super().__init__(operands=[condition], regions=[Region(Block()), Region(Block())])


@irdl_op_definition
class CommentOp(IRDLOperation):
    """A line of explanation carried into the printed code."""

    name = "stage.comment"
    text = prop_def(StringAttr)

    def __init__(self, text: str) -> None:
        super().__init__(properties={"text": StringAttr(text)})
