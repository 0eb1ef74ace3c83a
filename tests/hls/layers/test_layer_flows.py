"""Whole designs of small graphs: forks, joins, regrouped lanes, pooling, several outputs, awkward names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from design_runs import DSP, assert_equal, folded, native, random_inputs, reference, simulated
from layer_graphs import Sketch, activations

from hls.csim import CSimulation
from hls.design import build_design, identifiers
from hls.engine import DataflowEngine
from hls.layers.convolution import Convolution
from hls.layers.movement import Fork, Store
from hls.layers.packed import PackedMultiply
from hls.layers.regroup import Narrow, Widen
from hls.layers.requantise import RequantiseStage
from hls.nodes.conv_layer import Layer
from ir.executor import execute
from ir.graph import Graph
from ir.target import Cpu, Fabric, Resources, SharedMemory, Target
from ir.types import DType, TensorType

TARGET = Target(
    "test",
    Cpu("rv64gc", 0, 1, 1000.0, "host"),
    SharedMemory(1 << 20, 4.0, 64, True),
    Fabric("part", Resources(10**6, 10**4, 10**4, ff=10**6), "dsp48e2", 250.0),
)


def sketch(**inputs: TensorType) -> Sketch:
    return Sketch(inputs, np.random.default_rng(len(inputs)))


def several_outputs() -> Graph:
    """Raw sums, a requantised value that is also read, and a head leave the region."""
    s = sketch(x=activations((4, 6, 6), 4))
    s.conv("c", "x", 6)
    s.scale("q", "c")
    s.pool("p", "q")
    s.block("d", "q")
    s.concat("j", "p", "d")
    s.conv("h", "j", 5, 1)
    return s.graph("region", "c", "q", "h", "d")


def bypass() -> Graph:
    """A region input read by a 5x5 convolution and, past it, by a concat."""
    s = sketch(x=activations((4, 5, 7), 3))
    s.conv("c", "x", 4, 5)
    s.scale("q", "c", 3)
    s.concat("j", "x", "q")
    s.conv("h", "j", 3, 3)
    s.compare("t", "h")
    return s.graph("region", "t")


def two_inputs() -> Graph:
    s = sketch(x=activations((3, 6, 9), 5, True), y=activations((3, 6, 9), 5))
    s.conv("a", "x", 4)
    s.conv("b", "y", 4)
    s.scale("p", "a")
    s.scale("q", "b")
    s.concat("j", "q", "p")
    return s.graph("region", "j", "q")


def concat_of_other_lanes() -> Graph:
    s = sketch(a=activations((4, 3, 4), 4), b=activations((6, 3, 4), 4))
    s.concat("j", "a", "b")
    s.conv("c", "j", 4, 1)
    return s.graph("region", "c")


def concat_of_other_widths() -> Graph:
    s = sketch(a=activations((4, 3, 4), 4), b=activations((6, 3, 4), 2, True))
    s.concat("j", "a", "b")
    return s.graph("region", "j")


def concat_of_wide_types_of_small_range() -> Graph:
    shape = (32, 3, 2)
    s = sketch(a=TensorType(shape, DType("uint", 8), 0, 3), b=TensorType(shape, DType("int", 6), 0, 2))
    s.concat("j", "a", "b")
    return s.graph("region", "j")


def concat_with_itself() -> Graph:
    s = sketch(a=activations((4, 3, 4), 4))
    s.concat("j", "a", "a")
    return s.graph("region", "j")


def sums_pooled_before_requantisation() -> Graph:
    s = sketch(x=activations((12, 5, 4), 8, True))
    s.conv("c", "x", 4, bits=8)
    s.pool("c.sums", "c")
    s.scale("q", "c.sums")
    return s.graph("region", "q")


def widening() -> Graph:
    """A requantised value wider than what it was made from: fewer lanes fit a word."""
    s = sketch(x=activations((32, 2, 3), 2))
    s.scale("q", "x", 8)
    s.compare("t", "q", 19)
    return s.graph("region", "q", "t")


def zero_weights() -> Graph:
    s = sketch(x=activations((3, 5, 4), 5))
    s.conv("c", "x", 4, values=np.zeros((4, 3, 3, 3), int))
    s.scale("q", "c")
    return s.graph("region", "q")


def pools_and_blocks_of_three() -> Graph:
    """Rows and columns that fill no window are dropped; signed values compare as signed."""
    s = sketch(x=activations((3, 9, 6), 5, True), y=activations((2, 7, 8), 3, True))
    s.block("d", "x", 3)
    s.pool("p", "y", 3)
    return s.graph("region", "d", "p")


def awkward_names() -> Graph:
    """Dots, C++ keywords, digits first, the region's own name, names that generated ones could meet."""
    s = Sketch({"in.put": activations((4, 4, 4), 4)}, np.random.default_rng(9))
    s.conv("layers.0", "in.put", 4)
    s.scale("for", "layers.0")
    s.pool("int", "for")
    s.conv("a-b", "int", 4, 1)
    s.scale("a_b", "a-b")
    s.conv("x", "a_b", 4, 1)
    s.conv("x_pad", "a_b", 4)
    s.conv("x_out", "a_b", 4)
    s.conv("region", "a_b", 2)
    s.pool("2x", "region")
    return s.graph("region", "2x", "x", "x_pad", "x_out")


GRAPHS: list[Callable[[], Graph]] = [
    several_outputs,
    bypass,
    two_inputs,
    concat_of_other_lanes,
    concat_of_other_widths,
    concat_of_wide_types_of_small_range,
    concat_with_itself,
    sums_pooled_before_requantisation,
    widening,
    zero_weights,
    pools_and_blocks_of_three,
    awkward_names,
]


@pytest.mark.parametrize("make", GRAPHS)
@pytest.mark.parametrize("seed", range(3))
def test_simulated(make: Callable[[], Graph], seed: int) -> None:
    """Three random foldings each, two frames, memories full of garbage."""
    graph, rng = make().verify(), np.random.default_rng(seed)
    run = simulated(graph, folded(graph, rng), garbage=-1)
    for _ in range(2):
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs))


@pytest.mark.parametrize("make", [several_outputs, concat_of_other_widths, widening, awkward_names])
def test_native(make: Callable[[], Graph]) -> None:
    graph, rng = make().verify(), np.random.default_rng(7)
    run = native(graph, folded(graph, rng))
    for _ in range(3):
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs))


@pytest.mark.full
@pytest.mark.parametrize("make", GRAPHS)
def test_all_native(make: Callable[[], Graph]) -> None:
    graph, rng = make().verify(), np.random.default_rng(8)
    run = native(graph, folded(graph, rng))
    inputs = random_inputs(graph, rng)
    assert_equal(run(inputs), reference(graph, inputs))


@pytest.mark.slow
def test_ap_int() -> None:
    """The Vitis C++ with its testbench, by the engine as the flow calls it."""
    graph, engine = several_outputs().verify(), DataflowEngine()
    choices = {}
    for view in graph.views():
        prepared = engine.prepare(view, TARGET)
        choices[view.name] = engine.candidates(prepared, TARGET)[-1]  # type: ignore[arg-type]
    artifact = engine.lower(graph, choices, TARGET)
    rng = np.random.default_rng(11)
    with CSimulation(artifact, graph) as program:
        for _ in range(2):
            values = execute(graph, random_inputs(graph, rng))
            assert_equal(program.run(values), {name: values[name] for name in graph.outputs})


def test_lanes_that_do_not_divide_are_regrouped() -> None:
    """Four lanes to three or six and the like: words cross from one to the next."""
    s = sketch(x=activations((12, 2, 3), 4))
    s.conv("a", "x", 12, 1)
    s.scale("p", "a")
    s.conv("b", "p", 4, 1)
    graph = s.graph("region", "b").verify()
    for seed in range(60):
        design = folded(graph, np.random.default_rng(seed))
        if any(isinstance(stage, Widen | Narrow) for stage in design.stages):
            break
    else:
        pytest.fail("no folding drawn needs it")
    inputs = random_inputs(graph, np.random.default_rng(0))
    assert_equal(simulated(graph, design)(inputs), reference(graph, inputs))


def test_branches_of_a_fork_hold_a_frame() -> None:
    design = folded(bypass(), np.random.default_rng(0))
    (fork,) = (stage for stage in design.stages if isinstance(stage, Fork))
    assert all(branch.depth == branch.words for branch in fork.targets)


def test_a_requantisation_is_fused_only_into_the_sole_reader_of_a_convolution() -> None:
    shared = folded(several_outputs(), np.random.default_rng(0))
    assert any(isinstance(stage, RequantiseStage) for stage in shared.stages)
    alone = folded(zero_weights(), np.random.default_rng(0))
    assert not any(isinstance(stage, RequantiseStage) for stage in alone.stages)


def test_every_wire_has_one_writer_and_one_reader() -> None:
    for make in GRAPHS:
        design = folded(make(), np.random.default_rng(1), DSP)
        written = [wire.name for stage in design.stages for wire in stage.targets]
        read = [wire.name for stage in design.stages for wire in stage.sources]
        ports = {port.wire.name for port in design.inputs}, {port.wire.name for port in design.outputs}
        assert len(set(written)) == len(written) and len(set(read)) == len(read)
        assert set(read) - ports[0] == set(written) - ports[1]
        stages = [stage.name for stage in design.stages]
        assert len({*stages, design.name}) == len(stages) + 1


def test_identifiers_are_distinct_c_names() -> None:
    names = identifiers(awkward_names())
    assert len(set(names.values())) == len(names)
    assert all(name.isidentifier() and name.isascii() for name in names.values())
    assert names["layers.0"] == "layers_0"
    assert names["int"] != "int" and names["region"] != "region"


def test_no_stage_is_called_like_a_register() -> None:
    """HeteroCL hides the stage then; an input, which gives its name to no stage, keeps it."""
    s = sketch(v=activations((4, 6, 6), 4))
    for name, source in (
        ("old", "v"),
        ("lane_0", "old"),
        ("row12", "lane_0"),
        ("sum0x1_2", "row12"),
        ("rows", "row12"),
    ):
        s.conv(name, source, 4)
    names = identifiers(s.graph("region", "rows"))
    assert names == {
        "v": "v", "old": "t_old", "lane_0": "t_lane_0", "row12": "t_row12", "sum0x1_2": "t_sum0x1_2", "rows": "rows",
    }  # fmt: skip


def test_packed_products_beside_those_in_luts() -> None:
    """Registers of one layer are not called as HeteroCL numbers those of the others."""
    s = sketch(x=activations((4, 6, 6), 4))
    last, packed = "x", {}
    for number in range(4):
        name = f"conv{number}"
        last = s.scale(f"act{number}", s.conv(name, last, 4))
        packed[name] = number % 2 == 0
    graph = s.graph("region", last)
    choices = {}
    for name, dense in packed.items():
        foldings = Layer(graph.view(name), DSP).shape.foldings()
        choices[name] = next(f.configuration for f in foldings if bool(f.channels) == dense)
    design = build_design(graph, choices, DSP)
    kinds = [isinstance(stage.multiply, PackedMultiply) for stage in design.stages if isinstance(stage, Convolution)]
    assert kinds == [True, False, True, False]
    inputs = random_inputs(graph, np.random.default_rng(0))
    assert_equal(simulated(graph, design)(inputs), reference(graph, inputs))


def test_what_leaves_the_region_holds_nothing_back() -> None:
    """A tensor that is read inside as well goes through a fork, whose branches may hold a frame; memory has it all."""
    s = sketch(x=activations((8, 32, 32), 8))
    s.scale("q", s.conv("c", "x", 8), 8)
    s.conv("h", "q", 4)
    graph = s.graph("region", "q", "h").verify()
    for seed in range(8):
        design = folded(graph, np.random.default_rng(seed))
        stores = [stage for stage in design.stages if isinstance(stage, Store)]
        assert [store.resources.bram18 for store in stores] == [0, 0]
