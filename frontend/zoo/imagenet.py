"""Networks for ImageNet by the keys of the checkpoints that everybody has, in float32; 224x224 pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from frontend.zoo.densenet import DenseNet
from frontend.zoo.entry import ZooEntry, classes_of
from frontend.zoo.mobilenet_v2 import MobileNetV2
from frontend.zoo.resnet_imagenet import BLOCKS, resnet
from ir.records import ClassifierHead, Picture

SIDE = 224
PICTURE = Picture(SIDE, SIDE, "rgb", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
HEAD = ClassifierHead(tuple(f"class {n}" for n in range(1000)))
"""Names belong to a file of the user's (``--labels``)."""


def _entry(name: str, factory: Callable[..., nn.Module], classes: str, landmark: str) -> ZooEntry:
    shape, fit = (1, 3, SIDE, SIDE), classes_of(classes)
    return ZooEntry(name, factory, shape, PICTURE, HEAD, "classifier, float32", fit, landmark)


ENTRIES = (
    *(
        _entry(f"resnet{depth}", partial(resnet, depth), "fc.weight", f"layer3.{blocks[2] - 1}.conv2.weight")
        for depth, (_, blocks) in BLOCKS.items()
    ),
    _entry("mobilenet_v2", MobileNetV2, "classifier.1.weight", "features.18.1.weight"),
    _entry("densenet121", DenseNet, "classifier.weight", "features.norm5.weight"),
)
