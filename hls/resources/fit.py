"""Fits the coefficients to the measured table: ``python -m hls.resources.fit --docs docs``.

Per family and kind non-negative least squares of the relative errors on four fifths of its primitives; the others,
drawn with a fixed seed, are held out and only tell the error.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from hls.resources.compare import report
from hls.resources.families import FAMILIES, Counts
from hls.resources.measure import TABLE, Measurement, read_table
from hls.resources.model import COEFFICIENTS
from hls.resources.model import coefficients as coefficients_of
from hls.resources.picture import scatter

SEED = 2024
HELD_OUT = 0.2
KINDS = ("lut", "ff")
SMALL = 4
"""Differences count relative to the measured number, or to this many where it is smaller."""

Array = NDArray[np.float64]
Coefficients = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Point:
    """One primitive's prediction beside its measurement."""

    row: Measurement
    kind: str
    measured: int
    predicted: float
    held_out: bool

    @property
    def error(self) -> float:
        return abs(self.predicted - self.measured) / max(self.measured, SMALL)


def held_out(rows: Sequence[Measurement]) -> list[bool]:
    """A fifth of every family's rows, at least one, by a fixed seed."""
    chosen = [False] * len(rows)
    generator = np.random.default_rng(SEED)
    for family in FAMILIES:
        members = [k for k, row in enumerate(rows) if row.family == family]
        for k in generator.permutation(len(members))[: max(1, round(HELD_OUT * len(members)))]:
            chosen[members[int(k)]] = True
    return chosen


def counts(row: Measurement, kind: str) -> Counts:
    family = FAMILIES[row.family]
    return (family.lut if kind == "lut" else family.ff)(**row.parameters)


def fit(rows: Sequence[Measurement]) -> Coefficients:
    """Coefficients per family and kind, from all ``rows``."""
    result: Coefficients = {}
    for family in FAMILIES:
        mine = [row for row in rows if row.family == family]
        result[family] = {}
        for kind in KINDS:
            measured = np.array([getattr(row, kind) for row in mine], dtype=float)
            weights = 1 / np.maximum(measured, SMALL)
            matrix = np.array([counts(row, kind) for row in mine], dtype=float)
            best = non_negative(matrix * weights[:, None], measured * weights)
            result[family][kind] = [round(float(c), 4) for c in best]
    return result


def non_negative(matrix: Array, target: Array) -> Array:
    """Least squares with no negative coefficient: the best among all subsets of columns (there are at most four)."""
    columns = matrix.shape[1]
    best, best_error = np.zeros(columns), float(target @ target)
    for size in range(1, columns + 1):
        for subset in combinations(range(columns), size):
            found = np.linalg.lstsq(matrix[:, subset], target, rcond=None)[0]
            residual = matrix[:, subset] @ found - target
            if (found >= 0).all() and float(residual @ residual) < best_error - 1e-12:
                best, best_error = np.zeros(columns), float(residual @ residual)
                best[list(subset)] = found
    return best


def points(rows: Sequence[Measurement], coefficients: Coefficients) -> list[Point]:
    out = held_out(rows)
    return [
        Point(
            row,
            kind,
            getattr(row, kind),
            float(np.dot(coefficients[row.family][kind], counts(row, kind))),
            out[k],
        )
        for kind in KINDS
        for k, row in enumerate(rows)
    ]


def errors(found: Sequence[Point], kind: str, family: str | None = None) -> Mapping[str, float]:
    """Of the held-out primitives: how many, mean and largest relative error, and the error of their sum."""
    mine = [p for p in found if p.kind == kind and p.held_out and family in (None, p.row.family)]
    measured = sum(p.measured for p in mine)
    return {
        "count": len(mine),
        "mean": float(np.mean([p.error for p in mine])),
        "worst": max(p.error for p in mine),
        "sum": (sum(p.predicted for p in mine) - measured) / max(measured, 1),
    }


def table(found: Sequence[Point], coefficients: Coefficients) -> str:
    """Markdown: a row per family, the last one for all."""
    lines = [
        "| family | LUT = | mean error | worst | FF = | mean error | worst | measured, held out |",
        "|--|--|--|--|--|--|--|--|",
    ]
    for family in (*FAMILIES, None):
        cells = [family or "**all**"]
        for kind in KINDS:
            e = errors(found, kind, family)
            cells += [_formula(family, kind, coefficients), f"{e['mean']:.1%}", f"{e['worst']:.1%}"]
        total = sum(p.kind == "lut" and family in (None, p.row.family) for p in found)
        lines.append(f"| {' | '.join(cells)} | {total}, {errors(found, 'lut', family)['count']:.0f} |")
    return "\n".join(lines)


def _formula(family: str | None, kind: str, coefficients: Coefficients) -> str:
    if family is None:
        return ""
    names = FAMILIES[family].lut_names if kind == "lut" else FAMILIES[family].ff_names
    terms = [f"{c:.3g} {name}" for c, name in zip(coefficients[family][kind], names, strict=True) if c]
    return " + ".join(terms) or "0"


def renewed(page: str, section: str, text: str) -> str:
    """A page with the text between a section's marks replaced."""
    first, last = f"<!-- {section}: written by hls.resources.fit -->\n", f"<!-- end of {section} -->"
    before, rest = page.split(first)
    return before + first + text + "\n" + last + rest.split(last)[1]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="hls.resources.fit", description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--docs", type=Path, help="folder whose resources.md and picture to renew")
    arguments = parser.parse_args(argv)
    rows = read_table(arguments.table)
    out = held_out(rows)
    coefficients = fit([row for row, held in zip(rows, out, strict=True) if not held])
    found = points(rows, coefficients)
    text = table(found, coefficients)
    print(text)
    lut = errors(found, "lut")
    print(f"{len(rows)} primitives, {lut['count']:.0f} held out: LUT error {lut['mean']:.1%}, sum {lut['sum']:+.1%}")
    COEFFICIENTS.write_text(yaml.safe_dump(coefficients, sort_keys=False, default_flow_style=None), encoding="utf-8")
    coefficients_of.cache_clear()
    if arguments.docs:
        page = arguments.docs / "resources.md"
        written = renewed(page.read_text(encoding="utf-8"), "fitted", text)
        page.write_text(renewed(written, "compared", report()), encoding="utf-8")
        scatter(found, arguments.docs / "resources.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
