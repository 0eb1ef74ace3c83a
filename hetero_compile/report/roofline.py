"""Rooflines (Williams et al., CACM 2009): multiply-accumulates a second over those per byte of memory traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from hetero_compile.report.svg import Svg

LEFT, BOTTOM, WIDTH, HEIGHT = 58.0, 34.0, 620.0, 260.0


@dataclass(frozen=True)
class Work:
    """What is done in a frame: multiply-accumulates, bytes to and from memory, estimated milliseconds."""

    name: str
    side: str
    macs: int
    bytes: int
    ms: float

    @property
    def intensity(self) -> float:
        return self.macs / self.bytes

    @property
    def rate(self) -> float:
        """Multiply-accumulates a second."""
        return self.macs / self.ms * 1e3


@dataclass(frozen=True)
class Roof:
    """The most multiply-accumulates a second that a side can do."""

    name: str
    side: str
    rate: float


def draw_roofline(works: Sequence[Work], roofs: Sequence[Roof], bandwidth: float) -> str:
    """Both axes logarithmic; ``bandwidth`` in bytes a second. Empty without work."""
    if not works:
        return ""
    ridge = max([roof.rate for roof in roofs], default=0.0) / bandwidth
    xs = [work.intensity for work in works] + [ridge]
    ys = [work.rate for work in works] + [roof.rate for roof in roofs]
    x0, x1 = floor(log10(min(xs))), ceil(log10(max(xs) * 1.5))
    y0, y1 = floor(log10(min(ys))), ceil(log10(max(ys) * 1.2))
    svg = Svg(LEFT + WIDTH + 170, HEIGHT + BOTTOM, "roofline")

    def place(intensity: float, rate: float) -> tuple[float, float]:
        x = LEFT + WIDTH * (log10(intensity) - x0) / (x1 - x0)
        return x, HEIGHT - HEIGHT * (log10(rate) - y0) / (y1 - y0)

    for power in range(x0, x1 + 1):
        x, _ = place(10.0**power, 10.0**y0)
        svg.line([(x, 0), (x, HEIGHT)], "grid")
        svg.text(x, HEIGHT + 14, _number(10.0**power), "small", "middle")
    for power in range(y0, y1 + 1):
        _, y = place(10.0**x0, 10.0**power)
        svg.line([(LEFT, y), (LEFT + WIDTH, y)], "grid")
        svg.text(LEFT - 5, max(y + 4, 9), _number(10.0**power), "small", "end")
    svg.text(LEFT + WIDTH / 2, HEIGHT + 30, "MAC per byte of memory traffic", "small", "middle")
    svg.text(LEFT + 6, 12, "MAC/s", "small")
    for roof in roofs:
        left, right = max(10.0**x0, 10.0**y0 / bandwidth), 10.0**x1
        knee = min(max(roof.rate / bandwidth, left), right)  # a slow side's lies left of the picture
        points = [place(x, min(x * bandwidth, roof.rate)) for x in (left, knee, right)]
        svg.line(points, f"roof {roof.side}")
        svg.text(LEFT + WIDTH + 4, points[-1][1] + 4, roof.name, "small")
    for work in works:
        x, y = place(work.intensity, work.rate)
        title = f"{work.name}: {work.macs:,} MAC, {work.bytes:,} bytes, {work.rate:.3g} MAC/s"
        svg.dot(x, y, f"dot {work.side}", title)
    return str(svg)


def _number(value: float) -> str:
    """1000000 as 1M."""
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"
