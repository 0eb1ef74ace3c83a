"""Nodes whose operands are all constants, as numpy computes them: what exporters leave of shapes and parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import numpy as np

from frontend.errors import ModelError
from frontend.onnx.builder import Builder, Quantised
from frontend.onnx.elements import FOUR_BITS, READ_TYPES, stored_type
from frontend.onnx.model import OnnxNode, check_shape
from ir.types import Array

Fold = Callable[[Builder, OnnxNode, Sequence[Array]], Array]


def fold(b: Builder, node: OnnxNode) -> bool:
    """Computes the node's result if it is a constant; whether it was one."""
    if node.operator == "Constant" and not node.domain:
        b.folded[node.outputs[0]] = _constant(b, node)  # which the file holds: its size is a bound
        return True
    if node.operator == "Shape" and not node.domain and node.inputs[0] not in b.folded:
        x = b.unfolded.get(node.inputs[0]) or b.value(node)
        b.fold(node, _extents(node, x.shape))
        return True
    known = all(name in b.folded for name in node.inputs if name)
    if node.operator == "Clip" and node.inputs[0] in b.quantised:
        return False  # its integers are clipped, not what they stand for
    if node.domain or not known or not node.inputs or node.operator not in FOLDS:
        return False
    operands = [_double(b.folded[name]) for name in node.inputs if name]
    known_as = b.quantised.get(node.inputs[0])
    quantised = None
    if known_as is not None and node.operator in MOVES:
        parts = (known_as.integers, np.broadcast_to(known_as.scale, known_as.integers.shape))
        quantised = Quantised(*(_computed(b, node, [part, *operands[1:]]) for part in parts))
    b.fold(node, _computed(b, node, operands), quantised)
    return True


MOVES = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""What leaves a quantised constant one."""


def _double(values: Array) -> Array:
    """Parameters are combined in double precision, whatever precision the file computes in."""
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def _computed(b: Builder, node: OnnxNode, operands: Sequence[Array]) -> Array:
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused where it is used
            return np.asarray(FOLDS[node.operator](b, node, operands))
    except ModelError:
        raise
    except (ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError, MemoryError) as error:
        b.fail(node, f"cannot be computed from its constants ({' '.join(str(error).split())})")


def _constant(b: Builder, node: OnnxNode) -> Array:
    given = [node.attributes[key] for key in VALUES if key in node.attributes]
    b.require(node, len(given) == 1, f"needs one of the attributes {', '.join(VALUES)}")
    return np.asarray(given[0], np.float32 if "float" in next(k for k in VALUES if k in node.attributes) else None)


VALUES = ("value", "value_int", "value_ints", "value_float", "value_floats")


def _axes(node: OnnxNode, operands: Sequence[Array]) -> tuple[int, ...]:
    """Axes as an attribute (older operators) or as the second operand."""
    given = node.attributes.get("axes", operands[1] if len(operands) > 1 else ())
    return tuple(int(axis) for axis in np.ravel(given))


def _unsqueeze(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    return np.expand_dims(v[0], _axes(node, v))


def _squeeze(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    return np.squeeze(v[0], _axes(node, v) or None)


def _concat(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    return np.concatenate(v, int(node.attributes.get("axis", 0)))


def _filled(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    shape = [int(n) for n in v[0]]
    check_shape(f"{b.graph}: {node}: its result", shape)
    value = np.ravel(node.attributes.get("value", np.zeros(1, np.float32)))[0]
    return np.full(shape, value)


def _expand(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    shape = np.broadcast_shapes(v[0].shape, tuple(int(n) for n in v[1]))
    check_shape(f"{b.graph}: {node}: its result", shape)
    return np.broadcast_to(v[0], shape)


def _range(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    start, limit, step = (operand.item() for operand in v)
    check_shape(f"{b.graph}: {node}: its result", [max(1, int((limit - start) / step))])
    return np.asarray(np.arange(start, limit, step)).astype(v[0].dtype)


def _cast(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    return v[0].astype(cast_type(b, node))


def cast_type(b: Builder, node: OnnxNode) -> np.dtype[np.generic]:
    """What a Cast makes."""
    element = int(node.attributes.get("to", 0))
    known = element in READ_TYPES and element not in FOUR_BITS
    b.require(node, known, f"casts to element type {element}, which is not read")
    return stored_type(element)


def _slice(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    starts, ends, axes, steps = slice_arguments(node, v)
    index = [slice(None)] * v[0].ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(start, end if end >= -(v[0].shape[axis]) else None, step)
    return v[0][tuple(index)]


def slice_arguments(node: OnnxNode, v: Sequence[Array]) -> tuple[list[int], list[int], list[int], list[int]]:
    """(starts, ends, axes, steps) of a Slice, from attributes (up to opset 9) or operands behind the first."""
    given = [v[i] if i < len(v) else None for i in range(1, 5)]
    if len(v) == 1:
        given = [node.attributes.get(key) for key in ("starts", "ends", "axes")] + [None]
    starts, ends = ([int(n) for n in np.ravel([] if part is None else part)] for part in given[:2])
    axes = list(range(len(starts))) if given[2] is None else [int(n) for n in np.ravel(given[2])]
    steps = [1] * len(starts) if given[3] is None else [int(n) for n in np.ravel(given[3])]
    return starts, ends, axes, steps


def _reduced(function: Callable[..., Array]) -> Fold:
    def along_axes(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
        return function(v[0], axis=_axes(node, v) or None, keepdims=bool(node.attributes.get("keepdims", 1)))

    return along_axes


def _numpy(function: Callable[..., Array]) -> Fold:
    def elementwise(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
        check_shape(f"{b.graph}: {node}: its result", [max(1, n) for n in np.broadcast_shapes(*(x.shape for x in v))])
        return function(*v)

    return elementwise


def _gather(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    axis = int(node.attributes.get("axis", 0))
    rest = [max(1, n) for i, n in enumerate(v[0].shape) if i != axis % v[0].ndim]
    check_shape(f"{b.graph}: {node}: its result", [*rest, max(1, v[1].size)])
    return np.take(v[0], v[1], axis)


def _clip(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    """To ends that are attributes (up to opset 10) or operands, either of which may be missing."""
    result = v[0]
    for i, (key, bounded) in enumerate((("min", np.maximum), ("max", np.minimum)), 1):
        name = node.inputs[i] if i < len(node.inputs) else ""
        if name or key in node.attributes:
            result = bounded(result, b.folded[name] if name else node.attributes[key])
    return np.asarray(result)


def _extents(node: OnnxNode, shape: tuple[int, ...]) -> Array:
    """Those of all axes or, from opset 15 on, of some of them."""
    start, end = (int(node.attributes.get(key, default)) for key, default in (("start", 0), ("end", len(shape))))
    return np.array(shape[start:end], np.int64)


def _divide(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    return np.asarray(np.fix(v[0] / v[1])).astype(v[0].dtype) if v[0].dtype.kind in "iu" else v[0] / v[1]


def _shaped(b: Builder, node: OnnxNode, v: Sequence[Array]) -> Array:
    shape = [v[0].shape[i] if n == 0 else int(n) for i, n in enumerate(v[1])]
    return v[0].reshape(shape)


FOLDS: Mapping[str, Fold] = {
    "Abs": _numpy(np.abs),
    "Add": _numpy(np.add),
    "Cast": _cast,
    "Ceil": _numpy(np.ceil),
    "Clip": _clip,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Div": _divide,
    "Exp": _numpy(np.exp),
    "Expand": _expand,
    "Flatten": lambda b, node, v: v[0].reshape(
        int(np.prod(v[0].shape[: int(node.attributes.get("axis", 1))], dtype=np.int64)), -1
    ),
    "Floor": _numpy(np.floor),
    "Gather": _gather,
    "Identity": lambda b, node, v: v[0],
    "Log": _numpy(np.log),
    "Max": _numpy(lambda *v: reduce(np.maximum, v)),
    "Min": _numpy(lambda *v: reduce(np.minimum, v)),
    "Mul": _numpy(np.multiply),
    "Neg": _numpy(np.negative),
    "Pow": _numpy(np.power),
    "Range": _range,
    "Reciprocal": _numpy(np.reciprocal),
    "ReduceMax": _reduced(np.max),
    "ReduceMean": _reduced(np.mean),
    "ReduceMin": _reduced(np.min),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Reshape": _shaped,
    "Shape": lambda b, node, v: _extents(node, v[0].shape),
    "Slice": _slice,
    "Sqrt": _numpy(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _numpy(np.subtract),
    "Transpose": lambda b, node, v: np.transpose(v[0], node.attributes.get("perm")),
    "Unsqueeze": _unsqueeze,
}
