"""Element by element: residual add, broadcast multiply, clipping and the PReLU family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hls.layers.elementwise import Bend, Clamp, Offset, Product, Sum
from hls.layers.requantise import Requantise, RequantiseStage
from hls.layers.stage import Stage, Wire
from hls.nodes.base import Rule, UnsupportedNodeError, lane_counts, output, up_to
from hls.packing import Geometry, signed_bits
from ir.engine import Configuration
from ir.graph import NodeView
from ir.ops import Add, Clip, Op, Operand, PRelu, RPRelu
from ir.types import Ints, TensorType


class PairRule(Rule):
    """Two streams, word by word."""

    bipolar = True

    def object(self, view: NodeView, dsp: Geometry) -> None:
        for name, operand in zip("xy", view.operands, strict=True):
            if operand.value is not None:
                raise UnsupportedNodeError(f"{name} is a constant, which has no generator (allowed: a run-time tensor)")
            if len(operand.type.shape) != 3:
                raise UnsupportedNodeError(f"needs {name} (channels, height, width), has {operand.type}")

    def lanes(self, view: NodeView, configuration: Configuration, available: Sequence[int]) -> int:
        """The most that fit, but no more than the slower source brings: the other one cannot be faster either."""
        channels = view.type.shape[0]
        streams = [operand.type for operand in view.operands]
        bits = max(t.dtype.bits for t in (*streams, view.type) if t.shape[0] == channels)
        brought = [n for n, t in zip(available, streams, strict=False) if t.shape[0] == channels]
        return max(n for n in up_to(configuration, lane_counts(channels, bits)) if n <= min(brought, default=channels))


class AddRule(PairRule):
    def object(self, view: NodeView, dsp: Geometry) -> None:
        if not _adds_constant(view):
            super().object(view, dsp)

    def lanes(self, view: NodeView, configuration: Configuration, available: Sequence[int]) -> int:
        return (Rule if _adds_constant(view) else PairRule).lanes(self, view, configuration, available)

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        if _adds_constant(view):
            rule = Offset(_integers(view.operands[1]))
            return [RequantiseStage(view.name, (sources[0],), output(view, sources), rule)]
        return [Sum(view.name, (sources[0], sources[1]), output(view, sources))]


class MultiplyRule(PairRule):
    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        return [Product(view.name, (sources[0], sources[1]), output(view, sources), dsp)]


@dataclass(frozen=True)
class MapRule(Rule):
    """A per-channel map of one stream, in a stage of its own."""

    build: Callable[[NodeView, Geometry], Requantise]
    bipolar = True

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        return [RequantiseStage(view.name, (sources[0],), output(view, sources), self.build(view, dsp))]


def _clamp(view: NodeView, dsp: Geometry) -> Requantise:
    x, op = view.operands[0].type, view.op
    assert isinstance(op, Clip)
    return Clamp(view.type.lo if x.lo < op.lo else None, view.type.hi if x.hi > op.hi else None)


def _prelu(view: NodeView, dsp: Geometry) -> Requantise:
    x, slope = view.operands
    assert isinstance(view.op, PRelu)
    bits = signed_bits(view.type.lo, view.type.hi)
    return Bend(_integers(slope), view.op.shift, signed_bits(x.type.lo, x.type.hi), bits, dsp)


def _rprelu(view: NodeView, dsp: Geometry) -> Requantise:
    x, before, slope, after = view.operands
    op, moves = view.op, _integers(before)
    assert isinstance(op, RPRelu)
    moved = TensorType.of_range(x.type.shape, x.type.lo + int(moves.min()), x.type.hi + int(moves.max()))
    bent = PRelu(op.shift).infer((Operand(moved), slope))
    widths = signed_bits(moved.lo, moved.hi), signed_bits(bent.lo, bent.hi)
    return Bend(_integers(slope), op.shift, *widths, dsp, moves, _integers(after))


MAPS: Mapping[type[Op], MapRule] = {Clip: MapRule(_clamp), PRelu: MapRule(_prelu), RPRelu: MapRule(_rprelu)}


def _adds_constant(view: NodeView) -> bool:
    """Whether y is one number per channel."""
    x, y = view.operands
    return isinstance(view.op, Add) and y.value is not None and len(y.type.shape) == 1 < len(x.type.shape)


def _integers(operand: Operand) -> Ints:
    return operand.constant.astype(np.int64)
