"""A signature and a variant as input of the measured program, harness/tune_main.c, which reads them in this order.

Weights, operands and constants are seeded numbers of the right types: time does not depend on them, sums may overflow.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cpu_backend.emit.sparse import offsets, plane_bytes, sparse_fields
from cpu_backend.layers import Layer, layers_of
from cpu_backend.repeated import GROUPS_SUM16, Columns, Repeated
from cpu_backend.sparse import BYTES, Pruned, Tile
from cpu_backend.tuning.signature import Signature
from cpu_backend.variants import FAMILIES, USUAL, Family, Variant, products
from cpu_backend.winograd import PLANES
from ir.graph import Graph, Node
from ir.ops import Conv2d, MaxPool2d
from ir.types import Array, TensorType

SEED = 2
ALIGN = 64
Integer = type[np.signedinteger | np.unsignedinteger]
TYPES: Mapping[str, Integer] = {
    "HCK_U8": np.uint8,
    "HCK_I8": np.int8,
    "HCK_U16": np.uint16,
    "HCK_I16": np.int16,
    "HCK_I32": np.int32,
}
"""hck_type in its order."""
MAPS = (
    "HCK_KEEP",
    "HCK_MULTIPLY_SHIFT",
    "HCK_THRESHOLDS",
    "HCK_CLIP",
    "HCK_ADD",
    "HCK_PRELU",
    "HCK_RPRELU",
)
"""hck_map in its order."""
SUMS = (*(way.name for way in BYTES), GROUPS_SUM16.name)
"""hck_sums in its order."""
FUSED = ("HCK_APART", "HCK_PARTS", "HCK_SHORT_PARTS", "HCK_WHOLE_SUMS")
"""hck_fused in its order."""
NUMBERS = {name: n for names in (tuple(TYPES), MAPS, SUMS, FUSED, ("HCK_HWC",)) for n, name in enumerate(names)}
SHIFT, HALVES_SHIFT = 8, 20
WIDTHS: Mapping[str, Integer] = {"wide_add": np.int64, "before": np.int16}
"""Arrays of other than 32 bits."""
CONV, GATED, SPARSE, FILTERED = range(4)
KINDS: Mapping[Family, int] = {"columns": SPARSE, "winograd": FILTERED}


class Stream:
    """Words of 64 bits and arrays, which begin at multiples of 64 bytes."""

    def __init__(self) -> None:
        self.data = bytearray()

    def words(self, values: Sequence[int | str]) -> None:
        numbers = [NUMBERS[v] if isinstance(v, str) else v for v in values]
        self.data += struct.pack(f"<{len(numbers)}q", *numbers)

    def array(self, values: Array | None) -> None:
        self.words([values.nbytes if values is not None else 0])
        if values is not None:
            self.data += bytes(-len(self.data) % ALIGN) + values.tobytes()
            self.data += bytes(-len(self.data) % 8)


def encode(signature: Signature, variant: Variant) -> bytes:
    """The call with this variant, which has to be `legal`."""
    stream, rng, conv = Stream(), np.random.default_rng(SEED), signature.conv
    kind = KINDS.get(variant.family, GATED if signature.operator == "gated" else CONV)
    stream.words([kind])
    _map(stream, rng, signature, signature.columns.get("halves") if kind == SPARSE and signature.columns else None)
    x_type = TYPES[str(conv["x_type"])]
    if kind == SPARSE:
        _sparse(stream, signature)
    else:
        stream.words(list(conv.values()))
        family = list(FAMILIES).index(variant.family if variant.family in FAMILIES else USUAL.family)
        stream.words([family, variant.sums, variant.lmul, variant.pixels])
    if kind == FILTERED:
        _winograd(stream, rng, signature)
    elif kind != SPARSE:
        stream.array(_integers(rng, products(conv) * int(conv["out_c"]), np.int8))
    if kind == GATED:
        stream.array(_integers(rng, int(conv["out_c"]), np.int8).astype(np.int32))
        x = rng.integers(0, 4, int(conv["in_h"]) * int(conv["in_w"]) * int(conv["in_c"])).astype(np.uint8)
    else:
        x = _integers(rng, int(conv["in_h"]) * int(conv["in_w"]) * int(conv["in_c"]), x_type)
    stream.array(x)
    return bytes(stream.data)


def _integers(rng: np.random.Generator, count: int, type_: Integer) -> Array:
    info = np.iinfo(type_)
    return rng.integers(info.min, info.max, count, endpoint=True).astype(type_)


def _map(stream: Stream, rng: np.random.Generator, signature: Signature, halves: str | None) -> None:
    """hck_requantise; bounds are those of the result's type. ``halves``: in 16 bits, results from 0 to more than 127
    ("unsigned"), of others ("bytes"), or clipped at once ("above")."""
    facts, channels = signature.map, int(signature.conv["out_c"])
    bounds, levels = np.iinfo(TYPES[facts["y_type"]]), int(facts["levels"])
    lo, hi = int(bounds.min), int(bounds.max) if halves in (None, "unsigned") else int(np.iinfo(np.int8).max)
    shift = SHIFT if halves is None else HALVES_SHIFT
    stream.words([facts["map"], facts["y_type"], channels, shift, lo, hi, levels, 0, 1, int(halves == "above")])
    arrays = [*facts["arrays"], *(["before"] if halves else [])]
    for key in ("mul", "add", "wide_add", "table", "sign", "after", "least", "most", "before"):
        size = channels * (levels if key == "table" else 1)
        values = rng.integers(1, 100, size) if key != "sign" else np.ones(size)
        present = key in arrays
        stream.array(values.astype(WIDTHS.get(key, np.int32)) if present else None)


def _sparse(stream: Stream, signature: Signature) -> None:
    """hck_sparse."""
    layer, pruned = stub(signature), typical(signature)
    stream.words(list(sparse_fields(layer, pruned).values()))
    arrays = {"offsets": offsets(layer, pruned.rows, plane_bytes(layer, pruned)), **pruned.arrays()}
    for key in ("offsets", "channels", "runs", "lengths", "columns", "weights"):
        stream.array(arrays[key])


def _winograd(stream: Stream, rng: np.random.Generator, signature: Signature) -> None:
    """What hck_winograd has beside its hck_conv."""
    assert signature.winograd is not None
    facts, conv = signature.winograd, signature.conv
    period = -(-int(conv["in_c"]) // facts["stretches"]) if facts["stretches"] else 0
    stream.words([facts[key] for key in ("operands", "sums", "results", "strip")] + [period] * PLANES)
    stream.array(_integers(rng, PLANES * int(conv["in_c"]) * int(conv["out_c"]), TYPES[facts["operands"]]))


def stub(signature: Signature) -> Layer:
    """A layer of the signature's geometry; its weights are ones."""
    c = {key: int(value) for key, value in signature.conv.items() if isinstance(value, int)}
    bounds = np.iinfo(TYPES[str(signature.conv["x_type"])])
    ends = [
        max(0, (c[f"out_{axis}"] - 1) * c[f"stride_{axis}"] + c[f"kernel_{axis}"] - c[f"in_{axis}"] - c[before])
        for axis, before in (("h", "pad_top"), ("w", "pad_left"))
    ]
    padding = (c["pad_top"], c["pad_left"], ends[0], ends[1])
    nodes = [Node("conv", Conv2d((c["stride_h"], c["stride_w"]), padding, c["groups"]), ("x", "w"))]
    if c["pool"] == 2:
        nodes.append(Node("pool", MaxPool2d(), ("conv",)))
    x = TensorType.of_range((c["in_c"], c["in_h"], c["in_w"]), int(bounds.min), int(bounds.max))
    weights = np.ones((c["out_c"], c["in_c"] // c["groups"], c["kernel_h"], c["kernel_w"]), np.int64)
    (layer,) = layers_of(Graph("stub", {"x": x}, tuple(nodes), (nodes[-1].name,), {"w": weights}).verify())
    return layer


def typical(signature: Signature) -> Columns:
    """Weights by columns as the signature describes them: columns drawn at random, runs and groups of one length."""
    assert signature.columns is not None
    facts, rng = signature.columns, np.random.default_rng(SEED)
    if facts["sums"] == GROUPS_SUM16.name:
        return _repeated(facts, rng)
    every = np.sort(rng.permutation(products(signature.conv))[: facts["rows"]])
    tiles = []
    for count, channels, columns in facts["tiles"]:
        for _ in range(count):
            kept = np.sort(rng.permutation(every)[:columns])
            tiles.append(Tile(kept, _integers(rng, channels * columns, np.int8).reshape(channels, columns)))
    rows = np.unique(np.concatenate([tile.columns for tile in tiles]))
    sums = next(way for way in BYTES if way.name == facts["sums"])
    lengths = []
    for first in range(0, max(1, rows.size), facts["block_rows"]):
        block = rows[first : first + facts["block_rows"]]
        here = [int(np.isin(tile.columns, block).sum()) for tile in tiles]
        lengths.append(tuple(_split(count, facts["run"], first == 0) for count in here))
    return Pruned(tuple(tiles), rows, facts["block_rows"], sums, tuple(lengths))


def _repeated(facts: Mapping[str, Any], rng: np.random.Generator) -> Repeated:
    """Half of each group is subtracted."""
    ((channels, _, kept),) = facts["tiles"]
    rows, block_rows, run = (int(facts[key]) for key in ("rows", "block_rows", "run"))
    every = [np.sort(rng.permutation(rows)[:kept]) for _ in range(channels)]
    here = [
        row[(first <= row) & (row < first + block_rows)]
        for first in range(0, max(1, rows), block_rows)
        for row in every
    ]
    counts = [(row.size, min(row.size, max(1, round(row.size / run)))) for row in here]  # elements, groups
    each = np.array([n * (k + 1) // count - n * k // count for n, count in counts for k in range(count)], np.int64)
    groups = np.array([count for _, count in counts]).reshape(-1, channels)
    weights = _integers(rng, each.size, np.int8)
    columns = np.concatenate(here) % block_rows
    return Repeated(np.arange(rows), block_rows, groups, each - each // 2, each // 2, weights, columns)


def _split(count: int, run: int, first: bool) -> tuple[int, ...]:
    """The first block has a run even without columns: it sets the sums."""
    if count == 0:
        return (0,) if first else ()
    run = run or count
    return (*[run] * (count // run), *([count % run] if count % run else []))
