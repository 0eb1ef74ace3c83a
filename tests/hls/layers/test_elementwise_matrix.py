"""Sums, products, clipping, the PReLU family and requantisation of random shapes, widths, signs and lanes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from ap_runs import check_ap_int
from design_runs import DSP, assert_equal, native, random_inputs, reference, simulated
from drawn_layers import GARBAGE, any_lanes, check, drawn, frames
from layer_graphs import Sketch, activations
from test_layer_flows import TARGET

from cpu_backend.engine import CpuEngine
from hls.design import build_design
from hls.engine import DataflowEngine
from hls.heterocl.errors import StageError
from hls.heterocl.lower import lower
from hls.heterocl.printers import print_vitis
from hls.layers.elementwise import Product, Sum
from hls.layers.movement import Fork
from hls.layers.requantise import RequantiseStage
from hls.layers.stage import Stage
from hls.program import Design, schedule
from hls.sizing import with_depths, with_sized_streams
from hls.timing import least_depth, network_of
from hls.vendor.defaults import vendor_text
from ir.engine import Reason
from ir.graph import Graph, Node
from ir.ops import Add, Clip, Multiply, Op, PRelu
from ir.types import Array, DType, TensorType
from partition import PlanError, partition

STAGE_OF: Mapping[str, type[Stage]] = {
    "add": Sum,
    "add_constant": RequantiseStage,
    "multiply": Product,
    "clip": RequantiseStage,
    "prelu": RequantiseStage,
    "rprelu": RequantiseStage,
    "scale": RequantiseStage,
    "compare": RequantiseStage,
}


@pytest.mark.parametrize("kind", [kind for kind in STAGE_OF if kind not in ("scale", "compare")])
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
    graph, rng = drawn(300, *[kind] * 5), np.random.default_rng(300)
    design = any_lanes(graph, rng)
    assert sum(isinstance(stage, STAGE_OF[kind]) for stage in design.stages) == 5
    run = native(graph, design)
    for inputs in frames(graph, rng):
        assert_equal(run(inputs), reference(graph, inputs), graph.types)


@pytest.mark.slow
def test_one_of_each_under_ap_int() -> None:
    graph = drawn(301, *STAGE_OF)
    check_ap_int(graph, frames(graph, np.random.default_rng(301)))


def squeeze_and_excite() -> Graph:
    """A gate per channel made from the whole picture's maximum, applied to every pixel of that picture."""
    s = Sketch({"x": activations((8, 4, 4), 4)}, np.random.default_rng(1))
    s.pool("squeezed", "x", 4)
    s.scale("gate", "squeezed", 3)
    s.add("gated", Multiply(), "x", "gate")
    return s.graph("region", s.scale("out", "gated")).verify()


def residual() -> Graph:
    """x + PReLU(x), twice over, the sum read once more."""
    s = Sketch({"x": activations((6, 3, 5), 4, True)}, np.random.default_rng(2))
    for step, source in (("a", "x"), ("b", "a_sum")):
        slope = np.arange(6) - 3
        s.add(f"{step}_bent", PRelu(2), source, slope=slope)
        s.add(f"{step}_sum", Add(), source, f"{step}_bent")
    s.add("clipped", Clip(-20, 20), "b_sum")
    return s.graph("region", "clipped", "a_sum").verify()


def branch_to(design: Design, reader: type[Stage]) -> str:
    """The branch of a fork that a stage of this kind reads directly."""
    forked = {wire.name for stage in design.stages if isinstance(stage, Fork) for wire in stage.targets}
    (found,) = {w.name for s in design.stages if isinstance(s, reader) for w in s.sources} & forked
    return found


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_a_gate_holds_the_frame_back(lanes: int) -> None:
    """The multiply needs the gate first, its first word comes with the first word of the last of 16 pixels: the branch
    beside it has to hold all words until then. At this depth it runs, at one less it deadlocks."""
    graph = squeeze_and_excite()
    design = build_design(graph, {"x": {"lanes": lanes}}, DSP)
    network = network_of(lower(schedule(design)))
    branch = branch_to(design, Product)
    least = least_depth(network, branch)
    assert least == 15 * (8 // lanes) + 1
    inputs = random_inputs(graph, np.random.default_rng(lanes))
    assert_equal(simulated(graph, with_depths(design, {branch: least}))(inputs), reference(graph, inputs))
    with pytest.raises(StageError, match="deadlock"):
        simulated(graph, with_depths(design, {branch: least - 1}))(inputs)
    sized = {w.name: w.depth for s in with_sized_streams(design).design.stages for w in s.targets}
    assert sized[branch] >= least


@pytest.mark.parametrize("make", [squeeze_and_excite, residual])
@pytest.mark.parametrize("seed", range(3))
def test_branches_meet(make: Callable[[], Graph], seed: int) -> None:
    graph, rng = make(), np.random.default_rng(seed)
    run = simulated(graph, with_sized_streams(any_lanes(graph, rng)).design, GARBAGE)
    for inputs in frames(graph, rng):
        assert_equal(run(inputs), reference(graph, inputs))


def test_a_pair_runs_at_the_pace_of_its_slower_source() -> None:
    """Three lanes beside eight: the eight are narrowed, the three are not merged."""
    inputs = {"x": activations((24, 2, 2), 2), "y": activations((24, 2, 2), 2)}
    graph = Graph("region", inputs, (Node("n", Add(), ("x", "y")),), ("n",)).verify()
    design = build_design(graph, {"x": {"lanes": 3}, "y": {"lanes": 8}}, DSP)
    assert design.cycles == 2 * 2 * 8
    assert {s.targets[0].lanes for s in design.stages if isinstance(s, Sum)} == {3}


def node(op: Op, y: TensorType | Array, shape: tuple[int, int, int] = (4, 3, 3)) -> Graph:
    inputs = {"x": activations(shape, 4)} | ({"y": y} if isinstance(y, TensorType) else {})
    constants = {} if isinstance(y, TensorType) else {"y": y}
    return Graph("g", inputs, (Node("n", op, ("x", "y")),), ("n",), constants).verify()


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (node(Add(), np.ones((4, 3, 3), int)), "y is a constant, which has no generator (allowed: a run-time tensor)"),
        (node(Multiply(), np.ones((4, 1, 1), int)), "y is a constant, which has no generator"),
        (node(Add(), np.ones(4, int)), None),
        (node(Add(), activations((4, 3, 3), 8, True)), None),
        (node(Multiply(), activations((1, 3, 3), 8)), None),
    ],
)
def test_objections(graph: Graph, message: str | None) -> None:
    engine, view = DataflowEngine(), graph.view("n")
    reason = engine.objection(view, TARGET)
    if message is None:
        assert reason is None
        candidates = engine.candidates(engine.prepare(view, TARGET), TARGET)  # type: ignore[arg-type]
        assert min(c.cycles for c in candidates) == 9
    else:
        assert isinstance(reason, Reason) and message in reason.text and "\n" not in reason.text


@pytest.mark.parametrize(
    ("bits", "blocks", "kind"), [((4, 4), 0, "fabric"), ((12, 12), 1, "dsp"), ((26, 18), 1, "dsp"), ((20, 20), 2, None)]
)
def test_small_products_are_made_of_luts(bits: tuple[int, int], blocks: int, kind: str | None) -> None:
    """A DSP48E2 multiplies 27 by 18 bits; the vendor's tool is told what the model counts."""
    inputs = {name: activations((1, 2, 2), width, True) for name, width in zip("xy", bits, strict=True)}
    design = build_design(Graph("g", inputs, (Node("n", Multiply(), ("x", "y")),), ("n",)).verify(), {}, DSP)
    (stage,) = (s for s in design.stages if isinstance(s, Product))
    assert (stage.resources.dsp, stage.hints.multiply) == (blocks, kind)


def test_either_side_takes_a_sum() -> None:
    """The device takes such a layer, the CPU where there is none; what neither takes is told with the reason."""
    graph = node(Add(), activations((4, 3, 3), 8))
    engines = (DataflowEngine(), CpuEngine())
    assert CpuEngine().objection(graph.view("n"), TARGET) is None
    alone = partition(graph, engines, replace(TARGET, fabric=None))
    assert [decision.engine for decision in alone.decisions] == ["CPU"]
    wide = node(Add(), activations((4, 3, 3), 32, True))
    reason = CpuEngine().objection(wide.view("n"), TARGET)
    assert isinstance(reason, Reason) and "integers of up to 32 bits" in reason.text and "\n" not in reason.text
    with pytest.raises(PlanError, match="integers of up to 32 bits"):
        partition(wide, engines, replace(TARGET, fabric=None))


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_product_of_two_signs_is_no_multiplication(lanes: int) -> None:
    """It is bound to no kind of multiplier: the text has none. One of a sign and an integer is."""
    x, y = (TensorType.of_dtype((2, 2, 3), DType(*kind)) for kind in (("bipolar", 1), ("int", 4)))
    nodes = (Node("signs", Multiply(), ("x", "x")), Node("mixed", Multiply(), ("x", "y")))
    graph = Graph("products", {"x": x, "y": y}, nodes, ("signs", "mixed"), {}).verify()
    design = build_design(graph, {"x": {"lanes": lanes}, "y": {"lanes": lanes}, "signs": {}, "mixed": {}}, DSP)
    text = vendor_text(print_vitis(lower(schedule(design))), design, DSP)
    assert text.count("bind_op") == 1
    inputs = random_inputs(graph, np.random.default_rng(1))
    assert_equal(simulated(graph, design)(inputs), reference(graph, inputs))
