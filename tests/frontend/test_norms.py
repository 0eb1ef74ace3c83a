"""Normalisations by a network's own sums, and operators on channels last, against the modules in double precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from frontend.errors import ModelError
from frontend.load import load_module
from ir.executor import execute
from ir.ops import Reshape, Transpose

SHAPE = (1, 6, 5, 7)


class Last(nn.Module):
    """Parts on (1, H, W, C), between permutations."""

    def __init__(self, *parts: nn.Module, order: tuple[int, ...] = (0, 2, 3, 1)) -> None:
        super().__init__()
        self.parts, self.order = nn.Sequential(*parts), order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.parts(x.permute(self.order)).permute(tuple(np.argsort(self.order)))


class Mixed(nn.Module):
    """ConvNeXt's block (Liu et al. 2022): its scale, sums of two tensors and of constants on the last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.wide, self.narrow = nn.LayerNorm(6), nn.Linear(6, 9), nn.Linear(9, 6, bias=False)
        self.scale, self.mean = nn.Parameter(torch.rand(6)), nn.Parameter(torch.rand(1, 1, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.permute(0, 2, 3, 1)
        z = self.narrow(nn.functional.gelu(self.wide(self.norm((y - self.mean) / 2))))
        return x + (self.scale * z + z * y).transpose(2, 3).transpose(3, 2).permute(0, 3, 1, 2)


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6, elementwise_affine=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.mean((2, 3)))


def measured() -> nn.Module:
    norm = nn.InstanceNorm2d(6, affine=True, track_running_stats=True)
    norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return norm


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "groups": lambda: nn.GroupNorm(3, 6, eps=0.1),
    "one group": lambda: nn.GroupNorm(1, 6, affine=False),
    "instances": lambda: nn.InstanceNorm2d(6, eps=0.1),
    "instances, measured": measured,
    "layer": lambda: Last(nn.LayerNorm(6, eps=0.1)),
    "layer of a vector": Flat,
    "linear": lambda: Last(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3, bias=False)),
    "mixed": Mixed,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_as_the_module(name: str) -> None:
    torch.manual_seed(1)
    module = NETWORKS[name]().eval()
    for parameter in module.parameters():
        nn.init.uniform_(parameter, 0.3, 1.5)
    graph = load_module(module, SHAPE).graph
    x = torch.randn(SHAPE, dtype=torch.float64)
    with torch.no_grad():
        expected = module.double()(x)[0].numpy()
    (given,), (output,) = graph.inputs, graph.outputs
    got = execute(graph, {given: x[0].numpy()})[output]
    assert np.allclose(got.reshape(expected.shape), expected, rtol=0, atol=1e-6)  # weights are float32
    assert not any(isinstance(node.op, Transpose) for node in graph.nodes)
    assert any(isinstance(node.op, Reshape) for node in graph.nodes) == (name in ("groups", "one group"))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.LayerNorm((5, 7)), "normalises 2 axes of (1, 6, 5, 7) (allowed: the channels)"),
        (nn.LayerNorm(7), "normalises columns of (1, 6, 5, 7) (allowed: the channels)"),
        (
            Last(nn.LayerNorm(5), order=(0, 3, 1, 2)),
            "reads shape (1, 7, 6, 5): no (1, C[, H, W]), and not such a tensor",
        ),
        (
            Last(nn.Linear(5, 2), order=(0, 1, 3, 2)),
            "reads shape (1, 6, 7, 5): no (1, C[, H, W]), and not such a tensor",
        ),
    ],
    ids=["two axes", "columns", "rows", "another order"],
)
def test_what_is_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(ModelError) as raised:
        load_module(module.eval(), SHAPE)
    assert message in str(raised.value)
