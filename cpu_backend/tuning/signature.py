"""What the time of a convolution layer depends on, and nothing else of it: the key of a measurement.

Not the weights, but what was proven from them: widths of sums and flush periods, as far as kernels tell them apart. So
a retrained network finds its measurements again, and a measurement can be repeated without the network.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

from cpu_backend.emit import filtered, pruned_weights, takes_winograd
from cpu_backend.emit.convolution import conv_accumulator, conv_fields, is_narrow
from cpu_backend.emit.sparse import has_weight_columns, map_in_halves
from cpu_backend.emit.winograd import strip_of
from cpu_backend.halves import Halves
from cpu_backend.layers import Layer
from cpu_backend.ranges import I8, WHOLE_SUM
from cpu_backend.repeated import Repeated
from cpu_backend.requantise import kernel_type, requantisation
from cpu_backend.sparse import LARGEST_TILE, Pruned, rows_of_block
from cpu_backend.variants import Fields, products
from ir.ops import Conv2d, GatedConv2d

LONGEST_RUN = 8
"""Longest group of products that kernels for few pixels sum in 16 bits."""
CLASSES: list[int] = sorted({*(2**n for n in range(17)), *(3 * 2**n for n in range(15))})
"""To which lengths of runs are rounded down: 1, 2, 3, 4, 6, 8, 12, ..."""
GROUPS = sorted({max(1, n * 2**k // 4) for n in range(4, 8) for k in range(9)})
"""To the nearest of which lengths of groups are rounded: 1 to 8, 10, 12, 14, 16, 20, ..."""


@dataclass(frozen=True, eq=False)
class Signature:
    """``conv``: the fields of ``hck_conv``; ``map``: kind, type of the result, thresholds, which constants it has.

    ``columns``: what `Pruned` or `Repeated` is made of, None where their kernel does not take the layer: ``tiles`` as
    [count, channels, columns], panel ``rows`` in blocks of ``block_rows``, ``run``: columns in a run (elements in a
    group), 0 where nothing splits them; ``halves``: the map in 16 bits. ``winograd``: of `Filtering` the types and the
    most stretches of a sum; None likewise.
    """

    operator: Literal["conv", "gated"]
    conv: Fields
    map: Mapping[str, Any]
    columns: Mapping[str, Any] | None
    winograd: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        plain = {"operator": self.operator, "conv": dict(self.conv), "map": dict(self.map)}
        return {**plain, "columns": self.columns, "winograd": self.winograd}

    @property
    def core(self) -> str:
        """Of the convolution alone, whatever pool and map follow it."""
        kept = {key: value for key, value in self.conv.items() if key not in ("pool", "fused")}
        return digest({"operator": self.operator, "conv": kept})

    @property
    def name(self) -> str:
        """For people: kernel, operand, channels and what follows."""
        c = self.conv
        words = [f"{self.operator}{c['kernel_h']}x{c['kernel_w']}", f"{c['in_c']}x{c['in_h']}x{c['in_w']}"]
        words += [f"to{c['out_c']}", str(c["x_type"]).removeprefix("HCK_").lower()]
        words += [f"s{c['stride_h']}{c['stride_w']}"] if (c["stride_h"], c["stride_w"]) != (1, 1) else []
        words += [f"g{c['groups']}"] if c["groups"] != 1 else []
        return "-".join(words + (["pool"] if c["pool"] == 2 else []))


def signature_of(layer: Layer) -> Signature | None:
    """None for what has one kernel only: everything but convolutions of 8-bit weights."""
    found = without_columns(layer)
    if not found or found.operator != "conv":
        return found
    return replace(found, columns=_columns(layer), winograd=_winograd(layer))


def without_columns(layer: Layer) -> Signature | None:
    """The same, quickly: nothing is looked at but the sums."""
    if not isinstance(layer.first.op, (Conv2d, GatedConv2d)) or not is_narrow(layer):
        return None
    conv = {key: _number(value) for key, value in conv_fields(layer, conv_accumulator(layer)).items()}
    for key in ("flush", "flush8"):
        conv[key] = WHOLE_SUM if int(conv[key]) >= products(conv) else conv[key]
    conv["run16"] = max(n for n in (0, 1, 2, 4, LONGEST_RUN) if n <= int(conv["run16"]))
    map_ = requantisation(layer.map)
    facts = {
        "map": map_.fields["map"],
        "y_type": kernel_type(layer.y),
        "levels": map_.fields.get("levels", 0),
        "arrays": sorted(map_.arrays),
    }
    gated = isinstance(layer.first.op, GatedConv2d)
    return Signature("gated" if gated else "conv", conv, facts, None)


def digest(value: Any) -> str:
    """Of plain values, whatever the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _number(value: int | str) -> int | str:
    text = str(value).rstrip("u")
    return int(text) if text.isdigit() else value


def _columns(layer: Layer) -> dict[str, Any] | None:
    """Weights without structure count as if none were zero: as they would after another training."""
    op = layer.first.op
    weights = layer.first.operands[1].constant
    pruned = pruned_weights(layer) if isinstance(op, Conv2d) and op.groups == 1 else None
    if pruned is None:
        return None
    if isinstance(pruned, Repeated):
        return _repeated(pruned, map_in_halves(layer))
    tiles = [(tile.channels, int(tile.columns.size)) for tile in pruned.tiles]
    rows, block_rows = int(pruned.rows.size), pruned.block_rows
    if not has_weight_columns(weights):
        rows = weights[0].size
        filters = weights.shape[0]
        tiles = [(min(LARGEST_TILE, filters - first), rows) for first in range(0, filters, LARGEST_TILE)]
        block_rows = rows_of_block(rows, pruned.sums)
    counted = [[len(list(same)), *tile] for tile, same in groupby(tiles)]
    return {
        "sums": pruned.sums.name,
        "rows": rows,
        "block_rows": block_rows,
        "run": _run(pruned),
        "tiles": counted,
    }


def _repeated(weights: Repeated, halves: Halves | None) -> dict[str, Any]:
    """Every channel as if it had the usual share of weights that are not zero, in sixteenths."""
    rows, elements = int(weights.rows.size), int(weights.columns.size)
    kept = round(16 * elements / max(1, rows * weights.count)) * rows // 16
    mean = elements / max(1, weights.products)
    return {
        "sums": weights.sums.name,
        "rows": rows,
        "block_rows": weights.block_rows,
        "run": min(GROUPS, key=lambda length: abs(length - mean)),
        "tiles": [[weights.count, 1, kept]],
        "halves": _halves(halves),
    }


def _halves(found: Halves | None) -> str | None:
    """How a map in 16 bits ends (`call.encode`)."""
    if found is None:
        return None
    return "unsigned" if int(found.map.fields["hi"]) > I8[1] else "above" if found.map.fields.get("above") else "bytes"


def _winograd(layer: Layer) -> dict[str, Any] | None:
    found = filtered(layer) if takes_winograd(layer) else None
    if found is None:
        return None
    kinds = {"operands": found.operands, "sums": found.sums, "results": found.results}
    return {**kinds, "strip": strip_of(layer, found), "stretches": found.stretches}


def _run(pruned: Pruned) -> int:
    """The usual length of a run, as a class; 0 where each block of a tile is one."""
    runs = [n for block in pruned.lengths for each in block for n in each]
    if all(len(each) <= 1 for block in pruned.lengths for each in block):
        return 0
    return _class(sum(runs) // len(runs))


def _class(length: int) -> int:
    return CLASSES[bisect_right(CLASSES, max(1, length)) - 1]
