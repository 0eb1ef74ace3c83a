"""How a core without vectors convolves: the proofs that let several products share one multiplication, and the choice.

A word of 32 or 64 bits holds a weight of each of several output channels in fields of ``bits`` bits; multiplied by an
activation it holds a product of each, and words are added. What a field sums must stay within
``-2^(bits-1) .. 2^(bits-1) - 1`` until it moves to a field of twice the width: any ``flush`` consecutive products of
any channel, in the order of the kernels (window row, window column, input channel), are bounded from the layer's own
weights and the operand's true range. Which products of such a run are there at all makes no difference: bounds are sums
of the negative and of the positive extremes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cpu_backend.ranges import fits_int8
from ir.target import Cpu
from ir.types import Array, TensorType

FIELDS = (8, 16, 32)
SHORTEST_CHUNK = 8
"""Below this many products per chunk, fields of twice the width are cheaper: moving them costs too much."""
UNROLLED = 4
"""Products in one turn of the kernels' loop: weights of zero fill up to a multiple, and chunks are multiples."""
XNOR_CYCLES = {32: (7.5, 135.0), 64: (7.0, 110.0)}
"""Per word of bits and per output; against SWAR_CYCLES per product they decide for bits (benchmarks.riscv_scalar)."""
SWAR_CYCLES = {32: 1.4, 64: 0.5}


@dataclass(frozen=True)
class Scheme:
    """``xnor``: bits; ``swar``: fields of ``bits`` bits, moved after ``flush`` products; ``block``: plain products.

    ``word``: bits of the core's words.
    """

    kind: Literal["xnor", "swar", "block"]
    word: int
    bits: int = 0
    flush: int = 0

    @property
    def lanes(self) -> int:
        """Output channels that are computed together, whether they are there or not."""
        return {"xnor": 2, "block": 4, "swar": self.word // self.bits if self.bits else 0}[self.kind]

    @property
    def note(self) -> str:
        if self.kind == "xnor":
            return f"bits, {self.word} products a word, counted with carry-save adders"
        if self.kind == "swar":
            return f"{self.word // self.bits} products a multiplication, i{self.bits} sums of {self.flush} products"
        return "register block, i32 accumulator"


def word_of(cpu: Cpu) -> int:
    """Bits of the words that convolutions are packed for on this processor; 0 where vectors do the work."""
    return 0 if cpu.vlen else 32 if cpu.isa.startswith("rv32") else 64


def scheme(weights: Array, x: TensorType, word: int) -> Scheme | None:
    """For weights (O, I, KH, KW) of an ungrouped convolution whose sums fit 32 bits; None where no scheme takes it.

    Weights must be of 8 bits; elements of 8 bits, or of 16 for plain products.
    """
    size = x.dtype.container.itemsize
    if not fits_int8(weights) or size > 2:
        return None
    if size == 2:
        return Scheme("block", word)
    if is_bits(weights, x):
        each, once = XNOR_CYCLES[word]
        words = -(-weights.shape[1] // word) * weights.shape[2] * weights.shape[3]
        if words * each + once < weights[0].size * SWAR_CYCLES[word]:
            return Scheme("xnor", word)
    products = -(-weights[0].size // UNROLLED) * UNROLLED
    for bits in FIELDS:
        if 2 * bits > word:
            break
        flush = chunk(weights, x.lo, x.hi, bits)
        flush -= flush % UNROLLED
        if flush >= min(SHORTEST_CHUNK, products) and -(-products // flush) <= 1 << bits:
            return Scheme("swar", word, bits, flush)
    return Scheme("block", word)


def is_bits(weights: Array, x: TensorType) -> bool:
    """Weights of -1 and +1, activations of -1 and +1 or of 0 and 1."""
    return bool((np.abs(weights) == 1).all()) and (x.dtype.kind == "bipolar" or (x.lo >= 0 and x.hi <= 1))


def chunk(weights: Array, lo: int, hi: int, bits: int) -> int:
    """The most consecutive products of any channel that a signed field of ``bits`` bits holds; 0 if not even one."""
    flat = weights.transpose(0, 2, 3, 1).reshape(weights.shape[0], -1).astype(np.int64)
    flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % UNROLLED)))
    ends = np.stack([flat * min(lo, 0), flat * max(hi, 0)])
    zero = np.zeros((flat.shape[0], 1), np.int64)
    least = np.concatenate([zero, np.cumsum(ends.min(0), axis=1)], axis=1)
    most = np.concatenate([zero, np.cumsum(ends.max(0), axis=1)], axis=1)

    def holds(n: int) -> bool:
        lowest, highest = (least[:, n:] - least[:, :-n]).min(), (most[:, n:] - most[:, :-n]).max()
        return bool(lowest >= -(1 << (bits - 1)) and highest < 1 << (bits - 1))

    fits, fails = 0, flat.shape[1] + 1
    while fails - fits > 1:  # longer runs reach at least as far
        middle = (fits + fails) // 2
        fits, fails = (middle, fails) if holds(middle) else (fits, middle)
    return fits
