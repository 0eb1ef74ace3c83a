"""Calibration's operators against the reference's."""

from __future__ import annotations

import numpy as np
import pytest

from frontend.lower.evaluation import BATCH, evaluate
from ir.ops import Add, Conv2d


@pytest.mark.parametrize(
    "op",
    [
        Conv2d(),
        Conv2d((2, 1), (1, 2, 1, 2)),
        Conv2d((1, 2), (0, 1, 2, 0)),
        Conv2d((2, 2), (1, 1, 1, 1), groups=6),
        Conv2d((1, 1), (2, 0, 0, 1), groups=2),
    ],
)
@pytest.mark.parametrize("biased", [False, True])
def test_convolutions_are_the_reference_s_in_single_precision(op: Conv2d, biased: bool) -> None:
    rng = np.random.default_rng(3)
    values = [rng.normal(size=(12, 6 // op.groups, 3, 3)), rng.normal(size=12)][: 1 + biased]
    frames = [[rng.normal(size=(6, 9, 11)), *values] for _ in range(BATCH + 2)]
    for found, frame in zip(evaluate(op, frames), frames, strict=True):
        expected = op.evaluate(frame)
        assert found.dtype == np.float32 and found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_other_operators_are_rounded_to_single_precision() -> None:
    x, y = np.array([[[0.1]]]), np.array([[[0.2]]])
    (found,) = evaluate(Add(), [[x, y]])
    assert found.dtype == np.float32 and found[0, 0, 0] == np.float32(0.1 + 0.2)


def test_integers_stay() -> None:
    (found,) = evaluate(Add(), [[np.array([[[1]]]), np.array([[[2]]])]])
    assert found.dtype.kind == "i" and found[0, 0, 0] == 3
