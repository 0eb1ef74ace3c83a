"""The packings that layer generators use, at known cases and by plain integer arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from hls.packing import GEOMETRIES, Packing, PackingError, Range, channel_packing, filter_packing


def test_known_filter_packings() -> None:
    """Notes on w4a4 K3: DSP48E2 pitch 11, 4 in cascade; DSP48E1 pitch 10, 25 bits of weights, 2 in cascade."""
    e2 = filter_packing(Range(-7, 7), Range(0, 15), 3, GEOMETRIES["dsp48e2"])
    e1 = filter_packing(Range(-8, 7), Range(0, 15), 3, GEOMETRIES["dsp48e1"])
    assert e2 and (e2.pitch, e2.depth, e2.multiplies) == (11, 4, 6)
    assert e1 and (e1.pitch, e1.depth, e1.multiplies, e1.weight_bits) == (10, 2, 6, 25)


def exact(packing: Packing, weight: Range, activation: Range) -> None:
    """Chains of full depth (up to 64), ends and random values, against sums of products."""
    rng = np.random.default_rng(1)
    depth = min(packing.depth, 64)
    for ends in (True, False):
        w_shape, a_shape = (200, depth, packing.weights), (200, depth, packing.activations)
        if ends:
            w, a = rng.choice([weight.lo, weight.hi], w_shape), rng.choice([activation.lo, activation.hi], a_shape)
        else:
            w = rng.integers(weight.lo, weight.hi + 1, w_shape)
            a = rng.integers(activation.lo, activation.hi + 1, a_shape)
        got = packing.decode((packing.pack_weights(w) * packing.pack_activations(a)).sum(1))
        want = np.zeros((200, packing.segments), np.int64)
        for i in range(packing.weights):
            for j in range(packing.activations):
                want[:, i + j] += (w[..., i] * a[..., j]).sum(1)
        assert np.array_equal(got, want)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_they_decode_exactly(name: str) -> None:
    dsp = GEOMETRIES[name]
    for w in range(1, 9):
        for a in (1, 2, 4, 8):
            ranges = Range.weights(w, False), Range.activations(a)
            try:
                exact(channel_packing(*ranges, dsp, 9), *ranges)
            except PackingError:
                assert ranges[1].signed_bits > dsp.narrow or ranges[0].signed_bits > dsp.wide
            by_filter = filter_packing(*ranges, 3, dsp)
            if by_filter:
                exact(by_filter, *ranges)
