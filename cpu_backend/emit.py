"""Layer -> one C function: a table of rules keyed by the operator that leads the layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cpu_backend.layers import REQUANTISE, Layer
from cpu_backend.memory import aligned
from cpu_backend.ranges import Accumulator, accumulator, fits_int8
from cpu_backend.requantise import Requantisation, kernel_type, requantisation
from ir.ops import Concat, Conv2d, MaxPool2d, MultiplyShift, Op, OperatorError, SpaceToDepth, Thresholds
from ir.ops.base import need
from ir.types import Array, TensorType

BLOCK = 8
"""HCK_BLOCK of hck.h: pixels per block of a convolution."""
ELEMENT_BYTES = {"HCK_U8": 1, "HCK_I8": 1, "HCK_U16": 2, "HCK_I16": 2, "HCK_I32": 4}


@dataclass(frozen=True)
class Destination:
    """Where a layer writes: ``stride`` elements from pixel to pixel; ``copied`` are the operands of a Concat that are
    not already written in place, as (operand, first channel)."""

    stride: int
    copied: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class LayerCode:
    """A C function and the constant arrays (C declarations) it reads; bytes of scratch and of zeros it needs.

    ``called`` is False for a layer whose work others do: its function is a comment."""

    function: str
    arrays: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    scratch: int = 0
    zeros: int = 0
    note: str = ""
    checks: tuple[str, ...] = ()
    called: bool = True


def identifier(name: str) -> str:
    """A C identifier for a tensor's or region's name."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{text}" if text[:1].isdigit() or not text else text


def emit(layer: Layer, name: str, to: Destination) -> LayerCode:
    """The function ``name``; OperatorError where the kernels cannot execute the layer."""
    return RULES[type(layer.first.op)](layer, name, to)


def _conv(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, w = layer.first.op, layer.first.operands[1].constant.astype(np.int64)
    assert isinstance(op, Conv2d)
    x, sums, proof = layer.x, layer.first.type, conv_accumulator(layer)
    narrow = fits_int8(w) and kernel_type(x) != "HCK_I32"
    kh, kw = w.shape[2:]
    pooled = layer.find(MaxPool2d) is not None
    fields: dict[str, int | str] = {
        "x_type": kernel_type(x),
        **_extents("in", (*x.shape[1:], x.shape[0])),
        **_extents("out", (*sums.shape[1:], sums.shape[0])),
        **_extents("kernel", (kh, kw)),
        **_extents("stride", op.stride),
        "pad_top": op.padding[0],
        "pad_left": op.padding[1],
        "groups": op.groups,
        "flush": f"{proof.flush}u" if proof.bits == 16 else 0,
        "pool": 2 if pooled else 1,
        "weights": f"{name}_weights" if narrow else "NULL",
        "zeros": "zeros",
    }
    arrays = [_array(f"{name}_weights", pack_weights(w, op.groups, narrow))]
    map_ = requantisation(layer.find(*REQUANTISE))
    arrays += _map_arrays(map_, name)
    call = f"hck_conv2d(&conv, &map, x, y, {to.stride}, scratch);"
    if not narrow:
        call = f"hck_conv2d_wide(&conv, {name}_weights, &map, x, y, {to.stride}, scratch);"
    facts = (
        f"weights {'x'.join(map(str, w.shape))} in {w.min()}..{w.max()}, stride {op.stride[0]}x{op.stride[1]}, "
        f"padding {','.join(map(str, op.padding))}" + (f", {op.groups} groups" if op.groups > 1 else ""),
        f"sums of {w[0].size} products lie in {proof.lowest}..{proof.highest}: {proof.note}",
    )
    body = [*_record("hck_conv", "conv", fields), *_map_record(map_, layer.y, name), call]
    scratch = BLOCK * (8 * kh * kw + 4 * w.shape[0])
    check = f"typedef char {name}_scratch[HCK_CONV_SCRATCH({kh}, {kw}, {w.shape[0]}) <= {scratch} ? 1 : -1];"
    return LayerCode(
        _function(layer, name, "const void *x, void *y, void *scratch", body, (*facts, map_.note)),
        tuple(arrays),
        ("hck_conv.c", "hck_conv_rvv.c", "hck_requantise.c"),
        aligned(scratch),
        kw * x.shape[0] * ELEMENT_BYTES[kernel_type(x)],
        proof.note,
        (check,),
    )


def conv_accumulator(layer: Layer) -> Accumulator:
    """The proof for a layer that starts with a convolution; OperatorError above 32 bits."""
    view = layer.first
    x = view.operands[0].type
    bits = 8 * x.dtype.container.itemsize
    proof = accumulator(view.operands[1].constant, x.lo, x.hi, bits)
    if proof.bits > 32:
        raise OperatorError(f"sums lie in {proof.lowest}..{proof.highest}, which leaves 32 bits")
    depthwise = view.op.groups > 1 and view.operands[1].type.shape[1] == 1 if isinstance(view.op, Conv2d) else False
    if depthwise and view.type.shape[0] == x.shape[0]:
        return Accumulator(32, proof.flush, proof.lowest, proof.highest)  # few products: 16 bits gain nothing
    return proof


def pack_weights(w: Array, groups: int, narrow: bool) -> Array:
    """(O, I/G, KH, KW) -> [G][KH][KW][I/G][O/G]: output channels are neighbours.

    As int8, depthwise ones as [KH][KW][C]; where not ``narrow``, as the int32 of the plain loops.
    """
    if narrow and groups > 1 and w.shape[1] == 1 and w.shape[0] == groups:
        return np.ascontiguousarray(w[:, 0].transpose(1, 2, 0)).astype(np.int8)
    split = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    return np.ascontiguousarray(split.transpose(0, 3, 4, 2, 1)).astype(np.int8 if narrow else np.int32)


def _requantise(layer: Layer, name: str, to: Destination) -> LayerCode:
    map_ = requantisation(layer.first)
    channels = layer.x.shape[0] if len(layer.x.shape) == 3 else layer.x.elements
    rows = layer.x.elements // channels
    call = f"hck_requantise_rows(&map, x, {kernel_type(layer.x)}, {channels}, y, {to.stride}, {rows}, 1);"
    body = [*_map_record(map_, layer.y, name), call]
    function = _function(layer, name, "const void *x, void *y", body, (map_.note,))
    return LayerCode(function, tuple(_map_arrays(map_, name)), ("hck_requantise.c",), note=map_.note)


def _max_pool(layer: Layer, name: str, to: Destination) -> LayerCode:
    op = layer.first.op
    assert isinstance(op, MaxPool2d)
    if any(op.padding):
        raise OperatorError(f"with padding {op.padding} has no CPU kernel (allowed: none)")
    x, y = layer.x, layer.y
    fields: dict[str, int | str] = {
        "type": kernel_type(x),
        "in_w": x.shape[2],
        "channels": x.shape[0],
        **_extents("out", y.shape[1:]),
        **_extents("kernel", op.kernel),
        **_extents("stride", op.stride),
    }
    body = [*_record("hck_pool", "pool", fields), f"hck_max_pool(&pool, x, y, {to.stride});"]
    return LayerCode(_function(layer, name, "const void *x, void *y", body), kernels=("hck_spatial.c",))


def _space_to_depth(layer: Layer, name: str, to: Destination) -> LayerCode:
    op = layer.first.op
    assert isinstance(op, SpaceToDepth)
    size = ELEMENT_BYTES[kernel_type(layer.x)]
    extent = f"{layer.y.shape[1]}, {layer.y.shape[2]}, {op.block}"
    body = [f"hck_space_to_depth({layer.x.shape[0] * size}, {extent}, x, y, {to.stride * size});"]
    return LayerCode(_function(layer, name, "const void *x, void *y", body), kernels=("hck_spatial.c",))


def _concat(layer: Layer, name: str, to: Destination) -> LayerCode:
    y_type, types = kernel_type(layer.y), [operand.type for operand in layer.first.operands]
    need(all(operand.value is None for operand in layer.first.operands), "joins a constant")
    size, pixels = ELEMENT_BYTES[y_type], layer.y.shape[1] * layer.y.shape[2]
    body = [
        f"hck_copy_channels(x{i}, {kernel_type(types[i])}, (uint8_t *)y + {first * size}, {y_type}, {to.stride}, "
        f"{pixels}, {types[i].shape[0]});"
        for i, first in to.copied
    ]
    parameters = ", ".join([*(f"const void *x{i}" for i, _ in to.copied), "void *y"])
    written = len(types) - len(to.copied)
    note = f"{written} of {len(types)} operands are written in place by the layers that compute them"
    if not to.copied:
        return LayerCode(f"/*\n{_comment(layer, (note,))}\n */\n", note=note, called=False)
    return LayerCode(_function(layer, name, parameters, body, (note,)), kernels=("hck_spatial.c",), note=note)


RULES: Mapping[type[Op], Callable[[Layer, str, Destination], LayerCode]] = {
    Conv2d: _conv,
    MultiplyShift: _requantise,
    Thresholds: _requantise,
    MaxPool2d: _max_pool,
    SpaceToDepth: _space_to_depth,
    Concat: _concat,
}


def _extents(prefix: str, values: Sequence[int]) -> dict[str, int]:
    """Fields ``<prefix>_h``, ``<prefix>_w`` and, for a third value, ``<prefix>_c``."""
    return {f"{prefix}_{axis}": value for axis, value in zip("hwc", values, strict=False)}


def _function(layer: Layer, name: str, parameters: str, body: Sequence[str], notes: Sequence[str] = ()) -> str:
    code = "\n".join(f"    {line}" for line in body)
    return f"/*\n{_comment(layer, notes)}\n */\nstatic void {name}({parameters}) {{\n{code}\n}}\n"


def _comment(layer: Layer, notes: Sequence[str]) -> str:
    reads = ", ".join(str(o.type) for o in layer.first.operands if o.value is None)
    lines = [layer.title, f"  {reads} -> {layer.y}", *(f"  {note}" for note in notes if note)]
    return "\n".join(f" * {line}" for line in lines)


def _record(type_: str, name: str, fields: Mapping[str, int | str]) -> list[str]:
    """A static const struct as lines of designated initialisers."""
    words, lines = [f".{key} = {value}," for key, value in fields.items()], [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > 104:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [f"static const {type_} {name} = {{", *(f"    {line}" for line in lines), "};"]


def _map_record(map_: Requantisation, y: TensorType, name: str) -> list[str]:
    fields: dict[str, int | str] = {**map_.fields, "y_type": kernel_type(y), "channels": y.shape[0]}
    if len(y.shape) != 3:
        fields["channels"] = y.elements
    fields |= {key: f"{name}_{key}" for key in map_.arrays}
    return _record("hck_requantise", "map", fields)


def _map_arrays(map_: Requantisation, name: str) -> list[str]:
    return [_array(f"{name}_{key}", values) for key, values in map_.arrays.items()]


def _array(name: str, values: Array) -> str:
    suffix = "LL" if values.dtype.itemsize == 8 else ""
    words = [_literal(int(v)) + suffix for v in values.ravel()]
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > 120:
            lines.append(line)
            line = "   "
        line += f" {word},"
    shape = "x".join(map(str, values.shape))
    joined = "\n".join([*lines, line])
    return f"/* {shape} */\nstatic const {values.dtype}_t {name}[{values.size}] = {{\n{joined}\n}};\n"


def _literal(value: int) -> str:
    return f"(-{-value - 1} - 1)" if value == -(1 << 31) else str(value)
