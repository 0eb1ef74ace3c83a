"""What the accelerator can do with an operator: one rule each, from objection to stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from hls.layers.stage import WORD_BITS, Stage, Wire
from hls.packing import Geometry
from ir.engine import Configuration
from ir.graph import NodeView
from ir.ops import MultiplyShift, Thresholds
from ir.types import TensorType


class UnsupportedNodeError(ValueError):
    """An operator, or an attribute of one, for which there is no generator; the message is the reason shown."""


class Rule(ABC):
    """How one kind of operator becomes stages.

    The last stage's first target holds the node's tensor, or that of the requantisation which the rule ``absorbs``.
    """

    def object(self, view: NodeView, dsp: Geometry) -> None:  # noqa: B027
        """Raise UnsupportedNodeError where there is no generator for the node."""

    def note(self, view: NodeView, dsp: Geometry) -> str:
        """A few words for the table of what runs where and why."""
        return "stream stage"

    def absorbs(self, view: NodeView) -> NodeView | None:
        """The user of the node that is computed in its last stage."""
        return None

    def configurations(self, view: NodeView, dsp: Geometry) -> Iterable[Configuration]:
        """The ways to build it, at least one."""
        return ({},)

    def lanes(self, view: NodeView, configuration: Configuration, available: Sequence[int]) -> int:
        """Channels per word that every source is brought to; ``available`` are the sources' own."""
        if len(available) == 1:
            return max(lane_counts(available[0], view.type.dtype.bits))
        sources = [operand.type for operand in view.operands if operand.value is None]
        options = [set(lane_counts(t.shape[0], max(t.dtype.bits, view.type.dtype.bits))) for t in sources]
        return max(set.intersection(*options))

    @abstractmethod
    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        """The stages from raster wires of ``lanes`` channels."""


def raster(name: str, type_: TensorType, lanes: int) -> Wire:
    """The raster wire of a tensor (C, H, W) with ``lanes`` channels in a word."""
    channels, rows, columns = type_.shape
    return Wire(name, rows, columns, channels // lanes, lanes, type_.dtype.bits, type_.dtype.signed)


def lane_counts(channels: int, bits: int, limit: int = WORD_BITS) -> list[int]:
    """The divisors of ``channels`` that fit a word, ascending."""
    return [n for n in range(1, channels + 1) if channels % n == 0 and n * bits <= limit]


def output(view: NodeView, sources: Sequence[Wire]) -> tuple[Wire]:
    """The node's raster wire, with its first source's lanes."""
    return (raster(f"{view.name}_out", view.type, sources[0].lanes),)


def fused_user(view: NodeView) -> NodeView | None:
    """The requantisation that the node's last stage can do."""
    user = view.sole_user
    return user if user and isinstance(user.op, MultiplyShift | Thresholds) else None
