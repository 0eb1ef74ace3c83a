"""The four networks of MLPerf Tiny (Banbury et al., NeurIPS 2021) and their nearest relatives, in float32.

One `Sequential` called ``net`` each, since its numbering determines the keys of the checkpoints that go around. Inputs
are real values (no picture record): (N, 3, 32, 32) or larger pictures scaled to -1..1, (N, 1, 10, 49) MFCC features of
a second of speech, (N, 784) log-mel energies of a machine's sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor, nn

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
        self.last = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.res(x) + self.skip(x))
        return y


def conv(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    groups: int = 1,
    padding: tuple[int, int] | None = None,
) -> Iterator[nn.Module]:
    """Convolution, batch norm, ReLU; padded by half the kernel if not said otherwise."""
    half = (kernel // 2, kernel // 2) if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
    yield nn.Conv2d(inputs, outputs, kernel, stride, padding or half, groups=groups, bias=False)
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


def ds_cnn(classes: int = 12) -> nn.Module:
    """Keyword spotting: DS-CNN small (Zhang et al., "Hello Edge", 2017)."""
    layers = list(conv(1, 64, (10, 4), (2, 2), padding=(5, 1)))
    for _ in range(4):
        layers += separable(64, 64)
    return Network([*layers, nn.Dropout(), *classifier(64, classes)])


def autoencoder(features: int = 640, hidden: int = 128, code: int = 8) -> nn.Module:
    """Anomaly detection: four layers down to a code, four up; how far the output is from the input is the score."""
    widths = (features, *[hidden] * 4, code, *[hidden] * 4, features)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return Network(layers[:-1])
