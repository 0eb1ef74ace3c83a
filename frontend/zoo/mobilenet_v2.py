"""MobileNetV2 (Sandler et al., 2018) in float32, with the keys of the checkpoints that everybody has."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from frontend.zoo.parts import Signed, Sum

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, output channels, blocks, stride of the first: table 2 of the paper."""


class Block(nn.Sequential):
    """Convolution, batch norm, ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    """Expanded, filtered by channel, projected; added to the input where shapes allow. No activation at the end."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expanded = [Block(inputs, hidden, 1)] if expansion > 1 else []
        projected = (nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.conv = nn.Sequential(*expanded, Block(hidden, hidden, 3, stride, hidden), *projected)
        added = stride == 1 and inputs == outputs
        self.sum: nn.Module | None = Sum() if added else None
        self.end: nn.Module | None = None if added else Signed()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        if self.sum is not None:
            y = self.sum(y, x)
        if self.end is not None:
            y = self.end(y)
        return y


class MobileNetV2(nn.Module):
    """(N, 3, H, W) normalised pictures, 224x224 by rule, to scores."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [Block(3, 32, 3, 2)]
        channels = 32
        for expansion, outputs, count, stride in STAGES:
            for position in range(count):
                layers.append(InvertedResidual(channels, outputs, 1 if position else stride, expansion))
                channels = outputs
        self.features = nn.Sequential(*layers, Block(channels, 1280, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(torch.flatten(self.pool(self.features(x)), 1))
        return scores
