"""UltraNet and its bypass variant: 4-bit single-object detectors (winner of the DAC System Design Contest 2020).

Modules take [N, 3, 160, 320] floats in [0, 1] (BGR, uint8 / 255) and give [N, 36, 10, 20] head values. The nesting of
the `Sequential`s is that of the published checkpoints, since it determines their keys.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from frontend.quantisers import BatchNorm2d, QuantActivation, QuantConv2d, SpaceToDepth
from frontend.zoo.entry import ZooEntry
from ir.records import Picture, YoloHead

PICTURE = Picture(width=320, height=160, order="bgr", resize="bilinear")
HEAD = YoloHead(labels=("target",), whole_pixels=True)
HEAD_CHANNELS = HEAD.anchors * 6


def conv_block(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """3x3 convolution, batch normalisation, activation: what every layer but the head consists of."""
    return QuantConv2d(inputs, outputs, 3, padding=1), BatchNorm2d(outputs), QuantActivation()


def head(inputs: int) -> nn.Module:
    return QuantConv2d(inputs, HEAD_CHANNELS, 1, bias=True)


class UltraNet(nn.Module):
    """Eight 3x3 convolutions, four of them pooled, and a 1x1 head; 0.25 million weights, 200 million MACs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *conv_block(3, 16), nn.MaxPool2d(2),
            *conv_block(16, 32), nn.MaxPool2d(2),
            *conv_block(32, 64), nn.MaxPool2d(2),
            *conv_block(64, 64), nn.MaxPool2d(2),
            *conv_block(64, 64), *conv_block(64, 64), *conv_block(64, 64), *conv_block(64, 64),
            head(64),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class UltraNetBypass(nn.Module):
    """UltraNet whose last 3x3 convolution also sees the last 20x40 map, rearranged to 256 channels at 10x20."""

    def __init__(self) -> None:
        super().__init__()
        self.layers_p1 = nn.Sequential(
            *conv_block(3, 16), nn.MaxPool2d(2),
            *conv_block(16, 32), nn.MaxPool2d(2),
            *conv_block(32, 64), nn.MaxPool2d(2),
        )  # fmt: skip
        self.layers_p2 = nn.Sequential(*conv_block(64, 64))
        self.layers_p3 = nn.Sequential(nn.MaxPool2d(2), *conv_block(64, 64), *conv_block(64, 64), *conv_block(64, 64))
        self.layers_p4 = nn.Sequential(*conv_block(320, 64), head(64))
        self.reorg = SpaceToDepth(2)

    def forward(self, x: Tensor) -> Tensor:
        fine: Tensor = self.layers_p2(self.layers_p1(x))
        y: Tensor = self.layers_p4(torch.cat((self.reorg(fine), self.layers_p3(fine)), dim=1))
        return y


ENTRIES = (
    ZooEntry(
        "ultranet",
        UltraNet,
        (1, 3, 160, 320),
        PICTURE,
        HEAD,
        "single-object detector, W4A4",
        landmark="layers.28.weight",
    ),
    ZooEntry(
        "ultranet_bypass",
        UltraNetBypass,
        (1, 3, 160, 320),
        PICTURE,
        HEAD,
        "UltraNet with a bypass, W4A4",
        landmark="layers_p4.3.weight",
    ),
)
