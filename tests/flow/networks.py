"""The public detectors and their golden frames, and ways to force a whole network onto one engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cpu_backend.engine import CpuEngine
from frontend.load import load_model
from hetero_compile.board import load_board
from hetero_compile.flow import Compiled, package
from hls.engine import DataflowEngine
from host.package import Package
from ir.engine import Engine
from ir.target import Resources, Target
from ir.types import Array
from partition import Plan, Region, whole
from partition.offers import ask

NETWORKS = ("ultranet", "ultranet_bypass")
TOGETHER = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NETWORKS]
"""Tests of one network in one process, where `compiled_on` compiles it for an engine once."""

SMALL_BOARD = Path(__file__).with_name("small-fabric.yaml")
"""A board on which both sides have to work."""


def golden(data: Path, network: str) -> tuple[list[dict[str, Array]], list[Array]]:
    """The eight golden frames: input tensors by name, head integers (36, 10, 20)."""
    arrays = np.load(data / f"golden/{network}_first8.npz")
    frames = [{"input": image.transpose(2, 0, 1)} for image in arrays["img_bgr_160x320"]]
    return frames, list(arrays["raw_int32_36x10x20"])


def checkpoint(data: Path, network: str) -> Path:
    return data / f"detectors/{network}_4w4a.pt"


def on_one_engine(model: Path, engine: Engine, vlen: int | None = None) -> Compiled:
    """The network compiled with every node on one engine, for the board that has everything."""
    target = load_board("zu3eg-rvv")
    if vlen is not None:
        isa = "rv64gcv" if vlen else "rv64gc"
        target = replace(target, cpu=replace(target.cpu, isa=isa, vlen=vlen))  # type: ignore[arg-type]
    loaded = load_model(model)
    frozen = loaded.frozen()
    graph = frozen.graph
    offers = ask(graph, [engine], target)
    assert not any(offer.against for offer in offers[engine.name].values())
    if engine.side == "device":
        choices = whole(graph, engine, target, offers)
    else:
        choices = {name: offer.candidates[0] for name, offer in offers[engine.name].items()}
    name = "fpga0" if engine.side == "device" else "cpu0"
    region = Region(name, engine, replace(graph, name=name), choices)
    plan = Plan((region,), (), 0.0, 0.0, Resources())
    artifacts = {name: engine.lower(region.graph, region.choices, target)}
    return Compiled(loaded, frozen, plan, target, artifacts)


def build(compiled: Compiled, folder: Path) -> Package:
    return package(compiled, folder, {}, lambda what: None)


ENGINES: Mapping[str, Engine] = {"fpga": DataflowEngine(), "cpu": CpuEngine()}


def targets_with_budget(budget: Resources) -> Target:
    target = load_board("zu3eg-rvv")
    assert target.fabric is not None
    return replace(target, fabric=replace(target.fabric, budget=budget))
