"""The layers of the RISC-V tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A convolution; ``depthwise``: a filter per channel."""

    name: str
    channels: int
    filters: int
    size: int
    kernel: int
    depthwise: bool = False

    @property
    def macs(self) -> int:
        per_output = self.kernel**2 * (1 if self.depthwise else self.channels)
        return self.size**2 * self.filters * per_output


SHAPES = (
    Shape("conv 3x3 56x56 64->64", 64, 64, 56, 3),
    Shape("conv 1x1 56x56 64->64", 64, 64, 56, 1),
    Shape("depthwise 3x3 56x56 64", 64, 64, 56, 3, depthwise=True),
    Shape("fully connected 1024->256", 1024, 256, 1, 1),
)
