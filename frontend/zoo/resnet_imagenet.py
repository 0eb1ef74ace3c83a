"""ResNet-18 to ResNet-152 (He et al., 2016) in float32, with the keys of the checkpoints that everybody has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from frontend.zoo.parts import Sum


class BasicBlock(nn.Module):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu1, self.sum, self.relu = nn.ReLU(), Sum(), nn.ReLU()
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        z = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        y: Tensor = self.relu(self.sum(z, x if self.downsample is None else self.downsample(x)))
        return y


class Bottleneck(nn.Module):
    """1x1 down to a quarter, 3x3, 1x1 up again; the stride is in the 3x3 convolution."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu1, self.relu2, self.sum, self.relu = nn.ReLU(), nn.ReLU(), Sum(), nn.ReLU()
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        z = self.relu1(self.bn1(self.conv1(x)))
        z = self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(z)))))
        y: Tensor = self.relu(self.sum(z, x if self.downsample is None else self.downsample(x)))
        return y


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """The projection beside a block that changes extents or channels."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """A 7x7 stem, four groups of blocks, mean, scores; (N, 3, H, W) normalised pictures, 224x224 by rule."""

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], blocks: Sequence[int], classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        groups, channels = [], 64
        for number, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True)):
            layers = []
            for position in range(count):
                layers.append(block(channels, width, 2 if number and not position else 1))
                channels = width * block.expansion
            groups.append(nn.Sequential(*layers))
        self.layer1, self.layer2, self.layer3, self.layer4 = groups
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        y = self.layer4(self.layer3(self.layer2(self.layer1(y))))
        scores: Tensor = self.fc(torch.flatten(self.avgpool(y), 1))
        return scores


BLOCKS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


def resnet(depth: int, classes: int = 1000) -> nn.Module:
    """ResNet of the paper's table 1."""
    block, blocks = BLOCKS[depth]
    return ResNet(block, blocks, classes)
