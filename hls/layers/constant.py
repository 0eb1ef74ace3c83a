"""Products in LUTs of weights that each have their own place: shared adders, see `hls.resources.adder_graph`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hls.heterocl import alloc, hcl
from hls.layers.fabric import FabricMultiply
from hls.layers.multiply import Roms, Sums
from hls.layers.stage import Banks, Tensor, signed_type
from hls.packing.ranges import Range, signed_bits
from hls.resources.adder_graph import AdderGraph, adder_graph
from hls.resources.model import graph_resources, total
from ir.target import Resources
from ir.types import Ints

MOST_CONSTANTS = 1024
"""Constants times pixels up to which `ConstantMultiply` is offered. The search for common terms grows with the square
of a row sum's; here it takes up to half a second."""


@dataclass(frozen=True)
class ConstantMultiply(FabricMultiply):
    """``weights`` (lane groups, outputs, lanes, taps): all products of a step are sums and differences of shifted
    activations, and what occurs in several of them is made once."""

    weights: Ints = field(repr=False)

    @cached_property
    def matrices(self) -> Sequence[Ints]:
        """Per lane group (outputs * row sums, lanes * pixels): a step as one matrix."""
        return [_matrix(kernel, self.pixels) for kernel in self.weights]

    @cached_property
    def graphs(self) -> Sequence[AdderGraph]:
        return [adder_graph(matrix, self.activation.lo, self.activation.hi) for matrix in self.matrices]

    def explain(self) -> Sequence[str]:
        made = sum(len(graph.adders) for graph in self.graphs)
        return [
            "products in LUTs: every weight has its own place, so that its product is a few shifted activations;",
            f"the {made} sums and differences of two terms, n0 on, that a step's row sums are made of",
        ]

    def operands(self, activations: Tensor, groups: int, lanes: int, name: str) -> tuple[Tensor, Sequence[Banks]]:
        """The row sums (lane groups, outputs, row sums) themselves."""
        ends = (self.activation.lo, self.activation.hi)
        bits = max(_range(matrix, *ends).signed_bits for matrix in self.matrices)
        sums = alloc((groups, self.weights.shape[1], self.sums), f"{name}_products", signed_type(bits))
        for group, graph in enumerate(self.graphs):
            signals = _Signals(activations, group * lanes, lanes, self.pixels)
            for number, a in enumerate(graph.adders):
                left, right = signals.shifted(a.left, a.left_shift), signals.shifted(a.right, a.right_shift)
                dtype = signed_type(signed_bits(a.lo, a.hi))
                signals.made.append(hcl.scalar(left + right if a.sign > 0 else left - right, f"n{number}", dtype=dtype))
            for index, output in enumerate(graph.outputs):
                signal, shift, sign = output or (0, 0, 0)
                value = signals.shifted(signal, shift) if sign else 0
                sums[(group, *divmod(index, self.sums))] = value if sign >= 0 else 0 - value
        return sums, [(sums, 0)]

    def row(self, roms: Roms, place: tuple[Any, ...], operands: Tensor, start: Any, lanes: int, bits: int) -> Sums:
        read = (operands[(*place[3:], m)] for m in range(self.sums))
        return [[hcl.scalar(value, f"sum{m}", dtype=signed_type(bits)) for m, value in enumerate(read)]]

    def resources(self, weights: Ints) -> Resources:
        return total(*(graph_resources(graph) for graph in self.graphs))

    def rom_bits(self, weights: Ints) -> int:
        return 0

    @property
    def summary(self) -> str:
        return f"constants in LUTs, {sum(len(graph.adders) for graph in self.graphs)} adders"


@dataclass
class _Signals:
    """The terms of an adder graph: activations of the lanes from ``start`` on, then what was ``made`` of them."""

    activations: Tensor
    start: int
    lanes: int
    pixels: int
    made: list[Any] = field(default_factory=list)

    def shifted(self, signal: int, shift: int) -> Any:
        lane, pixel = divmod(signal, self.pixels)
        inside = lane < self.lanes
        value = self.activations[self.start + lane, pixel] if inside else self.made[signal - self.lanes * self.pixels].v
        return value * (1 << shift) if shift else value


def _range(matrix: Ints, lo: int, hi: int) -> Range:
    """Of the products with vectors of values from ``lo`` to ``hi``."""
    positive, negative = np.where(matrix > 0, matrix, 0).sum(1), np.where(matrix < 0, matrix, 0).sum(1)
    return Range(int((positive * lo + negative * hi).min()), int((positive * hi + negative * lo).max())).with_zero()


def _matrix(weights: Ints, pixels: int) -> Ints:
    """(outputs, lanes, taps) -> (outputs * row sums, lanes * pixels): a step as one matrix."""
    outputs, lanes, taps = weights.shape
    sums = pixels + taps - 1
    matrix = np.zeros((outputs, sums, lanes, pixels), np.int64)
    for i in range(pixels):
        for t in range(taps):
            matrix[:, i + taps - 1 - t, :, i] = weights[:, :, t]
    return matrix.reshape(outputs * sums, lanes * pixels)
