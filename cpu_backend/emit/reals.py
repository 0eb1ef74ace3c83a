"""Layers of the fallback: reference code in binary64 (`kernels/hck_real.h`), which gives the same bits everywhere. Some
of it serves networks of float32 as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from cpu_backend.emit.base import Destination, Fields, LayerCode, comment, function, pixels_of, record
from cpu_backend.emit.constants import Constant, Written
from cpu_backend.layers import Layer
from cpu_backend.requantise import kernel_type
from ir.ops import (
    Affine,
    Arithmetic,
    Concat,
    Curve,
    Interpolate,
    Op,
    PRelu,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    ToInteger,
    Transpose,
)
from ir.ops.base import need
from ir.types import Array, TensorType

KERNELS = ("hck_real.c",)
PARAMETERS = "const void *x, void *y"
NOTE = "reference code in binary64"
ROUNDINGS: Mapping[str, str] = {
    "ROUND": "HCK_HALF_EVEN",
    "HALF_EVEN": "HCK_HALF_EVEN",
    "CEIL": "HCK_CEIL",
    "FLOOR": "HCK_FLOOR",
    "UP": "HCK_AWAY_FROM_ZERO",
    "DOWN": "HCK_TOWARDS_ZERO",
    "ROUND_TO_ZERO": "HCK_TOWARDS_ZERO",
    "HALF_UP": "HCK_HALF_AWAY",
    "HALF_DOWN": "HCK_HALF_TOWARDS",
}

RealRule = Callable[[Layer, str, Destination], LayerCode]


def _number(value: float) -> str:
    """C for a double: all its digits."""
    if np.isinf(value):
        return "HCK_INFINITE" if value > 0 else "-HCK_INFINITE"
    return repr(float(value))


def _doubles(name: str, values: Array) -> Written:
    return Written(f"double {name}[{values.size}]", tuple(_number(float(v)) for v in values.ravel()))


def _type(type_: TensorType) -> str:
    return kernel_type(type_).replace("HCK_", "HCK_OF_")


def _code(
    layer: Layer, name: str, body: list[str], *arrays: Constant | Written, parameters: str = PARAMETERS
) -> LayerCode:
    return LayerCode(function(layer, name, parameters, body), arrays, KERNELS, note=NOTE)


def affine(layer: Layer, name: str, to: Destination) -> LayerCode:
    pixels, channels = pixels_of(layer.x)
    names = [f"{name}_{key}" for key in ("scale", "offset")]
    arrays = [_doubles(n, o.constant) for n, o in zip(names, layer.first.operands[1:], strict=True)]
    call = f"hck_real_affine({', '.join(names)}, x, {_type(layer.x)}, y, {to.stride}, {pixels}, {channels});"
    return _code(layer, name, [call], *arrays)


def curve(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, (pixels, channels) = layer.first.op, pixels_of(layer.x)
    assert isinstance(op, Curve)
    arguments = f"hck_curve_{op.name}, {_number(op.a)}, {_number(op.b)}, x, y, {to.stride}, {pixels}, {channels}"
    return _code(layer, name, [f"hck_real_curve({_type(layer.y)}, {arguments});"])


def prelu(layer: Layer, name: str, to: Destination) -> LayerCode:
    pixels, channels = pixels_of(layer.x)
    slopes = _doubles(f"{name}_slope", layer.first.operands[1].constant)
    return _code(layer, name, [f"hck_real_prelu({name}_slope, x, y, {to.stride}, {pixels}, {channels});"], slopes)


def couple(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, (c, h, w) = layer.first.op, layer.y.shape
    assert isinstance(op, Arithmetic)
    fields: dict[str, int | str] = {"h": h, "w": w, "c": c}
    arrays, sources = list[Constant | Written](), []
    for key, operand in zip("ab", layer.first.operands, strict=True):
        channels, height, width = operand.type.shape
        steps = (("h", height, width * channels), ("w", width, channels), ("c", channels, 1))
        fields |= {f"{key}_{axis}": 0 if extent == 1 else step for axis, extent, step in steps}
        if operand.value is not None:
            values = operand.value.transpose(1, 2, 0)
            arrays.append((Constant if operand.type.dtype.bits == 32 else _doubles)(f"{name}_{key}", values))
        sources.append(key if operand.value is None else f"{name}_{key}")
    need(len(arrays) < 2, "computes on constants alone")
    body = record("hck_real_pair", "pair", fields)
    body.append(
        f"hck_real_couple({_type(layer.y)}, hck_couple_{op.name}, &pair, {', '.join(sources)}, y, {to.stride});"
    )
    taken = [f"const void *{key}" for key, o in zip("ab", layer.first.operands, strict=True) if o.value is None]
    return _code(layer, name, body, *arrays, parameters=", ".join([*taken, "void *y"]))


def softmax(layer: Layer, name: str, to: Destination) -> LayerCode:
    pixels, channels = pixels_of(layer.x)
    return _code(layer, name, [f"hck_real_softmax(x, y, {to.stride}, {pixels}, {channels});"])


def reduce(layer: Layer, name: str, to: Destination) -> LayerCode:
    op = layer.first.op
    assert isinstance(op, Reduce)
    extents = dict(zip("chw", layer.x.shape, strict=True))
    kept = {f"kept_{axis}": n for axis, n in zip("chw", layer.y.shape, strict=True)}
    fields: Fields = {**extents, **kept, "largest": int(op.kind == "largest")}
    body = [
        *record("hck_real_reduction", "reduction", fields),
        f"hck_real_reduce({_type(layer.y)}, &reduction, x, y, {to.stride});",
    ]
    return _code(layer, name, body)


def interpolate(layer: Layer, name: str, to: Destination) -> LayerCode:
    op = layer.first.op
    assert isinstance(op, Interpolate)
    channels, height, width = layer.x.shape
    fields: dict[str, int | str] = {"in_w": width, "out_h": op.height, "out_w": op.width, "channels": channels}
    arrays = []
    for key, source, target in (("row", height, op.height), ("column", width, op.width)):
        first, second, weights = op.taps(source, target)
        pairs = tuple(f"{{{a}, {b}}}" for a, b in zip(first.tolist(), second.tolist(), strict=True))
        arrays.append(Written(f"int64_t {name}_{key}s[{target}][2]", pairs))
        arrays.append(_doubles(f"{name}_{key}_weights", weights))
        fields |= {f"{key}s": f"{name}_{key}s", f"{key}_weights": f"{name}_{key}_weights"}
    body = [
        *record("hck_real_resize", "resize", fields),
        f"hck_real_interpolate({_type(layer.y)}, &resize, x, y, {to.stride});",
    ]
    return _code(layer, name, body, *arrays)


def _copy(layer: Layer, name: str, to: Destination, first: int, steps: tuple[int, ...]) -> LayerCode:
    """The result's elements, which lie in x from ``first`` on in steps (C, H, W)."""
    c, h, w = layer.y.shape
    fields: Fields = {
        "h": h, "w": w, "c": c, "x_first": first, "x_h": steps[1], "x_w": steps[2], "x_c": steps[0], "y_w": w
    }  # fmt: skip
    return _code(
        layer,
        name,
        [*record("hck_real_box", "box", fields), f"hck_real_copy({_type(layer.y)}, &box, x, y, {to.stride});"],
    )


def _steps(type_: TensorType) -> tuple[int, int, int]:
    """Elements from channel to channel, row to row, pixel to pixel."""
    channels, _, width = type_.shape
    return 1, width * channels, channels


def transpose(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, steps = layer.first.op, _steps(layer.x)
    assert isinstance(op, Transpose)
    return _copy(layer, name, to, 0, tuple(steps[axis] for axis in op.order))


def cut(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, steps = layer.first.op, _steps(layer.x)
    assert isinstance(op, Slice)
    first = sum(f * s for f, s in zip(op.first, steps, strict=True))
    return _copy(layer, name, to, first, tuple(a * b for a, b in zip(op.step, steps, strict=True)))


def reshape(layer: Layer, name: str, to: Destination) -> LayerCode:
    shapes = [", ".join(map(str, type_.shape)) for type_ in (layer.x, layer.y)]
    body = [f"static const size_t from[3] = {{{shapes[0]}}}, to[3] = {{{shapes[1]}}};"]
    return _code(layer, name, [*body, f"hck_real_reshape({_type(layer.y)}, from, to, x, y, {to.stride});"])


def concat(layer: Layer, name: str, to: Destination) -> LayerCode:
    """Operands that are not written in place are copied."""
    if not to.copied:
        return LayerCode(comment(layer, (NOTE,)), note=NOTE, called=False)
    _, h, w = layer.y.shape
    body = []
    for i, first in to.copied:
        operand = layer.first.operands[i]
        need(operand.value is None, "joins a constant")
        c = operand.type.shape[0]
        box = f"(const hck_real_box){{{h}, {w}, {c}, 0, {w * c}, {c}, 1, {w}}}"
        body.append(f"hck_real_copy({_type(layer.y)}, &{box}, x{i}, (double *)y + {first}, {to.stride});")
    parameters = ", ".join([*(f"const void *x{i}" for i, _ in to.copied), "void *y"])
    return _code(layer, name, body, parameters=parameters)


def to_integer(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, (pixels, channels) = layer.first.op, pixels_of(layer.x)
    assert isinstance(op, ToInteger)
    fields: Fields = {
        "scale": f"{name}_scale", "lo": op.lo, "hi": op.hi, "zero": op.zero, "rounding": ROUNDINGS[op.rounding]
    }  # fmt: skip
    body = record("hck_real_grid", "grid", fields)
    body.append(f"hck_real_to_integer(&grid, x, y, {_type(layer.y)}, {to.stride}, {pixels}, {channels});")
    return _code(layer, name, body, _doubles(f"{name}_scale", layer.first.operands[1].constant))


REAL_RULES: Mapping[type[Op], RealRule] = {
    Affine: affine,
    Arithmetic: couple,
    Concat: concat,
    Curve: curve,
    Interpolate: interpolate,
    PRelu: prelu,
    Reduce: reduce,
    Reshape: reshape,
    Slice: cut,
    Softmax: softmax,
    ToInteger: to_integer,
    Transpose: transpose,
}
COPIES, ONE, SERIES = 8.0, 30.0, 300.0
"""Scalar cycles per element in binary64: what is moved or rounded, a function of few operations, one of a series."""
LONG = {"elu", "erf", "exp", "gelu", "log", "sigmoid", "softplus", "sqrt", "swish", "tanh"}


def real_cycles(layer: Layer) -> float:
    """Estimated cycles per frame of a layer of the fallback."""
    op = layer.first.op
    elements = max(layer.x.elements, layer.y.elements)
    if isinstance(op, Softmax) or (isinstance(op, Curve) and op.name in LONG):
        return elements * SERIES
    return elements * (COPIES if isinstance(op, Concat | Reshape | Slice | Transpose) else ONE)
