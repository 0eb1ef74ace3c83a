"""What the accelerator can do with an operator: one rule each, from objection to stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from hls.layers.regroup import regrouped
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
        """The ways to build it, at least one; unless a rule has others, words of at most so many ``lanes``."""
        most = self.lanes(view, {}, _widest(view))
        return [{"lanes": lanes} for lanes in lane_counts(most, 1)]

    def lanes(self, view: NodeView, configuration: Configuration, available: Sequence[int]) -> int:
        """Channels per word that every source is brought to; ``available`` are the sources' own."""
        if len(available) == 1:
            return max(up_to(configuration, lane_counts(available[0], view.type.dtype.bits)))
        options = [set(lane_counts(t.shape[0], max(t.dtype.bits, view.type.dtype.bits))) for t in _streams(view)]
        return max(up_to(configuration, set.intersection(*options)))

    def candidates(self, view: NodeView, dsp: Geometry, uram: bool = False) -> Iterable[Candidate]:
        """The node alone in every configuration: its stages' time and cost on sources as wide as they may be.

        Fewer lanes than that are not for nothing: the words have to be split. ``uram``: whether there is UltraRAM.
        """
        types, widest = _streams(view), _widest(view)
        for choice in self.configurations(view, dsp):
            lanes = self.lanes(view, choice, widest)
            most = self.lanes(view, {k: v for k, v in choice.items() if k != "lanes"}, widest)
            sources = [raster(f"x{i}", t, min(lanes, t.shape[0])) for i, t in enumerate(types)]
            stages = [*self.stages(view, sources, choice, dsp)]
            if lanes < most:
                for wire, source in zip(
                    (raster("wide", t, min(most, t.shape[0])) for t in types), sources, strict=True
                ):
                    stages += regrouped(wire, source.lanes)
            yield Candidate(max(s.cycles for s in stages), sum((s.resources for s in stages), Resources()), choice)

    def takes(self, view: NodeView, pixels: int) -> bool:
        """Whether sources may have this many horizontal neighbours in a word; else they are taken apart."""
        return pixels == 1

    @abstractmethod
    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        """The stages from raster wires of ``lanes`` channels."""


def up_to(configuration: Configuration, counts: Iterable[int]) -> list[int]:
    """The counts of lanes that a configuration allows; 1 is always among them."""
    return [n for n in counts if n <= int(configuration.get("lanes", n))]


def _streams(view: NodeView) -> list[TensorType]:
    return [operand.type for operand in view.operands if operand.value is None]


def _widest(view: NodeView) -> list[int]:
    """The most lanes that words of each source can have."""
    return [lane_counts(t.shape[0], t.dtype.bits)[-1] for t in _streams(view)]


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
