"""The picture networks of MLPerf Tiny (Banbury et al., NeurIPS 2021) in float32.

One `Sequential` called ``net`` each, since its numbering determines the keys of the checkpoints that go around. Inputs
are pictures scaled to -1..1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from frontend.zoo.entry import ZooEntry, classes_of
from frontend.zoo.labels import CIFAR10
from frontend.zoo.parts import Sum
from ir.records import ClassifierHead, Picture

WIDTHS_QUARTER = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
"""Output channels of MobileNetV1's separable blocks at a quarter of its width."""
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


class Network(nn.Module):
    """Its layers one after another."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net(x)
        return y


class Residual(nn.Module):
    """Two 3x3 convolutions beside the input, or beside its 1x1 projection where extents or channels change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.res = nn.Sequential(
            *conv(inputs, outputs, 3, stride), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        projected = stride != 1 or inputs != outputs
        self.skip = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if projected
            else nn.Identity()
        )
        self.sum, self.last = Sum(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.sum(self.res(x), self.skip(x)))
        return y


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Iterator[nn.Module]:
    """Convolution, padded by half the kernel, batch norm, ReLU."""
    yield nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    yield nn.BatchNorm2d(outputs)
    yield nn.ReLU()


def separable(inputs: int, outputs: int, stride: int = 1) -> Iterator[nn.Module]:
    """A depthwise 3x3 convolution and a 1x1 convolution."""
    yield from conv(inputs, inputs, 3, stride, groups=inputs)
    yield from conv(inputs, outputs, 1)


def classifier(inputs: int, classes: int) -> Iterator[nn.Module]:
    """Mean over all pixels, one score a class."""
    yield nn.AdaptiveAvgPool2d(1)
    yield nn.Flatten()
    yield nn.Linear(inputs, classes)


def resnet8(classes: int = 10) -> nn.Module:
    """Image classification: ResNet of three residual blocks, 0.08 million weights, 12.5 million MACs at 32x32."""
    blocks = (Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2))
    return Network([*conv(3, 16, 3), *blocks, *classifier(64, classes)])


def mobilenet_v1_quarter(classes: int = 2) -> nn.Module:
    """Visual wake words: MobileNetV1 (Howard et al., 2017) at a quarter of its width."""
    layers, channels = list(conv(3, 8, 3, 2)), 8
    for outputs, stride in zip(WIDTHS_QUARTER, STRIDES, strict=True):
        layers += separable(channels, outputs, stride)
        channels = outputs
    return Network([*layers, *classifier(channels, classes)])


HALF = (0.5, 0.5, 0.5)
ENTRIES = (
    ZooEntry(
        "resnet8",
        resnet8,
        (1, 3, 32, 32),
        Picture(32, 32, "rgb", mean=HALF, std=HALF),
        ClassifierHead(CIFAR10),
        "MLPerf Tiny's image classifier, float32",
        fit=classes_of("net.8.weight"),
        landmark="net.5.skip.1.weight",
    ),
    ZooEntry(
        "mobilenet_v1_025",
        mobilenet_v1_quarter,
        (1, 3, 96, 96),
        Picture(96, 96, "rgb", mean=HALF, std=HALF),
        ClassifierHead(("no person", "person")),
        "MLPerf Tiny's visual wake words, float32",
        fit=classes_of("net.83.weight"),
        landmark="net.83.weight",
    ),
)
