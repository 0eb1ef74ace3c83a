"""UltraNet and UltraNet_Bypass on the shipped boards, by the real engines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cpu_backend.engine import CpuEngine
from frontend.load import load_model
from frontend.lower.freeze import freeze
from hetero_compile.board import load_board, shipped_boards
from hls.engine import DataflowEngine
from ir.engine import Prepared
from ir.graph import Graph
from ir.ops import Conv2d
from ir.target import Resources
from partition import Plan, partition

ENGINES = (DataflowEngine(), CpuEngine())


@pytest.fixture(scope="module")
def ultranet(shared_data: Path) -> Graph:
    return freeze(load_model(shared_data / "detectors" / "ultranet_4w4a.pt").graph).graph


@pytest.fixture(scope="module")
def bypass(shared_data: Path) -> Graph:
    return freeze(load_model(shared_data / "detectors" / "ultranet_bypass_4w4a.pt").graph).graph


def check(plan: Plan, graph: Graph) -> None:
    assert [n.name for r in plan.regions for n in r.graph.nodes] == [n.name for n in graph.nodes]
    ready = set(graph.inputs)
    for region in plan.regions:
        region.graph.verify()
        assert set(region.graph.inputs) <= ready
        ready |= set(region.graph.outputs)
    assert set(graph.outputs) <= ready


@pytest.mark.parametrize("board", ["zu3eg-rvv", "bananapi-f3", "polarfire-icicle"])
def test_every_board_places_every_node_within_its_budget(ultranet: Graph, board: str) -> None:
    assert board in shipped_boards()
    target = load_board(board)
    plan = partition(ultranet, ENGINES, target)
    check(plan, ultranet)
    if target.fabric is None:
        assert {d.reason for d in plan.decisions} == {"the board has no programmable logic"}
    else:
        assert not plan.resources.exceeds(target.fabric.budget)
        alone = partition(ultranet, ENGINES, replace(target, fabric=None))
        assert plan.interval_ms <= alone.interval_ms


def test_packed_layers_say_how(ultranet: Graph) -> None:
    """Wherever the placement puts them: what the engine says of each convolution."""
    engine, target = DataflowEngine(), load_board("zu3eg-rvv")
    prepared = [engine.prepare(view, target) for view in ultranet.views() if isinstance(view.op, Conv2d)]
    first, *inner, head = (p.note for p in prepared if isinstance(p, Prepared))
    assert first == "packed conv W4A8, up to 3 MAC/DSP"
    assert set(inner) == {"packed conv W4A4, up to 6 MAC/DSP"}  # 3x3
    assert head == "packed conv W4A4, up to 4 MAC/DSP"  # 1x1
    plan = partition(ultranet, ENGINES, target)
    reasons = {d.node: d.reason for d in plan.decisions if d.engine == "FPGA" and d.operator == "Conv2d"}
    chosen = {name: choice for region in plan.regions for name, choice in region.choices.items()}
    packed = [name for name in reasons if chosen[name].resources.dsp]
    notes = {p.node.name: p.note for p in prepared if isinstance(p, Prepared)}
    assert packed and all(reasons[name] == notes[name] for name in packed)
    assert {why for name, why in reasons.items() if name not in packed} <= {"conv W4A4, products in LUTs"}
    without = replace(target.fabric, budget=replace(target.fabric.budget, dsp=0))  # type: ignore[arg-type,union-attr]
    plan = partition(ultranet, ENGINES, replace(target, fabric=without))
    reasons = {d.node: d.reason for d in plan.decisions if d.engine == "FPGA" and d.operator == "Conv2d"}
    assert reasons and {why.split(", ")[1] for why in reasons.values()} == {"products in LUTs"}


@pytest.mark.parametrize(
    ("budget", "kind"),
    [(Resources(70560, 360, 20, ff=141120), "BRAM18"), (Resources(9000, 360, 432, ff=141120), "LUT")],
)
def test_a_small_budget_pushes_layers_to_the_cpu(ultranet: Graph, budget: Resources, kind: str) -> None:
    board = load_board("zu3eg-rvv")
    assert board.fabric is not None
    full = partition(ultranet, ENGINES, board)
    target = replace(board, fabric=replace(board.fabric, budget=budget))
    plan = partition(ultranet, ENGINES, target)
    check(plan, ultranet)
    assert not plan.resources.exceeds(budget)
    convolutions = [d for d in plan.decisions if d.operator == "Conv2d"]
    assert sum(d.engine == "CPU" for d in convolutions) > sum(
        d.engine == "CPU" for d in full.decisions if d.operator == "Conv2d"
    )
    assert any(f"budget exhausted ({kind}" in d.reason for d in convolutions)
    assert plan.interval_ms >= full.interval_ms * 0.999


def test_no_budget_at_all_leaves_everything_on_the_cpu(ultranet: Graph) -> None:
    board = load_board("zu3eg-rvv")
    assert board.fabric is not None
    plan = partition(ultranet, ENGINES, replace(board, fabric=replace(board.fabric, budget=Resources())))
    check(plan, ultranet)
    assert {d.engine for d in plan.decisions} == {"CPU"}
    assert all("budget exhausted (LUT" in d.reason for d in plan.decisions)


def test_the_bypass_crosses_regions_whole(bypass: Graph) -> None:
    """The fork of the bypass: wherever the cut falls, both branches arrive."""
    board = load_board("zu3eg-rvv")
    assert board.fabric is not None
    for budget in (board.fabric.budget, Resources(30000, 60, 200, ff=60000)):
        plan = partition(bypass, ENGINES, replace(board, fabric=replace(board.fabric, budget=budget)))
        check(plan, bypass)
        assert not plan.resources.exceeds(budget)
