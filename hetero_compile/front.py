"""`--pareto FILE`: the front of rate against area as a table, and its plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from partition.pareto import Point

SUFFIXES = (".svg", ".png")


class FrontError(ValueError):
    """A file that no plot can be written to; one line."""


@dataclass(frozen=True)
class Front:
    """Where the plot goes."""

    path: Path

    @staticmethod
    def of(path: Path) -> Front:
        """FrontError unless the file's name says a kind of picture and its folder exists."""
        if path.suffix not in SUFFIXES:
            raise FrontError(f"--pareto {path}: unknown kind of picture (allowed: {', '.join(SUFFIXES)})")
        if not path.parent.is_dir():
            raise FrontError(f"--pareto {path}: there is no folder {path.parent}")
        return Front(path)

    def draw(self, title: str, points: Sequence[Point]) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.add_subplot()
        ordered = sorted(points, key=lambda p: p.area)
        areas, rates = [100 * p.area for p in ordered], [p.frames_per_second for p in ordered]
        axes.step(areas, rates, where="post", color="#0b6e4f", linewidth=1)
        axes.plot(areas, rates, "o", color="#0b6e4f")
        axes.set_yscale("log")
        axes.set_xlim(left=-1)
        axes.set_xlabel("area: mean share of the board's resources, %")
        axes.set_ylabel("frames/s, estimated")
        axes.set_title(title)
        axes.grid(visible=True, which="both", alpha=0.3)
        figure.savefig(self.path, metadata={"Date": None} if self.path.suffix == ".svg" else None)


def table(points: Sequence[Point]) -> Table:
    """One line a point."""
    found = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("frames/s", "area", "DSP", "LUT", "BRAM18", "URAM", "nodes on the accelerator"):
        found.add_column(title, justify="right")
    for p in points:
        r = p.resources
        cells = (f"{p.frames_per_second:.1f}", f"{p.area:.1%}", r.dsp, r.lut, r.bram18, r.uram, p.nodes)
        found.add_row(*map(str, cells))
    return found
