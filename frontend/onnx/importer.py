"""ONNX to the graph: of integers where the file computes integers, else of fake-quantised values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frontend.errors import ModelError
from frontend.onnx import fake, integer, linear, pairs, pools, qoperators, shapes, transposed
from frontend.onnx.builder import NONE, Builder, Value, standard_axes
from frontend.onnx.folding import fold
from frontend.onnx.model import LARGEST_MADE, OnnxGraph, OnnxInput, OnnxNode, read_onnx
from frontend.onnx.rule import Rule
from frontend.onnx.unfolded import folded, unfolds
from ir.graph import Graph
from ir.ops import Scaled
from ir.passes.dead import RemoveDead
from ir.types import DType, TensorType


@dataclass(frozen=True)
class InputType:
    """What the user says of an input (of all where ``name`` is None): integers of this type, which stand for
    ``integer / steps``."""

    dtype: DType
    name: str | None = None
    steps: float = 1.0

    @staticmethod
    def parse(text: str) -> InputType:
        """``[NAME=]TYPE[/STEPS]``, for instance ``uint8``, ``x=int8``, ``uint8/255``; ModelError otherwise."""
        name, _, rest = text.rpartition("=")
        kind, slash, steps = rest.partition("/")
        try:
            dtype = DType.parse(kind)
            divisor = float(steps) if slash else 1.0
        except ValueError as error:
            raise ModelError(f"--input {text}: {error}") from None
        if not dtype.is_integer or dtype.bits > 32 or not 0 < divisor < float("inf"):
            raise ModelError(f"--input {text}: needs integers of at most 32 bits and a divisor above 0")
        return InputType(dtype, name or None, divisor)


@dataclass(frozen=True)
class Imported:
    """``shapes``: of the inputs and outputs as the file has them, batch included."""

    graph: Graph
    shapes: Mapping[str, tuple[int, ...]]
    kind: str


COMMON: Mapping[str, Rule] = {**linear.RULES, **pools.RULES, **shapes.RULES, **transposed.RULES}
INTEGER: Mapping[str, Rule] = {**COMMON, **pairs.RULES, **integer.RULES}
FAKE: Mapping[str, Rule] = {**COMMON, **fake.RULES, **qoperators.RULES}
QUANTISERS = {*fake.QUANTISERS, *qoperators.RULES}
DOMAINS = ("", "PACTOps", "ai.onnx.contrib", "com.microsoft", "onnx.brevitas", "qonnx.custom_op.general")
"""Where operators are looked for: standard, integer networks' (two exporters), onnxruntime's, QONNX's (two names)."""


def import_onnx(path: Path, given: Sequence[InputType] = ()) -> Imported:
    """Raises ModelError, which names node, operator and attribute of what is not supported."""
    source = read_onnx(path)
    types = _input_types(path, source, given)
    quantised = any(node.operator in QUANTISERS for node in source.nodes)
    if not quantised:
        _check_types(path, source, types)
    name = re.sub(r"[^\w.-]", "_", path.stem, flags=re.ASCII).lstrip("._-") or "network"
    whole = not quantised and None not in types.values()
    b = Builder(name, whole, not quantised and not whole, source.opset, dict(source.constants), source.narrow)
    b.most = max(LARGEST_MADE, 2 * sum(values.size for values in source.constants.values()))
    names = {each.name: _add_input(b, each, types[each.name]) for each in source.inputs}
    rules = INTEGER if b.whole else FAKE

    def convert(node: OnnxNode) -> None:
        rule = _rule(b, rules, node)
        if node.operator not in qoperators.RULES:
            fake.check_integers(b, node)
        rule(b, node)
        fake.keep_grid(b, node)

    for node in source.nodes:
        if not fold(b, node) and not unfolds(b, node, convert):
            convert(node)
    outputs = [_output(b, source, name) for name in source.outputs]
    used = {name for node in b.nodes for name in node.inputs}
    graph = Graph(
        b.graph,
        b.inputs,
        tuple(b.nodes),
        tuple(value.tensor for value in outputs),
        {name: values for name, values in b.constants.items() if name in used},
    )
    both = [name for name in graph.outputs if name in graph.inputs]
    if both:
        raise ModelError(f"{path}: output '{both[0]}' is an input, nothing is computed")
    shapes_ = {names[each.name]: each.shape for each in source.inputs}
    shapes_ |= {value.tensor: value.shape for value in outputs}
    kind = "integers" if b.whole else "floats" if b.floats else "quantised values"
    return Imported(RemoveDead()(graph.verify()), shapes_, kind)


def _input_types(path: Path, source: OnnxGraph, given: Sequence[InputType]) -> dict[str, InputType | None]:
    names = [each.name for each in source.inputs]
    for said in given:
        if said.name is not None and said.name not in names:
            raise ModelError(f"{path}: --input {said.name}: there is no such input (there are {', '.join(names)})")
    types: dict[str, InputType | None] = {}
    for each in source.inputs:
        fitting = [g for g in given if g.name == each.name] or [g for g in given if g.name is None]
        own = None if each.dtype.startswith(("float", "bool")) else InputType(DType.parse(each.dtype))
        types[each.name] = fitting[-1] if fitting else own
    return types


def _check_types(path: Path, source: OnnxGraph, types: Mapping[str, InputType | None]) -> None:
    """ModelError where a network without quantisers computes integers, but of an input is not known which."""
    whole = any(node.operator in integer.RULES and node.operator not in fake.RULES for node in source.nodes)
    for name, type_ in types.items():
        if type_ is None and whole:
            raise ModelError(
                f"{path}: input '{name}' is of floats that hold integers: say which, with --input uint8 or --input int8"
            )
        if type_ is not None and type_.steps != 1:
            raise ModelError(
                f"{path}: --input: '{name}' cannot be divided by {type_.steps}: the network has no quantiser"
            )


def _add_input(b: Builder, given: OnnxInput, type_: InputType | None) -> str:
    axes = standard_axes(given.shape)
    if axes is None:
        raise ModelError(
            f"{b.graph}: input '{given.name}' has shape {given.shape}: more than three axes beside a batch of 1"
        )
    name = b.unique(given.name)
    extents = tuple(1 if axis == NONE else given.shape[axis] for axis in axes)
    real = TensorType(extents, DType("float", 64))
    b.inputs[name] = b.types[name] = TensorType.of_dtype(extents, type_.dtype) if type_ else real
    b.values[given.name] = Value(name, given.shape, axes)
    if type_ and not b.whole:
        node = OnnxNode(given.name, "input", "", (given.name,), (f"{given.name}.scaled",), {})
        b.values[given.name] = Value(b.emit(node, Scaled(type_.steps), name), given.shape, axes)
        b.grids[given.name] = (np.ones(1), 0)
    return name


def _rule(b: Builder, rules: Mapping[str, Rule], node: OnnxNode) -> Rule:
    rule = rules.get(node.operator)
    if rule is None or node.domain not in DOMAINS:
        domain = f"{node.domain}::" if node.domain else ""
        b.fail(node, f"operator {domain}{node.operator} is not supported (allowed: {', '.join(sorted(rules))})")
    return rule


def _output(b: Builder, source: OnnxGraph, name: str) -> Value:
    """An output's tensor, its axes in ONNX's order."""
    node = OnnxNode(name, "output", "", (name,), (name,), {})
    if name in b.unfolded:
        view = b.unfolded[name]
        b.values[name] = Value(folded(b, node, view).tensor, view.shape, (NONE, NONE, NONE))
    if name not in b.values:
        raise ModelError(f"{b.graph}: output '{name}' is a constant")
    value = b.values[name]
    large = [axis for axis in range(len(value.shape)) if value.shape[axis] > 1]
    if name not in b.unfolded and [axis for axis in value.axes if axis in large] != large:
        value = b.arranged(node, value, large)
    if name in b.grids and not b.whole:  # integers, which the graph holds as real values
        scale, zero = b.grids[name]
        if scale.size != 1:
            raise ModelError(f"{b.graph}: output '{name}' is of integers with a scale for each channel")
        value = b.affine(node, value, 1 / float(np.ravel(scale)[0]), zero, name="integers")
    return value
