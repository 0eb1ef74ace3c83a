"""An ONNX file as plain data: checked, bounded, in topological order. Nothing after this module sees protobuf."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, helper

from frontend.errors import ModelError
from frontend.onnx.elements import FOUR_BITS, HOLDERS, READ_TYPES, packed_bytes, unpacked, values_of
from ir.types import Array

LARGEST_FILE = 1 << 31
LARGEST_TENSOR = 1 << 26
"""Elements of a tensor: what is larger is a damaged file or no network for an embedded board."""
LARGEST_CONSTANT = 1 << 27
"""Elements of a constant that the file holds: VGG's first dense layer has 103 million."""
LARGEST_TOTAL = 1 << 28
"""Elements of all constants that the file holds."""
LARGEST_MADE = 1 << 27
"""Elements of all constants that nodes make of others; twice of those that the file holds, where these are more."""
OPSETS = range(7, 27)
"""Versions of the standard operators that are read."""


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """A node; ``name`` is how messages call it, ``domain`` is empty for standard operators. ``of``: the file's operator
    where this one is a part of it."""

    name: str
    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    of: str = ""

    def __str__(self) -> str:
        operator = f"{self.of}, its {self.operator}" if self.of else self.operator
        return f"node '{self.name}' ({operator})"


@dataclass(frozen=True)
class OnnxInput:
    """A run-time input: its shape with the batch, and numpy's name of its element type."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """``nodes`` are in topological order; every name that they read is an input, a constant or an earlier output.
    ``narrow``: the types of those constants that have 4 bits."""

    name: str
    inputs: tuple[OnnxInput, ...]
    outputs: tuple[str, ...]
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
    opset: int
    narrow: Mapping[str, str]


def read_onnx(path: Path) -> OnnxGraph:
    """The graph of an ONNX file, with external data from files beside it. Raises ModelError."""
    model = _parse(path)
    graph = model.graph
    opset = _opset(path, model)
    if not graph.node:
        raise ModelError(f"{path}: has no nodes: is it an ONNX model?")
    if model.functions or graph.sparse_initializer:
        what = "functions of its own" if model.functions else "sparse constants"
        raise ModelError(f"{path}: has {what}, which are not read (inline or densify them when exporting)")
    _check_names(path, graph)
    constants: dict[str, Array] = {}
    _check_total(path, graph)
    for tensor in graph.initializer:
        if tensor.name in constants:
            raise ModelError(f"{path}: constant '{tensor.name}' is defined twice")
        constants[tensor.name] = _values(path, tensor, f"constant '{tensor.name}'")
    inputs = tuple(_input(path, value) for value in graph.input if value.name not in constants)
    if len({each.name for each in inputs}) < len(inputs):
        raise ModelError(f"{path}: two inputs bear the same name")
    nodes = _ordered(path, [_node(path, node, i) for i, node in enumerate(graph.node)], inputs, constants)
    outputs = tuple(value.name for value in graph.output)
    known = {name for node in nodes for name in node.outputs} | set(constants) | {each.name for each in inputs}
    missing = [name for name in outputs if name not in known]
    if missing or not outputs:
        raise ModelError(f"{path}: output '{missing[0]}' is made by no node" if missing else f"{path}: has no outputs")
    stored = [(each.name, each.data_type) for each in graph.initializer]
    stored += [(n.output[0], a.t.data_type) for n in graph.node if n.op_type == "Constant" for a in n.attribute]
    narrow = {name: FOUR_BITS[element] for name, element in stored if element in FOUR_BITS}
    return OnnxGraph(graph.name or path.stem, inputs, outputs, nodes, constants, opset, narrow)


def _check_total(path: Path, graph: onnx.GraphProto) -> None:
    for each in graph.initializer:
        if 0 not in each.dims:
            check_shape(f"{path}: constant '{each.name}'", each.dims, LARGEST_CONSTANT)
    total = sum(int(np.prod(each.dims, dtype=np.int64)) for each in graph.initializer)
    if total > LARGEST_TOTAL:
        raise ModelError(f"{path}: its constants have {total} elements (allowed: {LARGEST_TOTAL} in all)")


def _parse(path: Path) -> onnx.ModelProto:
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ModelError(f"{path}: {size} bytes are too many for an ONNX file (at most {LARGEST_FILE})")
        if size == 0:
            raise ModelError(f"{path}: the file is empty")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not content:
        raise ModelError(f"{path}: the file is empty")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, UnicodeError, ValueError, RuntimeError):
        raise ModelError(f"{path}: truncated or damaged, or no ONNX file") from None
    return model


def _check_names(path: Path, graph: onnx.GraphProto) -> None:
    """Names appear in messages and in generated code's comments."""
    values = (each.name for each in (*graph.input, *graph.output, *graph.initializer))
    nodes = (name for node in graph.node for name in (node.name, node.op_type, node.domain, *node.input, *node.output))
    attributes = (each.name for node in graph.node for each in node.attribute)
    bad = next((name for name in (*values, *nodes, *attributes) if not _is_readable(name)), None)
    if bad is not None:
        raise ModelError(f"{path}: the name {bad[:40]!r} holds characters that cannot be printed, or too many")


def _is_readable(name: str | bytes) -> bool:
    """protobuf gives bytes for what is no UTF-8."""
    return isinstance(name, str) and name.isprintable() and len(name) <= 1000


def _opset(path: Path, model: onnx.ModelProto) -> int:
    """The version of the standard operators."""
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] not in OPSETS:
        given = ", ".join(map(str, versions)) or "none"
        raise ModelError(f"{path}: ONNX of opset {given} is not read (allowed: {OPSETS[0]} to {OPSETS[-1]})")
    return int(versions[0])


def _input(path: Path, value: onnx.ValueInfoProto) -> OnnxInput:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise ModelError(f"{path}: input '{value.name}' has no tensor shape (export with static shapes)")
    shape = []
    for axis, extent in enumerate(tensor.shape.dim):
        if not extent.HasField("dim_value") and axis > 0:
            raise ModelError(
                f"{path}: input '{value.name}': axis {axis} is '{extent.dim_param or '?'}': export with static shapes "
                "(the batch alone may be open)"
            )
        shape.append(extent.dim_value if extent.HasField("dim_value") else 1)
    check_shape(f"{path}: input '{value.name}'", shape)
    kind = _numpy_name(path, tensor.elem_type, f"input '{value.name}'")
    return OnnxInput(value.name, tuple(shape), HOLDERS["bfloat16"] if kind == "bfloat16" else kind)


def check_shape(where: str, shape: Sequence[int], most: int = LARGEST_TENSOR) -> None:
    """ModelError for an extent below 1 or more than so many elements."""
    if any(extent < 1 for extent in shape):
        raise ModelError(f"{where} has shape {tuple(shape)}, whose extents have to be at least 1")
    if int(np.prod([int(extent) for extent in shape], dtype=object)) > most:
        raise ModelError(f"{where} has shape {tuple(shape)}: more than {most} elements")


def _numpy_name(path: Path, element: int, what: str) -> str:
    if element not in READ_TYPES:
        known = element in TensorProto.DataType.values() and element != TensorProto.UNDEFINED
        name = TensorProto.DataType.Name(element).lower() if known else f"elements of the unknown type {element}"
        raise ModelError(f"{path}: {what} holds {name}, which is not read (allowed: {', '.join(READ_TYPES.values())})")
    return READ_TYPES[element]


def _values(path: Path, tensor: TensorProto, what: str) -> Array:
    _numpy_name(path, tensor.data_type, what)
    if 0 not in tensor.dims:
        check_shape(f"{path}: {what}", tensor.dims, LARGEST_CONSTANT)
    try:
        if tensor.data_location == TensorProto.EXTERNAL:
            return _external(path, tensor, what)
        return values_of(tensor)
    except ModelError:
        raise
    except (ValueError, TypeError) as error:  # too few or too many bytes for the shape
        raise ModelError(f"{path}: {what} is damaged ({' '.join(str(error).split())})") from None


def _external(path: Path, tensor: TensorProto, what: str) -> Array:
    """Values from a file in the model's own folder; no other place is opened."""
    given = {entry.key: entry.value for entry in tensor.external_data}
    location = given.get("location", "")
    folder = path.resolve().parent
    file = (folder / location).resolve()
    if not location or not file.is_relative_to(folder) or file == folder:
        raise ModelError(f"{path}: {what} lies in '{location}', outside the model's folder: it is not opened")
    count = int(np.prod(list(tensor.dims), dtype=np.int64))
    try:
        size = packed_bytes(tensor.data_type, count)
        offset, length = int(given.get("offset", 0)), int(given.get("length", size))
        if offset < 0 or length != size:
            raise ValueError(f"{length} bytes at {offset} for {count} elements")
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would never end
            raise ModelError(f"{path}: {what}: '{location}' is no regular file: it is not opened")
        with file.open("rb") as source:
            source.seek(offset)
            content = source.read(length)
    except OSError as error:
        raise ModelError(f"{path}: {what}: '{location[:80]}' cannot be read ({error.strerror or error})") from None
    if len(content) != length:
        raise ValueError(f"'{location}' ends after {len(content)} of {length} bytes")
    return unpacked(tensor.data_type, content, count).reshape(tuple(tensor.dims))


def _node(path: Path, node: onnx.NodeProto, number: int) -> OnnxNode:
    name = node.name or (node.output[0] if node.output else f"number {number}")
    if not any(node.output):
        raise ModelError(f"{path}: node '{name}' ({node.op_type}) has no output")
    attributes = {each.name: _attribute(path, each, f"attribute '{each.name}' of '{name}'") for each in node.attribute}
    domain = "" if node.domain == "ai.onnx" else node.domain
    return OnnxNode(name, node.op_type, domain, tuple(node.input), tuple(node.output), attributes)


_INT, _FLOAT, _TENSOR = AttributeProto.INT, AttributeProto.FLOAT, AttributeProto.TENSOR
_NUMBER = (_INT, _FLOAT, _TENSOR)
KINDS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(
        ("allowzero", "axis", "block_size", "blocksize", "ceil_mode", "count_include_pad", "output_dtype"), (_INT,)
    ),
    **dict.fromkeys(("end", "noop_with_empty_axes", "start"), (_INT,)),
    **dict.fromkeys(
        ("channels_last", "group", "keepdims", "narrow", "to", "training_mode", "transA", "transB", "value_int"),
        (_INT,),
    ),
    **dict.fromkeys(("axes", "dilations", "ends", "kernel_shape", "pads", "perm"), (AttributeProto.INTS,)),
    **dict.fromkeys(("output_padding", "output_shape"), (AttributeProto.INTS,)),
    **dict.fromkeys(("shape", "split", "starts", "strides", "value_ints"), (AttributeProto.INTS,)),
    **dict.fromkeys(("scales", "value_floats"), (AttributeProto.FLOATS,)),
    **dict.fromkeys(
        ("alpha", "beta", "epsilon", "gamma", "max", "min", "out_bias", "out_scale", "value_float"), (_INT, _FLOAT)
    ),
    **dict.fromkeys(("approximate", "auto_pad", "coordinate_transformation_mode"), (AttributeProto.STRING,)),
    **dict.fromkeys(("data_layout", "mode", "nearest_mode", "rounding_mode"), (AttributeProto.STRING,)),
    **dict.fromkeys(
        ("D", "Delta", "coeffA", "coeffB", "coeffC", "div", "eps", "eta", "log2", "mul", "n_levels"), _NUMBER
    ),
    **dict.fromkeys(("n_levels_out", "one_over_six", "signed", "six", "three", "value", "y"), _NUMBER),
}
"""What the attributes that are read may hold; those of other names do not matter."""


def _attribute(path: Path, attribute: AttributeProto, what: str) -> Any:
    allowed = KINDS.get(attribute.name, (attribute.type,))
    if attribute.type not in allowed:
        names = " or ".join(AttributeProto.AttributeType.Name(kind) for kind in allowed)
        raise ModelError(f"{path}: {what} is of another kind than {names}")
    if attribute.type == AttributeProto.TENSOR:
        return _values(path, attribute.t, what)
    if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
        return None  # If, Loop and Scan are refused by name
    try:
        value = helper.get_attribute_value(attribute)
    except ValueError:
        raise ModelError(f"{path}: {what} is damaged") from None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _ordered(
    path: Path, nodes: Sequence[OnnxNode], inputs: Sequence[OnnxInput], constants: Mapping[str, Array]
) -> tuple[OnnxNode, ...]:
    """The nodes, each after those whose results it reads; files with a cycle or a missing tensor are refused."""
    maker: dict[str, OnnxNode] = {}
    given = {*constants, *(each.name for each in inputs), ""}
    for node in nodes:
        for output in filter(None, node.outputs):
            if output in maker or output in given:
                raise ModelError(f"{path}: tensor '{output}' is defined twice, once by {node}")
            maker[output] = node
    for node in nodes:
        for name in node.inputs:
            if name not in maker and name not in given:
                raise ModelError(f"{path}: {node} reads '{name}', which nothing defines")
    done: list[OnnxNode] = []
    state: dict[int, bool] = {}  # False: its operands are being visited

    def operands(node: OnnxNode) -> Iterator[OnnxNode]:
        return (maker[name] for name in node.inputs if name in maker)

    for start in nodes:
        if id(start) in state:
            continue
        state[id(start)] = False
        stack = [(start, operands(start))]
        while stack:
            node, rest = stack[-1]
            following = next((each for each in rest if state.get(id(each)) is not True), None)
            if following is None:
                state[id(node)] = True
                done.append(node)
                stack.pop()
            elif id(following) in state:
                raise ModelError(f"{path}: {following} depends on its own result")
            else:
                state[id(following)] = False
                stack.append((following, operands(following)))
    return tuple(done)
