"""From an exported program (`torch.export`) to the graph of fake-quantised or float values.

The importer walks the graph that export recorded, never the modules in the order in which they were made, so branches
and reuse come out as they run. Operators are a table; one that is not in it is an error naming node and operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node as FxNode

from frontend.builder import Builder, Imported, Importer, arguments, pair
from frontend.dilation import dilated, dilated_shape
from frontend.errors import ModelError
from frontend.float_importers import FLOAT_IMPORTERS
from frontend.steps import GAUSSIAN_STEPS
from frontend.torch_views import folded
from ir.graph import Graph, Node
from ir.ops import BatchNorm, Concat, Conv2d, Dequantize, FakeQuantize, MaxPool2d, Quantize, SpaceToDepth
from ir.records import Picture
from ir.types import Array


def import_program(program: ExportedProgram, name: str, picture: Picture | None) -> Graph:
    """The float graph of a one-input program. Its input becomes the uint8 picture, divided by ``picture.steps``, less
    ``picture.mean``, divided by ``picture.std``; or, without one, a tensor of reals.

    Raises ModelError naming node and operator for what has no counterpart.
    """
    builder = Builder(name, IMPORTERS)
    kinds = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            spec = kinds[node.name]
            if spec.kind is InputKind.USER_INPUT:
                builder.add_input(node, picture)
            else:
                builder.constants[str(spec.target)] = _values(program, str(spec.target))
                builder.names[node] = str(spec.target)
        elif node.op == "call_function":
            builder.add_call(node)
        elif node.op == "output":
            made = [n for n in node.args[0] if isinstance(n, FxNode)]
            outputs = tuple(builder.names.get(n) or folded(builder, n, builder.views[n]) for n in made)
    if not builder.inputs:
        raise ModelError(f"{name}: the exported program has no input")
    used = {i for node in builder.nodes for i in node.inputs}
    constants = {k: v for k, v in builder.constants.items() if k in used}
    return Graph(name, builder.inputs, tuple(builder.nodes), outputs, constants).verify()


def with_batch_of_one(program: ExportedProgram, name: str) -> ExportedProgram:
    """The program itself or, where its batch is open, what it is for a batch of 1. ModelError for another open axis."""
    signature = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    given = [signature[str(each)].meta["val"] for each in program.graph_signature.user_inputs]
    open_axes = [(i, axis) for i, value in enumerate(given) for axis, n in enumerate(value.shape) if type(n) is not int]
    if not open_axes:
        return program
    if other := next((axis for _, axis in open_axes if axis), 0):
        raise ModelError(
            f"{name}: axis {other} of its input is open: export with static shapes (the batch may be open)"
        )
    for node in program.graph.nodes:  # recording it anew runs its operators: no others than those that are known
        if node.op == "call_function" and str(node.target) not in (*IMPORTERS, "aten.sym_size.int"):
            Builder(name, IMPORTERS).add_call(node)
    examples = tuple(torch.zeros((1, *value.shape[1:]), dtype=value.dtype) for value in given)
    try:
        return torch.export.export(program.module(check_guards=False), examples)
    except Exception as error:  # whatever export finds that a batch of 1 is not
        first = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(f"{name}: not usable with a batch of 1 ({first}): export with static shapes") from None


def shapes_of(program: ExportedProgram, graph: Graph) -> dict[str, tuple[int, ...]]:
    """The shapes that the inputs and outputs of a program's graph have in the program, batch included."""
    signature = program.graph_signature
    values = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
    made = (*signature.user_inputs, *signature.user_outputs)
    named = zip((*graph.inputs, *graph.outputs), made, strict=True)
    return {name: tuple(int(n) for n in values[str(value)].shape) for name, value in named}


def _convolution(b: Builder, node: FxNode) -> Imported:
    _, _, bias, stride, padding, dilation, groups = arguments(node, None, None, None, 1, 0, 1, 1)
    kernel = dilated_shape(node.args[1].meta["val"].shape, pair(dilation))[2:]  # type: ignore[union-attr]
    largest = max(kernel) <= LARGEST_KERNEL
    b.require(node, largest, f"dilation {dilation} makes a kernel of {kernel} (allowed: up to {LARGEST_KERNEL})")
    weights = _dilated(b, node, b.tensor(node, 1), pair(dilation))
    operands = (b.tensor(node, 0), weights, *((b.names[bias],) if bias is not None else ()))
    return Conv2d(pair(stride), _padding(padding, kernel), int(groups)), operands


LARGEST_KERNEL = 255
"""Rows and columns of a dilated kernel."""


def _padding(padding: Any, kernel: Sequence[int]) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of PyTorch's numbers, or of "valid" and "same", whose odd zero comes last."""
    if padding == "same":
        (top, bottom), (left, right) = (((k - 1) // 2, k // 2) for k in kernel)
        return top, left, bottom, right
    ph, pw = (0, 0) if padding == "valid" else pair(padding)
    return ph, pw, ph, pw


def _dilated(b: Builder, node: FxNode, weights: str, dilation: tuple[int, int]) -> str:
    """The weights with zeros between their taps: parameters, or what a quantiser makes of some."""
    if dilation == (1, 1):
        return weights
    maker = next((made for made in b.nodes if made.name == weights), None)
    source, *more = maker.inputs if maker else (weights,)
    b.require(node, source in b.constants, "a dilated kernel that is computed is not supported")
    wide = f"{source}.dilated{dilation[0]}x{dilation[1]}"
    b.constants[wide] = dilated(b.constants[source], dilation)
    if maker is None:
        return wide
    made = Node(f"{wide}.quantised", maker.op, (wide, *more))
    if made not in b.nodes:
        b.nodes.append(made)
    return made.name


def _max_pool(b: Builder, node: FxNode) -> Imported:
    _, kernel, stride, padding, dilation, ceil = arguments(node, None, None, [], 0, 1, False)
    b.require(node, pair(dilation) == (1, 1), "dilation is not supported")
    pads, stride = pair(padding), pair(stride or kernel)
    bottom, right = pads
    if ceil:  # as many positions behind as the last window needs
        before, after = (value.meta["val"].shape[2:] for value in (node.args[0], node))  # type: ignore[union-attr]
        axes = zip(before, after, pair(kernel), stride, pads, strict=True)
        bottom, right = (max(p, (m - 1) * s + k - n - p) for n, m, k, s, p in axes)
    return MaxPool2d(pair(kernel), stride, (*pads, bottom, right)), (b.tensor(node, 0),)


def _concat(b: Builder, node: FxNode) -> Imported:
    tensors, axis = arguments(node, [], 0)
    b.require(node, axis in (1, -3), f"axis {axis} is not supported (allowed: 1, the channels)")
    return Concat(), tuple(b.names[t] for t in tensors)


def _batch_norm(b: Builder, node: FxNode) -> Imported:
    _, gamma, beta, mean, var, training, _, eps = arguments(node, *([None] * 5), False, 0.1, 1e-5)[:8]
    b.require(node, not training, "exported in training mode (call model.eval() first)")
    b.require(node, None not in (gamma, beta, mean, var), "needs weight, bias and running statistics")
    return BatchNorm(float(eps)), (b.tensor(node, 0), *(b.names[n] for n in (gamma, beta, mean, var)))


def _batch_norm_eps_outside(b: Builder, node: FxNode) -> Imported:
    _, mean, var, gamma, beta, eps = arguments(node, *([None] * 5), 1e-5)
    return BatchNorm(float(eps), True), (b.tensor(node, 0), *(b.names[n] for n in (gamma, beta, mean, var)))


def _quantise_weight_tanh(b: Builder, node: FxNode) -> Imported:
    source, bits = b.tensor(node, 0), int(node.args[1])  # type: ignore[arg-type]
    b.require(node, source in b.constants, "quantises a tensor that is computed, needs a parameter")
    b.require(node, 2 <= bits <= 8, f"{bits} bits are not supported (allowed: 2..8)")
    bent = np.tanh(b.constants[source].astype(np.float64))
    largest = np.abs(bent).max()
    b.require(node, bool(largest > 0 and np.isfinite(largest)), f"weights '{source}' are all zero or not finite")
    normalised = f"{source}.tanh{bits}"
    b.constants[normalised] = _kernel(bent / largest)
    levels = (1 << (bits - 1)) - 1
    return FakeQuantize(float(levels), -levels, levels), (normalised,)


def _kernel(weights: Array) -> Array:
    """A linear layer's weights as those of a 1x1 convolution."""
    return weights.reshape(*weights.shape, 1, 1) if weights.ndim == 2 else weights


def _quantise_weight_gaussian(b: Builder, node: FxNode) -> Imported:
    source, bits = b.tensor(node, 0), int(node.args[1])  # type: ignore[arg-type]
    b.require(node, source in b.constants, "quantises a tensor that is computed, needs a parameter")
    b.require(node, 2 <= bits <= 8, f"{bits} bits are not supported (allowed: 2..8)")
    weights = b.constants[source].astype(np.float64)
    step, half = GAUSSIAN_STEPS[bits] * float(weights.std(ddof=1)), 1 << bits - 1
    b.require(node, 0 < step < np.inf, f"weights '{source}' are all the same or not finite")
    integers = np.clip(np.rint(_kernel(weights) / step), -half, half - 1).astype(np.int64)
    names = (f"{source}.integers{bits}", f"{source}.step{bits}")
    b.constants |= {names[0]: integers, names[1]: np.full(len(integers), step)}
    return Dequantize(), names


def _quantise_step(b: Builder, node: FxNode) -> Imported:
    _, step_, lo, hi = node.args
    step = float(b.constant(node, step_, "the step").reshape(()))
    b.require(node, 0 < step < np.inf, f"a step of {step} is not above 0")
    names = b.constants_of(node.name, scale=np.array([step]))
    return Quantize(int(lo), int(hi)), (b.tensor(node, 0), *names)  # type: ignore[arg-type]


def _quantise_activation(b: Builder, node: FxNode) -> Imported:
    bits = int(node.args[1])  # type: ignore[arg-type]
    b.require(node, 1 <= bits <= 8, f"{bits} bits are not supported (allowed: 1..8)")
    return FakeQuantize(float((1 << bits) - 1), 0, (1 << bits) - 1), (b.tensor(node, 0),)


def _space_to_depth(b: Builder, node: FxNode) -> Imported:
    return SpaceToDepth(int(node.args[1])), (b.tensor(node, 0),)  # type: ignore[arg-type]


IMPORTERS: Mapping[str, Importer] = {
    **FLOAT_IMPORTERS,
    "aten.batch_norm.default": _batch_norm,
    "aten.cat.default": _concat,
    "aten.conv2d.default": _convolution,
    "aten.conv2d.padding": _convolution,
    "aten.max_pool2d.default": _max_pool,
    "hetero.batch_norm_eps_outside.default": _batch_norm_eps_outside,
    "hetero.quantize_activation.default": _quantise_activation,
    "hetero.quantize_step.default": _quantise_step,
    "hetero.quantize_weight_gaussian.default": _quantise_weight_gaussian,
    "hetero.quantize_weight_tanh.default": _quantise_weight_tanh,
    "hetero.space_to_depth.default": _space_to_depth,
}


def _values(program: ExportedProgram, target: str) -> Array:
    value = program.state_dict.get(target, program.constants.get(target))
    if not isinstance(value, torch.Tensor):
        raise ModelError(f"constant '{target}' has no value in the archive")
    return np.asarray(value.detach().double().numpy() if value.is_floating_point() else value.detach().numpy())
