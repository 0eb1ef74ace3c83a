"""Schedules: the traced program and the annotations put on its loops, memories and stages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, IntAttr, StringAttr
from xdsl.dialects.func import FuncOp

from .dialect import AllocOp, PartitionAttr
from .errors import APIError, ScheduleError
from .tensor import Loop, Stage, Tensor
from .trace import Tracer


class Partition(Enum):
    """How a memory is split into banks."""

    Complete = "complete"
    Block = "block"
    Cyclic = "cyclic"


_SCALAR_LOOP = re.compile(r"x(_\d+)?")


class StageSchedule:
    """Primitives on the loops of one stage: `s[stage]`."""

    def __init__(self, stage: Stage) -> None:
        self.stage_handle = stage

    def _loop(self, key: Any) -> Loop:
        loop = self.stage_handle.loop(key)
        if loop.obstacle:
            raise ScheduleError(f"{loop} {loop.obstacle}")
        if self.stage_handle.tagged and self.stage_handle.has_scalars and _SCALAR_LOOP.fullmatch(loop.name):
            raise ScheduleError(
                f"{loop} is called as HeteroCL calls the loops that its scalars are, and the primitive may take one of "
                "those: name it otherwise"
            )
        return loop

    def pipeline(self, var: Any, initiation_interval: int = 1) -> None:
        """Starts an iteration of the loop every `initiation_interval` cycles; loops inside it unroll."""
        if initiation_interval < 1:
            raise ScheduleError(f"initiation interval {initiation_interval}: at least 1 is needed")
        self._loop(var).op.ii = IntAttr(initiation_interval)

    def unroll(self, var: Any, factor: int = 0) -> None:
        """Unrolls the loop by `factor`, 0 = completely."""
        if factor < 0:
            raise ScheduleError(f"unroll factor {factor}: 0 (completely) or more is needed")
        self._loop(var).op.unroll = IntAttr(factor)


class Schedule:
    """A program with its schedule; `lower` and `build` take it."""

    def __init__(self, tracer: Tracer, program: Callable[..., Any]) -> None:
        self.tracer, self.program = tracer, program
        self.module = tracer.module
        self.links: list[tuple[Tensor, Stage, int]] = []
        self.groups: list[list[Stage]] = []

    @property
    def inputs(self) -> list[Tensor]:
        return self.tracer.inputs

    @property
    def outputs(self) -> list[Tensor]:
        return self.tracer.outputs

    @property
    def function(self) -> FuncOp:
        return self.tracer.function

    def __getitem__(self, stage: Any) -> StageSchedule:
        if not isinstance(stage, Stage) or stage.root is None:
            raise ScheduleError(f"{stage!r} is no stage of this program")
        return StageSchedule(stage)

    def partition(
        self, target: Any, partition_type: Partition = Partition.Complete, dim: int = 0, factor: int = 0
    ) -> None:
        """Splits dimension `dim` (1-based, 0 = all) of a memory into banks.

        Raises:
            ScheduleError: a constant, an argument, or a dimension the memory does not have.
        """
        if not isinstance(target, Tensor) or target.value is None:
            raise ScheduleError(f"{target!r} is no memory of this program")
        if target.constant:
            raise ScheduleError(
                f"{target.name} is constant and cannot be partitioned in HeteroCL: "
                "pack the weights into wider words, or add the pragma to the emitted C++"
            )
        owner = target.value.owner
        if not isinstance(owner, AllocOp):
            raise ScheduleError(f"{target.name} is an argument or a scalar: only memories are partitioned")
        if not 0 <= dim <= len(target.shape):
            raise ScheduleError(
                f"{target.name} has {len(target.shape)} dimensions; dim is 1-based (0 = all), not {dim}"
            )
        if partition_type is not Partition.Complete and factor < 2:
            raise ScheduleError(f"a {partition_type.value} partition of {target.name} needs a factor of 2 or more")
        new = PartitionAttr(StringAttr(partition_type.value), IntAttr(dim), IntAttr(factor))
        owner.partition = ArrayAttr([*(owner.partition or ()), new])

    def reuse_at(self, *args: Any, **kwargs: Any) -> None:
        """Always refused: v0.5 gets it right under a plain `sum` only."""
        raise ScheduleError("reuse_at is not supported: write the line buffer and the window as arrays (alloc)")

    def to(self, tensor: Tensor, dst: StageSchedule, axis: int = 0, fifo_depth: int = 1) -> None:
        """Makes `tensor` a stream into stage `dst`; before any outlining, and once a tensor.

        Raises:
            ScheduleError: the stage is outlined already, or the tensor is streamed already.
        """
        if self.groups:
            raise ScheduleError(
                "a stream to an outlined stage: declare links and groups together with dataflow_regions"
            )
        self._link(tensor, dst, fifo_depth)

    def outline(self, *groups: Any) -> None:
        """Makes each group of stages (a stage, or a list of stages) a function of its own."""
        self._outline([group if isinstance(group, list | tuple) else [group] for group in groups])

    def dataflow_regions(self, links: Sequence[tuple[Any, Any, int]], groups: Sequence[Sequence[Any]]) -> None:
        """Declares every stream `(tensor, s[stage], depth)`, then outlines each group of stages as one function."""
        if self.links or self.groups:
            raise ScheduleError("dataflow_regions is called once, and instead of to and outline")
        for tensor, stage, depth in links:
            self._link(tensor, stage, depth)
        self._outline(groups)

    def _link(self, tensor: Any, stage: Any, depth: int) -> None:
        if not isinstance(tensor, Tensor) or tensor.value is None:
            raise ScheduleError(f"{tensor!r} is no tensor of this program")
        if not isinstance(stage, StageSchedule):
            raise ScheduleError(f"tensor {tensor.name} is streamed to {stage!r}: pass s[stage]")
        for other, target, _ in self.links:
            if other is tensor:
                raise ScheduleError(
                    f"tensor {tensor.name} is streamed to {target.stage_name} and to {stage.stage_handle.stage_name}: "
                    "a stream has one reader; write a fork stage with two output tensors"
                )
        if not isinstance(tensor.value.owner, AllocOp):
            raise ScheduleError(f"{tensor.name} is an argument or a constant: only tensors between stages are streamed")
        if depth < 1:
            raise ScheduleError(f"the stream of {tensor.name} has depth {depth}: at least 1 is needed")
        self.links.append((tensor, stage.stage_handle, depth))
        tensor.value.owner.stream_to = StringAttr(stage.stage_handle.stage_name)
        tensor.value.owner.stream_depth = IntAttr(depth)

    def _outline(self, groups: Sequence[Sequence[Any]]) -> None:
        taken = {id(stage) for group in self.groups for stage in group}
        for group in groups:
            stages = [item.stage_handle if isinstance(item, StageSchedule) else item for item in group]
            for stage in stages:
                if not isinstance(stage, Stage) or stage.root is None:
                    raise ScheduleError(f"{stage!r} is no stage of this program")
                if id(stage) in taken:
                    raise ScheduleError(f"stage {stage.stage_name} is outlined twice")
                taken.add(id(stage))
                stage.root.group = IntAttr(len(self.groups))
            if stages:
                self.groups.append(stages)


def create_schedule(inputs: Sequence[Tensor], func: Callable[..., Any]) -> Schedule:
    """Traces `func(*inputs)`. Afterwards each stage is an attribute of `func`: `func.conv1`, `func.conv1.co`.

    Raises:
        APIError: a construct outside the subset, with what to write instead.
    """
    if not all(isinstance(tensor, Tensor) for tensor in inputs):
        raise APIError("the inputs of create_schedule are placeholders")
    tracer = Tracer(func.__name__, inputs)
    tracer.run(func)
    for name, stage in tracer.stages.items():
        setattr(func, name, stage)
    return Schedule(tracer, func)
