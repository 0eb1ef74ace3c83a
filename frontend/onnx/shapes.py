"""Operators that move values: what they need of the graph is often nothing but another reading of a tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from frontend.onnx.builder import NONE, Builder, Unfolded, Value, standard_axes
from frontend.onnx.folding import slice_arguments
from frontend.onnx.model import OnnxNode, check_shape
from frontend.onnx.rule import Rule
from ir.ops import Concat, DepthToSpace, Pad, Reshape, Slice, SpaceToDepth, Upsample
from ir.types import Array

Shape = tuple[int, ...]


def positive(b: Builder, node: OnnxNode, axis: int, rank: int) -> int:
    b.require(node, -rank <= axis < rank, f"axis {axis} is none of {rank}")
    return axis % rank


def reshaped(b: Builder, node: OnnxNode, x: Value, shape: Sequence[int]) -> Value | None:
    """x in another shape; values move only where the extents that are not 1 change. None if it has more than three
    axes, in another order or number than x."""
    large = [axis for axis in range(len(x.shape)) if x.shape[axis] > 1]
    kept = [axis for axis in range(len(shape)) if shape[axis] > 1]
    if [x.shape[axis] for axis in large] == [shape[axis] for axis in kept]:
        renamed = dict(zip(large, kept, strict=True))
        read = tuple(renamed.get(axis, NONE) for axis in x.axes)
        return Value(x.tensor, tuple(shape), read)  # type: ignore[arg-type]
    axes = standard_axes(shape)
    if axes is None:
        return None
    made = Value("", tuple(shape), axes)
    source = in_order(b, node, x)
    return Value(b.emit(node, Reshape(made.extents), source.tensor), tuple(shape), axes)  # type: ignore[arg-type]


def in_order(b: Builder, node: OnnxNode, x: Value) -> Value:
    """x with its elements in ONNX's order."""
    large = [axis for axis in range(len(x.shape)) if x.shape[axis] > 1]
    return x if [axis for axis in x.axes if axis in large] == large else b.arranged(node, x, large or [NONE])


def define_view(b: Builder, node: OnnxNode, x: Value, shape: Sequence[int]) -> None:
    made = reshaped(b, node, x, shape)
    if made is not None:
        return b.define(node, made)
    check_shape(f"{b.graph}: {node}: its result", shape)
    b.unfolded[node.outputs[0]] = Unfolded(node.inputs[0], tuple(shape), tuple(range(len(shape))))
    return None


def target_shape(b: Builder, node: OnnxNode, x: Shape) -> Shape:
    """What a Reshape makes of a tensor of this shape."""
    wanted = [int(n) for n in np.ravel(node.attributes.get("shape", b.constant(node, 1, np.zeros(0))))]
    zeros = bool(node.attributes.get("allowzero", 0))
    shape = [x[i] if n == 0 and not zeros and i < len(x) else n for i, n in enumerate(wanted)]
    elements = int(np.prod(x, dtype=np.int64))
    if shape.count(-1) == 1:
        rest = int(np.prod([n for n in shape if n != -1], dtype=object))
        b.require(node, rest > 0 and elements % rest == 0, f"{x} does not fit {tuple(wanted)}")
        shape[shape.index(-1)] = elements // rest
    fits = min(shape, default=1) >= 1 and int(np.prod(shape, dtype=object)) == elements
    b.require(node, fits, f"{x} does not fit {tuple(wanted)}")
    return tuple(shape)


def flattened_shape(b: Builder, node: OnnxNode, x: Shape) -> Shape:
    """What a Flatten makes of it."""
    axis = int(node.attributes.get("axis", 1))
    axis = axis if axis == len(x) else positive(b, node, axis, len(x))
    return int(np.prod(x[:axis], dtype=np.int64)), int(np.prod(x[axis:], dtype=np.int64))


def _axes_of(b: Builder, node: OnnxNode) -> list[int]:
    given = node.attributes.get("axes")
    return [int(n) for n in np.ravel(b.constant(node, 1, np.zeros(0)) if given is None else given)]


def squeezed_shape(b: Builder, node: OnnxNode, x: Shape) -> Shape:
    """What a Squeeze makes of it."""
    axes = {positive(b, node, axis, len(x)) for axis in _axes_of(b, node)} or {i for i, n in enumerate(x) if n == 1}
    b.require(node, all(x[axis] == 1 for axis in axes), f"{x} has no extent of 1 at {sorted(axes)}")
    return tuple(n for i, n in enumerate(x) if i not in axes)


def unsqueezed_shape(b: Builder, node: OnnxNode, x: Shape) -> Shape:
    """What an Unsqueeze makes of it."""
    given = _axes_of(b, node)
    axes = {positive(b, node, axis, len(x) + len(given)) for axis in given}
    rest = iter(x)
    return tuple(1 if i in axes else next(rest) for i in range(len(x) + len(axes)))


def _into(shape: Callable[[Builder, OnnxNode, Shape], Shape]) -> Rule:
    def rule(b: Builder, node: OnnxNode) -> None:
        x = b.value(node)
        define_view(b, node, x, shape(b, node, x.shape))

    return rule


def _transpose(b: Builder, node: OnnxNode) -> None:
    x = b.value(node)
    order = [int(n) for n in node.attributes.get("perm", range(len(x.shape))[::-1])]
    b.require(node, sorted(order) == list(range(len(x.shape))), f"perm {order} is no order of {len(x.shape)} axes")
    axes = tuple(NONE if axis == NONE else order.index(axis) for axis in x.axes)
    b.define(node, Value(x.tensor, tuple(x.shape[axis] for axis in order), axes))  # type: ignore[arg-type]


def _same(b: Builder, node: OnnxNode) -> None:
    b.define(node, b.value(node))


def first_axis(b: Builder, node: OnnxNode, x: Value, axis: int) -> Value:
    """x with this axis as its channels, the others behind it in order."""
    rest = [i for i in range(len(x.shape)) if i != axis and x.shape[i] > 1]
    return b.arranged(node, x, (axis, *rest))


def _concat(b: Builder, node: OnnxNode) -> None:
    rank = len(b.value(node).shape)
    axis = positive(b, node, int(node.attributes.get("axis", 1)), rank)
    b.define(node, _joined(b, node, [b.value(node, i) for i in range(len(node.inputs))], axis))


def _joined(b: Builder, node: OnnxNode, values: Sequence[Value], axis: int) -> Value:
    ranks = {len(x.shape) for x in values}
    b.require(node, len(ranks) == 1, f"joins tensors of shapes {[x.shape for x in values]}")
    parts = [first_axis(b, node, x, axis) for x in values]
    if len(parts) == 1:
        return parts[0]
    shapes = {part.shape[:axis] + part.shape[axis + 1 :] for part in parts}
    b.require(node, len(shapes) == 1, f"joins tensors of shapes {[part.shape for part in parts]}")
    tensor = b.emit(node, Concat(), *(part.tensor for part in parts))
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    axes = next((part.axes for part in parts if NONE not in part.axes), parts[0].axes)
    return Value(tensor, tuple(shape), axes)


def _slice(b: Builder, node: OnnxNode) -> None:
    x = b.value(node)
    operands = [np.zeros(0), *(b.constant(node, i) for i in range(1, len(node.inputs)))]
    starts, ends, axes, steps = slice_arguments(node, operands)
    b.require(
        node, len({len(starts), len(ends), len(axes), len(steps)}) == 1, "has starts, ends, axes of other lengths"
    )
    b.define(node, _cut(b, node, x, {
        positive(b, node, axis, len(x.shape)): slice(start, end, step)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }))  # fmt: skip


def _cut(b: Builder, node: OnnxNode, x: Value, cuts: Mapping[int, slice]) -> Value:
    ranges: dict[int, range] = {}
    for axis, cut in cuts.items():
        b.require(node, cut.step != 0, "has a step of 0")
        extent = x.shape[axis]
        end = None if cut.step < 0 and cut.stop < -extent else cut.stop
        ranges[axis] = range(*slice(cut.start, end, cut.step).indices(extent))
        b.require(node, len(ranges[axis]) > 0, f"cuts nothing out of axis {axis} of {x.shape}")
    moving = [axis for axis, kept in ranges.items() if kept != range(x.shape[axis])]
    if not moving:
        return x
    spans = [ranges.get(axis, range(extent)) for axis, extent in zip(x.axes, x.extents, strict=True)]
    first, step, count = zip(*((s.start, s.step, len(s)) for s in spans), strict=True)
    extents = tuple(len(ranges[i]) if i in ranges else n for i, n in enumerate(x.shape))
    return Value(b.emit(node, Slice(first, step, count), x.tensor), extents, x.axes)


MOST_RUNS = 64
"""Slices that a Gather may become."""


def _gather(b: Builder, node: OnnxNode) -> None:
    """Evenly spaced indices are a slice, others several; a single one drops the axis."""
    x, indices = b.value(node), b.constant(node, 1).astype(np.int64)
    axis = positive(b, node, int(node.attributes.get("axis", 0)), len(x.shape))
    extent = x.shape[axis]
    fits = indices.size > 0 and indices.ndim < 2 and bool((np.abs(indices + 0.5) <= extent).all())
    b.require(node, fits, f"indices of shape {indices.shape} do not fit an axis of {extent} (allowed: one, or a list)")
    runs = _runs((np.ravel(indices) % extent).tolist())
    b.require(node, len(runs) <= MOST_RUNS, f"indices make {len(runs)} slices (allowed: {MOST_RUNS})")
    made = _joined(b, node, [_cut(b, node, x, {axis: run}) for run in runs], axis)
    if indices.ndim:
        return b.define(node, made)
    return define_view(b, node, made, [n for i, n in enumerate(made.shape) if i != axis])


def _runs(row: Sequence[int]) -> list[slice]:
    """Numbers of 0 or more as slices, each as long as they are evenly spaced."""
    found, first = [], 0
    while first < len(row):
        last, step = first, 1
        if first + 1 < len(row) and row[first + 1] != row[first]:
            step = row[first + 1] - row[first]
            while last + 1 < len(row) and row[last + 1] - row[last] == step:
                last += 1
        stop = row[last] + (1 if step > 0 else -1)
        found.append(slice(row[first], stop if stop >= 0 else -(1 << 40), step))
        first = last + 1
    return found


def pad(b: Builder, node: OnnxNode, scale: float = 1.0, zero: int = 0) -> None:
    """``scale`` and ``zero``: of a tensor that ONNX holds as integers, as it holds the number to pad with."""
    x, rank = b.value(node), len(b.value(node).shape)
    mode = node.attributes.get("mode", "constant")
    b.require(node, mode == "constant", f"mode '{mode}' is not supported (allowed: constant)")
    given = node.attributes.get("pads")
    pads = [int(n) for n in np.ravel(b.constant(node, 1) if given is None else given)]
    filling = np.ravel(b.constant(node, 2, np.asarray(node.attributes.get("value", 0.0))))
    b.require(node, filling.size == 1 and bool(np.isfinite(filling[0])), "pads with something else than one number")
    value = scale * (float(filling[0]) - zero)
    b.require(node, len(pads) == 2 * rank and len(node.inputs) < 4, f"needs {2 * rank} pads, has {len(pads)}")
    if min(pads) < 0:
        kept = {i: slice(-min(pads[i], 0), n + min(pads[rank + i], 0), 1) for i, n in enumerate(x.shape)}
        b.require(node, all(cut.start < cut.stop for cut in kept.values()), f"pads {pads} cut off all of {x.shape}")
        x, pads = _cut(b, node, x, kept), [max(n, 0) for n in pads]
    b.require(node, value == int(value), f"pads with {value} (allowed: whole numbers)")
    if not any(pads):
        return b.define(node, x)
    grown = [axis for axis in range(rank) if pads[axis] or pads[rank + axis]]
    missing = [axis for axis in grown if axis not in x.axes]
    if missing:
        x = b.arranged(node, x, sorted({axis for axis in range(rank) if x.shape[axis] > 1} | set(grown)))
    (front, top, left), (behind, bottom, right) = ([0 if a == NONE else pads[k + a] for a in x.axes] for k in (0, rank))
    tensor = b.emit(node, Pad((top, left, bottom, right), (front, behind), int(value)), x.tensor)
    shape = tuple(n + pads[i] + pads[rank + i] for i, n in enumerate(x.shape))
    return b.define(node, Value(tensor, shape, x.axes))


def resize(b: Builder, node: OnnxNode) -> None:
    x = b.value(node)
    mode = str(node.attributes.get("mode", "nearest"))
    scales = scales_of(b, node, x)
    b.require(node, mode == "nearest", f"mode '{mode}' is not supported (allowed: nearest)")
    factor = scales[-1]
    whole = len(x.shape) == 4 and scales[:2] == [1.0, 1.0] and scales[2] == factor and factor == int(factor) >= 1
    b.require(node, whole, f"scales {scales} are not supported (allowed: 1, 1, n, n)")
    way, nearest = (str(node.attributes.get(k, d)) for k, d in MODES)
    same = node.operator == "Upsample" or (way, nearest) in REPEATING
    b.require(node, same, f"{way} with {nearest} does not repeat pixels (allowed: asymmetric with floor, half_pixel)")
    x = b.arranged(node, x, (1, 2, 3))
    shape = (*x.shape[:2], x.shape[2] * int(factor), x.shape[3] * int(factor))
    b.define(node, x if factor == 1 else Value(b.emit(node, Upsample(int(factor)), x.tensor), shape, x.axes))


MODES = (("coordinate_transformation_mode", "half_pixel"), ("nearest_mode", "round_prefer_floor"))
REPEATING = {
    ("asymmetric", "floor"),
    ("half_pixel", "round_prefer_floor"),
    ("half_pixel", "round_prefer_ceil"),
    ("pytorch_half_pixel", "round_prefer_floor"),
    ("half_pixel_symmetric", "round_prefer_floor"),
}
"""With whole factors these take every pixel as often as the factor says."""


def scales_of(b: Builder, node: OnnxNode, x: Value) -> list[float]:
    def operand(position: int) -> Array:
        return b.constant(node, position, np.zeros(0)) if position < len(node.inputs) else np.zeros(0)

    if "scales" in node.attributes:
        return [float(v) for v in node.attributes["scales"]]
    old = len(node.inputs) == 2
    scales, sizes = operand(1 if old else 2), operand(3)
    if scales.size:
        return [float(v) for v in scales]
    b.require(node, sizes.size == len(x.shape), "needs constant scales or sizes")
    return [float(v) / extent for v, extent in zip(sizes, x.shape, strict=True)]


def _space_to_depth(b: Builder, node: OnnxNode) -> None:
    x, block = b.arranged(node, b.value(node), (1, 2, 3)), int(node.attributes.get("blocksize", 1))
    b.define(node, _picture(b, b.emit(node, SpaceToDepth(block), x.tensor)))


def _depth_to_space(b: Builder, node: OnnxNode) -> None:
    x, block = b.arranged(node, b.value(node), (1, 2, 3)), int(node.attributes.get("blocksize", 1))
    order = str(node.attributes.get("mode", "DCR")).lower()
    b.define(node, _picture(b, b.emit(node, DepthToSpace(block, order), x.tensor)))  # type: ignore[arg-type]


def _picture(b: Builder, tensor: str) -> Value:
    return Value(tensor, (1, *b.types[tensor].shape), (1, 2, 3))


def _split(b: Builder, node: OnnxNode) -> None:
    x = b.value(node)
    axis = positive(b, node, int(node.attributes.get("axis", 0)), len(x.shape))
    given = node.attributes.get("split")
    sizes = [int(n) for n in np.ravel(b.constant(node, 1, np.zeros(0)) if given is None else given)]
    count = len(node.outputs)
    each = -(-x.shape[axis] // count)
    sizes = sizes or [min(each, x.shape[axis] - i * each) for i in range(count)]
    b.require(node, len(sizes) == count and sum(sizes) == x.shape[axis], f"cannot split {x.shape} into {sizes}")
    first = 0
    for output, size in zip(node.outputs, sizes, strict=True):
        part = OnnxNode(node.name, node.operator, node.domain, node.inputs, (output,), node.attributes)
        b.define(part, _cut(b, part, x, {axis: slice(first, first + size, 1)}))
        first += size


RULES: Mapping[str, Rule] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Dropout": _same,
    "Flatten": _into(flattened_shape),
    "Gather": _gather,
    "Identity": _same,
    "Pad": pad,
    "Reshape": _into(target_shape),
    "Resize": resize,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _into(squeezed_shape),
    "Transpose": _transpose,
    "Unsqueeze": _into(unsqueezed_shape),
    "Upsample": resize,
}
