"""ResNets of depth 6n + 2 for CIFAR-10 (He et al., arXiv:1512.03385, section 4.2), in float32.

Shortcuts have no weights ("option A"): every second pixel, and zeros for the channels that are new; or, in networks
called ``_projected``, a 1x1 convolution ("option B"). Keys are those of the widely used implementation whose
checkpoints go by the name of ``resnet20`` to ``resnet1202``; its inputs were normalised by ImageNet's mean and
deviation.
"""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F  # noqa: N812 - the field's name
from torch import Tensor, nn

from frontend.zoo.entry import ZooEntry, classes_of
from frontend.zoo.labels import CIFAR10
from frontend.zoo.parts import Sum
from frontend.zoo.resnet_imagenet import shortcut
from ir.records import ClassifierHead, Picture

PICTURE = Picture(32, 32, "rgb", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
DEPTHS = (20, 32, 44, 56, 110)
WIDTHS = (16, 32, 64)


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, projected: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu1, self.sum, self.relu2 = nn.ReLU(), Sum(), nn.ReLU()
        self.stride, self.added = stride, outputs - inputs
        changes = stride != 1 or inputs != outputs
        self.shortcut = shortcut(inputs, outputs, stride) if changes and projected else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        if self.shortcut is not None:
            x = self.shortcut(x)
        elif self.stride != 1 or self.added:
            x = x[:, :, :: self.stride, :: self.stride]
            x = F.pad(x, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        z: Tensor = self.relu2(self.sum(y, x))
        return z


class CifarResNet(nn.Module):
    """[N, 3, 32, 32] normalised pictures -> [N, 10] scores."""

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential

    def __init__(self, depth: int, classes: int = len(CIFAR10), *, projected: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU()
        inputs = WIDTHS[0]
        for number, width in enumerate(WIDTHS):
            strides = [1 if number == 0 else 2, *[1] * ((depth - 2) // 6 - 1)]
            blocks = [Block(inputs if i == 0 else width, width, stride, projected) for i, stride in enumerate(strides)]
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))
            inputs = width
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.layer3(self.layer2(self.layer1(y)))
        scores: Tensor = self.linear(y.mean((2, 3)))
        return scores


ENTRIES = tuple(
    ZooEntry(
        f"resnet{depth}{suffix}",
        partial(CifarResNet, depth, projected=bool(suffix)),
        (1, 3, 32, 32),
        PICTURE,
        ClassifierHead(CIFAR10),
        "CIFAR-10 classifier, float32",
        classes_of("linear.weight"),
        f"layer3.{(depth - 2) // 6 - 1}.conv2.weight",
    )
    for depth in DEPTHS
    for suffix in ("", "_projected")
)
