"""Networks of real values between quantisers: QONNX, and pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from frontend.onnx import quantize_linear, shapes
from frontend.onnx.builder import Builder, Value, varying_axes
from frontend.onnx.folding import cast_type
from frontend.onnx.model import OnnxNode
from frontend.onnx.pairs import gated, split, together
from frontend.onnx.reals import RULES as REALS
from frontend.onnx.reals import couple
from frontend.onnx.rule import Rule
from frontend.onnx.scales import WIDEST, keep, need_scales, quantised, scale_of, whole
from frontend.onnx.shapes import pad
from ir.ops import Add, Affine, BatchNorm, Curve, Multiply, MultiThreshold, Quantize
from ir.types import Array

QUANTISERS = ("BipolarQuant", "DequantizeLinear", "IntQuant", "MultiThreshold", "Quant", "QuantizeLinear", "Trunc")
"""Operators that make a network one of fake-quantised values."""
WIDEST_CONSTANT = 32
"""Bits of a constant, which may be a bias."""
LAYOUTS = ("NC", "NCW", "NCHW", "NWC", "NHWC")
"""Where a MultiThreshold finds its channels."""
MOST_THRESHOLDS = (1 << 16) - 1
EVERYTHING = 1 << 20
"""Levels beyond those of any truncated value."""


def limits(signed: bool, narrow: bool, bits: int) -> tuple[int, int]:
    """The integers of QONNX's Quant (qonnx/util/basic, min_int and max_int)."""
    if signed:
        return -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - narrow


def _quant(b: Builder, node: OnnxNode) -> None:
    scale, bits = scale_of(b, node, 1), whole(b, node, 3, "bit_width")
    zero = whole(b, node, 2, "zero_point")
    signed, narrow = (bool(node.attributes.get(key, default)) for key, default in (("signed", 1), ("narrow", 0)))
    rounding = str(node.attributes.get("rounding_mode", "ROUND")).upper()
    widest = WIDEST_CONSTANT if node.inputs[0] in b.folded else WIDEST
    b.require(node, 1 <= bits <= widest, f"bit_width {bits} is not supported (allowed: 1 to {widest})")
    if bits == 1 and signed:
        b.require(node, zero == 0, "zero_point of a bipolar value has to be 0")
        return _bipolar(b, node, scale)
    lo, hi = limits(signed, narrow, bits)
    b.require(node, lo < hi, f"bit_width {bits} leaves no two values")
    return quantised(b, node, Quantize(lo, hi, zero, rounding), scale)


def _bipolar(b: Builder, node: OnnxNode, scale: Array) -> None:
    source = node.inputs[0]
    if source in b.folded:
        need_scales(b, node, b.folded[source], scale)
        return keep(b, node, np.where(b.folded[source] >= 0, 1, -1), scale)
    b.require(node, scale.size == 1, "the scale of a computed bipolar value has to be one number")
    step = float(np.ravel(scale)[0])
    return b.define(node, b.map(node, MultiThreshold(2 * step, -step), b.value(node), table=np.zeros((1, 1))))


def _bipolar_quant(b: Builder, node: OnnxNode) -> None:
    _bipolar(b, node, scale_of(b, node, 1))


def _multi_threshold(b: Builder, node: OnnxNode) -> None:
    """``out_scale * #{t : x >= table[c, t]} + out_bias``."""
    x, table = b.value(node), b.constant(node, 1).astype(np.float64)
    b.require(node, table.ndim == 2 and table.size > 0, f"thresholds have shape {table.shape}, need (C, N)")
    many = table.shape[1]
    b.require(node, many <= MOST_THRESHOLDS, f"{many} thresholds are too many (allowed: {MOST_THRESHOLDS})")
    b.require(node, bool((np.diff(table, axis=1) >= 0).all()), "thresholds have to rise")
    layout, rank = str(node.attributes.get("data_layout", "NCHW")), len(x.shape)
    b.require(node, layout in LAYOUTS, f"data_layout '{layout}' is not supported (allowed: {', '.join(LAYOUTS)})")
    x = b.arranged(node, x, [*range(1, rank)] if layout.startswith("NC") else [rank - 1, *range(1, rank - 1)])
    gain = float(node.attributes.get("out_scale", 1.0))
    offset = float(node.attributes.get("out_bias", 0.0))
    b.define(node, b.map(node, MultiThreshold(gain, offset), x, table=table))


def _trunc(b: Builder, node: OnnxNode) -> None:
    """An integer divided by a power of two and rounded (qonnx/custom_op/general/trunc.py): in its first version so many
    bits less, keeping its scale; in its second to another scale, and clipped to so many bits."""
    step, zero = float(np.ravel(scale_of(b, node, 1))[0]), whole(b, node, 2, "zero_point")
    b.require(node, zero == 0, f"zero point {zero} is not supported (allowed: 0)")
    rounding = str(node.attributes.get("rounding_mode", "FLOOR")).upper()
    if len(node.inputs) > 5:
        result, bits = (
            float(np.ravel(scale_of(b, node, 4))[0]),
            whole(b, node, len(node.inputs) - 1, "output bit width"),
        )
        cut = int(np.rint(np.log2(result / step)))
        b.require(node, 1 <= bits <= WIDEST, f"output bit width {bits} is not supported (allowed: 1 to {WIDEST})")
        lo, hi = limits(bool(node.attributes.get("signed", 1)), bool(node.attributes.get("narrow", 0)), bits)
        b.require(node, lo < hi, f"output bit width {bits} leaves no two values")
    else:
        cut = whole(b, node, 3, "input bit width") - whole(b, node, 4, "output bit width")
        result, lo, hi = step, -EVERYTHING, EVERYTHING
    b.require(node, abs(cut) < WIDEST, f"{cut} bits less are not supported (allowed: below {WIDEST})")
    integers = b.map(node, Curve("rint"), b.affine(node, b.value(node), 1 / step, name="scaled"), name="integers")
    halved = b.affine(node, integers, 2.0**-cut, name="scaled")
    truncated = b.map(node, Quantize(lo, hi, 0, rounding), halved, name="truncated", scale=np.ones(1))
    b.define(node, b.affine(node, truncated, result))


def _affine(b: Builder, node: OnnxNode, x: Value, gain: Array, offset: Array) -> None:
    """``x * gain + offset``; constants that vary along several axes (a detector's grid) have no integer form."""
    if len({axis for values in (gain, offset) for axis in varying_axes(values, len(x.shape))}) > 1:
        for op, values, none in ((Multiply(), gain, 1.0), (Add(), offset, 0.0)):
            if (values != none).any():
                x = b.map(node, op, x, constant=b.laid_out(node, x, values))
        return b.define(node, x)
    x, vectors = b.per_channel(node, x, gain, offset)
    return b.define(node, b.map(node, Affine(), x, scale=vectors[0], offset=vectors[1]))


def _arithmetic(b: Builder, node: OnnxNode) -> None:
    x, other, turned = split(b, node)
    if isinstance(other, Value):
        return _both(b, node, x, other)
    values, kind = b.real(node, other, "the constant"), node.operator
    one, none = np.ones(1), np.zeros(1)
    if kind == "Div" and turned:
        x = b.map(node, Curve("reciprocal"), x, name="reciprocal")
        return _affine(b, node, x, values, none)
    if kind == "Div":
        b.require(node, bool((values != 0).all()), "divides by 0")
    forms = {"Add": (one, values), "Sub": (-one, values) if turned else (one, -values), "Mul": (values, none)}
    gain, offset = forms[kind] if kind != "Div" else (1 / values, none)
    return _affine(b, node, x, gain, offset)


def _sum(b: Builder, node: OnnxNode) -> None:
    """Any number of operands, one added after another."""
    total, *more = node.inputs
    if not more:
        return b.define(node, b.value(node))
    for i, name in enumerate(more, 1):
        result = node.outputs[0] if i == len(more) else f"{node.outputs[0]}.{i}"
        _arithmetic(b, replace(node, operator="Add", inputs=(total, name), outputs=(result,)))
        total = result
    return None


def _both(b: Builder, node: OnnxNode, x: Value, y: Value) -> None:
    gate = gated(b, node, x, y) if node.operator == "Mul" and x.shape != y.shape else None
    if gate is not None:
        return b.define(node, Value(b.emit(node, Multiply(), *(v.tensor for v in gate)), gate[0].shape, gate[0].axes))
    if node.operator == "Div" or x.shape[-len(y.shape) :] != y.shape[-len(x.shape) :]:
        return b.define(node, couple(b, node, COUPLES[node.operator], x, y))
    x, y = together(b, node, x, y)
    if node.operator == "Mul":
        return b.define(node, _product(b, node, x, y))
    y = y if node.operator == "Add" else b.affine(node, y, -1.0, name="negated")
    return b.define(node, Value(b.emit(node, Add(), x.tensor, y.tensor), x.shape, x.axes))


COUPLES = {"Add": "add", "Div": "divide", "Mul": "multiply", "Sub": "subtract"}


def _product(b: Builder, node: OnnxNode, x: Value, y: Value) -> Value:
    """x * y; with the sigmoid of x that is one function of x."""
    for argument, gate in ((x, y), (y, x)):
        made = b.by_name.get(gate.tensor)
        if made is not None and made.inputs == (argument.tensor,) and isinstance(made.op, Curve):
            if made.op.name == "sigmoid":
                return b.map(node, Curve("swish", 1.0), argument)
            if made.op == Curve("hardsigmoid", 1 / 6, 0.5):
                return b.map(node, Curve("hardswish"), argument)
    return Value(b.emit(node, Multiply(), x.tensor, y.tensor), x.shape, x.axes)


def _batch_norm(b: Builder, node: OnnxNode) -> None:
    x = b.value(node)
    b.require(node, len(x.shape) >= 2, f"takes (batch, channels, ...), got shape {x.shape}")
    b.require(node, not node.attributes.get("training_mode", 0), "is in training mode")
    used = [output for output in node.outputs[1:] if output]
    b.require(node, not used, "has outputs of training")
    x = b.arranged(node, x, (1, *(a for a in range(2, len(x.shape)) if x.shape[a] > 1 or len(x.shape) <= 4)))
    vectors = [b.real(node, b.constant(node, i), name) for i, name in enumerate(STATISTICS, 1)]
    b.require(node, bool((vectors[3] >= 0).all()), "a variance is below 0")
    op = BatchNorm(float(node.attributes.get("epsilon", 1e-5)))
    tensor = b.emit(node, op, x.tensor, constants=dict(zip(STATISTICS, vectors, strict=True)))
    b.define(node, Value(tensor, x.shape, x.axes))


STATISTICS = ("gamma", "beta", "mean", "var")


def _curve(name: str, a: tuple[str, float] = ("", 0.0), b_: tuple[str, float] = ("", 0.0)) -> Rule:
    """A function with up to two attributes, each with its default."""

    def rule(b: Builder, node: OnnxNode) -> None:
        values = [float(node.attributes.get(key, default)) for key, default in (a, b_)]
        b.define(node, b.map(node, Curve(name, *values), b.value(node)))

    return rule


def _cast(b: Builder, node: OnnxNode) -> None:
    dtype, grid = cast_type(b, node), b.grids.get(node.inputs[0])
    if grid is None or (grid[1] == 0 and bool((grid[0] == 1).all())):
        b.require(node, dtype.kind == "f", "casts real values to integers, which truncates: use a quantiser")
        return b.define(node, b.value(node))
    if dtype.kind == "i" and dtype.itemsize >= 4:
        b.grids[node.outputs[0]] = grid
        return b.define(node, b.value(node))
    b.require(node, dtype.kind == "f", f"casts integers to {dtype}, which may wrap (allowed: int32, int64, floats)")
    scale, zero = grid
    return _affine(b, node, b.value(node), 1 / scale, np.asarray(float(zero)))


def _pad(b: Builder, node: OnnxNode) -> None:
    grid = b.grids.get(node.inputs[0])
    if grid is None:
        return pad(b, node)
    b.require(node, grid[0].size == 1, "pads integers that have a scale for each channel")
    pad(b, node, float(np.ravel(grid[0])[0]), grid[1])
    b.grids[node.outputs[0]] = grid
    return None


def _gelu(b: Builder, node: OnnxNode) -> None:
    approximate = str(node.attributes.get("approximate", "none"))
    b.require(node, approximate == "none", f"approximate '{approximate}' is not supported (allowed: none)")
    b.define(node, b.map(node, Curve("gelu"), b.value(node)))


def _celu(b: Builder, node: OnnxNode) -> None:
    """``alpha * elu(x / alpha)``."""
    alpha = float(node.attributes.get("alpha", 1.0))
    b.require(node, 0 < alpha < np.inf, f"alpha {alpha} has to be above 0")
    bent = b.map(node, Curve("elu", 1.0), b.affine(node, b.value(node), 1 / alpha, name="scaled"), name="bent")
    b.define(node, b.affine(node, bent, alpha))


def _selu(b: Builder, node: OnnxNode) -> None:
    """``gamma * elu(x)``."""
    alpha, gamma = (float(node.attributes.get(key, default)) for key, default in SELU)
    b.define(node, b.affine(node, b.map(node, Curve("elu", alpha), b.value(node), name="bent"), gamma))


SELU = (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875))


def _clip(b: Builder, node: OnnxNode) -> None:
    ends = [
        float(np.ravel(b.constant(node, i, np.asarray(node.attributes.get(key, end))))[0])
        for i, key, end in ((1, "min", -np.inf), (2, "max", np.inf))
    ]
    if quantize_linear.narrows(b, node):
        return quantize_linear.clip(b, node, *ends)
    _need_plain(b, node)
    return b.define(node, b.map(node, Curve("clip", *ends), b.value(node)))


def keep_grid(b: Builder, node: OnnxNode) -> None:
    """What a node moves keeps the scale and zero point that all its operands share."""
    grid = _common_grid(b, node) if node.operator in MOVES else None
    if grid is not None:
        b.grids |= dict.fromkeys(node.outputs, grid)


MOVES = {*shapes.RULES, "GlobalMaxPool", "MaxPool", "ReduceMax"} - {"Pad"}
READ_INTEGERS = {*MOVES, "Cast", "Clip", "DequantizeLinear", "Pad"}
"""Operators that know of a tensor's grid."""


def check_integers(b: Builder, node: OnnxNode) -> None:
    """ModelError where an operator computes with integers, which the graph holds as what they stand for."""
    if not b.whole and node.operator not in READ_INTEGERS:
        _need_plain(b, node)


def _need_plain(b: Builder, node: OnnxNode) -> None:
    for name in node.inputs:
        scale, zero = b.grids.get(name, (np.ones(1), 0))
        same = zero == 0 and bool((scale == 1).all())
        b.require(node, same, f"computes with the integers of '{name}': a DequantizeLinear has to stand between")


def _common_grid(b: Builder, node: OnnxNode) -> tuple[Array, int] | None:
    grids = [b.grids.get(name) for name in node.inputs if name in b.values]
    first = grids[0] if grids else None
    if first is None or varying_axes(first[0], first[0].ndim):
        return None
    same = all(g is not None and g[1] == first[1] and np.array_equal(g[0], first[0]) for g in grids)
    return first if same else None


RULES: Mapping[str, Rule] = {
    **REALS,
    **quantize_linear.RULES,
    "Abs": _curve("abs"),
    "Add": _arithmetic,
    "BatchNormalization": _batch_norm,
    "BipolarQuant": _bipolar_quant,
    "Cast": _cast,
    "Ceil": _curve("ceil"),
    "Celu": _celu,
    "Clip": _clip,
    "Div": _arithmetic,
    "Elu": _curve("elu", ("alpha", 1.0)),
    "Floor": _curve("floor"),
    "Gelu": _gelu,
    "HardSwish": _curve("hardswish"),
    "HardSigmoid": _curve("hardsigmoid", ("alpha", 0.2), ("beta", 0.5)),
    "IntQuant": _quant,
    "LeakyRelu": _curve("leaky", ("alpha", 0.01)),
    "Mul": _arithmetic,
    "MultiThreshold": _multi_threshold,
    "Pad": _pad,
    "Quant": _quant,
    "Relu": _curve("relu"),
    "Round": _curve("rint"),
    "Selu": _selu,
    "Sigmoid": _curve("sigmoid"),
    "Sign": _curve("sign"),
    "Softplus": _curve("softplus"),
    "Softsign": _curve("softsign"),
    "Sub": _arithmetic,
    "Sum": _sum,
    "Swish": _curve("swish", ("alpha", 1.0)),
    "Tanh": _curve("tanh"),
    "Trunc": _trunc,
}
