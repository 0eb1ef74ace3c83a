"""How far an executor in float32 may be from the reference in float64, tensor by tensor.

Rounding errors are taken as independent, with mean zero and at most u = 2^-24 of what is rounded (Higham and Mary, "A
New Approach to Probabilistic Rounding Error Analysis", SIAM J. Sci. Comput. 41, 2019). A sum of K products p that
comes to y from a bias b errs by ``u * sqrt(sum of its partial sums squared)``, and these are taken to wander, which is
``K / 2 * sum p^2``, and to drift, ``K / 3 * (y^2 + b^2)``; what the operands err by comes out as the root of the sum of
squares. Where errors may be of one origin (a residual's two branches, a mean) they are added up instead. Worst-case
bounds hold for a single layer, but grow by every layer's sum of |w|: after twenty layers they allow anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ir.graph import Graph, Node
from ir.ops import (
    Add,
    Affine,
    Arithmetic,
    AveragePool2d,
    Clip,
    Concat,
    Conv2d,
    Curve,
    DepthToSpace,
    Interpolate,
    MaxPool2d,
    Multiply,
    Op,
    Pad,
    PRelu,
    Reduce,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
    SpaceToDepth,
    Transpose,
    Upsample,
)
from ir.ops.base import per_channel
from ir.types import Array

UNIT = 2.0**-24
DEVIATIONS = 8.0
"""Standard deviations that are allowed."""

Errors = Sequence[Array]
Rule = Callable[[Op, Sequence[Array], Errors, Array], Array]


def tolerances(graph: Graph, values: Mapping[str, Array]) -> dict[str, Array]:
    """The largest difference allowed in each element of every tensor of a float32 graph; ``values`` are those of
    `ir.executor.execute`. Zero for inputs and constants."""
    errors: dict[str, Array] = {name: np.zeros(type_.shape) for name, type_ in graph.inputs.items()}
    for node in graph.nodes:
        errors[node.name] = _error(graph, node, values, errors)
    return {name: DEVIATIONS * error for name, error in errors.items()}


def _error(graph: Graph, node: Node, values: Mapping[str, Array], errors: Mapping[str, Array]) -> Array:
    operands = [values[i] if i in values else graph.constants[i].astype(np.float64) for i in node.inputs]
    known = [errors[i] if i in errors else np.zeros(graph.types[i].shape) for i in node.inputs]
    return RULES[type(node.op)](node.op, operands, known, values[node.name])


def _convolution(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    assert isinstance(op, Conv2d)
    products, squares = x[1][0].size, x[1] ** 2
    bias = per_channel(x[2], 3) if len(x) == 3 else np.zeros((1, 1, 1))
    wandering = (products / 2 + 2) * op.evaluate([x[0] ** 2, squares])
    drifting = (products / 3 + 2) * (y**2 + bias**2)
    return np.asarray(np.sqrt(op.evaluate([error[0] ** 2, squares]) + UNIT**2 * (wandering + drifting)))


def _affine(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    scale = np.abs(per_channel(x[1], x[0].ndim))
    return np.asarray(scale * error[0] + 2 * UNIT * (scale * np.abs(x[0]) + np.abs(per_channel(x[2], x[0].ndim))))


def _add(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    return op.evaluate(error) + UNIT * np.abs(y)


def _multiply(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    return np.asarray(np.abs(x[1]) * error[0] + np.abs(x[0]) * error[1] + UNIT * np.abs(y))


def _prelu(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    return np.asarray(np.maximum(1, np.abs(per_channel(x[1], y.ndim))) * error[0] + UNIT * np.abs(y))


def _clip(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    """Values that are safely outside come out as the bound."""
    assert isinstance(op, Clip)
    reach = DEVIATIONS * error[0]
    return np.where((x[0] + reach > op.lo) & (x[0] - reach < op.hi), error[0], 0.0)


def _moved(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    """What happens to the values happens to their errors: they move, and a maximum errs by at most the largest."""
    return op.evaluate(error)


def _mean(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    assert isinstance(op, AveragePool2d)
    products = op.kernel[0] * op.kernel[1]
    return np.asarray(op.evaluate(error) + UNIT * np.sqrt(products + 2) * op.evaluate([np.abs(x[0])]))


def _sigmoid(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    return np.asarray(error[0] / 4 + 8 * UNIT * y)


def _softmax(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    inherited = y * (error[0] + (y * error[0]).sum(axis=0))
    return np.asarray(inherited + (8 + y.shape[0]) * UNIT * y + np.finfo(np.float32).tiny)


def _curve(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    """What the function makes of values at both ends of what the operand may be."""
    reach = DEVIATIONS * error[0]
    ends = [np.abs(op.evaluate([x[0] + side]) - y) for side in (reach, -reach)]
    return np.asarray(np.maximum(*ends) / DEVIATIONS + UNIT * np.abs(y) + np.finfo(np.float32).tiny)


def _arithmetic(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    assert isinstance(op, Arithmetic)
    a, b = (np.abs(v) for v in x)
    if op.name == "multiply":
        inherited = b * error[0] + a * error[1]
    elif op.name == "divide":
        inherited = (error[0] + np.abs(y) * error[1]) / b
    else:
        inherited = error[0] + error[1]
    return np.asarray(inherited + UNIT * np.abs(y))


def _rounded(op: Op, x: Sequence[Array], error: Errors, y: Array) -> Array:
    """Summed in binary64 and rounded once."""
    return np.asarray(op.evaluate(error) + UNIT * np.abs(y))


RULES: Mapping[type[Op], Rule] = {
    Add: _add,
    Affine: _affine,
    Arithmetic: _arithmetic,
    AveragePool2d: _mean,
    Clip: _clip,
    Concat: _moved,
    Conv2d: _convolution,
    Curve: _curve,
    DepthToSpace: _moved,
    Interpolate: _rounded,
    Reduce: _rounded,
    Reshape: _moved,
    MaxPool2d: _moved,
    Multiply: _multiply,
    PRelu: _prelu,
    Pad: _moved,
    Sigmoid: _sigmoid,
    Slice: _moved,
    Softmax: _softmax,
    SpaceToDepth: _moved,
    Transpose: _moved,
    Upsample: _moved,
}
