"""The networks of sounds of MLPerf Tiny (Banbury et al., NeurIPS 2021) in float32: inputs are plain tensors.

Keyword spotting is DS-CNN (Zhang et al., Hello Edge, arXiv:1711.07128), anomaly detection an autoencoder of dense
layers. One `Sequential` called ``net`` each, as in `frontend.zoo.mlperf_tiny`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from torch import nn

from frontend.zoo.entry import State, ZooEntry
from frontend.zoo.mlperf_tiny import Network, classifier, separable
from ir.records import ClassifierHead

KEYWORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes", "silence", "unknown")
COEFFICIENTS, FRAMES = 10, 49
"""MFCCs of a second of sound: rows and columns of DS-CNN's input."""
WINDOW = 640
"""Values that the autoencoder reads: five frames of 128 log-mel bands."""


def ds_cnn(channels: int = 64, blocks: int = 4, classes: int = len(KEYWORDS)) -> nn.Module:
    """A 10x4 convolution with stride 2, then depthwise-separable ones; 0.02 million weights, 2.7 million MACs."""
    stem = (nn.Conv2d(1, channels, (10, 4), 2, (5, 1), bias=False), nn.BatchNorm2d(channels), nn.ReLU())
    body = [layer for _ in range(blocks) for layer in separable(channels, channels)]
    return Network([*stem, *body, nn.Dropout(), *classifier(channels, classes)])


def autoencoder(widths: Sequence[int] = (WINDOW, *[128] * 4, 8, *[128] * 4, WINDOW), normed: bool = True) -> nn.Module:
    """Dense layers with batch norm (where ``normed``) and ReLU behind each but the last."""

    def layers() -> Iterator[nn.Module]:
        for position, (inputs, outputs) in enumerate(pairwise(widths), 2):
            yield nn.Linear(inputs, outputs)
            if position < len(widths):
                yield from (nn.BatchNorm1d(outputs), nn.ReLU()) if normed else (nn.ReLU(),)

    return Network(list(layers()))


def _weights(state: State, ndim: int) -> list[tuple[int, ...]]:
    """Shapes of the weights of so many dimensions that lie directly in ``net``, in order."""
    found = [(int(m[1]), tuple(v.shape)) for k, v in state.items() if (m := re.fullmatch(r"net\.(\d+)\.weight", k))]
    return [shape for _, shape in sorted(found) if len(shape) == ndim]


def _fit_ds_cnn(entry: ZooEntry, state: State) -> ZooEntry:
    convolutions, dense = _weights(state, 4), _weights(state, 2)
    if len(convolutions) < 3 or len(dense) != 1:
        return entry
    classes = dense[0][0]
    made = partial(ds_cnn, convolutions[0][0], len(convolutions) // 2, classes)
    return replace(entry.with_classes(classes), factory=made)


def _fit_autoencoder(entry: ZooEntry, state: State) -> ZooEntry:
    dense = _weights(state, 2)
    if len(dense) < 2 or dense[0][1] != dense[-1][0]:
        return entry
    widths = (dense[0][1], *(rows for rows, _ in dense))
    made = partial(autoencoder, widths, "net.1.running_mean" in state)
    return replace(entry, factory=made, input_shape=(1, widths[0]))


ENTRIES = (
    ZooEntry(
        "ds_cnn",
        ds_cnn,
        (1, 1, COEFFICIENTS, FRAMES),
        None,
        ClassifierHead(KEYWORDS),
        "MLPerf Tiny's keyword spotting, float32",
        _fit_ds_cnn,
        "net.0.weight",
    ),
    ZooEntry(
        "autoencoder",
        autoencoder,
        (1, WINDOW),
        None,
        None,
        "MLPerf Tiny's anomaly detection, float32",
        _fit_autoencoder,
        "net.0.weight",
    ),
)
