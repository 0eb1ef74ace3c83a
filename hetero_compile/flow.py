"""The flow: load, freeze, optimise, partition, lower, package. Each step is a function of the one before."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path

from cpu_backend.engine import CpuEngine
from frontend.load import Model, load_model
from frontend.lower.freeze import Frozen, freeze
from hls.engine import DataflowEngine
from host.build import Toolchain
from host.manifest import Board, Manifest, Region, Stage, Tensor
from host.package import Package, write_package
from ir.engine import Artifact, Engine
from ir.graph import Graph
from ir.ops import MultiplyShift, Sign, Thresholds
from ir.passes.addends import FoldAddends
from ir.passes.base import Pass, run_passes
from ir.passes.dead import RemoveDead
from ir.passes.thresholds import MultiplyShiftToThresholds
from ir.records import ClassifierHead
from ir.target import Target
from partition import Plan, partition

Progress = Callable[[str], None]


def engines() -> tuple[Engine, ...]:
    """The shipped engines, then those that installed packages register under ``hetero.engines``."""
    plugged = (point.load()() for point in entry_points(group="hetero.engines"))
    return (DataflowEngine(), CpuEngine(), *plugged)


@dataclass(frozen=True)
class Options:
    """``thresholds``: requantise by thresholds instead of multiply-shift. ``inputs``: what integers those of an ONNX
    file are, as ``[NAME=]TYPE[/STEPS]``. ``labels``: names of the scores that a classifier's output holds."""

    arch: str | None = None
    thresholds: bool = False
    inputs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compiled:
    """A network ready to be packaged: what it is, where it runs, and the lowered regions by name."""

    model: Model
    frozen: Frozen
    plan: Plan
    target: Target
    artifacts: Mapping[str, Artifact]

    @property
    def graph(self) -> Graph:
        return self.frozen.graph


def passes(options: Options) -> tuple[Pass, ...]:
    """The integer graph's passes in order."""
    return (RemoveDead(), FoldAddends(), *((MultiplyShiftToThresholds(),) if options.thresholds else ()))


def compile_model(path: Path, target: Target, options: Options, progress: Progress) -> Compiled:
    """Everything up to the lowered regions. Raises one of `hetero_compile.errors.USER_ERRORS`."""
    progress("reading the model")
    model = load_model(path, options.arch, options.inputs)
    if options.labels:
        model = replace(model, head=ClassifierHead(options.labels))
    progress(f"{model.origin}; freezing to integers")
    frozen = freeze(model.graph)
    frozen = replace(frozen, graph=run_passes(frozen.graph, passes(options)))
    progress("partitioning")
    plan = partition(frozen.graph, engines(), target)
    artifacts = {}
    for region in plan.regions:
        progress(f"generating {region.name} ({region.engine.name}, {len(region.graph.nodes)} nodes)")
        artifacts[region.name] = region.engine.lower(region.graph, region.choices, target)
    return Compiled(model, frozen, plan, target, artifacts)


def manifest_of(compiled: Compiled) -> Manifest:
    """What the runtime has to know."""
    graph, plan, target = compiled.graph, compiled.plan, compiled.target
    crossing = dict.fromkeys(
        (*graph.inputs, *(t for r in plan.regions for t in (*r.graph.inputs, *r.graph.outputs)), *graph.outputs)
    )
    regions = []
    for region in plan.regions:
        artifact = compiled.artifacts[region.name]
        stages = tuple(Stage(s.name, s.cycles, s.note) for s in artifact.stages)
        clock = region.engine.clock_mhz(target)
        regions.append(
            Region(
                region.name, region.engine.side, artifact.inputs, artifact.outputs, artifact.sources, stages, clock,
                artifact.hardware,
            )
        )  # fmt: skip
    cpu, memory = target.cpu, target.memory
    return Manifest(
        name=graph.name,
        board=Board(
            target.name, cpu.isa, cpu.vlen, cpu.role, memory.coherent, memory.cache_line, memory.pool_bytes
        ),
        tensors=tuple(Tensor.of(name, graph.types[name]) for name in crossing),
        inputs=tuple(graph.inputs),
        outputs=graph.outputs,
        regions=tuple(regions),
        picture=compiled.model.picture,
        head=compiled.model.head,
        dequantise=compiled.frozen.dequantise,
        quantise=compiled.frozen.quantise,
        shapes=compiled.model.shapes,
    )  # fmt: skip


def package(
    compiled: Compiled,
    output: Path,
    extra: Mapping[str, str],
    progress: Progress,
    accept: Callable[[Package], None] | None = None,
) -> Package:
    """Write the package and build its programs; all of it or nothing. ``extra`` are further files (the report).

    ``accept`` sees the package before it is put in place; what it raises keeps it from being written.
    """
    files: dict[str, str] = dict(extra)
    for artifact in compiled.artifacts.values():
        files.update(artifact.files)
    progress(f"compiling the programs for this machine and for {compiled.target.cpu.isa}")
    toolchain = Toolchain(cc="gcc", cxx="g++", cc_riscv=f"{sys.executable} -m ziglang cc")
    return write_package(output, manifest_of(compiled), files, toolchain.build, accept)


def observed(compiled: Compiled, progress: Progress) -> Compiled:
    """The same placement with every tensor that exists as an output of its region, to find where executors part.

    A convolution's accumulators stay inside the stage that requantises them.
    """
    graph = compiled.graph
    names = tuple(
        v.name
        for v in graph.views()
        if not (v.sole_user and isinstance(v.sole_user.op, MultiplyShift | Thresholds | Sign))
    )
    watched = graph.with_nodes(graph.nodes, outputs=tuple(dict.fromkeys((*names, *graph.outputs))))
    regions = tuple(
        replace(r, graph=watched.subgraph(r.name, [n.name for n in r.graph.nodes])) for r in compiled.plan.regions
    )
    artifacts = {}
    for region in regions:
        progress(f"generating {region.name} with every tensor observed")
        artifacts[region.name] = region.engine.lower(region.graph, region.choices, compiled.target)
    frozen = replace(compiled.frozen, graph=watched)
    headless = replace(compiled.model, head=None)  # a head decodes one output
    plan = replace(compiled.plan, regions=regions)
    return replace(compiled, model=headless, frozen=frozen, plan=plan, artifacts=artifacts)
