"""From a schedule to the stage module that printers and the simulator take."""

from __future__ import annotations

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from .passes import (
    CheckBounds,
    CheckModule,
    CheckOutlined,
    CheckSigns,
    EraseDead,
    OutlineStages,
    StreamInterfaces,
    StreamLinks,
)
from .passes.common import top
from .passes.streams import mark_dataflow
from .schedule import Schedule

PIPELINE: tuple[ModulePass, ...] = (
    CheckBounds(),
    StreamLinks(),
    StreamInterfaces(),
    CheckOutlined(),
    CheckSigns(),
    EraseDead(),  # not before reads became streams': an unused element is still taken
    OutlineStages(),
    CheckModule(),
)


def lower(schedule: Schedule, last: bool = False) -> ModuleOp:
    """The checked module of a schedule: constants, one function a group of stages, the top function last.

    ``last``: nothing else is done with the schedule, whose operations become the module's.

    Raises:
        StageError: an access out of bounds, a stream with two readers or out of order, an array between functions.
    """
    module = schedule.module if last else schedule.module.clone()
    if schedule.links:
        mark_dataflow(top(module))
    context = Context()
    for step in PIPELINE:
        step.apply(context, module)
    module.verify()  # once: it takes longer than all passes together
    return module
