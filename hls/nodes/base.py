"""What the accelerator can do with an operator: one rule each, from objection to stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from hls.layers.stage import WORD_BITS, Stage, Wire
from hls.packing import Geometry
from ir.engine import Candidate, Configuration
from ir.graph import NodeView
from ir.ops import MultiplyShift, Sign, Thresholds
from ir.target import Resources
from ir.types import TensorType


class UnsupportedNodeError(ValueError):
    """An operator, or an attribute of one, for which there is no generator; the message is the reason shown."""


class Rule(ABC):
    """How one kind of operator becomes stages.

    The last stage's first target holds the node's tensor, or that of the requantisation which the rule ``absorbs``.
    """

    bipolar: ClassVar[bool] = False
    """Whether bipolar activations are taken; see `Wire` for how they lie in words."""

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

    def candidates(self, view: NodeView, dsp: Geometry, uram: bool = False) -> Iterable[Candidate]:
        """The node alone in every configuration: its stages' time and cost on sources as wide as they may be.

        ``uram``: whether there is UltraRAM.
        """
        types = [operand.type for operand in view.operands if operand.value is None]
        widest = [lane_counts(t.shape[0], t.dtype.bits)[-1] for t in types]
        for choice in self.configurations(view, dsp):
            lanes = self.lanes(view, choice, widest)
            sources = [raster(f"x{i}", t, min(lanes, t.shape[0])) for i, t in enumerate(types)]
            stages = self.stages(view, sources, choice, dsp)
            yield Candidate(max(s.cycles for s in stages), sum((s.resources for s in stages), Resources()), choice)

    def takes(self, view: NodeView, pixels: int) -> bool:
        """Whether sources may have this many horizontal neighbours in a word; else they are taken apart."""
        return pixels == 1

    @abstractmethod
    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        """The stages from raster wires of ``lanes`` channels."""


def raster(name: str, type_: TensorType, lanes: int) -> Wire:
    """The raster wire of a tensor (C, H, W) with ``lanes`` channels in a word."""
    channels, rows, columns = type_.shape
    bipolar = type_.dtype.kind == "bipolar"
    signed = type_.dtype.signed and not bipolar
    return Wire(name, rows, columns, channels // lanes, lanes, type_.dtype.bits, signed, bipolar=bipolar)


def lane_counts(channels: int, bits: int, limit: int = WORD_BITS) -> list[int]:
    """The divisors of ``channels`` that fit a word, ascending."""
    return [n for n in range(1, channels + 1) if channels % n == 0 and n * bits <= limit]


def output(view: NodeView, sources: Sequence[Wire]) -> tuple[Wire]:
    """The node's raster wire, with its first source's lanes."""
    return (raster(f"{view.name}_out", view.type, sources[0].lanes),)


def fused_user(view: NodeView) -> NodeView | None:
    """The requantisation that the node's last stage can do."""
    user = view.sole_user
    return user if user and isinstance(user.op, MultiplyShift | Thresholds | Sign) else None
