"""Many small networks through every executor at once: they become one graph side by side, and one program."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from design_runs import native

from cpu_backend import runner, toolchain
from cpu_backend.engine import CpuEngine
from hetero_compile.board import load_board
from hetero_compile.flow import engines, manifest_for
from hls.csim import CSimulation
from hls.design import build_design
from hls.engine import DataflowEngine
from hls.nodes import RULES
from hls.packing import GEOMETRIES
from host.build import Toolchain
from host.package import write_package
from host.session import Session
from ir.engine import Artifact, Configuration
from ir.executor import execute
from ir.graph import Graph, Node
from ir.target import Target
from ir.types import Array
from partition.lowering import settled

Values = Mapping[str, Array]
FRAMES = 3
TOGETHER = 5
"""Networks in a package: a region has 24 ports."""


def together(graphs: Sequence[Graph]) -> Graph:
    """All of them side by side, tensors of the i-th called ``gI_...``."""
    nodes, inputs, outputs, constants = [], {}, [], {}
    for i, graph in enumerate(graphs):
        inputs |= {f"g{i}_{name}": type_ for name, type_ in graph.inputs.items()}
        constants |= {f"g{i}_{name}": value for name, value in graph.constants.items()}
        outputs += [f"g{i}_{name}" for name in graph.outputs]
        nodes += [Node(f"g{i}_{n.name}", n.op, tuple(f"g{i}_{name}" for name in n.inputs)) for n in graph.nodes]
    return Graph("side_by_side", inputs, tuple(nodes), tuple(outputs), constants).verify()


def frames_of(graph: Graph, seed: int = 0) -> list[dict[str, Array]]:
    """Uniform values, then both ends mixed, then all of them the one that is larger."""
    rng, frames = np.random.default_rng(seed), []
    for style in range(FRAMES):
        frame = {}
        for name, type_ in graph.inputs.items():
            ends = rng.choice([type_.lo, type_.hi], type_.shape)
            uniform = ends if type_.dtype.kind == "bipolar" else rng.integers(type_.lo, type_.hi + 1, type_.shape)
            frame[name] = (uniform, ends, np.full(type_.shape, max(type_.lo, type_.hi, key=abs)))[style]
        frames.append(frame)
    return frames


ALL = -1


@dataclass(frozen=True)
class Difference:
    """An executor that did not give the reference's integers for the network of that number, or failed; ``ALL``: it
    failed on them together, and on none alone."""

    number: int
    executor: str
    what: str


Executor = Callable[[Graph, Sequence[Values], Path], Mapping[str, Sequence[Values]]]
"""Graph, its tensors in each frame as the reference has them, folder -> by executor, what it made in each frame."""


def differences(graphs: Sequence[Graph], executor: Executor, folder: Path) -> list[Difference]:
    """The networks on which it fails; where all of them together make it fail, each is tried by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = together(graphs)
    wanted = [execute(graph, frame) for frame in frames_of(graph)]
    try:
        results = executor(graph, wanted, folder)
    except Exception as error:
        if len(graphs) == 1:
            return [Difference(0, executor.__name__, f"{type(error).__name__}: {error}")]
        found = []
        for number, each in enumerate(graphs):
            found += [replace(d, number=number) for d in differences([each], executor, folder / f"{number}")]
        return found or [Difference(ALL, executor.__name__, f"only together: {type(error).__name__}: {error}")]
    found = []
    for name, frames in results.items():
        for number, (got, want) in enumerate(zip(frames, wanted, strict=True)):
            for tensor, values in got.items():
                if not np.array_equal(values, want[tensor]):
                    index, rest = tensor.split("_", 1)
                    found.append(Difference(int(index[1:]), name, f"frame {number}: '{rest}' differs"))
    return found


def board(vlen: int) -> Target:
    """The one that has everything, with registers of that length or without vectors."""
    target = load_board("zu3eg-rvv")
    return replace(target, cpu=replace(target.cpu, isa="rv64gcv" if vlen else "rv64gc", vlen=vlen, cores=1))


@cache
def kernel_object(name: str, feature: toolchain.Feature | None) -> Path:
    """A kernel compiled once for all graphs."""
    return compiled(toolchain.KERNELS / name, Path(mkdtemp(dir=_objects())), feature)


@cache
def _objects() -> str:
    folder = mkdtemp(prefix="random_networks_")
    atexit.register(shutil.rmtree, folder)
    return folder


def compiled(source: Path, folder: Path, feature: toolchain.Feature | None, *flags: str) -> Path:
    """An object; on this machine undefined behaviour stops the program."""
    if feature:
        (made,) = toolchain.compile_objects([source], folder, feature, [toolchain.RUNTIME], ["-O1", *flags])
        return made
    made = folder / f"{source.stem}.o"
    options = ["-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all", f"-I{toolchain.RUNTIME}", *flags]
    command = [toolchain.native_compiler(), *toolchain.WARNINGS, *options, "-c", source, "-o", made]
    toolchain.run(command, what=f"compiling {source.name}")
    return made


def program_of(artifact: Artifact, graph: Graph, folder: Path, feature: toolchain.Feature | None) -> Path:
    """As `runner.build_region`, kernels compiled once."""
    objects = []
    for source in runner.write_files(artifact, folder):
        if source.parent.name == "kernels":
            objects.append(kernel_object(source.name, feature))
        else:
            objects.append(compiled(source, folder, feature))
    objects.append(compiled(runner.MAIN, folder, feature, f"-DHC_REGION=hc_region_{graph.name}"))
    output = folder / "program"
    if feature:
        return toolchain.link_riscv(objects, output)
    command = [toolchain.native_compiler(), "-fsanitize=undefined", *objects, "-lm", "-o", output]
    toolchain.run(command, what="linking")
    return output


def portable_c(graph: Graph, wanted: Sequence[Values], folder: Path) -> Mapping[str, Sequence[Values]]:
    """What is generated for a core with vectors and for one without, compiled for this machine."""
    results = {}
    for vlen in (256, 0):
        artifact = CpuEngine().lower(graph, {}, board(vlen))
        program = program_of(artifact, graph, folder, None)
        results[f"portable C of VLEN {vlen}"] = runner.run_region(program, artifact, graph, wanted)
    return results


def riscv_c(graph: Graph, wanted: Sequence[Values], folder: Path) -> Mapping[str, Sequence[Values]]:
    """RVV C at three VLENs, and RV64 without V, under the emulator."""
    results = {}
    for feature, vlens in ((toolchain.VECTOR, (128, 256, 512)), (toolchain.SCALAR, (0,))):
        artifact = CpuEngine().lower(graph, {}, board(256 if feature is toolchain.VECTOR else 0))
        program = program_of(artifact, graph, folder, feature)
        for vlen in vlens:
            results[f"RISC-V C at VLEN {vlen}"] = runner.run_region(program, artifact, graph, wanted, vlen)
    return results


def accelerator_parts(graph: Graph, target: Target) -> list[Graph]:
    """What the accelerator takes, in few convex parts: each has all nodes that are ready at once."""
    engine, level, taken = DataflowEngine(), dict.fromkeys(graph.inputs, 0), set()
    for view in graph.views():
        before = [name for name in view.node.inputs if name not in graph.constants]
        if engine.objection(view, target) is None:
            taken.add(view.name)
        level[view.name] = max(level[i] + (i in graph.by_name and (i in taken) != (view.name in taken)) for i in before)
    parts = []
    for at in range(max(level.values()) + 1):
        names = [node.name for node in graph.nodes if node.name in taken and level[node.name] == at]
        if names:
            parts.append(graph.subgraph(f"part{at}", names))
    return parts


def folded(graph: Graph, target: Target) -> dict[str, Configuration]:
    """A configuration of each node, drawn from its candidates."""
    rng, choices = np.random.default_rng(len(graph.nodes)), {}
    dsp = GEOMETRIES[target.fabric.dsp]  # type: ignore[union-attr]
    for view in graph.views():
        options = list(RULES[type(view.op)].configurations(view, dsp))
        choices[view.name] = options[rng.integers(len(options))]
    return choices


def native_accelerator(graph: Graph, wanted: Sequence[Values], folder: Path) -> Mapping[str, Sequence[Values]]:
    """The accelerator's C++ with native integers: all layers that it takes, in random foldings."""
    target, results = board(256), {}
    for part in accelerator_parts(graph, target):
        run = native(part, build_design(part, folded(part, target), GEOMETRIES["dsp48e2"]))
        results[f"native C++ of {part.name}"] = [run({name: frame[name] for name in part.inputs}) for frame in wanted]
    return results


def ap_int(graph: Graph, wanted: Sequence[Values], folder: Path) -> Mapping[str, Sequence[Values]]:
    """The Vitis C++ under ap_int."""
    engine, target, results = DataflowEngine(), board(256), {}
    for part in accelerator_parts(graph, target):
        offers = {v.name: engine.candidates(engine.prepare(v, target), target) for v in part.views()}  # type: ignore[arg-type]
        artifact = engine.lower(part, {name: ways[len(ways) // 2] for name, ways in offers.items()}, target)
        with CSimulation(artifact, part) as simulation:
            results[f"Vitis C++ of {part.name}"] = [simulation.run(frame) for frame in wanted]
    return results


def small_board() -> Target:
    """A small fabric that is quick to call, beside a slow processor: both sides get work."""
    target = load_board(str(Path(__file__).with_name("small-fabric.yaml")))
    cpu, memory = replace(target.cpu, clock_mhz=60.0, cores=1), replace(target.memory, invocation_us=0.0)
    assert target.fabric is not None
    budget = replace(target.fabric.budget, lut=9000, dsp=24)
    return replace(target, cpu=cpu, memory=memory, fabric=replace(target.fabric, budget=budget))


def package_runtime(graph: Graph, wanted: Sequence[Values], folder: Path) -> Mapping[str, Sequence[Values]]:
    """Placed by the solver on a small board whose processor is slow, through the runtime and the simulated device."""
    target = small_board()
    plan, made = settled(graph, engines(), target, lambda _: None)
    manifest = manifest_for(graph, plan, made, target)
    files = {path: text for artifact in made.values() for path, text in artifact.files.items()}
    builder = Toolchain(cc="gcc", cxx="g++", extra=("OPTIMISE=-O0",))
    package = write_package(folder / "package", manifest, files, builder.build)
    with Session(package, deadline=120.0) as session:
        inputs = ({name: frame[name] for name in graph.inputs} for frame in wanted)
        return {"mixed placement": list(session.run_all(inputs))}
