"""Scatter picture of the fit: predicted against measured, held-out primitives marked."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Protocol

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


class Plotted(Protocol):
    """A prediction beside a measurement."""

    @property
    def kind(self) -> str: ...
    @property
    def measured(self) -> int: ...
    @property
    def predicted(self) -> float: ...
    @property
    def held_out(self) -> bool: ...


def scatter(points: Sequence[Plotted], path: Path) -> None:
    """Two panels, LUTs and flip-flops, both axes logarithmic; 10 % to either side is shaded."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for axes, (kind, title) in zip(figure.subplots(1, 2), (("lut", "LUTs"), ("ff", "flip-flops")), strict=True):
        mine = [p for p in points if p.kind == kind and p.measured > 0]
        top = 1.6 * max(p.measured for p in mine)
        axes.fill_between([1, top], [0.9, 0.9 * top], [1.1, 1.1 * top], color="0.9", label="within 10 %")
        axes.plot([1, top], [1, top], color="0.6", linewidth=0.8)
        for held, colour, marker, label in ((False, "tab:blue", "o", "fitted"), (True, "tab:red", "D", "held out")):
            chosen = [p for p in mine if p.held_out is held]
            axes.scatter(
                [p.measured for p in chosen],
                [p.predicted for p in chosen],
                s=16,
                color=colour,
                marker=marker,
                alpha=0.7,
                linewidths=0,
                label=f"{label} ({len(chosen)})",
            )
        axes.set(xscale="log", yscale="log", xlim=(1, top), ylim=(1, top), title=title)
        axes.set(xlabel="measured with Yosys", ylabel="predicted")
        axes.legend(loc="upper left", frameon=False)
    data = BytesIO()
    canvas.print_figure(data)
    # Few colours: a quarter of the size.
    Image.open(data).convert("RGB").quantize(48).save(path, optimize=True)
