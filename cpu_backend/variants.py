"""What can be chosen for a convolution on vectors, and which choices a layer allows.

A `Variant` names a kernel; `legal` lists those that compute a layer rightly and without spilling: registers, the proven
ranges of its sums, and no vector longer than its channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from cpu_backend.ranges import WHOLE_SUM

Family = Literal["usual", "blocks", "few", "depthwise", "columns", "winograd"]
FAMILIES: Mapping[Family, str] = {
    "usual": "HCK_USUAL",
    "blocks": "HCK_BLOCKS",
    "few": "HCK_FEW",
    "depthwise": "HCK_DEPTHWISE",
}
"""hck_family in its order; column-pruned convolutions and minimal filtering have functions of their own."""
REGISTERS = 32
LMULS = {4: "mf2", 8: "m1", 16: "m2", 32: "m4"}
"""By eighths of a register."""
SHAPES: Mapping[int, tuple[tuple[int, int], ...]] = {
    8: ((4, 8), (8, 8), (16, 4)),
    16: ((4, 8), (8, 8), (16, 4), (16, 7)),
    32: ((4, 8), (8, 7), (8, 4)),
}
"""By bits of the sums: (LMUL of the weights in eighths, pixels), the table ``shapes`` of hck_conv_rvv.c."""
DEPTHWISE_PIXELS = (8, 4)

WORDS: Mapping[Family, str] = {
    "usual": "by the rules",
    "columns": "columns, pixels in the lanes",
    "winograd": "minimal filtering (Winograd)",
}
"""Variants that leave nothing to choose."""

Fields = Mapping[str, int | str]
"""Of ``hck_conv``, as `emit.convolution.conv_fields` gives them, flush periods as numbers."""


@dataclass(frozen=True)
class Variant:
    """``sums``: bits of the running sums in registers; ``lmul``: of the vector of 8-bit weights, in eighths of a
    register; ``pixels`` computed at a time. 0 where the family leaves nothing to choose: kernels for few pixels take
    the largest LMUL that their registers hold, depthwise ones and those for columns the narrowest proven sums."""

    family: Family
    sums: int = 0
    lmul: int = 0
    pixels: int = 0

    def __str__(self) -> str:
        words = {"blocks": "blocks of", "few": "few:", "depthwise": "depthwise, blocks of"}
        if self.family in WORDS:
            return WORDS[self.family]
        text = f"{words[self.family]} {self.pixels} pixel" + "s" * (self.pixels > 1)
        return text + (f", i{self.sums} sums" if self.sums else "") + (f", {LMULS[self.lmul]}" if self.lmul else "")

    @property
    def initialiser(self) -> str:
        """``hck_choice`` in C."""
        return f"{{{FAMILIES[self.family]}, {self.sums}, {self.lmul}, {self.pixels}}}"

    def registers(self, flushed: bool) -> int:
        """Vector registers of a block of pixels: sums, weights, and what a flush of 16-bit sums to 32 bits needs
        beside them, four registers at most."""
        assert self.family == "blocks"
        sums = {8: _group(self.lmul) + _group(2 * self.lmul), 16: _group(2 * self.lmul), 32: _group(4 * self.lmul)}
        weights = _group(self.lmul) + (_group(2 * self.lmul) if self.sums == 32 else 0)
        flush = min(_group(4 * self.lmul), 4) if flushed and self.sums < 32 else 0
        return self.pixels * sums[self.sums] + weights + flush


USUAL, COLUMNS, WINOGRAD = Variant("usual"), Variant("columns"), Variant("winograd")


def _group(eighths: int) -> int:
    """Registers that a vector of this LMUL occupies."""
    return max(1, eighths // 8)


def legal(fields: Fields, vlen: int, columns: bool = False, winograd: bool = False) -> tuple[Variant, ...]:
    """Every variant that a convolution of these fields allows at this VLEN; none where there is but one kernel.

    ``columns``: whether the kernel for pruned columns takes it, ``winograd``: that of minimal filtering.
    """
    if is_depthwise(fields):
        if not _depthwise_kernel(fields):
            return ()
        fitting = [pixels for pixels in DEPTHWISE_PIXELS if pixels <= max(int(fields["out_w"]), min(DEPTHWISE_PIXELS))]
        return tuple(Variant("depthwise", pixels=pixels) for pixels in fitting)
    others = [variant for variant, takes in ((COLUMNS, columns), (WINOGRAD, winograd)) if takes]
    return (*_blocks(fields, vlen), *_few(fields), *others)


def usual(fields: Fields, vlen: int) -> Variant:
    """What the rules of the C kernels choose: hck_conv_tile, hck_tile_rvv, hck_depthwise_rvv."""
    if is_depthwise(fields):
        return Variant("depthwise", pixels=8 if int(fields["out_w"]) > 4 else 4) if _depthwise_kernel(fields) else USUAL
    lanes, register = int(fields["out_c"]) // int(fields["groups"]), vlen // 8
    sums = widths(fields)[-2] if len(widths(fields)) > 1 else 32
    size = 0 if 2 * lanes <= register else 1 if lanes <= register or sums == 32 else 2
    bytes_, flush8 = (register << size) // 2, int(fields["flush8"])
    if sums == 16 and flush8 and (bytes_ >= 64 or (bytes_ >= 32 and flush8 >= 12)):
        sums = 8
    if sums == 32 and size == 1 and int(fields["pool"]) > 1:
        size = 2  # blocks of whole windows
    lmul, count = SHAPES[sums][size]
    if pixels(fields) >= count:
        return Variant("blocks", sums, lmul, count)
    narrow = _narrow_few(fields)
    return Variant("few", 16 if narrow else 32, pixels=min(4, pixels(fields)))


def is_depthwise(fields: Fields) -> bool:
    return int(fields["groups"]) == fields["in_c"] == fields["out_c"] and int(fields["groups"]) > 1


def products(fields: Fields) -> int:
    """Of one sum."""
    return prod(int(fields[key]) for key in ("kernel_h", "kernel_w", "in_c")) // int(fields["groups"])


def pixels(fields: Fields) -> int:
    """Of the convolution's result, those that no pooling window takes left out."""
    pool = int(fields["pool"])
    return prod(int(fields[key]) // pool * pool for key in ("out_h", "out_w"))


def widths(fields: Fields) -> tuple[int, ...]:
    """The widths of sums that are proven; 16 and 8 bits with flushes."""
    if fields["x_type"] not in ("HCK_U8", "HCK_I8") or not fields["flush"]:
        return (32,)
    return (8, 16, 32) if fields["flush8"] else (16, 32)


def flushes(fields: Fields) -> bool:
    """Whether 16-bit sums are flushed into 32-bit ones on the way."""
    return 0 < int(fields["flush"]) < min(products(fields), WHOLE_SUM)


def _blocks(fields: Fields, vlen: int) -> Iterator[Variant]:
    lanes = int(fields["out_c"]) // int(fields["groups"])
    for sums in widths(fields):
        for lmul, count in SHAPES[sums]:
            variant = Variant("blocks", sums, lmul, count)
            wasteful = lmul > 4 and lanes <= vlen // 8 * (lmul // 2) // 8  # half the vector would hold all channels
            spills = variant.registers(flushes(fields)) > REGISTERS
            if not (wasteful or spills) and _whole_windows(fields, count):
                yield variant


def _few(fields: Fields) -> Iterator[Variant]:
    for sums in (16, 32) if _narrow_few(fields) else (32,):
        for count in (1, 2, 3, 4):
            if _whole_windows(fields, count):
                yield Variant("few", sums, pixels=count)


def _narrow_few(fields: Fields) -> bool:
    """Whether the kernels for few pixels sum in 16 bits, of groups of products at least."""
    bytes_ = fields["x_type"] in ("HCK_U8", "HCK_I8")
    return bytes_ and (int(fields["flush"]) >= products(fields) or int(fields["run16"]) >= 2)


def _whole_windows(fields: Fields, count: int) -> bool:
    """Whether blocks hold whole pooling windows, and the result a block."""
    return count % int(fields["pool"]) ** 2 == 0 and count <= pixels(fields)


def _depthwise_kernel(fields: Fields) -> bool:
    """Whether hck_depthwise_rvv.c has a kernel for it."""
    narrow = fields["x_type"] in ("HCK_U8", "HCK_I8") and fields["pool"] == 1
    return narrow and fields["kernel_w"] in (3, 5) and int(fields["stride_w"]) <= 2
