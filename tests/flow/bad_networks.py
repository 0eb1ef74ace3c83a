"""Bad ONNX networks: what writes each, and words of the line that refuses it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1] / "frontend"))

from bad_onnx import CASES, model, node, weights_of
from onnx_build import QONNX, Network

Writer = Callable[[Path], Path]
Change = Callable[[onnx.ModelProto], object]


def changed(change: Change) -> Writer:
    """A small network after ``change``."""

    def write(folder: Path) -> Path:
        proto, path = model(), folder / "network.onnx"
        change(proto)
        path.write_bytes(proto.SerializeToString())
        return path

    return write


def weights(**fields: Any) -> Writer:
    """The convolution's weights with these fields in place of theirs."""

    def change(m: onnx.ModelProto) -> None:
        tensor = weights_of(m)
        kept = {"name": tensor.name, "data_type": tensor.data_type, "dims": tensor.dims, "raw_data": tensor.raw_data}
        tensor.CopyFrom(TensorProto(**{**kept, **fields}))

    return changed(change)


def shaped(*shape: int) -> Writer:
    """Weights of another shape."""

    def change(m: onnx.ModelProto) -> None:
        tensor = weights_of(m)
        values = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    return changed(change)


def scale(*values: float) -> Writer:
    """The scales of the weights, one per output where there are four."""

    def change(m: onnx.ModelProto) -> None:
        quantiser = next(n for n in m.graph.node if n.output[0] == node(m, "Conv").input[1])
        tensor = next(c for c in m.graph.initializer if c.name == quantiser.input[1])
        shape = (len(values), 1, 1, 1) if len(values) > 1 else ()
        tensor.CopyFrom(numpy_helper.from_array(np.array(values, np.float32).reshape(shape), tensor.name))

    return changed(change)


def constants_of(m: onnx.ModelProto, values: Sequence[Any]) -> list[str]:
    """Names of new constants of the network."""
    names = [f"extra{i}" for i in range(len(values))]
    for name, value in zip(names, values, strict=True):
        m.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return names


def behind(operator: str, *constants: Any, **attributes: Any) -> Writer:
    """An operator behind the network's result, with constants as its further operands."""

    def change(m: onnx.ModelProto) -> None:
        names = constants_of(m, constants)
        source, domain = m.graph.output[0].name, attributes.pop("domain", "")
        m.graph.node.append(helper.make_node(operator, [source, *names], ["last"], "last", domain=domain, **attributes))
        m.graph.output[0].name = "last"

    return changed(change)


def made_of_constants(operator: str, *operands: Any, **attributes: Any) -> Writer:
    """A constant that an operator makes, added to the network's result."""

    def change(m: onnx.ModelProto) -> None:
        names = constants_of(m, operands)
        source = m.graph.output[0].name
        m.graph.node.append(helper.make_node(operator, names, ["made"], "made", **attributes))
        m.graph.node.append(helper.make_node("Add", [source, "made"], ["last"], "last"))
        m.graph.output[0].name = "last"

    return changed(change)


def control(operator: str) -> Writer:
    """If, Loop or Scan around a graph of its own."""
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, [1])
    body = helper.make_graph([helper.make_node("Identity", ["outer"], ["inner"])], "body", [], [value])
    names = {"If": ("then_branch", "else_branch"), "Loop": ("body",), "Scan": ("body",)}[operator]
    more = {"num_scan_inputs": 1} if operator == "Scan" else {}
    return behind(operator, **dict.fromkeys(names, body), **more)


def many_constants(m: onnx.ModelProto) -> None:
    """Each below the bound, 32 GiB together, in a file of a few kB."""
    m.graph.initializer.append(numpy_helper.from_array(np.array([1 << 13, 1 << 13], np.int64), "extents"))
    for i in range(64):
        m.graph.node.append(helper.make_node("ConstantOfShape", ["extents"], [f"large{i}"], f"large{i}"))


def long_chain(m: onnx.ModelProto) -> None:
    source = m.graph.output[0].name
    for i in range(5_000):
        m.graph.node.append(helper.make_node("Relu", [source if i == 0 else f"r{i - 1}"], [f"r{i}"]))
    m.graph.node.append(helper.make_node("LSTM", ["r4999"], ["last"], "last", hidden_size=3))
    m.graph.output[0].name = "last"


def cut(share: float) -> Writer:
    def write(folder: Path) -> Path:
        content, path = model().SerializeToString(), folder / "network.onnx"
        path.write_bytes(content[: int(len(content) * share)])
        return path

    return write


def pipe(name: str) -> Writer:
    """A named pipe that nobody writes to."""

    def write(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return write


def external_pipe(folder: Path) -> Path:
    pipe("weights.bin")(folder)
    return changed(external(location="weights.bin"))(folder)


def external(**entries: str) -> Change:
    def change(m: onnx.ModelProto) -> None:
        tensor = weights_of(m)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return change


def beside(size: int, **entries: str) -> Writer:
    """External data in a file of ``size`` zeros."""

    def write(folder: Path) -> Path:
        (folder / "weights.bin").write_bytes(bytes(size))
        return changed(external(location="weights.bin", **entries))(folder)

    return write


def int8_pair(scale_: Any, zero: Any, dtype: str = "int8") -> Writer:
    """A network of QuantizeLinear and DequantizeLinear."""

    def write(folder: Path) -> Path:
        net = Network((1, 4, 6, 6))
        return net.save(folder, net.add("Relu", net.round_trip("x", scale_, zero, dtype)))

    return write


def input_shape(*shape: Any) -> Change:
    def change(m: onnx.ModelProto) -> None:
        m.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape)))

    return change


def group(n: int) -> Writer:
    return changed(lambda m: node(m, "Conv").attribute.append(helper.make_attribute("group", n)))


NETWORKS: dict[str, tuple[Writer, str]] = {
    **{name: (changed(change), words) for name, (change, words) in CASES.items()},
    **{f"cut {share}": (cut(share), "truncated or damaged, or no ONNX file") for share in (0.1, 0.5, 0.9, 0.99)},
    "if": (control("If"), "(If): operator If is not supported"),
    "loop": (control("Loop"), "(Loop): operator Loop is not supported"),
    "scan": (control("Scan"), "(Scan): operator Scan is not supported"),
    "sparse": (changed(lambda m: m.graph.sparse_initializer.add()), "has sparse constants, which are not read"),
    "function": (changed(lambda m: m.functions.add(name="f", domain="d")), "has functions of its own, which are not"),
    "constants twice": (
        changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])), "constant 'c1' is defined twice"),
    "inputs twice": (changed(lambda m: m.graph.input.append(m.graph.input[0])), "two inputs bear the same name"),
    "outputs twice": (changed(lambda m: m.graph.output.append(m.graph.output[0])), "node 'quant14': two outputs are"),
    "constant like an input": (
        changed(lambda m: setattr(m.graph.initializer[0], "name", "x")),
        "node 'quant4' (Quant) reads 'c1', which nothing defines"),
    "result like an input": (
        changed(lambda m: m.graph.node[0].output.__setitem__(0, "x")),
        "tensor 'x' is defined twice, once by node 'quant4' (Quant)"),
    "no name": (changed(lambda m: m.graph.node[0].output.__setitem__(0, "")), "node 'quant4' (Quant) has no output"),
    "int4": (weights(data_type=TensorProto.INT4, raw_data=bytes(53)), "constant 'c5' is damaged ("),
    "uint2": (weights(data_type=25, raw_data=bytes(27)), "constant 'c5' holds uint2, which is not read (allowed:"),
    "float4": (weights(data_type=TensorProto.FLOAT4E2M1, raw_data=bytes(54)), "constant 'c5' holds float4e2m1, which"),
    "float8": (weights(data_type=TensorProto.FLOAT8E4M3FN, raw_data=bytes(108)), "constant 'c5' holds float8e4m3fn,"),
    "complex": (weights(data_type=TensorProto.COMPLEX64, raw_data=bytes(864)), "constant 'c5' holds complex64, which"),
    "strings": (
        weights(data_type=TensorProto.STRING, raw_data=b"", string_data=[b"a"] * 108),
        "holds string, which is not read"),
    "element 77": (weights(data_type=77), "constant 'c5' holds elements of the unknown type 77, which is not read"),
    "no element": (weights(data_type=0), "constant 'c5' holds elements of the unknown type 0, which is not read"),
    "short": (weights(raw_data=bytes(428)), "constant 'c5' is damaged (cannot reshape array of size 107 into shape"),
    "long": (weights(raw_data=bytes(436)), "constant 'c5' is damaged (cannot reshape array of size 109 into shape"),
    "no data": (weights(raw_data=b""), "constant 'c5' is damaged (cannot reshape array of size 0 into shape"),
    "odd": (weights(raw_data=bytes(431)), "constant 'c5' is damaged (buffer size must be a multiple of element"),
    "negative extent": (weights(dims=[4, 3, -3, 3]), "constant 'c5' has shape (4, 3, -3, 3), whose extents have to"),
    "two negative extents": (weights(dims=[4, 3, -3, -3]), "constant 'c5' has shape (4, 3, -3, -3), whose extents"),
    "no extent": (weights(dims=[4, 0, 3, 3], raw_data=b""), "node 'conv10' (Conv): weights of shape (4, 0, 3, 3)"),
    "2^31": (weights(dims=[1 << 31, 3, 3, 3]), "constant 'c5' has shape (2147483648, 3, 3, 3): more than 134217728"),
    "product wraps": (weights(dims=[1 << 32, 1 << 32, 1, 108]), "constant 'c5' has shape (4294967296, 4294967296, 1,"),
    "largest": (weights(dims=[(1 << 63) - 1] * 8), "constant 'c5' has shape (9223372036854775807, 92233"),
    "nan weights": (weights(raw_data=b"\xff" * 432), "node 'quant9' (Quant): the constant holds values that are not"),
    "infinite weights": (weights(raw_data=b"\x00\x00\x80\x7f" * 108), "node 'quant9' (Quant): the constant holds"),
    "weights of 2 axes": (shaped(4, 27), "node 'conv10' (Conv): 0 spatial axes are not supported (allowed: 1, 2)"),
    "weights of 3 axes": (shaped(4, 3, 9), "node 'conv10' (Conv): takes 3 axes, got shape (1, 3, 6, 6)"),
    "weights of 5 axes": (shaped(4, 3, 3, 3, 1), "node 'conv10' (Conv): 3 spatial axes are not supported (allowed:"),
    "weights of no axes": (shaped(), "node 'conv10' (Conv): weights of shape ()"),
    "weights of other channels": (shaped(4, 5, 3, 3), "node 'conv10' (Conv): 3 channels meet weights for 5"),
    "weights of another kernel": (shaped(4, 3, 5, 5), "node 'conv10' (Conv): kernel_shape (3, 3) is not that of its"),
    "scale nan": (scale(np.nan), "node 'quant9' (Quant): scale holds values that are not finite"),
    "scale of a channel nan": (scale(1, 2, np.nan, 1), "node 'quant9' (Quant): scale holds values that are not finite"),
    "scale of a channel zero": (scale(1, 2, 0, 1), "node 'quant9' (Quant): scale has to be above 0"),
    "scale infinite": (scale(np.inf), "node 'quant9' (Quant): scale holds values that are not finite"),
    "scales too many": (scale(1, 2, 3), "node 'quant9' (Quant): scales of shape (3, 1, 1, 1) do not broadcast to"),
    "group 0": (group(0), "node 'conv10' (Conv): groups must be at least 1, is 0"),
    "group -1": (group(-1), "node 'conv10' (Conv): groups must be at least 1, is -1"),
    "group 2": (group(2), "node 'conv10' (Conv): 3 channels meet weights for 6"),
    "group 2^62": (group(1 << 62), "node 'conv10' (Conv): 3 channels meet weights for 13835058055282163712"),
    "opset 0": (changed(lambda m: setattr(m.opset_import[0], "version", 0)), "ONNX of opset 0 is not read (allowed:"),
    "opset -1": (changed(lambda m: setattr(m.opset_import[0], "version", -1)), "ONNX of opset -1 is not read"),
    "no opset": (changed(lambda m: m.ClearField("opset_import")), "ONNX of opset none is not read (allowed: 7 to 26)"),
    "two opsets": (
        changed(lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx", 20))),
        "ONNX of opset 21, 20 is not read (allowed: 7 to 26)"),
    "custom domain": (behind("Quant", domain="my.own"), "(Quant): operator my.own::Quant is not supported"),
    "input of no shape": (
        changed(lambda m: m.graph.input[0].type.tensor_type.ClearField("shape")),
        "input 'x' has no tensor shape (export with static shapes)"),
    "input of no type": (changed(lambda m: m.graph.input[0].ClearField("type")), "input 'x' has no tensor shape"),
    "input of a sequence": (
        changed(lambda m: m.graph.input[0].type.sequence_type.SetInParent()),
        "input 'x' has no tensor shape (export with static shapes)"),
    "input of strings": (
        changed(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 8)),
        "input 'x' holds string, which is not read"),
    "input of -3": (changed(input_shape(1, -3, 6, 6)), "input 'x' has shape (1, -3, 6, 6), whose extents have to be"),
    "input of 2 axes": (changed(input_shape(1, 108)), "node 'conv10' (Conv): takes 4 axes, got shape (1, 108)"),
    "input of 6 axes": (changed(input_shape(1, 3, 6, 6, 1, 2)), "input 'x' has shape (1, 3, 6, 6, 1, 2): more than"),
    "input of no axes": (changed(input_shape()), "node 'conv10' (Conv): takes 4 axes, got shape ()"),
    "input of other channels": (changed(input_shape(1, 4, 6, 6)), "node 'conv10' (Conv): 4 channels meet weights for"),
    "input too small": (changed(input_shape(1, 3, 2, 2)), "node 'conv10' (Conv): kernel (3, 3) is larger than the"),
    "input wide": (changed(input_shape(1, 3, 1 << 31, 1)), "input 'x' has shape (1, 3, 2147483648, 1): more than"),
    "many constants": (changed(many_constants), "node 'large1' (ConstantOfShape): constants of more than 134217728"),
    "a long chain": (changed(long_chain), "(LSTM): operator LSTM is not supported"),
    "huge reshape": (behind("Reshape", np.array([1 << 40, -1])), "(Reshape): (1, 4, 4, 4) does not fit"),
    "reshape by floats": (behind("Reshape", np.array([1.5, 2])), "(Reshape): (1, 4, 4, 4) does not fit (1, 2)"),
    "reshape by -1 twice": (behind("Reshape", np.array([-1, -1])), "(Reshape): (1, 4, 4, 4) does not fit (-1, -1)"),
    "expand": (
        made_of_constants("Expand", np.float32(1), np.array([1 << 20, 1 << 20])),
        "node 'made' (Expand): its result has shape (1048576, 1048576): more"),
    "constant of shape": (
        made_of_constants("ConstantOfShape", np.array([1 << 31, 1 << 31])),
        "node 'made' (ConstantOfShape): its result has shape (2147483648,"),
    "constant of a negative shape": (
        made_of_constants("ConstantOfShape", np.array([-4, 4])),
        "node 'made' (ConstantOfShape): its result has shape (-4, 4), whose"),
    "range": (made_of_constants("Range", np.int64(0), np.int64(1 << 50), np.int64(1)), "node 'made' (Range): its"),
    "range without a step": (
        made_of_constants("Range", np.int64(0), np.int64(9), np.int64(0)),
        "node 'made' (Range): cannot be computed from its constants (division by"),
    "outer sum": (
        made_of_constants("Add", np.zeros((1 << 16, 1)), np.zeros((1, 1 << 16))),
        "node 'made' (Add): its result has shape (65536, 65536): more than"),
    "outer maximum": (
        made_of_constants("Max", np.zeros((1 << 16, 1)), np.zeros((1, 1 << 16))),
        "node 'made' (Max): its result has shape (65536, 65536): more than"),
    "gather": (
        made_of_constants("Gather", np.zeros((4, 1 << 16)), np.zeros(1 << 18, np.int64)),
        "its result has shape (65536, 262144)"),
    "resize": (
        behind("Resize", np.zeros(0, np.float32), np.array([1, 1, 1e9, 1e9], np.float32)),
        "(Resize): its result has shape (4, 4000000000, 4000000000): more than"),
    "resize nan": (
        behind("Resize", np.zeros(0, np.float32), np.array([1, 1, np.nan, np.nan], np.float32)),
        "(Resize): scales [1.0, 1.0, nan, nan] are not supported (allowed: 1, 1,"),
    "resize 0": (
        behind("Resize", np.zeros(0, np.float32), np.array([1, 1, 0, 0], np.float32)),
        "(Resize): scales [1.0, 1.0, 0.0, 0.0] are not supported (allowed: 1, 1,"),
    "pad": (behind("Pad", np.array([0, 0, 1 << 40, 0] * 2)), "(Pad): its result has shape (4, 2199023255556, 4):"),
    "pad -2": (behind("Pad", np.array([0, 0, -2, 0] * 2)), "(Pad): pads [0, 0, -2, 0, 0, 0, -2, 0] cut off all of"),
    "pads too few": (behind("Pad", np.array([0, 0, 1])), "(Pad): needs 8 pads, has 3"),
    "pad nan": (behind("Pad", np.array([0, 0, 1, 0] * 2), np.float32(np.nan)), "(Pad): pads with something else than"),
    "slice by 0": (behind("Slice", *(np.array([n]) for n in (0, 9, 2, 0))), "(Slice): has a step of 0"),
    "slice of axis 9": (behind("Slice", *(np.array([n]) for n in (0, 9, 9))), "(Slice): axis 9 is none of 4"),
    "split": (behind("Split", np.array([1, 1]), axis=1), "(Split): cannot split (1, 4, 4, 4) into [1, 1]"),
    "depth to space 0": (behind("DepthToSpace", blocksize=0), "(DepthToSpace): block must be at least 1, is 0"),
    "depth to space -2": (behind("DepthToSpace", blocksize=-2), "(DepthToSpace): block must be at least 1, is -2"),
    "space to depth huge": (behind("SpaceToDepth", blocksize=1 << 40), "(SpaceToDepth): extent (4, 4) is no multiple"),
    "pool of 0": (behind("MaxPool", kernel_shape=[0, 0]), "(MaxPool): kernel_shape (0, 0) does not fit (1, 4, 4, 4)"),
    "pool of 2^40": (behind("AveragePool", kernel_shape=[1 << 40, 1]), "(AveragePool): window (1099511627776, 1) is"),
    "pool of -1": (behind("MaxPool", kernel_shape=[-1, 2]), "(MaxPool): kernel_shape (-1, 2) does not fit (1, 4, 4,"),
    "pool padded": (behind("MaxPool", kernel_shape=[2, 2], pads=[1 << 15] * 4), "(MaxPool): padding (32768, 32768,"),
    "reduce axis 9": (behind("ReduceMean", np.array([9])), "(ReduceMean): axis 9 is none of 4"),
    "clip": (behind("Clip", np.float32(3), np.float32(-3)), "(Clip): range 3.0..-3.0 is empty"),
    "clip nan": (behind("Clip", np.float32(np.nan)), "(Clip): range nan..inf is empty"),
    "leaky nan": (behind("LeakyRelu", alpha=float("nan")), "(LeakyRelu): leaky falls: a is nan"),
    "batch norm of 3": (behind("BatchNormalization", *np.ones((4, 3), np.float32)), "(BatchNormalization): gamma has"),
    "batch norm of a negative variance": (
        behind("BatchNormalization", *-np.ones((4, 4), np.float32)), "(BatchNormalization): a variance is below 0"),
    "batch norm of nan": (
        behind("BatchNormalization", *np.ones((4, 4), np.float32), epsilon=float("nan")),
        "node 'last': an output's scale or bias is not finite"),
    "batch norm of no variance": (
        behind("BatchNormalization", *np.zeros((4, 4), np.float32), epsilon=0.0),
        "node 'last': an output's scale or bias is not finite"),
    "gemm of a picture": (behind("Gemm", np.ones((4, 4), np.float32)), "(Gemm): takes a matrix, got shape (1, 4, 4,"),
    "matmul of a vector": (behind("MatMul", np.ones(4, np.float32)), "(MatMul): weights of shape (4,)"),
    "divided by 0": (behind("Div", np.float32(0)), "(Div): divides by 0"),
    "times nan": (behind("Mul", np.float32(np.nan)), "(Mul): the constant holds values that are not finite"),
    "times another picture": (
        behind("Mul", np.random.default_rng(0).normal(0, 1, (1, 4, 3, 4)).astype(np.float32)),
        "(Mul): a constant of shape (1, 4, 3, 4) does not broadcast to (1, 4, 4, 4)"),
    "thresholds fall": (
        behind("MultiThreshold", np.array([[3.0, 2.0]], np.float32), domain=QONNX),
        "(MultiThreshold): thresholds have to rise"),
    "thresholds nan": (
        behind("MultiThreshold", np.array([[np.nan, 2.0]], np.float32), domain=QONNX),
        "(MultiThreshold): thresholds have to rise"),
    "thresholds of 3 channels": (
        behind("MultiThreshold", np.zeros((3, 2), np.float32), domain=QONNX),
        "(MultiThreshold): table has shape (3, 2), needs (C, N)"),
    "thresholds without end": (
        behind("MultiThreshold", np.sort(np.random.default_rng(0).normal(0, 1, (4, 1 << 20))), domain=QONNX),
        "1048576 thresholds are too many (allowed: 65535)"),
    "pair nan": (int8_pair(np.nan, 0), "node 'quantizelinear3' (QuantizeLinear): scale holds values that are"),
    "pair zero": (int8_pair(0.0, 0), "node 'quantizelinear3' (QuantizeLinear): scale has to be above 0"),
    "pair of zero points": (int8_pair([0.1, 0.1, 0.1, 0.1], [1, 2, 3, 4]), "node 'quantizelinear3' (QuantizeLinear):"),
    "pair of int32": (int8_pair(0.1, 0, "int32"), "node 'quantizelinear3' (QuantizeLinear): int32 is not supported"),
    "external pipe": (external_pipe, "constant 'c5': 'weights.bin' is no regular file: it is not opened"),
    "external folder": (changed(external(location=".")), "constant 'c5' lies in '.', outside the model's folder: it"),
    "external short": (beside(100), "constant 'c5' is damaged ('weights.bin' ends after 100 of 432 bytes)"),
    "external beyond": (beside(432, offset="4"), "constant 'c5' is damaged ('weights.bin' ends after 428 of 432"),
    "external before": (beside(432, offset="-4"), "constant 'c5' is damaged (432 bytes at -4 for 108 elements)"),
    "external odd": (beside(432, offset="many"), "constant 'c5' is damaged (invalid literal for int() with base 10:"),
    "external long": (beside(432, length="99999999999999"), "constant 'c5' is damaged (99999999999999 bytes at 0 for"),
    "external nul": (changed(external(location="a\0b")), "constant 'c5' is damaged (embedded null byte)"),
    "external name": (changed(external(location="a" * 5000)), "cannot be read (File name too long)"),
}  # fmt: skip
