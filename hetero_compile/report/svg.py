"""The few shapes that the report's drawings consist of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape


@dataclass
class Svg:
    """A drawing of ``width`` by ``height`` pixels, which the page may shrink."""

    width: float
    height: float
    label: str
    parts: list[str] = field(default_factory=list)

    def rect(self, x: float, y: float, width: float, height: float, kind: str, title: str = "") -> None:
        """A box of CSS class ``kind``; ``title`` appears on hovering."""
        hint = f"<title>{escape(title)}</title>" if title else ""
        box = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{max(height, 0.5):.1f}"'
        self.parts.append(f'<rect {box} class="{kind}">{hint}</rect>')

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """Words whose baseline is at ``y``; ``anchor`` is start, middle or end."""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>')

    def line(self, points: Sequence[tuple[float, float]], kind: str = "line") -> None:
        """Straight from point to point."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" class="{kind}"/>')

    def curve(self, start: tuple[float, float], end: tuple[float, float], bulge: float, kind: str) -> None:
        """Down from ``start`` to ``end``, ``bulge`` pixels to the right on its way."""
        (x0, y0), (x1, y1) = start, end
        reach = (y1 - y0) / 2
        path = (
            f"M{x0:.1f} {y0:.1f}C{x0 + bulge:.1f} {y0 + reach:.1f} {x1 + bulge:.1f} {y1 - reach:.1f} {x1:.1f} {y1:.1f}"
        )
        self.parts.append(f'<path d="{path}" class="{kind}"/>')

    def dot(self, x: float, y: float, kind: str, title: str) -> None:
        """A point of a diagram."""
        hint = f"<title>{escape(title)}</title>"
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="{kind}">{hint}</circle>')

    def __str__(self) -> str:
        head = f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" width="{self.width:.0f}" role="img"'
        label = escape(self.label, quote=True)
        return f'<svg {head} aria-label="{label}">{"".join(self.parts)}</svg>'
