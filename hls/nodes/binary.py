"""Binary and precision-gated convolution: bits instead of multiplications."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hls.layers.binary import TapWindow, XnorConv
from hls.layers.gated import GatedConv
from hls.layers.requantise import Keep
from hls.layers.stage import MemoryStyle, Stage, Wire
from hls.nodes.base import Rule, UnsupportedNodeError, fused_user, lane_counts, raster
from hls.nodes.requantise import requantisation
from hls.packing import Geometry
from ir.engine import Candidate, Configuration
from ir.graph import NodeView
from ir.ops import Conv2d, GatedConv2d, is_bipolar


@dataclass(frozen=True)
class BinaryFolding:
    """What a step compares: ``simd`` channels in each of ``words`` words under ``rows`` rows of the kernel, for ``pe``
    output channels; and where the weights lie."""

    simd: int
    pe: int
    rows: int
    words: int
    memory: MemoryStyle = "auto"


def binary_foldings(view: NodeView) -> Iterator[BinaryFolding]:
    """A kernel row at a time, the whole kernel, and the whole kernel for several words of a pixel."""
    op, w = _convolution(view), view.operands[1].type
    out = (fused_user(view) or view).type
    channels, kernel = w.shape[1], w.shape[2]
    simds = lane_counts(channels, view.operands[0].type.dtype.bits)
    for simd in simds:
        words = [n for n in range(1, channels // simd + 1) if channels // simd % n == 0] if simd == simds[-1] else [1]
        for pe in lane_counts(w.shape[0] // op.groups, out.dtype.bits):
            yield from (BinaryFolding(simd, pe, kernel, n) for n in words)
            if kernel > 1:
                yield BinaryFolding(simd, pe, 1, 1)


class BinaryConvRule(Rule):
    """Convolutions of which both operands are bipolar, and gated ones."""

    bipolar = True

    def object(self, view: NodeView, dsp: Geometry) -> None:
        if next(binary_foldings(view), None) is None:
            raise UnsupportedNodeError("no folding fits a 64-bit stream word")

    def note(self, view: NodeView, dsp: Geometry) -> str:
        return "precision-gated XNOR conv in LUTs" if isinstance(view.op, GatedConv2d) else "XNOR conv in LUTs"

    def absorbs(self, view: NodeView) -> NodeView | None:
        return fused_user(view)

    def configurations(self, view: NodeView, dsp: Geometry) -> Iterable[Configuration]:
        return (dict(vars(folding)) for folding in binary_foldings(view))

    def lanes(self, view: NodeView, configuration: Configuration, available: Sequence[int]) -> int:
        return int(configuration["simd"])

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        folding = BinaryFolding(**configuration)  # type: ignore[arg-type]
        return _stages(view, sources[0], _fitting(view, folding), dsp)


def _stages(view: NodeView, source: Wire, folding: BinaryFolding, dsp: Geometry) -> list[Stage]:
    """The window, unless a step takes one word of one pixel, and the convolution with its requantisation."""
    op, user = _convolution(view), fused_user(view)
    weights = view.operands[1].constant.astype(np.int64)
    kernel, padding = (weights.shape[2], weights.shape[3]), (op.padding[0], op.padding[1])
    target = raster(f"{view.name}_out", (user or view).type, folding.pe)
    stages: list[Stage] = []
    taps: tuple[Wire, ...] = (source,)
    if kernel != (1, 1) or op.stride != (1, 1) or any(op.padding) or folding.words > 1:
        count = kernel[0] * kernel[1] * folding.words
        shape = (target.rows, target.columns, source.groups // folding.words)
        taps = tuple(
            Wire(f"{view.name}_tap_{i}", *shape, source.lanes, source.bits, source.signed, bipolar=source.bipolar)
            for i in range(count)
        )
        window = TapWindow(f"{view.name}_window", (source,), taps, kernel, op.stride, padding, folding.words)
        stages.append(window)
    rule = requantisation(user, dsp) if user else Keep()
    sizes = (weights, folding.simd, folding.pe, folding.rows, folding.words, op.groups, op.stride, padding)
    end = ((source.rows, source.columns), rule, folding.memory)
    if isinstance(view.op, GatedConv2d):
        threshold = view.operands[2].constant.astype(np.int64)
        return [*stages, GatedConv(view.name, taps, (target,), *sizes, *end, threshold)]
    return [*stages, XnorConv(view.name, taps, (target,), *sizes, *end)]


def _fitting(view: NodeView, folding: BinaryFolding) -> BinaryFolding:
    """The folding, with fewer output lanes where sums leave the region unrequantised and are wider."""
    options = [f for f in binary_foldings(view) if replace(f, pe=1, memory=folding.memory) == replace(folding, pe=1)]
    return replace(folding, pe=max(f.pe for f in options if f.pe <= folding.pe))


def _convolution(view: NodeView) -> Conv2d:
    op = view.op.convolution if isinstance(view.op, GatedConv2d) else view.op
    assert isinstance(op, Conv2d)
    return op


@dataclass(frozen=True)
class ByOperands(Rule):
    """A convolution by ``binary`` where both operands are bipolar, else by ``other``."""

    binary: Rule
    other: Rule

    bipolar = True

    def rule(self, view: NodeView) -> Rule:
        return self.binary if all(is_bipolar(operand) for operand in view.operands[:2]) else self.other

    def object(self, view: NodeView, dsp: Geometry) -> None:
        if self.rule(view) is self.other and is_bipolar(view.operands[0]):
            w = view.operands[1].type
            raise UnsupportedNodeError(f"bipolar activations meet weights in {w.lo}..{w.hi} (allowed: -1 and +1)")
        self.rule(view).object(view, dsp)

    def note(self, view: NodeView, dsp: Geometry) -> str:
        return self.rule(view).note(view, dsp)

    def absorbs(self, view: NodeView) -> NodeView | None:
        return self.rule(view).absorbs(view)

    def configurations(self, view: NodeView, dsp: Geometry) -> Iterable[Configuration]:
        return self.rule(view).configurations(view, dsp)

    def candidates(self, view: NodeView, dsp: Geometry, uram: bool = False) -> Iterable[Candidate]:
        return self.rule(view).candidates(view, dsp, uram)

    def lanes(self, view: NodeView, configuration: Configuration, available: Sequence[int]) -> int:
        return self.rule(view).lanes(view, configuration, available)

    def takes(self, view: NodeView, pixels: int) -> bool:
        return self.rule(view).takes(view, pixels)

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        return self.rule(view).stages(view, sources, configuration, dsp)
