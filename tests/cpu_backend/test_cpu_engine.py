"""The engine's answers to the partitioner, and the toolchain's errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cpu_networks
import numpy as np
import pytest

from benchmarks.riscv import layer_graph
from benchmarks.shapes import RESNET20, SHAPES, Shape
from cpu_backend import toolchain
from cpu_backend.cost import layer_cycles
from cpu_backend.engine import CpuEngine
from cpu_backend.forms import cheapest, weights_leave_cache
from cpu_backend.layers import Form, layers_of
from ir.engine import Candidate, Engine, Overhead, Prepared, Reason
from ir.graph import Graph, Node
from ir.ops import BatchNorm, Conv2d, MultiplyShift
from ir.target import Cpu, Resources, Target
from ir.types import DType, TensorType

ENGINE: Engine = CpuEngine()


def conv(weights: object, x: DType = DType("uint", 4), extent: int = 8, stride: int = 1) -> Graph:  # noqa: B008
    w = np.asarray(weights)
    type_ = TensorType.of_dtype((w.shape[1], extent, extent), x)
    return Graph("g", {"x": type_}, (Node("c", Conv2d((stride, stride)), ("x", "w")),), ("c",), {"w": w}).verify()


def every_product(weights: object, x: DType = DType("uint", 4)) -> Graph:  # noqa: B008
    """With the stride of 2, which minimal filtering does not take, 36 results."""
    return conv(weights, x, 13, 2)


def candidate(graph: Graph, board: Target) -> Candidate:
    prepared = ENGINE.prepare(graph.view("c"), board)
    assert isinstance(prepared, Prepared)
    (only,) = ENGINE.candidates(prepared, board)
    return only


def test_takes_every_node_of_a_real_network(shared_data: Path, board: Target) -> None:
    graph, _, _ = cpu_networks.load(shared_data, "ultranet_bypass")
    for view in graph.views():
        assert ENGINE.objection(view, board) is None
        prepared = ENGINE.prepare(view, board)
        assert isinstance(prepared, Prepared)
        assert all(c.cycles > 0 and c.resources == Resources() for c in ENGINE.candidates(prepared, board))
    assert ENGINE.overhead(board) == Overhead()
    assert (ENGINE.side, ENGINE.clock_mhz(board)) == ("cpu", 1600.0)


@pytest.mark.parametrize(
    ("x", "expected"),
    [(DType("float", 64), "Conv2d has no CPU kernel of float64"), (DType("int", 40), "integers of up to 32 bits")],
)
def test_objects_to_elements_it_has_no_kernels_for(x: DType, expected: str, board: Target) -> None:
    type_ = TensorType(  # a narrow range in a wide container
        (2, 8, 8), x, 0, 1 if x.is_integer else 0
    )
    weights = np.ones((1, 2, 1, 1), np.int64 if x.is_integer else np.float64)
    graph = Graph("g", {"x": type_}, (Node("c", Conv2d(), ("x", "w")),), ("c",), {"w": weights})
    reason = ENGINE.objection(graph.view("c"), board)
    assert isinstance(reason, Reason)
    assert expected in reason.text


def test_objects_to_operators_it_does_not_know(board: Target) -> None:
    x = TensorType.of_dtype((1, 2, 2), DType("float", 32))
    constants = {name: np.ones(1) for name in "gbmv"}
    graph = Graph("g", {"x": x}, (Node("n", BatchNorm(), ("x", *"gbmv")),), ("n",), constants)
    reason = ENGINE.objection(graph.view("n"), board)
    assert reason is not None
    assert reason.text.startswith("BatchNorm has no CPU kernel")


def test_vetoes_multipliers_beyond_32_bits(board: Target) -> None:
    x = TensorType.of_dtype((1, 2, 2), DType("int", 8))
    constants = {"m": np.array([1 << 31]), "a": np.array([0])}
    graph = Graph("g", {"x": x}, (Node("n", MultiplyShift(4, 0, 15), ("x", "m", "a")),), ("n",), constants)
    reason = ENGINE.prepare(graph.view("n"), board)
    assert isinstance(reason, Reason)
    assert "leave 32 bits" in reason.text


def test_notes_tell_the_accumulator(board: Target) -> None:
    prepared = ENGINE.prepare(conv(np.full((64, 400, 1, 1), -8)).view("c"), board)
    assert isinstance(prepared, Prepared)
    assert prepared.note == "i16 accumulator, flush every 273"


def test_cost_follows_accumulator_width_and_vector_length(board: Target) -> None:
    narrow = candidate(every_product(np.full((64, 64, 3, 3), 3)), board).cycles
    wide = candidate(every_product(np.full((64, 64, 3, 3), 127), DType("uint", 8)), board).cycles
    assert wide / narrow == pytest.approx(0.2685 / 0.128, rel=1e-3)
    longer = replace(board, cpu=replace(board.cpu, vlen=512))
    assert candidate(every_product(np.full((128, 64, 3, 3), 3)), longer).cycles == pytest.approx(narrow, rel=1e-3)
    soft = replace(board, cpu=Cpu("rv32im", 0, 1, 100.0, "coprocessor"))
    macs = 64 * 64 * 9 * 36
    plain = candidate(conv(np.full((64, 64, 3, 3), 127), DType("uint", 8)), soft).cycles
    assert plain == pytest.approx(4.55 * macs, rel=1e-3)
    few_bits = candidate(conv(np.full((64, 64, 3, 3), 1), DType("uint", 2)), soft).cycles
    assert few_bits == pytest.approx((1.34 + 12 / (4 * 40)) * macs, rel=1e-3)  # 42 * 3 fit 8 bits
    uneven = candidate(conv(np.full((5, 64, 3, 3), 127), DType("uint", 8)), soft).cycles
    assert uneven == pytest.approx(plain * 8 / 64, rel=1e-3)  # two blocks of four channels


def test_cost_of_8_bit_sums(board: Target) -> None:
    """8 products of -1 and up to 15 a widening: cheaper than 16-bit sums, which few channels on short vectors keep."""
    narrowest, narrow = (every_product(np.full((64, 64, 3, 3), weight)) for weight in (-1, -3))
    ratio = candidate(narrowest, board).cycles / candidate(narrow, board).cycles
    assert ratio == pytest.approx((0.064 + 0.125 / 8) / 0.128, rel=1e-3)
    shorter = replace(board, cpu=replace(board.cpu, vlen=128))
    assert candidate(narrowest, shorter).cycles / candidate(narrow, shorter).cycles == pytest.approx(ratio, rel=1e-3)
    few = [every_product(np.full((32, 64, 3, 3), weight)) for weight in (-1, -3)]
    assert candidate(few[0], shorter) == candidate(few[1], shorter)


def test_cost_of_a_single_pixel_whose_weights_have_to_be_widened(board: Target) -> None:
    """Two products of int8 and -127..127 fit 16 bits, of uint8 they do not; with many pixels it does not matter."""
    signed, unsigned = DType("int", 8), DType("uint", 8)
    weights = np.full((64, 64, 1, 1), 127)
    paired, widened = (candidate(conv(weights, x, extent=1), board).cycles for x in (signed, unsigned))
    assert widened / paired == pytest.approx(0.375 / 0.2685, rel=1e-3)
    assert candidate(conv(weights, signed), board).cycles == candidate(conv(weights, unsigned), board).cycles


def test_cost_of_fully_connected_layers(board: Target) -> None:
    """Counted under the meter (benchmarks.riscv, 1024 -> 256): 0.144 cycles a MAC of int8, 0.0742 of W4A4; few rows
    (256 -> 256), which keep their order, 0.207."""
    rng = np.random.default_rng(1)
    signed, unsigned = DType("int", 8), DType("uint", 4)
    for bits, x, rows, counted in ((8, signed, 1024, 0.144), (4, unsigned, 1024, 0.0742), (8, signed, 256, 0.207)):
        most = (1 << bits - 1) - 1
        graph = conv(rng.integers(-most, most + 1, (256, rows, 1, 1)), x, extent=1)
        assert candidate(graph, board).cycles / (rows * 256) == pytest.approx(counted, rel=0.06)


@pytest.mark.parametrize(
    ("inner", "outer", "most", "extensions", "form"),
    [
        (1024, 256, 7, (), "usual"),  # half the cache of 512 KiB
        (1024, 258, 7, (), "streamed"),
        (264, 1000, 127, (), "streamed"),  # rows of 1024 bytes
        (512, 1024, 127, (), "usual"),  # whose rows begin at lines anyhow
        (8 * 512, 80, 127, (), "usual"),  # which would be longer by more than an eighth
        (1024, 512, 1, (), "streamed"),
        (1024, 512, 1, ("zvbb",), "bits"),
    ],
)
def test_weights_that_come_from_memory(
    inner: int, outer: int, most: int, extensions: tuple[str, ...], form: Form
) -> None:
    """Counted under the meter (generic, VLEN 256, with misses) from 4096 to 1000 channels: W4A4 0.91 cycles a MAC
    instead of 2.00, int8 1.67 instead of 2.04, W2A2 0.47 instead of 1.48; without misses 0.183, 0.134, 0.172."""
    cpu = Cpu("rv64gcv", 256, 1, 1600.0, "host", extensions=extensions)
    weights = np.random.default_rng(2).choice([-most, most], (outer, inner, 1, 1))
    (layer,) = layers_of(conv(weights, DType("bipolar", 1) if most == 1 else DType("uint", 4), extent=1))
    assert cheapest(layer, cpu).form == form
    assert cheapest(layer, replace(cpu, isa="rv64gc", vlen=0, extensions=())).form == "usual"


def test_weights_of_a_network_that_leaves_the_cache() -> None:
    """Layers of 384 and 192 KiB are more than 512 together: each is read from memory every frame, which a layer alone
    would not be. Nothing is gained of weights that take bytes."""
    cpu = Cpu("rv64gcv", 256, 1, 1600.0, "host")
    shapes = {"large": (96, 448, 3, 3), "full": (384, 512, 1, 1)}
    weights = {name: np.random.default_rng(4).integers(-7, 8, shape) for name, shape in shapes.items()}
    large, full = (layers_of(conv(w, extent=w.shape[2]))[0] for w in weights.values())
    assert weights_leave_cache([large, full], cpu) and not weights_leave_cache([full, full], cpu)
    assert cheapest(full, cpu).form == "usual" and cheapest(full, cpu, cold=True).form == "streamed"
    (bytes_,) = layers_of(conv(weights["full"] * 16, extent=1))
    assert cheapest(bytes_, cpu, cold=True).form == "usual"


@pytest.mark.parametrize(("most", "x", "counted"), [(7, "uint4", 0.183), (127, "int8", 0.134), (1, "uint2", 0.172)])
def test_cost_of_streamed_weights(most: int, x: str, counted: float) -> None:
    """Without misses, as all costs; counted as above."""
    weights = np.random.default_rng(3).integers(-most, most + 1, (1000, 4096, 1, 1))
    (layer,) = layers_of(conv(weights, DType.parse(x), extent=1))
    cycles = layer_cycles(replace(layer, form="streamed"), Cpu("rv64gcv", 256, 1, 1600.0, "host"))
    assert cycles / weights.size == pytest.approx(counted, rel=0.06)


def test_cost_of_depthwise_convolutions_with_their_map() -> None:
    """Counted under the meter (benchmarks.riscv, 3x3, 64 channels): 0.293 cycles a MAC of int8, and with weights
    up to 84 and 43 0.251 and 0.223; 0.209 of W4A4 with its map in 32 bits, which the estimate supposes (0.167 in
    16)."""
    rng = np.random.default_rng(7)
    for types, most, counted in (("w8a8", 127, 0.293), ("w8a8", 84, 0.251), ("w8a8", 43, 0.223), ("w4a4", 7, 0.209)):
        graph = layer_graph(SHAPES[2], types)
        weights = {"w": rng.integers(-most, most + 1, graph.constants["w"].shape)}
        (layer,) = layers_of(replace(graph, constants={**graph.constants, **weights}).verify())
        cycles = layer_cycles(layer, Cpu("rv64gcv", 256, 1, 1600.0, "host"))
        assert cycles / SHAPES[2].macs == pytest.approx(counted, rel=0.05)


@pytest.mark.parametrize(
    ("shape", "types", "form", "counted"),
    [
        (RESNET20[1][0], "w4a4", "columns", 0.083),
        (RESNET20[1][0], "w8a8", "winograd", 0.164),
        (RESNET20[3][0], "w8a8", "winograd", 0.128),
        (RESNET20[3][0], "w4a4", "winograd", 0.068),
        (SHAPES[0], "w8a8", "winograd", 0.117),
        (SHAPES[0], "w4a4", "winograd", 0.063),
    ],
)
def test_the_cheapest_form(shape: Shape, types: str, form: Form, counted: float) -> None:
    """Counted under the meter at VLEN 256: with 16 channels of few bits (ResNet-20) pixels fill the lanes (channels:
    0.320); elsewhere minimal filtering takes the fewest multiplications."""
    cpu = Cpu("rv64gcv", 256, 1, 1600.0, "host")
    (layer,) = layers_of(layer_graph(shape, types))
    chosen = cheapest(layer, cpu)
    assert chosen.form == form
    assert layer_cycles(chosen, cpu) / shape.macs == pytest.approx(counted, rel=0.15)
    assert cheapest(layer, replace(cpu, isa="rv64gc", vlen=0)).form == "usual"


def test_cost_of_depthwise_convolutions(board: Target) -> None:
    """By the sums' width and the lanes filled; kernels without a kernel of their own cost more."""

    def cycles(weight: int, channels: int = 64, kernel: int = 3, stride: int = 1) -> int:
        x = TensorType.of_dtype((channels, 9, 9), DType("uint", 8))
        op = Conv2d((stride, stride), groups=channels)
        w = {"w": np.full((channels, 1, kernel, kernel), weight)}
        return candidate(Graph("g", {"x": x}, (Node("c", op, ("x", "w")),), ("c",), w).verify(), board).cycles

    assert cycles(127) / cycles(1) == pytest.approx(0.30 / 0.14, rel=1e-2)
    assert cycles(1, 33) == cycles(1, 64)
    assert cycles(1, stride=3) / 9 / 0.8 == pytest.approx(cycles(1) / 49 / 0.14, rel=1e-2)
    assert cycles(1, kernel=2) / cycles(1) == pytest.approx(0.8 * 64 * 4 / (0.14 * 49 * 9), rel=1e-2)


def test_bits_are_counted_where_the_processor_can(board: Target) -> None:
    """And where that is cheaper: not for two planes of one channel, whose elements are nearly empty."""
    with_zvbb = replace(board, cpu=replace(board.cpu, extensions=("zvbb",)))
    binary, bipolar = np.full((64, 64, 3, 3), -1), DType("bipolar", 1)
    slow, fast = (candidate(conv(binary, bipolar), target).cycles for target in (board, with_zvbb))
    assert slow / fast > 2
    for weights, x, counted in (
        (binary, bipolar, True),
        (binary, DType("uint", 1), True),
        (binary, DType("uint", 2), True),
        (binary, DType("uint", 3), False),
        (binary, DType("int", 2), False),
        (np.zeros_like(binary), bipolar, False),
        (np.ones((64, 1, 5, 5), np.int64), DType("uint", 2), False),
        (np.ones((1, 4000, 3, 3), np.int64), bipolar, False),  # 36,000 products leave 16 bits
    ):
        for target in (board, with_zvbb):
            prepared = ENGINE.prepare(conv(weights, x).view("c"), target)
            assert isinstance(prepared, Prepared)
            assert prepared.note.startswith("bits") == (counted and target is with_zvbb), (weights.shape, x)


def test_a_missing_tool_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(toolchain.shutil, "which", lambda _: None)
    with pytest.raises(toolchain.ToolError, match="pip install ziglang"):
        toolchain.riscv_compiler()
    with pytest.raises(toolchain.ToolError, match="pip install xuantie-qemu"):
        toolchain.emulator()
    with pytest.raises(toolchain.ToolError, match="qemu-riscv64 of version 9 or later"):
        toolchain.zvbb_emulator()
    with pytest.raises(toolchain.ToolError, match="apt-get install gcc"):
        toolchain.native_compiler()


def test_a_failing_compiler_is_quoted(tmp_path: Path) -> None:
    source = tmp_path / "broken.c"
    source.write_text("int main(void) { return nothing; }\n")
    with pytest.raises(toolchain.ToolError, match="nothing"):
        toolchain.build_native([source], tmp_path / "broken")
