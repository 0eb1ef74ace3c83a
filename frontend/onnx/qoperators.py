"""Operators of quantised tensors, QLinearConv and the like: each is defined by the pairs of DequantizeLinear and
QuantizeLinear around an operator of real values, and read as these.

Operators and the order of their operands: ONNX's, and onnxruntime's ``com.microsoft`` (docs/ContribOperators.md there).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frontend.onnx import fake, linear, pools, shapes
from frontend.onnx.builder import Builder
from frontend.onnx.model import OnnxNode
from frontend.onnx.rule import Rule
from ir.types import Array

REAL: Mapping[str, Rule] = {**linear.RULES, **pools.RULES, **shapes.RULES, **fake.RULES}
Operand = tuple[int, int, int]
"""The positions of a tensor, its scale and its zero point."""


def _named(node: OnnxNode, role: str) -> str:
    """A tensor inside the node; no name of a file holds a tab."""
    return f"{node.outputs[0]}\t{role}"


def _apply(b: Builder, node: OnnxNode, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
    REAL[operator](b, OnnxNode(node.name, operator, "", tuple(inputs), (output,), attributes, node.operator))


def _input(node: OnnxNode, position: int) -> str:
    return node.inputs[position] if position < len(node.inputs) else ""


def _real(b: Builder, node: OnnxNode, operand: Operand, role: str, axis: int | None = None) -> str:
    """The real values of an operand; ``axis``: where its scales vary, if they do."""
    attributes = {} if axis is None else {"axis": axis}
    name = _named(node, role)
    _apply(b, node, "DequantizeLinear", [_input(node, i) for i in operand], name, **attributes)
    return name


def _bias(b: Builder, node: OnnxNode, position: int, scales: Sequence[int], factor: float = 1.0) -> list[str]:
    """A bias in steps of the product of these scales; nothing where there is none."""
    if not _input(node, position):
        return []
    product: Array = np.asarray(factor)
    for scale in scales:
        product = product * b.real(node, b.constant(node, scale), "scale")
    made = _named(node, "bias scale")
    b.folded[made] = product
    name, axis = _named(node, "bias"), b.constant(node, position).ndim - 1
    _apply(b, node, "DequantizeLinear", (_input(node, position), made), name, axis=axis)
    return [name]


def _quantised(
    b: Builder, node: OnnxNode, operator: str, inputs: Sequence[str], result: tuple[int, int], **attributes: Any
) -> None:
    """The operator on real values, and the quantiser of its result by scale and zero point at these positions."""
    last = int(attributes.pop("channels_last", 0))
    b.require(node, last == 0, f"attribute 'channels_last' is {last} (allowed: 0)")
    if not _input(node, result[0]):
        return _apply(b, node, operator, inputs, node.outputs[0], **attributes)
    name = _named(node, "result")
    _apply(b, node, operator, inputs, name, **attributes)
    operands = (name, *(_input(node, i) for i in result))
    return _apply(b, node, "QuantizeLinear", operands, node.outputs[0])


def _convolution(b: Builder, node: OnnxNode) -> None:
    parts = [_real(b, node, (0, 1, 2), "x"), _real(b, node, (3, 4, 5), "weights", 0)]
    _quantised(b, node, "Conv", [*parts, *_bias(b, node, 8, (1, 4))], (6, 7), **node.attributes)


def _matmul(b: Builder, node: OnnxNode) -> None:
    parts = [_real(b, node, (0, 1, 2), "x"), _real(b, node, (3, 4, 5), "weights", -1)]
    _quantised(b, node, "MatMul", parts, (6, 7))


def _gemm(b: Builder, node: OnnxNode) -> None:
    axis = 0 if node.attributes.get("transB", 0) else 1
    parts = [_real(b, node, (0, 1, 2), "x"), _real(b, node, (3, 4, 5), "weights", axis)]
    bias = _bias(b, node, 6, (1, 4), float(node.attributes.get("alpha", 1.0)))
    _quantised(b, node, "Gemm", [*parts, *bias], (7, 8), **node.attributes)


def _concat(b: Builder, node: OnnxNode) -> None:
    b.require(node, len(node.inputs) % 3 == 2, f"takes two operands and three a tensor, got {len(node.inputs)}")
    firsts = range(2, len(node.inputs), 3)
    parts = [_real(b, node, (i, i + 1, i + 2), f"x{i}") for i in firsts]
    _quantised(b, node, "Concat", parts, (0, 1), **node.attributes)


def _of(operator: str, operands: int) -> Rule:
    """An operator of this many tensors, each with scale and zero point, and those of its result behind them."""

    def rule(b: Builder, node: OnnxNode) -> None:
        parts = [_real(b, node, (i, i + 1, i + 2), f"x{i}") for i in range(0, 3 * operands, 3)]
        _quantised(b, node, operator, parts, (3 * operands, 3 * operands + 1), **node.attributes)

    return rule


def _integers(operator: str, axis: int) -> Rule:
    """Sums of products of integers less their zero points, as int32."""

    def rule(b: Builder, node: OnnxNode) -> None:
        parts = []
        for position, role in enumerate(("x", "weights")):
            zero = b.constant(node, position + 2, np.zeros((), np.int8))
            names = _named(node, f"{role} step"), _named(node, f"{role} zero")
            b.folded |= {names[0]: np.ones(zero.shape), names[1]: zero}
            parts.append(_named(node, role))
            operands = (_input(node, position), *names)
            _apply(b, node, "DequantizeLinear", operands, parts[-1], **({"axis": axis} if position else {}))
        _apply(b, node, operator, parts, node.outputs[0], **node.attributes)
        b.grids[node.outputs[0]] = (np.ones(1), 0)

    return rule


def _dynamic(b: Builder, node: OnnxNode) -> None:
    b.fail(node, "chooses its scale while the network runs, which is not supported: quantise with static ranges")


RULES: Mapping[str, Rule] = {
    "ConvInteger": _integers("Conv", 0),
    "DynamicQuantizeLinear": _dynamic,
    "DynamicQuantizeMatMul": _dynamic,
    "MatMulInteger": _integers("MatMul", -1),
    "QGemm": _gemm,
    "QLinearAdd": _of("Add", 2),
    "QLinearAveragePool": _of("AveragePool", 1),
    "QLinearConcat": _concat,
    "QLinearConv": _convolution,
    "QLinearGlobalAveragePool": _of("GlobalAveragePool", 1),
    "QLinearLeakyRelu": _of("LeakyRelu", 1),
    "QLinearMatMul": _matmul,
    "QLinearMul": _of("Mul", 2),
    "QLinearReduceMean": _of("ReduceMean", 1),
    "QLinearSigmoid": _of("Sigmoid", 1),
    "QLinearSoftmax": _of("Softmax", 1),
}
