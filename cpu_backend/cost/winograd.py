"""Estimated cycles of a convolution by minimal filtering, without the map behind it: operations on vectors by their
lanes, and the instructions of a core of single issue, as counted under the meter (benchmarks.riscv)."""

from __future__ import annotations

from cpu_backend.cost.reference import REFERENCE_VLEN
from cpu_backend.emit.convolution import weights_of
from cpu_backend.emit.winograd import LANES, filtered, tiles_in
from cpu_backend.layers import Layer
from cpu_backend.tiles import row_tiles
from cpu_backend.winograd import PLANES

BEAT = {"HCK_I8": 1 / 16, "HCK_I16": 1 / 8, "HCK_I32": 1 / 4}
"""Cycles of an operation on a lane of such integers, at REFERENCE_VLEN with a datapath of half of it."""
PLANE_OPERATIONS, RESULT_OPERATIONS, FLUSH_OPERATIONS = 24, 28, 2
"""Of a tile: for a channel's planes, for a channel's results; for a sum that goes from 16 bits to 32."""
ISSUED, SUM_ISSUED, PLANE_ISSUED, RESULT_ISSUED = 3.1, 400, 190, 75
"""Instructions of a tile: per product and vector, per vector of sums, of input channels and of results."""


def filtered_cycles(layer: Layer, vlen: int) -> float:
    """For a layer that `emit.takes_winograd` and that has `emit.filtered`."""
    found, w = filtered(layer), weights_of(layer)
    assert found is not None
    channels = w.shape[1]
    unit = vlen // 16
    most = 4 * unit if found.operands == "HCK_I8" else 2 * unit
    blocks = [min(LANES, w.shape[0] - k) for k in range(0, w.shape[0], LANES)]
    filled = sum(_filled(lanes, unit, most) for lanes in blocks)
    vectors = sum(-(-lanes // most) for lanes in blocks)
    products = "HCK_I16" if found.operands == "HCK_I8" else "HCK_I32"
    flushes = sum(-(-channels // period) for period in found.flush if period)
    beats = filled * (PLANES * channels * BEAT[products] + flushes * FLUSH_OPERATIONS * BEAT["HCK_I32"])
    beats += filled * RESULT_OPERATIONS * BEAT[found.results]
    beats += _filled(channels, unit, 4 * unit) * PLANE_OPERATIONS * BEAT[found.operands]
    issued = vectors * (PLANES * channels * ISSUED + SUM_ISSUED)
    issued += -(-w.shape[0] // (2 * unit)) * RESULT_ISSUED + -(-channels // (4 * unit)) * PLANE_ISSUED
    tiles = row_tiles(layer)
    return float(tiles_in(layer) * (tiles.count if tiles else 1) * max(beats * REFERENCE_VLEN / vlen, issued))


def _filled(lanes: int, unit: int, most: int) -> int:
    """Lanes that vectors of ``unit``, twice or (up to ``most``) four times that work on, the smallest that do."""
    width = next((w for w in (unit, 2 * unit) if lanes <= w), most)
    return -(-lanes // width) * width
