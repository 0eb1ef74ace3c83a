"""What every rule of the code generator uses: the code of a layer, and C text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cpu_backend.emit.constants import Constant, Written
from cpu_backend.layers import Layer
from cpu_backend.requantise import Requantisation, kernel_type, requantisation
from cpu_backend.tiles import Tiles, row_tiles, rows
from ir.ops.base import need
from ir.types import TensorType

ELEMENT_BYTES = {"HCK_U8": 1, "HCK_I8": 1, "HCK_U16": 2, "HCK_I16": 2, "HCK_I32": 4, "HCK_F32": 4, "HCK_F64": 8}

Fields = Mapping[str, int | str]
"""A kernel's record: field -> number or C expression."""


@dataclass(frozen=True)
class Destination:
    """Where a layer writes: ``stride`` elements from pixel to pixel; ``copied`` are the operands of a Concat that are
    not already written in place, as (operand, first channel). ``word``: bits of the words of a core without vectors,
    whose convolutions have kernels of their own; 0 lets the C compiler choose."""

    stride: int
    copied: tuple[tuple[int, int], ...] = ()
    word: int = 0


@dataclass(frozen=True)
class Rows:
    """What a layer's function computes: all of its ``total`` rows (`tiles.rows`), or, with parameters ``first`` and
    ``rows``, as many from ``first`` on, where ``y`` is the address of that one; at most ``most``."""

    total: int
    most: int

    @staticmethod
    def of(layer: Layer) -> Rows:
        tiles = row_tiles(layer)
        return Rows(rows(layer), tiles.each if tiles else rows(layer))

    @property
    def split(self) -> bool:
        return self.most < self.total

    @property
    def parameters(self) -> str:
        return ", uint32_t first, uint32_t rows" if self.split else ""

    def part(self, type_: str, name: str) -> tuple[str, list[str]]:
        """C: the address of the kernel's record for the rows that are computed, and what makes it of ``name`` and
        moves ``x`` to the first row that is read (hck_rows.h)."""
        if not self.split:
            return f"&{name}", []
        return "&part", [f"{type_} part = {name};", f"x = {type_}_rows(&part, x, first, rows);"]

    def times(self, count: int) -> str:
        """C: ``count`` for each row."""
        return f"rows * {count}u" if self.split else str(self.total * count)

    def at(self, operand: str, row_bytes: int) -> str:
        """C: the address of the first row of an operand whose rows have this many bytes."""
        return f"(const void *)((const uint8_t *){operand} + first * {row_bytes}u)" if self.split else operand


@dataclass(frozen=True)
class LayerCode:
    """A C function and the constant arrays it reads; bytes of scratch and of zeros it needs.

    ``called`` is False for a layer whose work others do: its function is a comment. With ``tiles`` there is a task
    beside the function, and every thread needs the scratch memory for itself."""

    function: str
    arrays: tuple[Constant | Written, ...] = ()
    kernels: tuple[str, ...] = ()
    scratch: int = 0
    zeros: int = 0
    note: str = ""
    checks: tuple[str, ...] = ()
    called: bool = True
    tiles: Tiles | None = None


def identifier(name: str) -> str:
    """A C identifier for a tensor's or region's name."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{text}" if text[:1].isdigit() or not text else text


def element_bytes(type_: TensorType) -> int:
    return ELEMENT_BYTES[kernel_type(type_)]


def pixels_of(type_: TensorType) -> tuple[int, int]:
    """(pixels, channels) of a (C, H, W) tensor; a (C,) tensor is one pixel. OperatorError for any other rank."""
    need(len(type_.shape) in (1, 3), f"has a tensor of shape {type_.shape}, which is neither (C, H, W) nor (C,)")
    return type_.elements // type_.shape[0], type_.shape[0]


def extents(prefix: str, values: Sequence[int]) -> dict[str, int]:
    """Fields ``<prefix>_h``, ``<prefix>_w`` and, for a third value, ``<prefix>_c``."""
    return {f"{prefix}_{axis}": value for axis, value in zip("hwc", values, strict=False)}


def function(layer: Layer, name: str, parameters: str, body: Sequence[str], notes: Sequence[str] = ()) -> str:
    """A C function under a comment that says what the layer does."""
    code = "\n".join(f"    {line}" for line in body)
    return f"{comment(layer, notes)}static void {name}({parameters}) {{\n{code}\n}}\n"


def comment(layer: Layer, notes: Sequence[str]) -> str:
    reads = ", ".join(str(o.type) for o in layer.first.operands if o.value is None)
    lines = [layer.title, f"  {reads} -> {layer.y}", *(f"  {note}" for note in notes if note)]
    return "/*\n" + "\n".join(f" * {line}" for line in lines) + "\n */\n"


def record(type_: str, name: str, fields: Fields) -> list[str]:
    """A static const struct as lines of designated initialisers."""
    lines = [""]
    for field in re.split(r"(?<=,) (?=\.)", " ".join(f".{key} = {value}," for key, value in fields.items())):
        if lines[-1] and len(lines[-1]) + len(field) > 104:
            lines.append("")
        lines[-1] += f" {field}" if lines[-1] else field
    return [f"static const {type_} {name} = {{", *(f"    {line}" for line in lines), "};"]


def layer_map(
    layer: Layer, name: str, other: Requantisation | None = None
) -> tuple[Requantisation, list[str], list[Constant]]:
    """The map at the layer's end, or another in its place: its proof, the lines of its record ``map``, its arrays."""
    map_ = other or requantisation(layer.map)
    _, channels = pixels_of(layer.y)
    fields: dict[str, int | str] = {**map_.fields, "y_type": kernel_type(layer.y), "channels": channels}
    fields |= {key: f"{name}_{key}" for key in map_.arrays}
    arrays = [Constant(f"{name}_{key}", values) for key, values in map_.arrays.items()]
    return map_, record("hck_requantise", "map", fields), arrays
