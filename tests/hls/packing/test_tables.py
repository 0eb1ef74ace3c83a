"""The committed tables are what the solver finds now."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hls.packing.geometry import GEOMETRIES
from hls.packing.tables import BITS, heat_map, rate

DOCS = Path(__file__).parents[3] / "docs" / "packing"


def read_table(name: str) -> dict[tuple[bool, int, bool], list[list[float]]]:
    """(depthwise, kernel, symmetric) -> rows."""
    tables: dict[tuple[bool, int, bool], list[list[float]]] = {}
    for section in (DOCS / f"{name}.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        found = re.match(r"(depthwise )?(\d)x\d, (symmetric|full-range)", section)
        assert found
        rows = [line.split("|")[2:-1] for line in section.splitlines() if re.match(r"\| \d", line)]
        tables[bool(found[1]), int(found[2]), found[3] == "symmetric"] = [[float(cell) for cell in row] for row in rows]
    return tables


@pytest.mark.parametrize("name", GEOMETRIES)
def test_sample_of_cells(name: str) -> None:
    tables = read_table(name)
    assert len(tables) == 16 and all(len(rows) == 8 for rows in tables.values())
    rng = np.random.default_rng(len(name))
    for _ in range(12):
        depthwise, symmetric = (bool(n) for n in rng.integers(0, 2, 2))
        kernel, w, a = int(rng.choice([1, 3, 5, 7])), int(rng.integers(1, 9)), int(rng.integers(1, 9))
        value = rate(w, a, kernel, GEOMETRIES[name], symmetric, depthwise)
        assert tables[depthwise, kernel, symmetric][w - 1][a - 1] == pytest.approx(value, rel=1e-3)


def test_heat_map(tmp_path: Path) -> None:
    grid = np.ones((len(BITS), len(BITS)))
    heat_map(GEOMETRIES["ecp5"], {(k, False, True): grid * k for k in (1, 3, 5, 7)}, tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.width > 800 and len(picture.convert("RGB").getcolors(1 << 16) or []) > 4
