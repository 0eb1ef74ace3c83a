"""Precision-gated binary convolution: the low bit of a level counts only where the sum of the high bits is large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hls.heterocl import hcl
from hls.layers.binary import XnorConv, total_of
from hls.layers.stage import Tensor, signed_type
from hls.packing import signed_bits
from hls.resources.model import adder, comparator, rom, total
from ir.target import Resources
from ir.types import Ints


@dataclass(frozen=True)
class GatedConv(XnorConv):
    """An `XnorConv` over words of two-bit levels: both bits are compared with the same weights.

    With a sum of each bit, ``a = 2 * high`` and ``b = a + low``; the result is b where ``a > threshold[c]``, else a.
    """

    planes: ClassVar[int] = 2

    threshold: Ints = field(default_factory=lambda: np.zeros(1, np.int64), repr=False)

    def explain(self) -> Sequence[str]:
        return (*super().explain(), "the low bits' sum joins twice the high bits' where that exceeds the threshold")

    def thresholds(self) -> tuple[Tensor, ...]:
        # Beyond its reach a threshold decides nothing more; clipped, its ROM is narrow.
        end = 1 << (self.sum_bits + 1)
        clipped = np.clip(self.threshold, -end, end - 1).reshape(-1, self.pe)
        bits = signed_bits(int(clipped.min()), int(clipped.max()))
        return (hcl.const_tensor(clipped, f"{self.name}_gate", signed_type(bits)),)

    def value(self, agreements: Sequence[Any], products: Any, group: Any, q: Any, roms: Sequence[Tensor]) -> Any:
        signed = hcl.Int(self.sum_bits + 3)
        low, high = (total_of(agree, products, self.sum_bits) for agree in agreements)
        gated = hcl.scalar(high.v + high.v, "gated", dtype=signed)
        with hcl.if_(gated.v > roms[0][group, q]):
            gated.v = gated.v + low.v
        return gated

    @property
    def choice(self) -> Resources:
        groups = self.loops["part"] * self.loops["og"]
        bits = self.sum_bits + 2
        return total(rom(groups, bits), comparator(bits), adder(bits))
