"""Stages that only move words: blocks to channels and back, repeated pixels, joins, forks, and other lanes per word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from math import lcm, prod

import numpy as np
import pytest
from design_runs import DSP, assert_equal, native, random_inputs, reference, simulated
from drawn_layers import GARBAGE, any_lanes, artifact_of, check, drawn, frames
from layer_graphs import activations
from test_layer_flows import TARGET

from hls.csim import CSimulation
from hls.design import build_design
from hls.engine import DataflowEngine
from hls.heterocl import dialect as ir
from hls.heterocl.lower import lower
from hls.heterocl.passes.common import functions
from hls.layers.blocks import BlockToDepth, DepthToBlock, Repeat
from hls.layers.movement import Fork, Join, Load, Store
from hls.layers.regroup import Deal, Merge, Narrow, Split, Widen, regrouping
from hls.layers.stage import Stage
from hls.nodes import raster
from hls.program import Design, Port, schedule
from hls.sizing import with_sized_streams
from hls.timing import measure, network_of
from ir.executor import execute
from ir.graph import Graph, Node
from ir.ops import Concat, DepthToSpace, Op, Pad, SpaceToDepth, Upsample
from ir.types import DType, TensorType

STAGE_OF: Mapping[str, type[Stage]] = {
    "space_to_depth": BlockToDepth,
    "depth_to_space": DepthToBlock,
    "upsample": Repeat,
    "concat": Join,
    "pad": Join,
    "fork": Fork,
}


@pytest.mark.parametrize("kind", STAGE_OF)
@pytest.mark.parametrize("seed", range(20))
def test_sample(kind: str, seed: int) -> None:
    check(kind, seed)


@pytest.mark.full
@pytest.mark.parametrize("kind", STAGE_OF)
@pytest.mark.parametrize("seed", range(20, 220))
def test_matrix(kind: str, seed: int) -> None:
    check(kind, seed)


@pytest.mark.parametrize("kind", STAGE_OF)
def test_five_layers_compiled(kind: str) -> None:
    """Five layers in one accelerator; two frames through one library, so that nothing may be left over from a frame."""
    graph, rng = drawn(400, *[kind] * 5), np.random.default_rng(400)
    design = any_lanes(graph, rng)
    assert sum(isinstance(stage, STAGE_OF[kind]) for stage in design.stages) == 5
    run = native(graph, design)
    for inputs in frames(graph, rng):
        assert_equal(run(inputs), reference(graph, inputs), graph.types)


@pytest.mark.slow
def test_one_of_each_under_ap_int() -> None:
    """The Vitis C++ with its testbench; inputs of random lanes."""
    graph, rng = drawn(401, *STAGE_OF, "depth_to_space", "depth_to_space"), np.random.default_rng(401)
    with CSimulation(artifact_of(graph, any_lanes(graph, rng)), graph) as program:
        for inputs in frames(graph, rng):
            values = execute(graph, inputs)
            assert_equal(program.run(values), {name: values[name] for name in graph.outputs})


def test_the_engine_takes_them_all() -> None:
    engine = DataflowEngine()
    for view in drawn(402, *STAGE_OF, *STAGE_OF).views():
        assert engine.objection(view, TARGET) is None
        offered = engine.candidates(engine.prepare(view, TARGET), TARGET)  # type: ignore[arg-type]
        assert offered and all(c.cycles > 0 and c.resources.lut > 0 for c in offered)


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (Pad((0, 1, 0, 0)), "pads rows or columns, (0, 1, 0, 0) (allowed: channels)"),
        (Pad(channels=(0, 8), value=3), "pads with 3 (allowed: 0)"),
    ],
)
def test_only_channels_of_zeros_are_padded(op: Pad, reason: str) -> None:
    graph = Graph("region", {"x": activations((8, 2, 2), 4)}, (Node("n", op, ("x",)),), ("n",)).verify()
    objection = DataflowEngine().objection(graph.view("n"), TARGET)
    assert objection is not None and objection.text == reason


# Other lanes per word


def adapter(type_: TensorType, lanes: tuple[int, int]) -> tuple[Graph, Design]:
    """A tensor loaded with so many lanes and stored with the others."""
    port, name = raster("x", type_, lanes[0]), "x_in"
    wire = replace(port, name=name)
    stages: list[Stage] = [Load("x_load", (port,), (wire,))]
    for number, (kind, count) in enumerate(regrouping(*lanes)):
        target = replace(raster(f"x_{number}", type_, count))
        stages.append(kind(f"stage{number}", (wire,), (target,)))
        wire = target
    out = replace(wire, name="x_port")
    stages.append(Store("x_store", (wire,), (out,), 64))
    return Graph("region", {"x": type_}, (), ("x",)), Design(
        "region", tuple(stages), (Port(port, 64),), (Port(out, 64),)
    )


def drawn_adapter(seed: int) -> tuple[Graph, Design]:
    rng = np.random.default_rng(seed)
    lanes = (int(rng.integers(1, 17)), int(rng.integers(1, 17)))
    period = lcm(*lanes)
    bits = int(rng.integers(1, 64 // max(lanes) + 1))
    shape = (period * int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    return adapter(TensorType.of_dtype(shape, DType("int" if rng.random() < 0.5 else "uint", bits)), lanes)


def check_adapter(seed: int) -> None:
    graph, design = drawn_adapter(seed)
    run = simulated(graph, design, GARBAGE)
    for inputs in frames(graph, np.random.default_rng(seed)):
        assert_equal(run(inputs), reference(graph, inputs), graph.types)


@pytest.mark.parametrize("seed", range(20))
def test_sample_of_adapters(seed: int) -> None:
    check_adapter(seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(20, 220))
def test_adapters(seed: int) -> None:
    check_adapter(seed)


LANES = [
    ((3, 8), [Widen, Merge]),
    ((8, 3), [Split, Narrow]),
    ((5, 8), [Widen]),
    ((12, 8), [Narrow]),
    ((4, 16), [Merge]),
]


@pytest.mark.parametrize(("lanes", "kinds"), LANES)
def test_adapters_compiled(lanes: tuple[int, int], kinds: list[type[Stage]]) -> None:
    graph, design = adapter(activations((240, 2, 2), 4, True), lanes)
    assert [type(stage) for stage in design.stages[1:-1]] == kinds
    run = native(graph, design)
    for inputs in frames(graph, np.random.default_rng(lanes[0])):
        assert_equal(run(inputs), reference(graph, inputs))


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [(3, 8), (8, 3), (7, 5)])
def test_adapters_under_ap_int(lanes: tuple[int, int]) -> None:
    graph, design = adapter(activations((840, 1, 2), 4, True), lanes)
    inputs = random_inputs(graph, np.random.default_rng(lanes[0]))
    with CSimulation(artifact_of(graph, design), graph) as program:
        assert_equal(program.run(inputs), inputs)


@pytest.mark.parametrize("source", range(1, 17))
@pytest.mark.parametrize("target", range(1, 17))
def test_no_adapter_is_slower_than_the_side_with_more_words(source: int, target: int) -> None:
    channels = lcm(source, target)
    _, design = adapter(activations((channels, 2, 3), 4), (source, target))
    assert design.cycles == 2 * 3 * channels // min(source, target)


# How long a stage takes


def iterations(design: Design) -> dict[str, int]:
    """Per stage, how often its pipelined loop starts an iteration."""
    found: dict[str, int] = {}
    for function in functions(lower(schedule(design))):
        for loop in function.walk():
            if isinstance(loop, ir.ForOp) and loop.ii is not None:
                around = [loop]
                while isinstance(above := around[-1].parent_op(), ir.ForOp):
                    around.append(above)
                found[function.sym_name.data] = prod(len(outer.domain) for outer in around)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_cycles_are_the_iterations_of_the_program(seed: int) -> None:
    kinds = [*STAGE_OF, "add", "multiply", "prelu", "scale", "depth_to_space"]
    design = any_lanes(drawn(500 + seed, *kinds), np.random.default_rng(seed))
    counted = iterations(design)
    assert {stage.name: stage.cycles for stage in design.stages} == {s.name: counted[s.name] for s in design.stages}


def one(op: Op, shape: tuple[int, int, int], lanes: int) -> Design:
    graph = Graph("region", {"x": activations(shape, 4)}, (Node("n", op, ("x",)),), ("n",)).verify()
    return build_design(graph, {"x": {"lanes": lanes}}, DSP)


@pytest.mark.parametrize(
    ("op", "shape", "cycles"),
    [
        (SpaceToDepth(2), (16, 20, 40), 11 * 20 * 4 * 2),
        (SpaceToDepth(2), (16, 20, 42), 11 * 22 * 4 * 2),  # 21 blocks in a row count as 22
        (DepthToSpace(2, "dcr"), (64, 10, 20), 11 * 20 * 4 * 2),
        (DepthToSpace(2, "crd"), (64, 10, 20), 11 * 20 * 4 * 4),  # 16 lanes are dealt out to 4
        (Upsample(2), (16, 10, 20), 20 * 40 * 2),
    ],
)
def test_cycles_are_the_words_of_the_larger_side_and_a_row_to_fill(
    op: Op, shape: tuple[int, int, int], cycles: int
) -> None:
    assert one(op, shape, 8).cycles == cycles


@pytest.mark.parametrize("op", [SpaceToDepth(2), DepthToSpace(2, "dcr"), DepthToSpace(2, "crd")])
def test_blocks_are_read_while_others_are_written(op: Op) -> None:
    """Fed without pause through streams of two words, a frame takes the stage's cycles: nothing waits for a whole row.
    Later frames follow at once."""
    shape = (4, 16, 8) if isinstance(op, SpaceToDepth) else (16, 8, 4)
    design = one(op, shape, 4)
    timing = measure(network_of(lower(schedule(design))))
    assert timing.lost == 0 and timing.bottleneck.name == "t_n"  # n is a register
    assert timing.interval - design.cycles < 8  # a pipeline's depth from frame to frame


def test_what_an_upsampled_row_does_not_take_at_once_waits_in_the_stream() -> None:
    """Merges as slow as the upsampling behind them: half their words come while it repeats a row. Streams of two words
    cost up to half of the pace; sized ones nothing, those on the way hold half a row."""
    rows, columns = 6, 64
    inputs = {name: activations((8, rows, columns), 4) for name in "xy"}
    nodes = (Node("j", Concat(), ("x", "y")), Node("n", Upsample(2), ("j",)))
    graph = Graph("region", inputs, nodes, ("n",)).verify()
    design = build_design(graph, {name: {"lanes": 1} for name in inputs}, DSP)
    assert [stage.cycles for stage in design.stages if isinstance(stage, Merge | Repeat)] == [8 * rows * columns] * 3
    shallow = measure(network_of(lower(schedule(design))))
    assert 0.3 < shallow.lost / design.cycles < 0.5
    sized = with_sized_streams(design)
    assert sized.lost == 0
    deep = [wire.name for stage in sized.design.stages for wire in stage.targets if wire.depth >= columns // 2]
    assert deep and set(deep) <= {"x_in_by8", "y_in_by8", "j_out"}


def test_lanes_of_depth_to_space() -> None:
    """Words hold channels of one pixel of the result; in crd order they are dealt out where all positions fit."""
    cases: list[tuple[Op, tuple[int, int, int], int, list[type[Stage]]]] = [
        (DepthToSpace(2, "dcr"), (12, 2, 2), 2, [Widen]),  # 3 channels: 2 lanes would slow down to 1
        (DepthToSpace(2, "dcr"), (16, 2, 2), 16, [Split]),
        (DepthToSpace(2, "crd"), (16, 2, 2), 4, [Merge, Deal]),
        (DepthToSpace(5, "crd"), (25, 2, 2), 5, [Split]),  # 25 positions of 4 bits do not fit a word
    ]
    for op, shape, lanes, kinds in cases:
        design = one(op, shape, lanes)
        before = [type(stage) for stage in design.stages[1:]]
        assert before == [*kinds, DepthToBlock, Store]


def test_every_step_of_a_regrouping_divides_the_channels() -> None:
    for source in range(1, 33):
        for target in range(1, 33):
            steps = [source, *(lanes for _, lanes in regrouping(source, target))]
            assert steps[-1] == target
            assert all(lcm(source, target) % lanes == 0 for lanes in steps)
            assert all(a != b for a, b in pairwise(steps))
