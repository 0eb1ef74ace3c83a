"""DenseNet-121 (Huang et al., 2017) in float32, with the keys of the checkpoints that everybody has."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from frontend.zoo.parts import Signed

GROWTH = 32
BLOCKS = (6, 12, 24, 16)
"""Layers in each dense block of DenseNet-121."""


class DenseLayer(nn.Module):
    """Batch norm and ReLU in front of each convolution; gives ``GROWTH`` new channels."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, 4 * GROWTH, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * GROWTH)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(4 * GROWTH, GROWTH, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.relu2(self.norm2(self.conv1(self.relu1(self.norm1(x))))))
        return y


class DenseBlock(nn.Module):
    """Every layer reads the input and what all layers before it made.
    ``grid``: where what is joined is rounded, once."""

    def __init__(self, inputs: int, layers: int) -> None:
        super().__init__()
        self.grid = Signed()
        for n in range(layers):
            self.add_module(f"denselayer{n + 1}", DenseLayer(inputs + n * GROWTH))

    def forward(self, x: Tensor) -> Tensor:
        x = self.grid(x)
        for name, layer in self.named_children():
            if name != "grid":
                x = torch.cat((x, self.grid(layer(x))), 1)
        return x


def transition(inputs: int, outputs: int) -> nn.Module:
    """Half the channels, half the extents."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(inputs),
            relu=nn.ReLU(),
            conv=nn.Conv2d(inputs, outputs, 1, bias=False),
            pool=nn.AvgPool2d(2),
        )
    )


class DenseNet(nn.Module):
    """(N, 3, H, W) normalised pictures, 224x224 by rule, to scores."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        channels = 2 * GROWTH
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(3, channels, 7, 2, 3, bias=False),
            norm0=nn.BatchNorm2d(channels),
            relu0=nn.ReLU(),
            pool0=nn.MaxPool2d(3, 2, 1),
        )
        for number, count in enumerate(BLOCKS, 1):
            layers[f"denseblock{number}"] = DenseBlock(channels, count)
            channels += count * GROWTH
            if number < len(BLOCKS):
                layers[f"transition{number}"] = transition(channels, channels // 2)
                channels //= 2
        layers["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(layers)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.relu(self.features(x)))
        scores: Tensor = self.classifier(torch.flatten(y, 1))
        return scores
