"""The flow: load, freeze (or fold, in float32), optimise, partition, lower, package: each a function of the last."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType

from cpu_backend.engine import CpuEngine
from cpu_backend.tiles import threads_of
from cpu_backend.tuning.database import SHIPPED, Database
from frontend.errors import ModelError
from frontend.load import Model, load_model
from frontend.lower.freeze import Frozen
from frontend.lower.post_training import post_training
from frontend.lower.prune import PruneColumns, Pruning, prunable
from frontend.lower.single import is_float, to_single
from hetero_compile.quantise import Calibration
from hls.engine import DataflowEngine
from host.build import Toolchain
from host.manifest import Board, Manifest, Region, Stage, Tensor
from host.objects import KEPT
from host.package import Package, write_package
from ir.engine import Artifact, BuildingEngine, Engine, Reason
from ir.graph import Graph
from ir.kinds import Kind, is_fallback, kind_of
from ir.ops import MultiplyShift, Sign, Thresholds
from ir.passes.addends import FoldAddends
from ir.passes.base import Pass, run_passes
from ir.passes.dead import RemoveDead
from ir.passes.thresholds import MultiplyShiftToThresholds
from ir.records import ClassifierHead
from ir.target import Target
from partition import Plan, partition, settled
from partition import Region as PlanRegion

Progress = Callable[[str], None]


def engines(tuning: Path | None = None) -> tuple[Engine, ...]:
    """The shipped engines, then those that installed packages register under ``hetero.engines``."""
    database = Database((tuning, SHIPPED) if tuning else (SHIPPED,))
    plugged = (point.load()() for point in entry_points(group="hetero.engines"))
    return (DataflowEngine(), CpuEngine(database=database), *plugged)


@dataclass(frozen=True)
class Options:
    """``thresholds``: requantise by thresholds instead of multiply-shift. ``failover``: the package also gets CPU code
    for the accelerator's regions, for when it fails. ``inputs``: what integers those of an ONNX file are, as
    ``[NAME=]TYPE[/STEPS]``. ``labels``: names of the scores that a classifier's output holds. ``tuning``: a folder of
    hetero-tune's, whose measurements count before the shipped ones. ``calibration``: how to quantise a network of
    floats, and by which inputs. ``fallback``: operators without an integer form run in floats on the CPU. ``prune``:
    columns of the weights of convolutions on the CPU are set to zero."""

    arch: str | None = None
    thresholds: bool = False
    failover: bool = True
    inputs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    tuning: Path | None = None
    calibration: Calibration | None = None
    fallback: bool = False
    prune: Pruning | None = None


@dataclass(frozen=True)
class Compiled:
    """A network ready to be packaged: what it is, where it runs, and the lowered regions by name; ``failover`` has the
    CPU code of those on a device, of all of them or of none."""

    model: Model
    frozen: Frozen
    plan: Plan
    target: Target
    artifacts: Mapping[str, Artifact]
    failover: Mapping[str, Artifact] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        return self.frozen.graph

    @property
    def kind(self) -> Kind:
        return kind_of(self.graph)


def passes(options: Options) -> tuple[Pass, ...]:
    """The integer graph's passes in order."""
    return (RemoveDead(), FoldAddends(), *((MultiplyShiftToThresholds(),) if options.thresholds else ()))


def load_frozen(source: Path | Model, options: Options, progress: Progress) -> tuple[Model, Frozen]:
    """The model of a file, or one that is loaded already, and the graph to execute: of integers, or of float32 where it
    has no quantisers. Raises ModelError, GraphError."""
    progress("reading the model")
    model = source if isinstance(source, Model) else load_model(source, options.arch, options.inputs)
    if options.labels:
        model = replace(model, head=ClassifierHead(options.labels))
    real = model.dequantise is None and is_float(model.graph)
    if options.calibration and not real:
        raise ModelError(f"{model.graph.name}: --quantise: the network is quantised already")
    if options.calibration:
        model = _quantised(model, options.calibration, progress)
    elif real:
        if options.thresholds:
            raise ModelError(f"{model.graph.name}: --thresholds: a float32 network requantises nothing")
        progress(f"{model.origin}; no quantisers: float32, on the CPU")
        return model, Frozen(to_single(model.graph), {})
    progress(f"{model.origin}; freezing to integers")
    frozen = model.frozen(options.fallback)
    left = [view.name for view in frozen.graph.views() if is_fallback(view)]
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        progress(f"float fallback on the CPU, no integer form: {', '.join(left[:3])}{more}")
    return model, replace(frozen, graph=run_passes(frozen.graph, passes(options)))


def _quantised(model: Model, calibration: Calibration, progress: Progress) -> Model:
    """A network of floats with quantisers."""
    inputs = calibration.inputs(model)
    recipe = calibration.recipe
    progress(f"quantising to W{recipe.weight_bits}A{recipe.activation_bits} by {len(inputs)} inputs")
    graph = post_training(to_single(model.graph), inputs, recipe)
    renamed = dict(zip(model.graph.outputs, graph.outputs, strict=True))
    shapes = {renamed.get(name, name): shape for name, shape in model.shapes.items()}
    return replace(model, graph=graph, shapes=shapes)


def _pruned(
    model: Model, frozen: Frozen, pruning: Pruning, asked: Sequence[Engine], target: Target, progress: Progress
) -> tuple[Model, Frozen]:
    """With pruned weights in the convolutions that the CPU runs: all of them where nothing else could, otherwise those
    that the placement of the network as it is leaves there."""
    graph = frozen.graph
    chosen = prunable(graph)
    if target.fabric is not None and kind_of(graph) != "float32":
        progress("partitioning, to find what the CPU runs")
        plan = partition(graph, asked, target)
        chosen = [name for r in plan.regions if r.engine.side == "cpu" for name in chosen if name in r.graph.by_name]
    if not chosen:
        raise ModelError(f"{graph.name}: --prune: the CPU runs no convolution that can be pruned")
    pruned = run_passes(graph, (PruneColumns(pruning, frozenset(chosen)),))
    origin = f"{model.origin}; {len(chosen)} convolutions pruned to {pruning}"
    return replace(model, origin=origin), replace(frozen, graph=pruned)


def compile_model(source: Path | Model, target: Target, options: Options, progress: Progress) -> Compiled:
    """Everything up to the lowered regions, of a file or of a loaded model, to which ``options.arch`` and
    ``options.inputs`` mean nothing. Raises one of `hetero_compile.errors.USER_ERRORS`."""
    model, frozen = load_frozen(source, options, progress)
    asked = engines(options.tuning)
    if options.prune:
        model, frozen = _pruned(model, frozen, options.prune, asked, target, progress)
    plan, artifacts = settled(frozen.graph, asked, target, progress)
    failover = spare_code(plan.regions, target, progress) if options.failover else {}
    return Compiled(model, frozen, plan, target, artifacts, failover)


def spare_code(regions: Sequence[PlanRegion], target: Target, progress: Progress) -> dict[str, Artifact]:
    """CPU code for every region on a device, by region; for none, and that is said, where the CPU cannot run one."""
    cpu = next(engine for engine in engines() if engine.side == "cpu")
    spare = {}
    for region in regions:
        if region.engine.side == "cpu":
            continue
        progress(f"generating CPU code for {region.name}, in case the accelerator fails")
        graph = replace(region.graph, name=f"{region.name}_cpu")
        choices = {}
        for node in graph.views():
            prepared = cpu.objection(node, target) or cpu.prepare(node, target)
            if isinstance(prepared, Reason):
                progress(f"no CPU code for {region.name}: node '{node.name}': {prepared.text}")
                return {}
            choices[node.name] = min(cpu.candidates(prepared, target), key=lambda candidate: candidate.cycles)
        spare[region.name] = cpu.lower(graph, choices, target)
    return spare


def manifest_of(compiled: Compiled) -> Manifest:
    """What the runtime has to know."""
    manifest = manifest_for(compiled.graph, compiled.plan, compiled.artifacts, compiled.target, compiled.failover)
    return replace(
        manifest,
        picture=compiled.model.picture,
        head=compiled.model.head,
        dequantise=compiled.frozen.dequantise,
        quantise=compiled.frozen.quantise,
        shapes=compiled.model.shapes,
    )


def manifest_for(
    graph: Graph,
    plan: Plan,
    artifacts: Mapping[str, Artifact],
    target: Target,
    failover: Mapping[str, Artifact] = MappingProxyType({}),
) -> Manifest:
    """The same for integers in and integers out."""
    crossing = dict.fromkeys(
        (*graph.inputs, *(t for r in plan.regions for t in (*r.graph.inputs, *r.graph.outputs)), *graph.outputs)
    )
    regions = []
    for region in plan.regions:
        artifact = artifacts[region.name]
        stages = tuple(Stage(s.name, s.cycles, s.note) for s in artifact.stages)
        clock = region.engine.clock_mhz(target)
        regions.append(
            Region(
                region.name, region.engine.side, artifact.inputs, artifact.outputs, artifact.sources, stages, clock,
                artifact.hardware, failover[region.name].sources if region.name in failover else (),
                artifact.weights, artifact.weight_source,
            )
        )  # fmt: skip
    cpu, memory = target.cpu, target.memory
    return Manifest(
        name=graph.name,
        board=Board(
            target.name, cpu.march, cpu.vlen, cpu.role, memory.coherent, memory.cache_line, memory.pool_bytes,
            threads_of(cpu), target.link.driver, target.link.completion,
            target.host.arch if target.host else None,
        ),
        tensors=tuple(Tensor.of(name, graph.types[name]) for name in crossing),
        inputs=tuple(graph.inputs),
        outputs=graph.outputs,
        regions=tuple(regions),
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
    files: dict[str, str | bytes] = dict(extra)
    for artifact in (*compiled.artifacts.values(), *compiled.failover.values()):
        files.update(artifact.files)
    files.update(system(compiled.plan, compiled.artifacts, compiled.target))
    cross = f"{sys.executable} -m ziglang cc"
    toolchain = Toolchain(cc="gcc", cxx="g++", cc_riscv=cross, cc_arm=cross, progress=progress, objects=KEPT)
    return write_package(output, manifest_of(compiled), files, toolchain.build, accept)


def system(plan: Plan, artifacts: Mapping[str, Artifact], target: Target) -> Mapping[str, str]:
    """The files that build all accelerator regions into one bitstream; none where they are of several engines, or of
    one that has no project for the board."""
    on_device = [region for region in plan.regions if region.engine.side == "device"]
    engines = {id(region.engine): region.engine for region in on_device}
    (engine,) = engines.values() if len(engines) == 1 else (None,)
    if not isinstance(engine, BuildingEngine):
        return {}
    return engine.system([artifacts[region.name] for region in on_device], target)


def watchable(graph: Graph) -> tuple[str, ...]:
    """The tensors that exist: a convolution's accumulators stay inside the stage that requantises them."""
    return tuple(
        v.name
        for v in graph.views()
        if not (v.sole_user and isinstance(v.sole_user.op, MultiplyShift | Thresholds | Sign))
    )


def observed(compiled: Compiled, names: Sequence[str], progress: Progress) -> Compiled:
    """The same placement with these tensors as outputs of their regions, to find where executors part."""
    graph = compiled.graph
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
    spare = spare_code(regions, compiled.target, progress) if compiled.failover else {}
    return replace(compiled, model=headless, frozen=frozen, plan=plan, artifacts=artifacts, failover=spare)
