"""Regions layer by layer: hand-written ones with known counts, then what the code generator prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cpu_backend import runner, toolchain
from cpu_backend.emit import identifier
from cpu_backend.engine import CpuEngine
from cpu_backend.meter.counts import MeterError
from cpu_backend.meter.layers import LayerCost, RegionSources, build_program, measure_region
from cpu_backend.meter.machine import load_machine
from cpu_backend.meter.meter import Meter, debian_emulator
from ir.graph import Graph, Node
from ir.ops import Concat, Conv2d, MaxPool2d, MultiplyShift
from ir.target import Target
from ir.types import DType, TensorType

BY_HAND = """
#include "hc_region.h"
#include "hc_meter.h"

/* Whole functions in assembly, entered by one jump each way. */
void products(void), reads(const void *);
__asm__(
    ".option push\\n.option norvc\\n"
    "products: mul t0, t1, t2\\n mul t0, t1, t2\\n mul t0, t1, t2\\n ret\\n"
    "reads: li t0, 16\\n 1: lw t1, 0(a0)\\n addi a0, a0, 4\\n addi t0, t0, -1\\n bnez t0, 1b\\n ret\\n"
    ".option pop\\n");

static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {
    (void)arena;
    const uint8_t *x = (const uint8_t *)inputs[0];
    if (x[0] != 7 || x[63] != 9) return 1;
    HC_LAYER(0, products());
    HC_LAYER(2, reads(x));
    ((uint8_t *)outputs[0])[0] = 1;
    return 0;
}
static const uint32_t bytes[] = {64};
const hc_region hc_region_hand = {"hand", HC_REGION_ABI, 1, 1, bytes, bytes, 1000, run};
"""
FRAME = bytes([7, *[0] * 62, 9])


def by_hand(folder: Path, isa: str, frame: bytes = FRAME) -> Path:
    source = folder / "hand.c"
    source.write_text(BY_HAND)
    return build_program(RegionSources("hand", (source,), toolchain.RUNTIME), isa, frame, folder)


def check_by_hand(costs: tuple[LayerCost, ...]) -> None:
    """3 products; 16 reads of a line that the first, forgotten frame left in the cache; calls vary."""
    first, none, second = costs
    assert [cost.name for cost in costs] == ["first", "none", "second"]
    assert (first.counts.instructions["mul"], first.counts.instructions["load"]) == (3, 0)
    assert (none.counts.total, none.counts.entries, none.cycles.total) == (0, 0, 0)
    assert (second.counts.instructions["load"], second.counts.instructions["branch"]) == (16, 16)
    assert (second.counts.loaded, second.counts.l1_misses, second.counts.entries) == (64, 0, 1)


@pytest.mark.parametrize(("isa", "vlen"), [("rv64gcv", 256), ("rv64gc", 0)])
def test_a_region_by_hand(isa: str, vlen: int, meter: Meter, tmp_path: Path) -> None:
    program = by_hand(tmp_path, isa)
    check_by_hand(measure_region(meter, load_machine("generic"), program, vlen, ["first", "none", "second"]))


def test_a_region_by_hand_on_rv32(meter: Meter, tmp_path: Path) -> None:
    """Without a C library, under Debian's emulator: the wheel's runs 64-bit programs only."""
    try:
        emulator = debian_emulator(32)
    except toolchain.ToolError as error:
        pytest.skip(str(error))
    narrow, machine = Meter(meter.plugin, emulator), load_machine("vexriscv")
    program = by_hand(tmp_path, "rv32im")
    costs = measure_region(narrow, machine, program, 0, ["first", "none", "second"])
    check_by_hand(costs)
    one = costs[0].counts  # one cycle each, five more for jumps
    assert costs[0].cycles.total == one.total + 5 * one.instructions["jump"]
    with pytest.raises(MeterError, match=r"qemu-riscv32 runs programs without vectors only \(VLEN 128 was asked for\)"):
        narrow.run(program, vlen=128)


def test_a_region_that_fails_or_has_other_layers(meter: Meter, tmp_path: Path) -> None:
    wrong = by_hand(tmp_path, "rv64gc", frame=bytes(64))
    with pytest.raises(toolchain.ToolError, match=r"hand\.metered under the meter \(VLEN 0\) failed with status 1"):
        measure_region(meter, load_machine("generic"), wrong, 0, ["first", "none", "second"])
    program = by_hand(tmp_path, "rv64gc")
    with pytest.raises(MeterError, match=r"hand\.metered marks layer 2, but has 1 layers"):
        measure_region(meter, load_machine("generic"), program, 0, ["first"])


def convolution(name: str, bits: int, channels: int, size: int) -> Graph:
    """3x3, padded, as many output channels; extreme weights, so that 8 bits need 32-bit sums and 4 bits 16."""
    top = (1 << bits - 1) - 1
    x = TensorType.of_dtype((channels, size, size), DType("int" if bits == 8 else "uint", bits))
    constants = {
        "w": np.full((channels, channels, 3, 3), top),
        "m": np.full(channels, 100),
        "a": np.full(channels, 5),
    }
    nodes = (
        Node("sums", Conv2d(padding=(1, 1, 1, 1)), ("x", "w")),
        Node("y", MultiplyShift(18, 0, 15), ("sums", "m", "a")),
    )
    return Graph(name, {"x": x}, nodes, ("y",), constants).verify()


Costs = Callable[[Graph, int], tuple[LayerCost, ...]]


@pytest.fixture()
def costs(meter: Meter, board: Target, tmp_path: Path) -> Costs:
    """The layers of a graph lowered to C, on the generic machine."""

    def measure(graph: Graph, vlen: int) -> tuple[LayerCost, ...]:
        artifact = CpuEngine().lower(graph, {}, board)
        region = RegionSources(identifier(graph.name), tuple(runner.write_files(artifact, tmp_path)), toolchain.RUNTIME)
        rng = np.random.default_rng(3)
        types = [graph.types[port.tensor] for port in artifact.inputs]
        frame = b"".join(
            port.layout.pack(rng.integers(t.lo, t.hi + 1, t.shape), t)
            for port, t in zip(artifact.inputs, types, strict=True)
        )
        program = build_program(region, "rv64gcv" if vlen else "rv64gc", frame, tmp_path)
        names = [stage.name for stage in artifact.stages]
        return measure_region(meter, load_machine("generic"), program, vlen, names)

    return measure


def test_narrow_sums_need_half_the_beats(costs: Costs) -> None:
    """Of 64 -> 64 channels at VLEN 256 and DLEN 128: a beat holds 4 sums of 32 bits, 8 of 16; minimal filtering has 16
    products for the 36 of four results."""
    products = 16 * 16 * 64 * 64 * 9 * 16 / 36
    (wide,), (narrow,) = (costs(convolution(f"c{bits}", bits, 64, 16), 256) for bits in (8, 4))
    wide_beats, narrow_beats = (c.counts.beats(256, 128)["vmul"] for c in (wide, narrow))
    assert products / 4 <= wide_beats <= 1.1 * products / 4
    assert products / 8 <= narrow_beats <= 1.1 * products / 8
    assert wide.cycles.arithmetic == wide.counts.arithmetic_beats(256, 128)


@pytest.mark.parametrize(("bits", "most"), [(8, 0.23), (4, 0.1)])
def test_one_pixel_costs_less_than_its_products(costs: Costs, bits: int, most: float) -> None:
    """Fully connected 256 -> 256: a product in 16 bits takes 1/8 of a beat, and in 32 bits 1/4; a weight is read once,
    if its element is not 0, and of int8 a 32-bit total with every third or later."""
    top = (1 << bits - 1) - 1
    x = TensorType.of_dtype((256, 1, 1), DType("int" if bits == 8 else "uint", bits))
    weights = np.random.default_rng(1).integers(-top, top + 1, (256, 256, 1, 1))
    graph = Graph("fc", {"x": x}, (Node("y", Conv2d(), ("x", "w")),), ("y",), {"w": weights}).verify()
    (layer,) = costs(graph, 256)
    assert layer.counts.arithmetic_beats(256, 128) <= most * 256 * 256
    totals = 256 * 256 / 4 / 3 if bits == 8 else 0
    assert 0.85 * 256 * 256 / 16 <= layer.counts.beats(256, 128)["vload"] <= 1.1 * 256 * 256 / 16 + totals


@pytest.mark.parametrize(("bits", "most"), [(8, 0.30), (4, 0.15)])
def test_depthwise_sums_stay_in_registers(costs: Costs, bits: int, most: float) -> None:
    """3x3, 64 channels, 16x16; a weight is loaded for eight pixels, an element for three windows."""
    top, macs = (1 << bits - 1) - 1, 14 * 14 * 64 * 9
    x = TensorType.of_dtype((64, 16, 16), DType("int" if bits == 8 else "uint", bits))
    op, w = Conv2d(groups=64), np.full((64, 1, 3, 3), top)
    graph = Graph("dw", {"x": x}, (Node("y", op, ("x", "w")),), ("y",), {"w": w}).verify()
    (layer,) = costs(graph, 256)
    assert layer.counts.beats(256, 128)["vmul"] <= most * macs * 16 / 14  # the last block has two pixels too many
    assert layer.counts.memory_beats(256, 128) <= most * macs


def test_without_vectors_every_product_is_an_instruction(costs: Costs) -> None:
    """Of minimal filtering, which the code is for: 16 for each of 9 tiles."""
    (layer,) = costs(convolution("scalar", 8, 8, 6), 0)
    assert 9 * 16 * 8 * 8 <= layer.counts.instructions["mul"] < 6 * 6 * 8 * 8 * 9
    assert layer.counts.beats(128, 128) == dict.fromkeys(layer.counts.beats(128, 128), 0)


def test_a_network_layer_by_layer(costs: Costs) -> None:
    """Every layer is entered once; a concatenation written in place is nobody's; two runs agree to the digit."""
    x = TensorType.of_dtype((8, 8, 8), DType("uint", 4))
    constants = {
        "w": np.full((16, 8, 3, 3), 1),
        "m": np.full(16, 90),
        "a": np.full(16, 3),
        "v": np.full((4, 32, 1, 1), -1),
    }
    nodes = (
        Node("conv", Conv2d(padding=(1, 1, 1, 1)), ("x", "w")),
        Node("act", MultiplyShift(12, 0, 15), ("conv", "m", "a")),
        Node("pool", MaxPool2d((3, 3), (1, 1)), ("act",)),
        Node("second", MaxPool2d((3, 3), (1, 1)), ("act",)),
        Node("both", Concat(), ("pool", "second")),
        Node("head", Conv2d(), ("both", "v")),
    )
    graph = Graph("net", {"x": x}, nodes, ("head",), constants).verify()
    first = costs(graph, 128)
    entries = {cost.name: cost.counts.entries for cost in first}
    assert entries == {"conv": 1, "pool": 1, "second": 1, "both": 0, "head": 1}
    assert all((cost.cycles.total > 0) == (cost.counts.entries > 0) for cost in first)
    once, again = (cost.counts.instructions for cost in first[1:3])  # the same kernel on the same tensor
    addresses = {"alu"}  # of two records and results
    assert {k: n for k, n in once.items() if k not in addresses} == {
        k: n for k, n in again.items() if k not in addresses
    }
    assert abs(once["alu"] - again["alu"]) <= 4
    assert first == costs(graph, 128)


def test_marks_cost_nothing_unless_asked_for(board: Target, tmp_path: Path, riscv_tools: None) -> None:
    """Without -DHC_METER the object file is what it would be without HC_LAYER."""
    artifact = CpuEngine().lower(convolution("plain", 4, 8, 4), {}, board)
    source = next(path for path in runner.write_files(artifact, tmp_path) if path.name == "plain.c")
    marked = source.read_text()
    bare = tmp_path / "cpu" / "naked.c"  # a name as long: it stands in the object
    bare.write_text(marked.replace("HC_LAYER(0, ", "(").replace('#include "hc_meter.h"', "#error"))
    assert bare.read_text() != marked
    folders = [toolchain.RUNTIME, tmp_path / "cpu"]
    objects = toolchain.compile_objects([source, bare], tmp_path, toolchain.SCALAR, folders)
    sizes = [one.stat().st_size for one in objects]
    assert sizes[0] == sizes[1]
    assert b"\x13\x20\x40\x12" not in objects[0].read_bytes()  # slti x0, x0, 0x124
