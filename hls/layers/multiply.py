"""How a convolution's products are formed: packed into multiplier blocks, or one by one in LUTs.

Both take, for every lane, the activations of a step's pixels and the taps of a kernel row. Pixel i times tap t belongs
to the output ``i + taps - 1 - t``, counted from the first output that the step reaches: row sum of that number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hls.layers.stage import CONSTANT_BITS, Banks, Tensor
from hls.packing.ranges import Range, signed_bits
from ir.target import Resources
from ir.types import Ints

Roms = Sequence[Any]
Sums = list[list[Any]]
"""[output channel of a product][row sum]: HeteroCL scalars."""


@dataclass(frozen=True)
class Multiply(ABC):
    """``taps`` taps by ``pixels`` activations of these ranges (both contain zero)."""

    taps: int
    pixels: int
    weight: Range
    activation: Range

    @property
    def sums(self) -> int:
        """Row sums of a step."""
        return self.pixels + self.taps - 1

    @property
    def channels(self) -> int:
        """Output channels that come out of one product."""
        return 1

    @property
    @abstractmethod
    def multipliers(self) -> int:
        """Multiplier blocks per lane and ``channels`` output channels."""

    @abstractmethod
    def explain(self) -> Sequence[str]:
        """What is multiplied here and how it is taken apart: the comment above the stage."""

    @property
    def drawing(self) -> tuple[str, ...]:
        """Where the operands lie in a multiplication that does several at once, as text."""
        return ()

    @property
    def memory_bits(self) -> int:
        """Signed width of an element of `memory`; 0 where the weights are in no memory."""
        return 0

    def memory(self, weights: Ints) -> Ints:
        """The weights (..., blocks of channels, channels, lanes, taps) as they are multiplied: (..., blocks of
        channels, and what `row` reads of one)."""
        raise AssertionError("the weights are in no memory")

    def roms(self, weights: Ints, name: str) -> Roms:
        """Declare the constants beside `memory` that `row` reads."""
        return ()

    def operands(self, activations: Tensor, groups: int, lanes: int, name: str) -> tuple[Any, Sequence[Banks]]:
        """Bring the activations (groups * lanes, pixels) of a step into the form that `row` takes; memories of it."""
        return activations, ()

    @abstractmethod
    def row(self, roms: Roms, place: tuple[Any, ...], operands: Any, start: Any, lanes: int, bits: int) -> Sums:
        """The products of ``lanes`` lanes from ``start`` on, added up; ``place`` (group, output group, reduction, lane
        group, block) selects the weights in ``roms``: the `memory`, if there is one, and what `roms` declared.

        Sums have ``bits`` bits, wrap, and lack `starts`.
        """

    @abstractmethod
    def resources(self, weights: Ints) -> Resources:
        """Of all products of a step and the row sums that they make, without the weights' ROM and `start_rom`.

        ``weights`` (groups, output groups, reductions, lane groups, blocks, channels, lanes, taps).
        """

    @abstractmethod
    def rom_bits(self, weights: Ints) -> int:
        """Width of the weights' ROM, a word per iteration of a step, that of `roms` included."""

    def low_bits(self, weights: Ints) -> int:
        """Width of what `roms` declares, a word per iteration of a step."""
        return 0

    @property
    @abstractmethod
    def summary(self) -> str:
        """A few words for the table of stages."""

    def starts(self, weights: Ints) -> Ints:
        """What to add to the row sums of a step.

        (groups, output groups, reductions, lane groups, blocks, channels, lanes, taps) -> (groups, output groups, lane
        groups, blocks, channels, sums)
        """
        return np.zeros((*weights.shape[:2], *weights.shape[3:6], self.sums), np.int64)

    def start_rom(self, weights: Ints) -> Resources:
        """Where `starts` are kept."""
        return Resources()

    def start_bits(self, weights: Ints) -> int:
        """Width of `starts` in a ROM; 0 where they only depend on the row sum and are constants of 32 bits."""
        return start_bits(self.starts(weights))


def start_bits(starts: Ints) -> int:
    """Width of what row sums (..., sums) begin with; 0 where it is the same everywhere, in 32 bits."""
    rows = starts.reshape(-1, starts.shape[-1])
    bits = signed_bits(int(rows.min()), int(rows.max()))
    return 0 if bits <= CONSTANT_BITS and (rows == rows[0]).all() else bits
