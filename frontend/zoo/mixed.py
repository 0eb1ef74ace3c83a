"""Networks of mixed precision, each layer with widths of its own: VGGtiny, SkyNet, SkyNetk5, UltraNet.

Luo et al., DeepBurning-MixQ: An Open Source Mixed-Precision Neural Network Accelerator Design Framework for FPGAs,
ICCAD 2023; layer tables and keys are those of its training code's checkpoints, which keep the widths beside the weights
(``model_params``: ``bitw`` and ``bita``, a number per convolution). Weights have Gaussian steps, activations half-wave
Gaussian ones; pictures are divided by 256.

There an activation stands in front of each convolution, behind the pool; here behind the batch norm, in front of the
pool: no value differs, since rounding up or down never changes which of two is larger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from frontend.checkpoint import SETTINGS
from frontend.steps import GaussianConv2d, GaussianLinear, HalfWave, quantize_step
from frontend.zoo.entry import State, ZooEntry
from frontend.zoo.labels import CIFAR10
from ir.records import ClassifierHead, Picture, YoloHead

ANCHORS = 6
DETECTOR = 6 * ANCHORS
SKYNET_CHANNELS = (3, 48, 96, 192, 384, 512, 96)
VGG_CHANNELS = (64, 64, 128, 128, 256, 256)


@dataclass(frozen=True)
class Widths:
    """Bits of each convolution's weights and of what it reads, in order; the first reads the picture."""

    weights: tuple[int, ...]
    inputs: tuple[int, ...]

    @staticmethod
    def alike(layers: int, weights: int = 4, activations: int = 4) -> Widths:
        return Widths((weights,) * layers, (8, *(activations,) * (layers - 1)))

    @staticmethod
    def of(state: State, layers: int) -> Widths | None:
        """As the checkpoint says; None where it does not, or not for so many layers."""
        found = [state.get(f"{SETTINGS}.{key}") for key in ("bitw", "bita")]
        given = [tuple(int(n) for n in v.flatten().tolist()) for v in found if v is not None]
        fits = len(given) == 2 and all(len(v) == layers and min(v) >= 2 and max(v) <= 8 for v in given)
        return Widths(*given) if fits else None


SIX, NINE, THIRTEEN = (Widths.alike(layers) for layers in (6, 9, 13))


class Convolution(nn.Module):
    """What the checkpoints call a convolution with its activation: the weights are called ``conv``."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bits: int, groups: int = 1, bias: bool = False) -> None:
        super().__init__()
        self.conv = GaussianConv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)
        self.conv.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class First(Convolution):
    """The convolution of the picture, of which it reads the upper ``read`` bits."""

    step: Tensor

    def __init__(self, outputs: int, kernel: int, bits: int, read: int, depthwise: bool = False) -> None:
        super().__init__(3, outputs, kernel, bits, 3 if depthwise else 1)
        self.read = read
        self.register_buffer("step", torch.tensor(0.5**read), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.read < 8:  # half a step, less half a byte, lower: then the nearest level is the one below
            x = quantize_step(x - (2 ** (8 - self.read) - 1) / 512, self.step, 0, 2**self.read - 1)
        return super().forward(x)


class Norm(nn.BatchNorm2d):
    """Batch norm and the activation behind it."""

    def __init__(self, channels: int, bits: int) -> None:
        super().__init__(channels)
        self.activation = HalfWave(bits)

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = self.activation(super().forward(input))
        return y


class Classifier(nn.Module):
    """Dense scores of everything, 8-bit weights."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.linear = GaussianLinear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(torch.flatten(x, 1))
        return y


class Mixed(nn.Module):
    """Its layers one after another."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


def vgg_tiny(widths: Widths = SIX, channels: Sequence[int] = VGG_CHANNELS, classes: int = 10) -> nn.Module:
    """Six 3x3 convolutions, every second one pooled before its batch norm, and dense scores."""
    layers: list[nn.Module] = []
    following = (*widths.inputs[1:], 8)
    for number, (outputs, bits) in enumerate(zip(channels, widths.weights, strict=True)):
        first = First(outputs, 3, bits, widths.inputs[0])
        layers.append(Convolution(channels[number - 1], outputs, 3, bits) if number else first)
        layers += [nn.MaxPool2d(2)] if number % 2 else []
        layers.append(Norm(outputs, following[number]))
    return Mixed([*layers, nn.Identity(), Classifier(channels[-1] * 16, classes)])


def skynet(kernel: int, widths: Widths = THIRTEEN, channels: Sequence[int] = SKYNET_CHANNELS) -> nn.Module:
    """Six depthwise and 1x1 convolutions, three of them pooled, and a 1x1 head; no bypass."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(channels)):
        depth, point, behind = 2 * number, 2 * number + 1, 2 * number + 2
        first = First(3, kernel, widths.weights[0], widths.inputs[0], depthwise=True)
        layers += [
            Convolution(inputs, inputs, kernel, widths.weights[depth], inputs) if number else first,
            Norm(inputs, widths.inputs[point]),
            Convolution(inputs, outputs, 1, widths.weights[point]),
            Norm(outputs, widths.inputs[behind]),
        ]
        layers += [nn.MaxPool2d(2)] if number < 3 else []
    return Mixed([*layers, Convolution(channels[-1], DETECTOR, 1, widths.weights[-1])])


def ultranet(widths: Widths = NINE, channels: Sequence[int] = (16, 32, *[64] * 6)) -> nn.Module:
    """UltraNet's eight 3x3 convolutions, four of them pooled, and its 1x1 head."""
    layers: list[nn.Module] = []
    for number, outputs in enumerate(channels):
        bits = widths.weights[number]
        first = First(outputs, 3, bits, widths.inputs[0])
        layers.append(Convolution(channels[number - 1], outputs, 3, bits) if number else first)
        layers.append(Norm(outputs, widths.inputs[number + 1]))
        layers += [nn.MaxPool2d(2)] if number < 4 else []
    return Mixed([*layers, Convolution(channels[-1], DETECTOR, 1, widths.weights[-1], bias=True)])


def _rows(state: State, index: int, part: str = "conv") -> int:
    found = state.get(f"layers.{index}.{part}.weight")
    return int(found.shape[0]) if found is not None and found.ndim else 0


def _fit(
    make: Callable[..., nn.Module],
    places: Sequence[int],
    outer: Sequence[int],
    layers: int,
    entry: ZooEntry,
    state: State,
) -> ZooEntry:
    """Widths and channels as the state has them: ``places`` are the layers whose rows are channels, ``outer`` stands in
    front of them."""
    channels = (*outer, *(_rows(state, place) for place in places))
    if 0 in channels:
        return entry
    widths = Widths.of(state, layers) or Widths.alike(layers)
    return replace(entry, factory=partial(make, widths=widths, channels=channels))


def _fit_vgg(entry: ZooEntry, state: State) -> ZooEntry:
    classes = _rows(state, 16, "linear")
    fitted = _fit(vgg_tiny, (0, 2, 5, 7, 10, 12), (), 6, entry, state)
    if not classes or fitted is entry:
        return entry
    return replace(fitted.with_classes(classes), factory=partial(fitted.factory, classes=classes))


SKYNET_PLACES, ULTRANET_PLACES = (2, 7, 12, 17, 21, 25), (0, 3, 6, 9, 12, 14, 16, 18)
PHOTO = Picture(320, 160, "bgr", steps=256.0)
INPUT = (1, 3, 160, 320)


def _head(stride: int) -> YoloHead:
    return YoloHead(("target",), ANCHORS, stride, whole_pixels=True)


ENTRIES = (
    ZooEntry(
        "vggtiny",
        vgg_tiny,
        (1, 3, 32, 32),
        Picture(32, 32, "rgb", steps=256.0),
        ClassifierHead(CIFAR10),
        "CIFAR-10 classifier of mixed precision",
        _fit_vgg,
        "layers.16.linear.weight",
    ),
    *(
        ZooEntry(
            name,
            partial(skynet, kernel),
            INPUT,
            PHOTO,
            _head(8),
            f"single-object detector of mixed precision, {kernel}x{kernel} depthwise",
            partial(_fit, partial(skynet, kernel), SKYNET_PLACES, (3,), 13),
            "layers.27.conv.weight",
        )
        for name, kernel in (("skynet_mixed", 3), ("skynetk5", 5))
    ),
    ZooEntry(
        "ultranet_mixed",
        ultranet,
        INPUT,
        PHOTO,
        _head(16),
        "single-object detector of mixed precision",
        partial(_fit, ultranet, ULTRANET_PLACES, (), 9),
        "layers.20.conv.weight",
    ),
)
