"""The layers of the RISC-V tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A convolution of ``size`` squared results; ``depthwise``: a filter per channel."""

    name: str
    channels: int
    filters: int
    size: int
    kernel: int
    depthwise: bool = False
    stride: int = 1

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

RESNET20 = (
    (Shape("resnet20 3->16", 3, 16, 32, 3), 1),
    (Shape("resnet20 16->16", 16, 16, 32, 3), 6),
    (Shape("resnet20 16->32 stride 2", 16, 32, 16, 3, stride=2), 1),
    (Shape("resnet20 32->32", 32, 32, 16, 3), 5),
    (Shape("resnet20 32->64 stride 2", 32, 64, 8, 3, stride=2), 1),
    (Shape("resnet20 64->64", 64, 64, 8, 3), 5),
    (Shape("resnet20 64->10", 64, 10, 1, 1), 1),
)
"""The layers with weights of the CIFAR-10 network (shortcuts without weights), and how many there are of each."""
