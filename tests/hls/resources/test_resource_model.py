"""The resource model: exact parts against arithmetic, fitted parts against synthesis."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hls.packing.geometry import GEOMETRIES
from hls.resources import model
from hls.resources.adder_graph import adder_graph, signed_digits
from hls.resources.catalogue import catalogue
from hls.resources.compare import ULTRANET, multipliers, requantise
from hls.resources.compress import compression
from hls.resources.fit import errors, fit, held_out, non_negative, points
from hls.resources.measure import read_table
from hls.resources.memory import bram18, uram
from hls.resources.primitives import primitive
from hls.resources.synth import synthesise, yosys
from ir.target import Resources

needs_yosys = pytest.mark.skipif(yosys() is None, reason="yosys is not installed (apt install yosys)")


@pytest.mark.parametrize(
    ("words", "bits", "blocks"),
    [(512, 36, 1), (513, 36, 2), (512, 37, 2), (1024, 18, 1), (2048, 9, 1), (4096, 4, 1), (16384, 1, 1), (4096, 5, 2),
     (1, 72, 2), (0, 8, 0)],
)  # fmt: skip
def test_block_memories_by_geometry(words: int, bits: int, blocks: int) -> None:
    assert bram18(words, bits) == blocks


def test_ultraram_has_one_shape() -> None:
    assert [uram(4096, 72), uram(4097, 72), uram(100, 144)] == [1, 2, 2]
    assert model.ram(8192, 72, "uram") == Resources(uram=2)
    with pytest.raises(ValueError, match="no initial values"):
        model.rom(10, 10, "uram")


@pytest.mark.parametrize(
    ("geometry", "left", "right", "blocks"),
    [("dsp48e2", 27, 18, 1), ("dsp48e2", 18, 27, 1), ("dsp48e2", 28, 18, 2), ("dsp48e2", 19, 19, 2),
     ("dsp48e2", 44, 35, 4), ("dsp48e1", 26, 18, 2), ("dsp58", 27, 24, 1), ("macc18", 18, 18, 1),
     ("macc18", 19, 18, 2)],
)  # fmt: skip
def test_multipliers_by_port_width(geometry: str, left: int, right: int, blocks: int) -> None:
    assert model.multiply_dsp(left, right, GEOMETRIES[geometry]).dsp == blocks


def test_published_ultranet_multipliers_and_cycles() -> None:
    """The products per cycle of the published folding, and a multiplier per requantised channel (config.h)."""
    assert max(layer.cycles for layer in ULTRANET) == 460_800
    assert sum(multipliers(layer).dsp for layer in ULTRANET) == 48 + 128 + 128 + 64 + 4 * 16 + 16
    assert sum(requantise(layer).dsp for layer in ULTRANET) == 16 + 8 + 8 + 4 + 4 * 2


@pytest.mark.parametrize("value", [0, 1, -1, 7, -7, 23, 127, -128, 255, 1000003])
def test_canonical_signed_digits(value: int) -> None:
    digits = signed_digits(value)
    shifts = [shift for shift, _ in digits]
    assert sum(sign << shift for shift, sign in digits) == value
    assert all(b - a > 1 for a, b in pairwise(shifts))


@pytest.mark.parametrize("seed", range(12))
def test_adder_graphs_are_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits, activation = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    low = -(1 << activation - 1) if seed % 3 == 0 else 0
    high = low + (1 << activation) - 1
    shape = (int(rng.integers(1, 20)), int(rng.integers(1, 40)))
    weights = rng.integers(-(1 << bits - 1), 1 << bits - 1, shape)
    graph = adder_graph(weights, low, high)
    vectors = rng.integers(low, high + 1, (20, shape[1]))
    vectors[0], vectors[1] = low, high
    for x in vectors:
        assert graph.evaluate([int(v) for v in x]) == list(weights @ x)
    digits = sum(len(signed_digits(int(w))) for w in weights.flat)
    assert len(graph.adders) <= max(0, digits - np.count_nonzero(weights.any(1)))


def test_adder_graphs_share_what_outputs_have_in_common() -> None:
    """Two rows that differ in sign and shift only need the adders of one; a row of powers of two alone needs none."""
    row = np.array([3, -5, 7, 0, 1])
    once = adder_graph(row[None], 0, 15)
    assert len(adder_graph(np.stack([row, -4 * row]), 0, 15).adders) == len(once.adders)
    assert adder_graph(np.array([[0, 0, -8]]), 0, 15).adders == ()


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 7, 30, 64, 200])
def test_compression_reduces_every_column_to_two(n: int) -> None:
    heights = Counter({0: n})
    for counters in compression({0: n}).rounds:
        for counter in counters:
            heights[counter.column] -= counter.inputs
            heights.update(range(counter.column, counter.column + counter.outputs))
        assert min(heights.values()) >= 0
    assert max(heights.values()) <= 2


def test_the_table_covers_the_catalogue() -> None:
    rows = read_table()
    assert len(rows) >= 100
    assert [(row.family, row.parameters) for row in rows] == list(catalogue())


def test_the_committed_coefficients_are_the_fit_of_the_committed_table() -> None:
    rows = read_table()
    out = held_out(rows)
    assert 0.18 <= sum(out) / len(rows) <= 0.22
    fitted = fit([row for row, held in zip(rows, out, strict=True) if not held])
    for family, kinds in model.coefficients().items():
        for kind, values in kinds.items():
            assert fitted[family][kind] == pytest.approx(values, abs=2e-3), family


def test_held_out_primitives_are_predicted() -> None:
    """What docs/resources.md claims, with room for nothing: the table is committed."""
    found = points(read_table(), {f: dict(c) for f, c in model.coefficients().items()})  # type: ignore[arg-type]
    for kind, mean in (("lut", 0.06), ("ff", 0.06)):
        assert errors(found, kind)["mean"] < mean
        assert abs(errors(found, kind)["sum"]) < 0.05


def test_non_negative_least_squares_drops_what_would_be_negative() -> None:
    matrix = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    assert non_negative(matrix, matrix @ [2.0, 0.5]) == pytest.approx([2.0, 0.5])
    found = non_negative(matrix, matrix @ [4.0, -1.0])
    assert found.min() >= 0 and found[1] == 0


@pytest.mark.parametrize(("weight", "activation", "plain"), [(2, 2, 24), (3, 3, 47), (4, 4, 89), (8, 8, 285)])
def test_structured_products_cost_a_fraction_of_plain_ones(weight: int, activation: int, plain: int) -> None:
    """``plain``: LUTs per multiply-accumulate of a `*` in a 16-term dot product under Yosys, measured beforehand."""
    per_product = model.lut_dot(16, weight, activation).lut / 16
    assert per_product < plain / 5


def test_constant_products_of_a_real_layer(shared_data: Path) -> None:
    """UltraNet's first layer: fewer LUTs than one adder per non-zero weight and output would take."""
    weights = np.load(shared_data / "golden" / "ultranet_integers.npz")["w0"]
    adders = np.count_nonzero(weights) - len(weights)
    assert model.constant_dot(weights, 8).lut < 10 * adders


AGAIN = [
    ("adder", {"bits": 12}),
    ("comparator", {"bits": 16}),
    ("rom", {"words": 64, "bits": 4}),
    ("popcount", {"n": 24}),
    ("lut_dot", {"terms": 8, "weight": 4, "activation": 4, "chain": 4}),
    ("constant_dot", {"outputs": 1, "terms": 9, "weight": 4, "activation": 4}),
]


@needs_yosys
def test_synthesis_again() -> None:
    """Yosys versions differ by a few LUTs."""
    rows = {(row.family, tuple(row.parameters.items())): row for row in read_table()}
    measured = synthesise([primitive(family, **parameters).verilog for family, parameters in AGAIN])
    for (family, parameters), cells in zip(AGAIN, measured, strict=True):
        row = rows[family, tuple(parameters.items())]
        assert cells.lut == pytest.approx(row.lut, rel=0.1, abs=2), family
        assert cells.ff == pytest.approx(row.ff, rel=0.05, abs=1), family
