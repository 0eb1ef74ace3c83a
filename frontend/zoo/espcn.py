"""ESPCN: super-resolution by convolutions at the low resolution and a pixel shuffle (Shi et al., CVPR 2016).

Three convolutions of colours, 5x5 to 64 channels, 3x3 to 32, 3x3 to the square of the factor for each colour
(arXiv:1609.05158, section 4.1), with ReLU, which quantises better than the paper's tanh. Pictures are taken as 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import isqrt

from torch import Tensor, nn

from frontend.zoo.entry import State, ZooEntry
from frontend.zoo.parts import Bytes
from ir.records import Picture, PictureHead

SIDE, COLOURS = 128, 3
KERNELS = (5, 3, 3)


class Espcn(nn.Module):
    """[N, 3, H, W] to [N, 3, factor H, factor W], both 0..1; ``channels`` between the convolutions."""

    def __init__(self, factor: int = 2, channels: Sequence[int] = (64, 32)) -> None:
        super().__init__()
        last = COLOURS * factor * factor
        layers: list[nn.Module] = []
        for kernel, inputs, outputs in zip(KERNELS, (COLOURS, *channels), (*channels, last), strict=True):
            layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU()]
        self.first_part = nn.Sequential(*layers[:-2])
        self.last_part = nn.Sequential(layers[-2], Bytes(), nn.PixelShuffle(factor))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last_part(self.first_part(x))
        return y


def _fit(entry: ZooEntry, state: State) -> ZooEntry:
    found = [state.get(f"{key}.weight") for key in ("first_part.0", "first_part.2", "last_part.0")]
    rows = [int(value.shape[0]) for value in found if value is not None and value.ndim == 4]
    factor = isqrt(rows[2] // COLOURS) if len(rows) == 3 else 0
    return replace(entry, factory=partial(Espcn, factor, rows[:2])) if factor else entry


ENTRIES = (
    ZooEntry(
        "espcn",
        Espcn,
        (1, COLOURS, SIDE, SIDE),
        Picture(SIDE, SIDE, "rgb"),
        PictureHead("rgb"),
        "super-resolution, float32",
        _fit,
        "last_part.0.weight",
    ),
)
