"""SkyNet, variant C: a float32 single-object detector of depthwise and 1x1 convolutions (Zhang et al., MLSys 2020).

Modules take [N, 3, 160, 320] normalised RGB and give [N, 10, 20, 40] head values. The nesting of the `Sequential`s is
that of the published checkpoints, since it determines their keys.
"""

from __future__ import annotations

from torch import Tensor, nn

from frontend.quantisers import SpaceToDepth
from frontend.zoo.entry import ZooEntry
from frontend.zoo.parts import Join
from ir.records import AnchorHead, Picture

PICTURE = Picture(320, 160, "rgb", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
HEAD = AnchorHead(
    labels=("target",),
    widths=(1.4940052559648322, 4.0113013115312155),
    heights=(2.3598481287086823, 5.760873975661669),
    stride=8,
)


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 depthwise and a 1x1 convolution, each with batch normalisation and ReLU6."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU6(),
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6(),
    )  # fmt: skip


class SkyNet(nn.Module):
    """Six separable convolutions, three of them pooled, with a bypass, and a 1x1 head; 0.44 million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.model_p1 = nn.Sequential(
            separable(3, 48), nn.MaxPool2d(2), separable(48, 96), nn.MaxPool2d(2), separable(96, 192)
        )
        self.model_p2 = nn.Sequential(nn.MaxPool2d(2), separable(192, 384), separable(384, 512))
        self.model_p3 = nn.Sequential(separable(1280, 96), nn.Conv2d(96, 5 * len(HEAD.widths), 1, bias=False))
        self.reorg, self.join = SpaceToDepth(2), Join()

    def forward(self, x: Tensor) -> Tensor:
        fine: Tensor = self.model_p1(x)
        y: Tensor = self.model_p3(self.join(self.reorg(fine), self.model_p2(fine)))
        return y


ENTRIES = (
    ZooEntry(
        "skynet",
        SkyNet,
        (1, 3, 160, 320),
        PICTURE,
        HEAD,
        "single-object detector, float32",
        landmark="model_p3.1.weight",
    ),
)
