"""What the packed convolutions have in common. They run at stride 1 over an already padded stream.

Each step of the innermost, pipelined loop multiplies ``simd`` channels of all K columns of one kernel row for ``pe``
output channels. The loops over output groups, kernel rows and input groups are inside those over pixels: a word is
read from the stream for the first output group and from the window memory for the others.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hls.heterocl import hcl
from hls.layers.requantise import Keep, Requantise
from hls.layers.stage import Stage, Tensor, signed_type
from hls.packing import Packing
from ir.target import Resources
from ir.types import Ints

LUT_PER_SEGMENT = 14
"""Decoding one segment of one chain: sign repair and addition into its accumulator."""


@dataclass(frozen=True)
class Convolution(Stage):
    """``weights`` (O, C, K, K); ``simd`` input and ``pe`` output channels per step; ``rule`` makes the output lanes."""

    weights: Ints = field(repr=False)
    packing: Packing
    simd: int
    pe: int
    accumulator_bits: int
    rule: Requantise = field(default_factory=Keep)

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("cg",)

    @property
    def kernel(self) -> int:
        return int(self.weights.shape[2])

    @property
    def output_groups(self) -> int:
        return int(self.weights.shape[0]) // self.pe

    @property
    def input_groups(self) -> int:
        return int(self.weights.shape[1]) // self.simd

    @property
    def cycles(self) -> int:
        return self.sources[0].words * self.kernel * self.output_groups

    @property
    @abstractmethod
    def products(self) -> int:
        """Packed products per step, each one multiplier block."""

    @property
    @abstractmethod
    def results(self) -> int:
        """Requantised values per output word."""

    @property
    def resources(self) -> Resources:
        steps = self.output_groups * self.kernel * self.input_groups
        rom_bits = self.packing.weight_bits * self.products
        rom = -(-rom_bits // 36) * -(-steps // 512) if steps > 64 else 0
        rows = (self.kernel - 1) * self.sources[0].columns * self.sources[0].groups
        lines = -(-self.sources[0].word_bits // 36) * -(-rows // 512)
        chains = -(-self.products // self.packing.depth)
        lut = 300 + chains * self.packing.segments * LUT_PER_SEGMENT + (0 if rom else rom_bits * steps // 64)
        total = Resources(lut=lut, dsp=self.products, bram18=rom + lines)
        for _ in range(self.results):
            total = total + self.rule.resources(self.accumulator_bits)
        return total

    @property
    def note(self) -> str:
        p = self.packing
        return (
            f"{self.kernel}x{self.kernel} SIMD {self.simd} PE {self.pe}, {p.multiplies} MAC/DSP "
            f"({p.scheme} packing, pitch {p.pitch}, cascade {p.depth})"
        )


def multiply_chains(
    rom: Tensor, index: tuple[Any, ...], operands: Tensor, count: int, packing: Packing
) -> list[list[Any]]:
    """Sums of packed products, taken apart: per chain of at most ``packing.depth`` products its segments, as scalars.

    ``rom[(*index, i)]`` times ``operands[i]`` for i below ``count``; the product is formed at the ports' widths.
    """
    chains = []
    for start in range(0, count, packing.depth):
        total = hcl.scalar(0, "total", dtype=hcl.Int(packing.product_bits))
        with hcl.for_(0, min(packing.depth, count - start), name="s") as s:
            total.v += rom[(*index, start + s)] * operands[start + s]
        chains.append([segment(total, k, packing.pitch) for k in range(packing.segments)])
    return chains


def segment(total: Any, k: int, pitch: int) -> Any:
    """Segment k of a packed sum: its bits as a signed number, plus the borrow that the segment below took."""
    field_ = hcl.cast(hcl.Int(pitch), total.v >> (k * pitch))
    if k == 0:
        return hcl.scalar(field_, "seg0", dtype=hcl.Int(pitch))
    borrow = hcl.cast(hcl.UInt(1), total.v >> (k * pitch - 1))
    return hcl.scalar(field_ + borrow, f"seg{k}", dtype=hcl.Int(pitch))


def accumulate(accumulators: Tensor, index: tuple[Any, ...], parts: Sequence[Any], first: Any, bits: int) -> Any:
    """Add decoded segments into ``accumulators[index]``, from zero on where ``first`` holds; the sum so far."""
    full = hcl.scalar(parts[0].v, "sum", dtype=signed_type(bits))
    for part in parts[1:]:
        full.v = full.v + part.v
    with hcl.if_(first == 0):
        full.v = full.v + accumulators[index]
    accumulators[index] = full.v
    return full
