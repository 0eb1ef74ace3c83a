"""The model beside a published report: ``python -m hls.resources.compare``. Nothing is tuned to it.

The original UltraNet of 2020 without packing, one multiplier block per product, on a U280. Its folding and the widths
of its multiplications are those of the published ``config.h`` (repository heheda365/ultra_net).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hls.packing.geometry import GEOMETRIES
from hls.resources.families import width
from hls.resources.model import (
    accumulator,
    adder,
    adder_tree,
    clip,
    counter_nest,
    fifo,
    multiply_dsp,
    mux,
    ram,
    rom,
    times,
    total,
)
from ir.target import Resources

REPORTED = {"dsp": 508, "bram18": 377, "lut": 60_000, "cycles": 460_800}
DSP48E2 = GEOMETRIES["dsp48e2"]


@dataclass(frozen=True)
class Layer:
    """A convolution as a matrix-vector unit: ``simd`` input channels for ``pe`` output channels per cycle.

    ``inc`` and ``bias`` are the bits of the requantisation's multiplier and addend; 0: raw sums leave the unit.
    """

    kernel: int
    channels: int
    rows: int
    columns: int
    outputs: int
    bits: int
    simd: int
    pe: int
    inc: int = 0
    bias: int = 0

    @property
    def steps(self) -> int:
        """Words of each PE's weight memory: cycles per output pixel."""
        return self.kernel**2 * self.channels // self.simd * (self.outputs // self.pe)

    @property
    def cycles(self) -> int:
        return self.rows * self.columns * self.steps

    @property
    def sum_bits(self) -> int:
        return self.bits + 4 + width(self.kernel**2 * self.channels - 1)


ULTRANET = (
    Layer(3, 3, 160, 320, 16, 8, 3, 16, 14, 26),
    Layer(3, 16, 80, 160, 32, 4, 16, 8, 13, 21),
    Layer(3, 32, 40, 80, 64, 4, 16, 8, 12, 22),
    Layer(3, 64, 20, 40, 64, 4, 16, 4, 11, 21),
    Layer(3, 64, 10, 20, 64, 4, 8, 2, 13, 21),
    Layer(3, 64, 10, 20, 64, 4, 8, 2, 12, 21),
    Layer(3, 64, 10, 20, 64, 4, 8, 2, 13, 22),
    Layer(3, 64, 10, 20, 64, 4, 8, 2, 14, 23),
    Layer(1, 64, 10, 20, 36, 4, 8, 2),
)


def multipliers(layer: Layer) -> Resources:
    """One product per block, summed in fabric: per PE a tree over SIMD products and an accumulator."""
    one = total(
        times(layer.simd, multiply_dsp(4, layer.bits + 1, DSP48E2)),
        adder_tree(layer.simd, layer.bits + 4),
        accumulator(layer.sum_bits),
    )
    return times(layer.pe, one)


def weights(layer: Layer) -> Resources:
    """A memory per PE."""
    bits = 4 * layer.simd
    return times(layer.pe, rom(layer.steps, bits, _style(layer.steps, bits)))


def _style(words: int, bits: int) -> Literal["bram", "lut"]:
    """Where the published design's tool keeps a memory if it is told nothing: beyond 1 Kbit in block RAM."""
    return "bram" if words * bits > 1024 else "lut"


def window(layer: Layer) -> Resources:
    """Rows of the input, K being read and one written; addresses, and the choice of a row and of SIMD channels."""
    if layer.kernel == 1:
        return counter_nest([layer.channels // layer.simd])
    word = layer.channels * layer.bits
    extents = [layer.rows, layer.columns, layer.kernel, layer.kernel, layer.channels // layer.simd]
    return total(
        times(layer.kernel + 1, ram(layer.columns, word, _style(layer.columns, word))),
        mux(layer.kernel + 1, word),
        mux(layer.channels // layer.simd, layer.simd * layer.bits) if layer.channels > layer.simd else Resources(),
        counter_nest(extents),
        counter_nest(extents[:2]),
    )


def requantise(layer: Layer) -> Resources:
    """Per PE a multiplication, an addition, a clip, and the constants' memory."""
    if not layer.inc:
        return Resources()
    scaled = layer.sum_bits + layer.inc
    one = total(
        multiply_dsp(layer.sum_bits, layer.inc, DSP48E2),
        adder(scaled),
        clip(scaled, 4),
        rom(layer.outputs // layer.pe, layer.inc + layer.bias),
    )
    return times(layer.pe, one)


def streams(layer: Layer) -> Resources:
    """Between the parts of a layer: padded input, window, sums, and the output gathered to whole pixels."""
    parts = (layer.channels * layer.bits, layer.simd * layer.bits, layer.pe * (4 if layer.inc else layer.sum_bits))
    return total(*(fifo(2, bits) for bits in parts), fifo(2, layer.outputs * 4))


PARTS = {
    "multiply and add": multipliers,
    "weights": weights,
    "window": window,
    "requantise": requantise,
    "streams": streams,
}


def report() -> str:
    """Markdown: our parts, their sum, the published numbers and the difference."""
    lines = ["| | DSP | BRAM18 | LUT | FF |", "|--|--|--|--|--|"]
    everything = Resources()
    for name, part in PARTS.items():
        mine = total(*(part(layer) for layer in ULTRANET))
        everything = everything + mine
        lines.append(_row(name, mine))
    lines.append(_row("**model**", everything))
    lines.append(f"| published | {REPORTED['dsp']} | {REPORTED['bram18']} | {REPORTED['lut']} | |")
    differences = [f"{getattr(everything, k) / REPORTED[k] - 1:+.1%}" for k in ("dsp", "bram18", "lut")]
    lines.append(f"| difference | {' | '.join(differences)} | |")
    slowest = max(layer.cycles for layer in ULTRANET)
    lines.append("")
    lines.append(f"Slowest layer: {slowest} cycles, published {REPORTED['cycles']}.")
    return "\n".join(lines)


def _row(name: str, r: Resources) -> str:
    return f"| {name} | {r.dsp} | {r.bram18} | {r.lut} | {r.ff} |"


def main() -> int:
    print(report())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
