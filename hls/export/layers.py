"""A chain of convolutions as the export layout sees it: one record a layer, and why a graph is no such chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hls.packing import signed_bits
from ir.graph import Graph, NodeView
from ir.ops import Conv2d, MaxPool2d, MultiplyShift, Op, Thresholds
from ir.records import Dequantise
from ir.types import Ints


class ExportError(ValueError):
    """A network that the layout cannot carry; one line that names the layer."""


@dataclass(frozen=True, eq=False)
class ConvLayer:
    """One convolution with its requantisation ``clip((acc * inc[c] + bias[c] + 2**(shift-1)) >> shift, 0, ...)``.

    ``weights`` (O, I, K, K); ``inc``, ``bias`` (O,). ``source`` and ``target`` are (C, H, W) before and after the
    convolution; a 2x2 max pooling behind it shows in the next layer's ``source``. The last layer has accumulators as
    output: no ``inc`` and ``shift``; its ``bias``, where it has one, is added to them.
    """

    kernel: int
    source: tuple[int, int, int]
    target: tuple[int, int, int]
    in_bits: int
    weight_bits: int
    simd: int
    pe: int
    weights: Ints
    inc: Ints | None = None
    bias: Ints | None = None
    shift: int | None = None


def conv_layers(
    graph: Graph, foldings: Mapping[str, tuple[int, int]], dequantise: Mapping[str, Dequantise] | None = None
) -> tuple[ConvLayer, ...]:
    """The layers of an integer graph, in order.

    Args:
        graph: convolution, multiply-shift, 2x2 max pooling or not, convolution, ..., convolution.
        foldings: (SIMD, PE) of every convolution, by name.
        dequantise: what the outputs' integers mean. The last layer's bias, which integer graphs leave to it, becomes
            ``rint(bias / scale)``.

    Raises:
        ExportError: the first node that the layout has no place for.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ExportError(
            f"'{graph.name}' has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs: params need one of each"
        )
    chain = _chain(graph)
    layers = []
    for view, follower in zip(chain, [*chain[1:], None], strict=True):
        _check_order(view, follower)
        if isinstance(view.op, Conv2d):
            layers.append(_layer(view, follower, foldings, (dequantise or {}).get(view.name)))
    return tuple(layers)


def _chain(graph: Graph) -> list[NodeView]:
    """The nodes, each reading what the one before it made and nothing else."""
    source = next(iter(graph.inputs))
    views = list(graph.views())
    for view in views:
        reason = _objection(view)
        if reason:
            raise ExportError(_about(view, reason))
        computed = [name for name in view.node.inputs if name not in graph.constants]
        if computed != [source]:
            raise ExportError(_about(view, f"reads {' and '.join(computed)}, params are a chain without branches"))
        source = view.name
    if source != graph.outputs[0]:
        raise ExportError(f"'{graph.outputs[0]}' is an output inside the network: params end at the last layer")
    return views


def _about(view: NodeView, reason: str) -> str:
    return f"layer '{view.name}' ({type(view.op).__name__}) has no place in params: {reason}"


def _objection(view: NodeView) -> str | None:
    check = CHECKS.get(type(view.op))
    if check is None:
        return "the layout knows Conv2d, MultiplyShift and MaxPool2d"
    return next(check(view), None)


def _check_convolution(view: NodeView) -> Iterator[str]:
    op, x, w = view.op, view.operands[0].type, view.operands[1].type
    assert isinstance(op, Conv2d)
    if op.stride != (1, 1):
        yield f"stride {op.stride[0]}x{op.stride[1]} (allowed: 1x1)"
    if op.groups != 1:
        yield f"{op.groups} groups (allowed: 1)"
    if w.shape[2] != w.shape[3]:
        yield f"kernel {w.shape[2]}x{w.shape[3]} (allowed: square)"
    if len(set(op.padding)) != 1:
        yield f"padding {op.padding} (allowed: the same on all four sides)"
    if x.dtype.kind != "uint":
        yield f"activations of type {x.dtype} (allowed: unsigned)"


def _check_requantisation(view: NodeView) -> Iterator[str]:
    op = view.op
    assert isinstance(op, MultiplyShift)
    if op.lo != 0 or (op.hi + 1) & op.hi:
        yield f"clips to {op.lo}..{op.hi} (allowed: 0 to 2**bits - 1)"


def _check_pooling(view: NodeView) -> Iterator[str]:
    op = view.op
    assert isinstance(op, MaxPool2d)
    if op.kernel != (2, 2) or op.stride != (2, 2):
        yield f"kernel {op.kernel} at stride {op.stride} (allowed: 2x2 at stride 2)"


def _check_thresholds(view: NodeView) -> Iterator[str]:
    yield "thresholds (compile without --thresholds)"


CHECKS: Mapping[type[Op], Callable[[NodeView], Iterator[str]]] = {
    Conv2d: _check_convolution,
    MaxPool2d: _check_pooling,
    MultiplyShift: _check_requantisation,
    Thresholds: _check_thresholds,
}
"""What of each operator the layout cannot say, as the reason shown."""

FOLLOWERS: Mapping[type[Op] | None, tuple[type[Op] | None, ...]] = {
    Conv2d: (MultiplyShift, None),
    MultiplyShift: (MaxPool2d, Conv2d),
    MaxPool2d: (Conv2d,),
}
"""The order of a layer; None is the network's end."""


def _check_order(view: NodeView, follower: NodeView | None) -> None:
    found = type(follower.op) if follower else None
    allowed = FOLLOWERS[type(view.op)]
    if found not in allowed:
        names = " or ".join(op.__name__ if op else "the network's end" for op in allowed)
        raise ExportError(_about(view, f"before {found.__name__ if found else 'the end'} (allowed: before {names})"))


def _layer(
    view: NodeView, user: NodeView | None, foldings: Mapping[str, tuple[int, int]], dequantise: Dequantise | None
) -> ConvLayer:
    x, w = view.operands[0].type, view.operands[1].type
    if view.name not in foldings:
        raise ExportError(_about(view, "it is not in the accelerator, so that nothing says its SIMD and PE"))
    simd, pe = foldings[view.name]
    bits = signed_bits(w.lo, w.hi)
    inc = bias = shift = None
    if user:
        op = user.op
        assert isinstance(op, MultiplyShift)
        inc, bias = (operand.constant.astype(np.int64) for operand in user.operands[1:])
        shift = op.shift
        if shift < bits - 1 + x.dtype.bits:
            raise ExportError(
                _about(
                    user, f"shift {shift} (allowed: {bits - 1 + x.dtype.bits} or more, as L_SHIFT must not be negative)"
                )
            )
    elif dequantise and any(dequantise.bias):
        bias = np.rint(np.array(dequantise.bias) / dequantise.scale).astype(np.int64)
    return ConvLayer(
        kernel=w.shape[2],
        source=_extents(x.shape),
        target=_extents(view.type.shape),
        in_bits=x.dtype.bits,
        weight_bits=bits,
        simd=simd,
        pe=pe,
        weights=view.operands[1].constant.astype(np.int64),
        inc=inc,
        bias=bias,
        shift=shift,
    )


def _extents(shape: tuple[int, ...]) -> tuple[int, int, int]:
    channels, rows, columns = shape
    return channels, rows, columns
