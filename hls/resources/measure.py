"""Synthesises the catalogue and writes the measured table: ``python -m hls.resources.measure`` (some minutes)."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hls.resources.catalogue import catalogue
from hls.resources.primitives import primitive
from hls.resources.synth import Cells, synthesise

TABLE = Path(__file__).with_name("measured.csv")
BATCH = 30
"""Primitives that one run of Yosys takes."""

COLUMNS = ("family", "parameters", "lut", "ff", "cells")


@dataclass(frozen=True)
class Measurement:
    """One row of the table: what synthesis made of a primitive."""

    family: str
    parameters: Mapping[str, int]
    lut: int
    ff: int


def read_table(path: Path = TABLE) -> list[Measurement]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Measurement(row["family"], _parsed(row["parameters"]), int(row["lut"]), int(row["ff"]))
            for row in csv.DictReader(file)
        ]


def write_table(rows: Iterable[tuple[str, Mapping[str, int], Cells]], path: Path = TABLE) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for family, parameters, cells in rows:
            writer.writerow((family, _written(parameters), cells.lut, cells.ff, _written(cells.counts)))


def _written(values: Mapping[str, int]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items())


def _parsed(text: str) -> dict[str, int]:
    pairs = (each.split("=") for each in text.split())
    return {key: int(value) for key, value in pairs}


Case = tuple[str, Mapping[str, int]]


def measure(cases: Sequence[Case]) -> list[Cells]:
    return synthesise([primitive(family, **parameters).verilog for family, parameters in cases])


def _kept(path: Path, families: Sequence[str]) -> dict[tuple[str, str], Cells]:
    """The rows of a table that are of no family of ``families``."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["family"] not in families]
    return {(row["family"], row["parameters"]): Cells(_parsed(row["cells"])) for row in rows}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="hls.resources.measure", description=__doc__)
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--family", action="append", help="only this one anew, may be repeated; the others are kept")
    arguments = parser.parse_args(argv)
    kept = _kept(arguments.out, arguments.family) if arguments.family else {}
    cases = [(family, parameters) for family, parameters in catalogue() if (family, _written(parameters)) not in kept]
    batches = [cases[start : start + BATCH] for start in range(0, len(cases), BATCH)]
    rows: list[tuple[str, Mapping[str, int], Cells]] = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for batch, found in zip(batches, pool.map(measure, batches), strict=True):
            rows += [(*case, cells) for case, cells in zip(batch, found, strict=True)]
            print(f"{len(rows)} of {len(cases)} primitives", file=sys.stderr)
    found_cells = kept | {(family, _written(parameters)): cells for family, parameters, cells in rows}
    write_table(((f, p, found_cells[f, _written(p)]) for f, p in catalogue()), arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
