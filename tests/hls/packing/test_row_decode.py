"""The parallel decoding of row packings, with plain integers against the recipe of `Layout.multiply` and plain sums."""

from __future__ import annotations

import numpy as np
import pytest

from hls.packing import GEOMETRIES, PackingError, Range
from hls.packing.decode import RowDecode
from hls.packing.layout import convolve
from hls.packing.refine import Built
from hls.packing.rows import all_packings, find_packing, row_packings, row_rate
from ir.types import Ints

E2 = GEOMETRIES["dsp48e2"]


def decoded(built: Built, weights: Ints, activations: Ints) -> Ints:
    """Fields of chains (B, T, m, 1, kx), (B, T, 1, nx) as a stage takes them apart: carries from low bits."""
    layout = built.layout
    decode = RowDecode(layout, layout.weights[2], layout.activations[1])
    words = (weights << layout.weight_offsets).sum((2, 3, 4)) * (activations << layout.activation_offsets).sum((2, 3))
    total = words.sum(1) + decode.raise_word
    exact = convolve(weights, activations)
    result, below = np.zeros_like(exact), np.zeros(len(total), np.int64)
    for number, field in enumerate(decode.fields):
        segment, part = field.segment, total >> field.segment.offset
        if number + 1 < len(decode.fields):
            above = decode.fields[number + 1]
            low = exact[:, above.segment.channel, 0, above.segment.column] + decode.raised(above.segment)
            carry = ((total >> above.segment.offset) - low) & ((1 << field.carry) - 1)
            part = (part & ((1 << field.bits) - 1)) - below + (carry << field.gap)
            below = carry
        else:
            part = part - below
        result[:, segment.channel, 0, segment.column] = part - decode.raised(segment)
    return result


@pytest.mark.parametrize("dsp", ["dsp48e2", "dsp58", "ecp5"])
@pytest.mark.parametrize("widths", [(2, 2), (4, 4), (3, 3), (2, 5), (5, 6), (4, 8)])
def test_fields_are_told_apart(widths: tuple[int, int], dsp: str) -> None:
    """Full chains of extreme and of random operands, full weight ranges and symmetric ones."""
    rng = np.random.default_rng(sum(widths))
    for weight in (Range.weights(widths[0], False), Range.weights(widths[0], True)):
        for built in all_packings(weight, Range.activations(widths[1]), 3, GEOMETRIES[dsp]).values():
            layout = built.layout
            chains, ranges = (60, layout.depth), (layout.weight, layout.activation)
            shapes = (*chains, *layout.weights), (*chains, *layout.activations)
            w, a = (rng.integers(r.lo, r.hi + 1, shape) for r, shape in zip(ranges, shapes, strict=True))
            for one in range(8):  # all weights and all activations at one end, then ends mixed
                w[one], a[one] = (r.lo if one >> bit & 1 else r.hi for bit, r in enumerate(ranges))
                if one >= 4:
                    w[one] = rng.choice([ranges[0].lo, ranges[0].hi], shapes[0][1:])
            np.testing.assert_array_equal(decoded(built, w, a), convolve(w, a), err_msg=str(built))
            if all(holds for _, holds in layout.legality()):
                np.testing.assert_array_equal(layout.multiply(w, a), convolve(w, a))


def test_known_rates() -> None:
    """Multiplications per DSP48E2 of symmetric weights, kernel rows of 3: the plain ones are the published table's; the
    exhaustive search (packing.md) has 21 for w2a2 and 12 for w2a5 without splitting operands."""
    known = {(4, 4): 6, (4, 8): 3, (2, 2): 15, (2, 5): 9, (3, 3): 12, (5, 6): 4}
    least = {(4, 4): 12, (4, 8): 4, (2, 2): 21, (2, 5): 12, (3, 3): 15, (5, 6): 6}
    for (weight_bits, activation_bits), rate in known.items():
        ranges = Range.weights(weight_bits, True), Range.activations(activation_bits)
        assert row_rate(row_packings(*ranges, 3, E2)[0], 3) == rate
        densest = next(iter(all_packings(*ranges, 3, E2).values()))
        assert row_rate(densest, 3) >= least[weight_bits, activation_bits]


def test_a_packing_that_does_not_exist() -> None:
    with pytest.raises(PackingError, match="no packing of channels 4, pixels 8, shared bits 0, offset 0 on dsp48e2"):
        find_packing((4, 8, 0, 0), Range.weights(8, True), Range.activations(8), 3, E2)
