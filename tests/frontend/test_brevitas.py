"""Modules of Brevitas (where it is installed): the integers give what Brevitas' own forward gives, to float32's
rounding."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from onnx_build import run

from frontend.brevitas import NEEDED, load_brevitas
from frontend.errors import ModelError
from frontend.onnx.importer import Imported
from ir.kinds import kind_of

INSTALLED = all(importlib.util.find_spec(name) for name in NEEDED)
needs_brevitas = pytest.mark.skipif(not INSTALLED, reason="brevitas is not installed")


def _layers() -> tuple[Any, Any]:
    import brevitas.nn as qnn
    import brevitas.quant as quant

    return qnn, quant


def classifier() -> nn.Module:
    """Signed and unsigned, scales per channel, biases."""
    qnn, quant = _layers()
    per_channel = quant.Int8WeightPerChannelFloat
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=8, return_quant_tensor=True),
        qnn.QuantConv2d(3, 8, 3, padding=1, weight_bit_width=4, weight_quant=per_channel, return_quant_tensor=False),
        nn.BatchNorm2d(8),
        qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
        nn.MaxPool2d(2),
        qnn.QuantConv2d(8, 8, 3, groups=8, weight_bit_width=3, weight_quant=per_channel, bias=False),
        qnn.QuantIdentity(bit_width=6, return_quant_tensor=True),
        nn.Flatten(),
        qnn.QuantLinear(32, 5, bias=True, weight_bit_width=4),
    )


def zero_points() -> nn.Module:
    """Activations with a zero point, weights of -1 and +1."""
    qnn, quant = _layers()
    return nn.Sequential(
        qnn.QuantIdentity(act_quant=quant.ShiftedUint8ActPerTensorFloat, return_quant_tensor=True),
        qnn.QuantConv2d(3, 6, 3, weight_quant=quant.SignedBinaryWeightPerTensorConst, bias=False),
        qnn.QuantIdentity(act_quant=quant.SignedTernaryActPerTensorConst),
        qnn.QuantConv2d(6, 4, 1, weight_bit_width=2, bias=False),
    )


def pooled() -> nn.Module:
    """Biases in steps of the accumulator, or in 8 bits of their own; a mean whose lowest bits are cut off."""
    qnn, quant = _layers()
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=6, return_quant_tensor=True),
        qnn.QuantConv2d(3, 8, 3, weight_bit_width=4, bias=True, bias_quant=quant.Int32Bias, return_quant_tensor=True),
        qnn.QuantReLU(bit_width=5, return_quant_tensor=True),
        qnn.TruncAvgPool2d(2, return_quant_tensor=True),
        qnn.QuantConv2d(8, 6, 3, weight_bit_width=4, bias=True, bias_quant=quant.Int8BiasPerTensorFloatInternalScaling),
        qnn.QuantIdentity(bit_width=6, return_quant_tensor=True),
        nn.Flatten(),
        qnn.QuantLinear(6, 5, bias=True, weight_bit_width=4, bias_quant=quant.Int16Bias),
    )


class Residual(nn.Module):
    """Two branches on one scale."""

    def __init__(self) -> None:
        super().__init__()
        qnn, _ = _layers()
        self.first = qnn.QuantIdentity(bit_width=8, return_quant_tensor=True)
        self.conv = qnn.QuantConv2d(3, 3, 3, padding=1, weight_bit_width=5, bias=False)
        self.shared = qnn.QuantIdentity(bit_width=8, return_quant_tensor=True)
        self.relu = qnn.QuantReLU(bit_width=5, return_quant_tensor=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y: torch.Tensor = self.relu(self.shared(self.conv(x)) + self.shared(x))
        return y


@pytest.mark.slow
@needs_brevitas
@pytest.mark.parametrize("make", [classifier, zero_points, pooled, Residual])
def test_gives_what_brevitas_gives(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    module = make()
    module.train()
    for _ in range(4):  # ranges are found while training
        module(torch.randn(8, 3, 8, 8))
    module.eval()
    model = load_brevitas(module, (1, 3, 8, 8))
    frozen = model.frozen()
    assert kind_of(frozen.graph) == "integer"
    x = torch.randn(20, 1, 3, 8, 8)
    imported = Imported(model.graph, model.shapes, "quantised values")
    for each in x:
        result = module(each)
        expected = getattr(result, "value", result).detach().numpy()
        got = run(imported, frozen, each.numpy().astype(np.float64))
        scale = np.abs(expected).max()
        assert np.abs(got - expected).max() < 1e-5 * scale  # no seed here meets a tie that float32 takes elsewhere


@pytest.mark.skipif(INSTALLED, reason="brevitas is installed")
def test_without_brevitas_the_extra_is_named() -> None:
    with pytest.raises(ModelError, match=r"brevitas.* not installed \(pip install 'hetero-compile\[brevitas\]'\)"):
        load_brevitas(nn.Identity(), (1, 3, 8, 8))
