"""Packings without overlap: segments at one pitch, wide enough for the sums they collect.

With weights ``W = sum w_i 2**(i*p)`` and activations ``A = sum a_j 2**(j*p)`` the product holds, in segment k of width
p, the sum of all ``w_i * a_j`` with ``i + j = k``. Two uses:

* filter packing (HiKonv, arXiv 2112.13972): the w_i are the taps of one kernel row in reverse, the a_j neighbouring
  pixels; segments are terms of the row's convolution.
* channel packing (AMD WP486): the w_i belong to different output channels, A is one activation.

Negative sums borrow from the segment above; the borrow is the top bit of the segment below, so segment k is
``signed(m[kp+p-1 : kp]) + m[kp-1]``, exact while every sum lies in ``-2**(p-1)+1 .. 2**(p-1)-1``: one less could not
lend the borrow. `hls.packing.choose.solve` finds denser packings; these are the ones that generators exist for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hls.packing.geometry import Geometry
from hls.packing.ranges import PackingError, Range
from ir.types import Ints


@dataclass(frozen=True)
class Packing:
    """How operands share one multiplier.

    ``weights`` times ``activations`` values per product at ``pitch`` bits; ``depth`` products may be added up
    before the segments are taken apart. ``weight_bits`` and ``activation_bits`` are the signed widths of the packed
    operands, which fit the multiplier's ports.
    """

    scheme: Literal["filter", "channel"]
    weights: int
    activations: int
    pitch: int
    depth: int
    weight_bits: int
    activation_bits: int

    @property
    def segments(self) -> int:
        return self.weights + self.activations - 1

    @property
    def multiplies(self) -> int:
        """Useful multiplications per multiplier and cycle."""
        return self.weights * self.activations

    @property
    def product_bits(self) -> int:
        """Width of the sum of ``depth`` products: its top segment is read whole."""
        return self.segments * self.pitch

    def pack_weights(self, values: Ints) -> Ints:
        """(..., weights) -> (...): the packed word, value i in segment i."""
        shifts = np.arange(self.weights, dtype=np.int64) * self.pitch
        return np.asarray((values.astype(np.int64) << shifts).sum(-1))

    def pack_activations(self, values: Ints) -> Ints:
        """(..., activations) -> (...)."""
        shifts = np.arange(self.activations, dtype=np.int64) * self.pitch
        return np.asarray((values.astype(np.int64) << shifts).sum(-1))

    def decode(self, total: Ints) -> Ints:
        """Sum of products (...) -> segments (..., segments): the recipe that generated hardware follows."""
        result = np.empty((*total.shape, self.segments), np.int64)
        low = np.int64(64 - self.pitch)
        for k in range(self.segments):
            field = (total.astype(np.int64) >> np.int64(k * self.pitch)) << low >> low
            borrow = (total >> np.int64(k * self.pitch - 1)) & 1 if k else 0
            result[..., k] = field + borrow
        return result


def filter_packing(weight: Range, activation: Range, kernel: int, dsp: Geometry) -> Packing | None:
    """The packing of all ``kernel`` taps of a row against two pixels, with the deepest accumulation; None if none fits.

    The accumulation is limited by the pitch: a segment collects ``min(kernel, 2)`` products of each multiplier.
    """
    fits = []
    for pitch in range(2, dsp.wide + 1):
        fits += _legal("filter", weight, activation, kernel, 2, pitch, min(kernel, 2), dsp)
    return max(fits, key=lambda p: (p.depth, -p.pitch), default=None)


def channel_packing(weight: Range, activation: Range, dsp: Geometry, products: int, channels: int = 2) -> Packing:
    """``channels`` output channels per product, fewer where they do not fit, able to add up ``products`` if a pitch is.

    PackingError if even one multiplication exceeds the ports.
    """
    for count in range(channels, 0, -1):
        fits = []
        for pitch in range(2, dsp.wide + 1) if count > 1 else (dsp.accumulator,):
            fits += _legal("channel", weight, activation, count, 1, pitch, 1, dsp)
        if fits:
            return max(fits, key=lambda p: (min(p.depth, products), -p.pitch))
    raise PackingError(
        f"weights {weight.lo}..{weight.hi} times activations {activation.lo}..{activation.hi} exceed the "
        f"{dsp.wide}x{dsp.narrow} multiplier {dsp.name}"
    )


def _legal(
    scheme: Literal["filter", "channel"],
    weight: Range,
    activation: Range,
    weights: int,
    activations: int,
    pitch: int,
    per_segment: int,
    dsp: Geometry,
) -> list[Packing]:
    """The packing with these parameters in a list, or an empty list where it breaks a rule of the module."""
    w, a = weight.packed(weights, pitch), activation.packed(activations, pitch)
    wide, narrow = sorted((w.signed_bits, a.signed_bits), reverse=True)
    segments = weights + activations - 1
    if wide > dsp.wide or narrow > dsp.narrow:
        return []
    sums = weight.times(activation).scaled(per_segment)
    limit = 1 << (pitch - 1)
    depth = min((limit - 1) // -sums.lo if sums.lo < 0 else limit, (limit - 1) // sums.hi if sums.hi > 0 else limit)
    total = w.times(a)
    room = 1 << (dsp.accumulator - 1)
    depth = min(depth, room // -total.lo if total.lo < 0 else room, (room - 1) // total.hi if total.hi > 0 else room)
    if depth < 1 or segments * pitch > 63:
        return []
    return [Packing(scheme, weights, activations, pitch, depth, w.signed_bits, a.signed_bits)]
