"""Tables and heat maps of the best packings: ``python -m hls.packing.tables --out docs/packing``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from hls.packing.geometry import GEOMETRIES, Geometry
from hls.packing.published import CASES, FACTORS, FOUND, PLAIN, SYMMETRIC, WIDTHS
from hls.packing.ranges import Range
from hls.packing.solver import FULL, Freedom, Problem, plan

BITS = range(1, 9)
KERNELS = (1, 3, 5, 7)
PLAIN_FREEDOM = Freedom(overlap=0)
Grid = NDArray[np.float64]
Key = tuple[int, bool, bool]
"""Kernel, depthwise, symmetric."""


def rate(
    weight: int,
    activation: int,
    kernel: int,
    geometry: Geometry,
    symmetric: bool,
    depthwise: bool = False,
    freedom: Freedom = FULL,
) -> float:
    """Multiplies per block and cycle of one cell: square kernel, stride 1."""
    types = Range.weights(weight, symmetric), Range.activations(activation)
    problem = Problem(*types, (kernel, kernel), depthwise=depthwise)
    return float(kernel * kernel / plan(problem, geometry, freedom).cost)


def grids(geometry: Geometry) -> dict[Key, Grid]:
    """All cells of a geometry: rows weight bits 1..8, columns activation bits 1..8."""
    keys = product((False, True), (True, False), KERNELS)
    return {
        (kernel, depthwise, symmetric): np.array(
            [[rate(w, a, kernel, geometry, symmetric, depthwise) for a in BITS] for w in BITS]
        )
        for depthwise, symmetric, kernel in keys
    }


def write_geometry(name: str, out: Path) -> str:
    """``NAME.md`` and ``NAME.png``; returns the name."""
    geometry = GEOMETRIES[name]
    cells = grids(geometry)
    (out / f"{name}.md").write_text("\n".join(_geometry_lines(geometry, cells)) + "\n", encoding="utf-8")
    heat_map(geometry, cells, out / f"{name}.png")
    return name


def _geometry_lines(geometry: Geometry, cells: dict[Key, Grid]) -> Iterator[str]:
    modes = ", ".join(m.name for m in geometry.multipliers)
    yield f"# {geometry.title}"
    yield ""
    yield f"Multiplies per block and cycle ({modes}; {geometry.source}), square kernels at stride 1, fields sharing"
    yield "at most one bit. Rows: weight bits; columns: activation bits, unsigned."
    yield ""
    yield f"![heat map]({geometry.name}.png)"
    for (kernel, depthwise, symmetric), grid in cells.items():
        kind = "depthwise " if depthwise else ""
        span = "symmetric weights" if symmetric else "full-range weights"
        yield ""
        yield f"## {kind}{kernel}x{kernel}, {span}"
        yield ""
        yield "| w \\ a | " + " | ".join(map(str, BITS)) + " |"
        yield "|--" * (len(BITS) + 1) + "|"
        for bits, row in zip(BITS, grid, strict=True):
            yield f"| {bits} | " + " | ".join(f"{value:.4g}" for value in row) + " |"


def heat_map(geometry: Geometry, cells: dict[Key, Grid], path: Path) -> None:
    """Symmetric weights, all kernels, on a logarithmic colour scale."""
    figure = Figure(figsize=(11, 3.3), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(KERNELS), sharey=True)
    shown = [cells[kernel, False, True] for kernel in KERNELS]
    top = max(float(grid.max()) for grid in shown)
    for axis, kernel, grid in zip(panels, KERNELS, shown, strict=True):
        axis.imshow(np.log(grid), cmap="viridis", vmin=0, vmax=np.log(top), origin="lower")
        axis.set_title(f"{kernel}x{kernel}", fontsize=9)
        axis.set_xlabel("activation bits", fontsize=8)
        axis.set_xticks(range(len(BITS)), list(map(str, BITS)), fontsize=7)
        axis.set_yticks(range(len(BITS)), list(map(str, BITS)), fontsize=7)
        for (row, column), value in np.ndenumerate(grid):
            colour = "black" if np.log(value) > 0.6 * np.log(top) else "white"
            axis.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=5.5, color=colour)
    panels[0].set_ylabel("weight bits", fontsize=8)
    figure.suptitle(f"{geometry.title}: multiplies per block and cycle, symmetric weights", fontsize=10)
    picture = BytesIO()
    canvas.print_figure(picture)
    Image.open(picture).convert("RGB").quantize(48).save(path, optimize=True)


def write_bounds(out: Path) -> None:
    """``bounds.md``: what the solver reaches where numbers are known."""
    (out / "bounds.md").write_text("\n".join(_bounds_lines()) + "\n", encoding="utf-8")


def _bounds_lines() -> Iterator[str]:
    yield "# Known numbers and what the solver reaches"
    for title, known, symmetric, freedom in (
        ("No overlap, full-range weights", PLAIN, False, PLAIN_FREEDOM),
        ("One bit of overlap, symmetric weights", SYMMETRIC, True, FULL),
    ):
        yield from ("", f"## {title}: known / reached", "")
        yield "| block | " + " | ".join(f"w{w}a{a} K{k}" for w, a, k in CASES) + " |"
        yield "|--" * (len(CASES) + 1) + "|"
        for name, values in known.items():
            reached = [rate(*case, GEOMETRIES[name], symmetric, freedom=freedom) for case in CASES]
            pairs = zip(values, reached, strict=True)
            yield f"| {name} | " + " | ".join(f"{k:g} / {r:.4g}" for k, r in pairs) + " |"
    dsp = GEOMETRIES["dsp48e2"]
    yield ""
    for (w, a, kernel), value in FOUND:
        yield f"DSP48E2, symmetric, w{w}a{a} K{kernel}: known {value:g}, reached {rate(w, a, kernel, dsp, True):.4g}."
    yield from ("", "## Published factor tables (27x18, full-range weights)", "")
    yield "claimed / reached without overlap / reached with one bit. **Bold**: the claim is above what the solver finds"
    yield "without overlap, so that it is no packing of plain fields; all of these are reached with one shared bit."
    for kernel, rows in FACTORS.items():
        yield from ("", f"### K{kernel}", "", "| w \\ a | " + " | ".join(map(str, WIDTHS)) + " |")
        yield "|--" * (len(WIDTHS) + 1) + "|"
        for w, row in zip(WIDTHS, rows, strict=True):
            cells = (_published_cell(w, a, kernel, claim, dsp) for a, claim in zip(WIDTHS, row, strict=True))
            yield f"| {w} | " + " | ".join(cells) + " |"


def _published_cell(w: int, a: int, kernel: int, claim: float, dsp: Geometry) -> str:
    plain = rate(w, a, kernel, dsp, False, freedom=PLAIN_FREEDOM)
    text = f"{claim:g} / {plain:.3g} / {rate(w, a, kernel, dsp, False):.3g}"
    return f"**{text}**" if plain < claim - 0.005 else text


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="hls.packing.tables", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables and pictures")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for name in pool.map(partial(write_geometry, out=arguments.out), GEOMETRIES):
            print(name, flush=True)
    write_bounds(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
