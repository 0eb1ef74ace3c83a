"""Estimated cycles of a convolution by columns, without the map behind it: operations on vectors of pixels, and the
instructions of a core of single issue, as counted under the meter."""

from __future__ import annotations

from math import prod

from cpu_backend.cost.reference import REFERENCE_VLEN
from cpu_backend.emit import plane_shape
from cpu_backend.emit.convolution import map_to_bytes
from cpu_backend.layers import Layer
from cpu_backend.repeated import ROW_BYTES, Columns, Repeated
from cpu_backend.tiles import row_tiles

LONGEST_VLEN = 512
"""At which panels have their full size (HCK_ROW_BYTES)."""
PLANE_ELEMENT, PANEL_ELEMENT, IN_PLACE_ELEMENT = 1.2, 0.1, 0.25
"""Cycles per element of the padded planes, of a panel, and of one that is filled in place, at REFERENCE_VLEN."""
ELEMENT_STORED, FOURTH_STORED, SUM_MOVED = 1, 1 / 4, 1 / 4
"""Memory cycles of a result, one of a strided access, at any VLEN, and of bytes that are stored in words; of a sum's
way to memory and back."""
PIECE_ISSUED = 3.5
"""Instructions per column of a panel and row of pixels in it."""
TILE_ISSUED, CHANNEL_ISSUED = 60, 60
"""Instructions per tile of a panel and per channel."""
PRODUCT_ISSUED, COLUMN_ISSUED, IN_PLACE_ISSUED = 2.5, 6, 45
"""Per product, column of a tile and row in place."""
ELEMENT_ISSUED, GROUP_ISSUED = 4.6, 23
"""Where weights repeat: per element and group."""


def columns_cycles(layer: Layer, columns: Columns, vlen: int) -> float:
    """Operations as the proof counts them, what is moved, and the lanes that pixels do not fill."""
    pixels, channels, scale = prod(layer.first.type.shape[1:]), layer.first.type.shape[0], REFERENCE_VLEN / vlen
    issued: float = columns.rows.size * IN_PLACE_ISSUED if layer.is_in_place else 0
    memory = 0.0
    if isinstance(columns, Repeated):
        panel, elements = ROW_BYTES, columns.columns.size
        issued += elements * ELEMENT_ISSUED + columns.products * GROUP_ISSUED
        words = channels % 4 == 0 and map_to_bytes(layer) is not None
        memory = (elements * columns.sums.product + channels * SUM_MOVED) * scale
        memory += channels * (FOURTH_STORED if words else ELEMENT_STORED)
    else:
        panel = round(min(vlen, LONGEST_VLEN) / (32 * columns.sums.product))
        issued += columns.products * PRODUCT_ISSUED + sum(tile.columns.size for tile in columns.tiles) * COLUMN_ISSUED
    issued += columns.count * TILE_ISSUED + channels * CHANNEL_ISSUED
    panels = -(-pixels // panel)
    computed = panels * max(panel * columns.beats * scale, panel * memory, issued)
    if layer.is_in_place:
        return computed + pixels * columns.rows.size * IN_PLACE_ELEMENT * scale
    tiles = row_tiles(layer)
    planes = prod(plane_shape(layer)) * (tiles.count if tiles else 1)
    pieces = layer.first.type.shape[1] + panels
    packed = columns.rows.size * max(pixels * PANEL_ELEMENT * scale, pieces * PIECE_ISSUED)
    return computed + planes * PLANE_ELEMENT * scale + packed
