"""Estimated cycles of a convolution with a variant, to order the variants before any is measured.

As the meter reckons: the largest of issue, arithmetic beats and memory beats, then stalls. Instructions are counted in
the loops of the kernels (a product of a block: a load of weights, and for each pixel a load of the operand and a
multiply-add), beats by the EMUL of their operations, misses by how often weights that exceed a cache are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod

from cpu_backend.cost.columns import (
    ELEMENT_ISSUED,
    GROUP_ISSUED,
    IN_PLACE_ELEMENT,
    PANEL_ELEMENT,
    PLANE_ELEMENT,
    TILE_ISSUED,
)
from cpu_backend.cost.winograd import FLUSH_OPERATIONS, ISSUED, PLANE_OPERATIONS, RESULT_OPERATIONS, SUM_ISSUED
from cpu_backend.emit import ELEMENT_BYTES
from cpu_backend.emit.winograd import LANES, TILES
from cpu_backend.meter.machine import CacheModel, Machine
from cpu_backend.repeated import GROUPS_SUM16, ROW_BYTES
from cpu_backend.sparse import BYTES, RUN8_SUM16
from cpu_backend.tuning.call import stub
from cpu_backend.tuning.signature import Signature
from cpu_backend.variants import USUAL, Variant, pixels, products, usual
from cpu_backend.winograd import PLANES

TOP_LMUL: Mapping[int, tuple[int, int, int, int]] = {16: (32, 32, 32, 16), 32: (16, 16, 8, 8)}
"""Of kernels for few pixels, by whole 16-bit sums or others: TOP_1 to TOP_4 of hck_few_rvv.c in eighths."""
PER_POINTER, PER_PIXEL = 12, 40
"""Instructions for a pointer to a run, and for a pixel's place and result beside them."""
RESULTS = 4
"""Of a tile of minimal filtering."""
FEWEST = 4
"""The most pixels of a kernel for few."""
MAP_OPERATIONS = 8
"""Vector operations of LMUL 4 per group of 32-bit values: loading, pooling, widening, scaling, clipping, narrowing."""
LONGEST_PANEL = 512
BYTES_32, LINE = 4, 64


@dataclass
class _Work:
    """What a layer does; cycles of operations are added up by kind."""

    machine: Machine
    vlen: int
    cold: bool = False
    issue: float = 0
    arithmetic: float = 0
    memory: float = 0
    stalls: float = 0

    def compute(self, times: float, eighths: int) -> None:
        """Multiply-adds and the like."""
        self.issue += times
        self.arithmetic += times * self.machine.operation("vmul", self.vlen, eighths)

    def move(self, times: float, eighths: int) -> None:
        """Vector loads and stores."""
        self.issue += times
        self.memory += times * self.machine.operation("vload", self.vlen, eighths)

    def read_again(self, size: int, times: float) -> None:
        """Misses of data that is read from end to end, over and over."""
        for level in (self.machine.l1, self.machine.l2):
            if level:
                self.miss(level, size * (times if size > level.kib * 1024 else self.first(level)))

    def first(self, level: CacheModel) -> int:
        """How often what a cache holds is read from behind it: once a frame, but for what a second one still holds."""
        return int(self.cold or level is self.machine.l1)

    def miss(self, level: CacheModel, size: float) -> None:
        self.stalls += size / level.line_bytes * level.miss_cycles

    @property
    def cycles(self) -> int:
        return round(max(self.issue / self.machine.issue_width, self.arithmetic, self.memory) + self.stalls)


def estimate(signature: Signature, variant: Variant, machine: Machine, vlen: int, cold: bool = False) -> int:
    """Cycles of a frame on one core, with warm caches unless ``cold`` (`forms.weights_leave_cache`)."""
    work = _Work(machine, vlen, cold)
    if variant == USUAL:
        variant = usual(signature.conv, vlen)
    if variant.family == "columns":
        _columns(signature, work)
    elif variant.family == "winograd":
        _winograd(signature, work)
    else:
        planes = 2 if signature.operator == "gated" else 1
        for _ in range(planes):
            _lanes_of_channels(signature, variant, work)
    _map(signature, work)
    return work.cycles


def _lanes_of_channels(signature: Signature, variant: Variant, work: _Work) -> None:
    """Blocks of pixels, one vector of channels after another; what no block is full of is left to kernels for few, but
    for depthwise ones, which repeat pixels."""
    c, depth = signature.conv, products(signature.conv)
    count, mr = pixels(c), variant.pixels or 4
    lanes = int(c["out_c"]) // int(c["groups"])
    depthwise = variant.family in ("depthwise", "usual")
    if depthwise:
        lanes = int(c["out_c"])
    whole = 0 < depth <= int(c["flush"])
    sums = variant.sums or (16 if whole else 32)
    lmul = variant.lmul or (8 if depthwise else TOP_LMUL[16 if whole and sums == 16 else 32][mr - 1])
    groups = 1 if depthwise else int(c["groups"])
    blocks = groups * (ceil(count / mr) if depthwise else count // mr + ceil(count % mr / FEWEST))
    computed = blocks * mr if depthwise else count * groups
    vectors = _vectors(lanes, lmul, work.vlen, shrinking=variant.family == "few")
    for eighths in vectors:
        times = blocks * depth
        work.move(times, eighths)
        work.issue += times + 1.5 * computed * depth
        work.compute(computed * depth, {8: 1, 16: 2, 32: 4}[sums] * eighths)
        if sums == 32:
            work.compute(times, 2 * eighths)
        if sums == 8:
            work.compute(computed * depth / max(1, int(c["flush8"])), 2 * eighths)
        if sums < 32 and not whole:
            period = int(c["run16"] if variant.family == "few" else c["flush"])
            work.compute(computed * depth / period, 4 * eighths)
        work.move(computed, 2 * eighths)
    work.issue += computed * (PER_POINTER * int(c["kernel_h"]) + PER_PIXEL)
    # one vector after another reads a line that several share
    shares = max(1.0, LINE / (work.vlen * lmul / 64)) if len(vectors) > 1 else 1
    work.read_again(depth * lanes * groups, shares * blocks / groups)


def _vectors(lanes: int, lmul: int, vlen: int, shrinking: bool) -> list[int]:
    """Their LMULs; a last vector that channels do not fill counts whole, unless kernels take the smallest that does."""
    whole, rest = divmod(lanes, vlen * lmul // 64)
    smallest = next(e for e in (4, 8, 16, 32) if rest <= vlen * e // 64) if shrinking else lmul
    return [lmul] * whole + ([smallest] if rest else [])


def _columns(signature: Signature, work: _Work) -> None:
    """Planes, panels, and for every tile of a panel its columns."""
    assert signature.columns is not None
    c, facts = signature.conv, signature.columns
    sums = next(way for way in (*BYTES, GROUPS_SUM16) if way.name == facts["sums"])
    repeat = sums is GROUPS_SUM16
    panel = ROW_BYTES if repeat else round(min(work.vlen, LONGEST_PANEL) / (32 * sums.product))
    panels = ceil(pixels(c) / panel)
    summed = 64 * ROW_BYTES // work.vlen if repeat else 32  # in eighths of a register
    loaded = summed if sums in (RUN8_SUM16, GROUPS_SUM16) else summed // 2
    stretches = ceil(int(facts["rows"]) / int(facts["block_rows"]))
    for count, channels, kept in facts["tiles"]:
        runs = max(stretches, kept / facts["run"] if facts["run"] else 0)
        work.move(panels * count * kept, loaded)
        work.compute(panels * count * kept * channels, summed)
        if repeat:
            work.issue += panels * count * (kept * (ELEMENT_ISSUED - 2) + runs * GROUP_ISSUED + TILE_ISSUED)
            work.compute(panels * count * runs, summed)  # a product takes two operations' time, for one element's
        else:
            work.issue += panels * count * kept * (channels + 3)
            work.compute(panels * count * channels * runs, summed)
    scale = 128 / (work.machine.dlen or 128)
    plane, rows = int(c["in_c"]) * int(c["in_h"]) * int(c["in_w"]), pixels(c) * int(facts["rows"])
    beat = work.machine.operation("vload", work.machine.dlen or 128, 8)
    moved = plane * PLANE_ELEMENT / scale + rows * PANEL_ELEMENT
    if stub(signature).is_in_place:
        moved = rows * IN_PLACE_ELEMENT / scale
    else:
        _pack_anew(signature, panels, panel, work)
    work.memory += moved * 2 * scale * beat  # planes are filled by strided loads, an element a beat on any datapath
    weights = sum(count * channels * kept for count, channels, kept in facts["tiles"])
    work.read_again(weights * (2 if repeat else 1), panels)  # of those that repeat, a place of 16 bits each


def _pack_anew(signature: Signature, panels: int, lanes: int, work: _Work) -> None:
    """Misses where a panel leaves no room for planes in a cache: each row's two lines, and a line of the planes for
    each stretch of neighbours that it is made of."""
    assert signature.columns is not None
    c, rows = signature.conv, int(signature.columns["rows"])
    stretches = int(c["pool"]) ** 2 * (lanes / int(c["pool"]) / int(c["out_w"]) + 1)
    l1 = work.machine.l1
    if l1 and 2 * rows * lanes > l1.kib * 1024:
        work.stalls += panels * rows * (2 + stretches) * l1.miss_cycles


def _winograd(signature: Signature, work: _Work) -> None:
    """Strips of tiles: planes of the operand, their sums over channels, results."""
    assert signature.winograd is not None
    c, facts = signature.conv, signature.winograd
    inner, outer, pool = int(c["in_c"]), int(c["out_c"]), int(c["pool"])
    tiles = ceil(int(c["out_h"]) / 2) * ceil(int(c["out_w"]) / 2) if pool == 1 else pixels(c) // 4
    operand, kept, result = (ELEMENT_BYTES[facts[key]] for key in ("operands", "sums", "results"))
    unit = work.vlen // 16  # lanes of the shortest vectors
    many = next((n for n in (1, 2) if min(outer, LANES) <= unit * n), 4 // operand)
    eighths, vectors = 4 * operand * many, ceil(outer / (unit * many))
    flushes = PLANES * facts["stretches"]
    work.issue += tiles * vectors * (PLANES * inner * (ISSUED - 1) + SUM_ISSUED)
    work.compute(tiles * vectors * PLANES * inner, 2 * eighths)
    work.compute(tiles * vectors * flushes * FLUSH_OPERATIONS, 4 * eighths)
    work.compute(tiles * ceil(outer * result / work.vlen * 2) * RESULT_OPERATIONS, 32)
    work.compute(tiles * ceil(inner * operand / work.vlen * 4) * PLANE_OPERATIONS, 16)
    work.move(tiles * ceil(inner * operand / work.vlen * 4) * PLANES, 16)
    work.move(tiles * ceil(outer * kept / work.vlen * 2) * PLANES * 2, 32)
    work.move(tiles / TILES * vectors * PLANES * inner, eighths)
    _filter_misses(signature, vectors, tiles, work)


def _filter_misses(signature: Signature, vectors: int, tiles: int, work: _Work) -> None:
    """Misses of minimal filtering: a strip's planes are written once and read for every vector of sums, its sums and
    results written and read. Where a piece of the weights leaves a cache no room, all of that comes from behind it."""
    assert signature.winograd is not None
    c, facts = signature.conv, signature.winograd
    inner, outer = int(c["in_c"]), int(c["out_c"])
    operand, kept, result = (ELEMENT_BYTES[facts[key]] for key in ("operands", "sums", "results"))
    strips, count = ceil(tiles / int(facts["strip"])), min(tiles, int(facts["strip"]))
    pieces, lanes = ceil(outer / LANES), min(outer, LANES)
    weights, planes = PLANES * inner * outer * operand, PLANES * count * inner * operand
    sums, results = PLANES * count * lanes * kept, RESULTS * count * outer * result
    moved = planes * (1 + vectors) + 2 * sums * pieces + 2 * results
    beside = planes + sums + results
    for level in (work.machine.l1, work.machine.l2):
        if level:
            held = weights + beside <= level.kib * 1024  # weights are read in turn: all of them are held, or none
            work.miss(level, weights * (work.first(level) if held else strips))
            work.miss(level, tiles / count * moved * _share_of_misses(weights / pieces + beside, level))


def _share_of_misses(needed: float, level: CacheModel) -> float:
    """Of things that take so many bytes together: none where these fit, all from half as many again on."""
    return min(1.0, max(0.0, 2 * (needed / (level.kib * 1024) - 1)))


def _map(signature: Signature, work: _Work) -> None:
    """Results, 32-bit values of LMUL 4 at a time."""
    elements = prod(int(signature.conv[key]) for key in ("out_c", "out_h", "out_w"))
    groups = elements / (work.vlen // 8)
    levels = int(signature.map["levels"])
    work.compute(groups * (MAP_OPERATIONS + 2 * levels), BYTES_32 * 8)
