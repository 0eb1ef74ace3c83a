"""`--check`: the same integers on every path, or the first tensor that differs and where."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hetero_compile.flow import Compiled, Progress, observed, package
from hls.csim import CSimulation
from host.errors import InputError
from host.inputs import check_input, load_input
from host.package import Package
from host.places import Where
from host.session import Session
from ir.executor import execute
from ir.types import Array

Values = Mapping[str, Array]


@dataclass(frozen=True)
class Difference:
    """The first tensor, in the graph's order, on which an executor and the expected values part."""

    source: str
    executor: str
    tensor: str
    index: tuple[int, ...]
    got: int
    expected: int
    count: int
    size: int

    def __str__(self) -> str:
        place = ", ".join(map(str, self.index))
        return (
            f"{self.source}: {self.executor}: tensor '{self.tensor}' differs first at ({place}): {self.got} instead of "
            f"{self.expected}; {self.count} of {self.size} elements differ"
        )


class CheckError(Exception):
    """An executor gave other integers than the reference: the flow stops, exit status 1."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


@dataclass(frozen=True)
class Agreement:
    """All executors gave the same integers."""

    executors: tuple[str, ...]
    frames: int

    def __str__(self) -> str:
        return f"{self.frames} frame{'s' * (self.frames > 1)}: no difference between {', '.join(self.executors)}"


def load_expected(path: Path, compiled: Compiled) -> Values:
    """Tensors of the graph by name from .npz, or its one output from .npy; InputError if they do not fit."""
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: no file of numbers ({' '.join(str(error).split())})") from None
    outputs = compiled.graph.outputs
    if isinstance(loaded, np.ndarray):
        if len(outputs) != 1:
            raise InputError(f"{path}: one array for {len(outputs)} outputs; give .npz with {', '.join(outputs)}")
        found = {outputs[0]: loaded}
    else:
        found = dict(loaded)
    for name, value in found.items():
        if name not in compiled.graph.types:
            raise InputError(f"{path}: the graph has no tensor '{name}' (its outputs: {', '.join(outputs)})")
        shape = compiled.graph.types[name].shape
        if value.shape != shape or value.dtype.kind not in "iu":
            raise InputError(f"{path}: '{name}' is {value.dtype}{list(value.shape)}, needs integers {list(shape)}")
    return found


def check(
    compiled: Compiled, built: Package, inputs: Sequence[Path], expected: Sequence[Path], progress: Progress
) -> Agreement:
    """Run every executor on every input and compare, frame by frame, with the reference (and with given outputs).

    Raises CheckError at the first difference, HostError where an executor cannot run, InputError for a bad input.
    """
    if expected and len(expected) != len(inputs):
        raise InputError(f"{len(expected)} expected outputs for {len(inputs)} inputs")
    manifest = built.manifest
    for path in inputs:
        check_input(path, manifest)
    frames = [(path, load_input(path, manifest).frame) for path in inputs]
    wanted = [load_expected(path, compiled) for path in expected]
    progress("running the reference executor")
    references = [execute(compiled.graph, frame) for _, frame in frames]
    for (path, _), reference, want in zip(frames, references, wanted, strict=False):
        if found := first_difference(compiled, str(path), "reference executor", reference, want):
            raise CheckError(found)
    names = ["reference executor", *(["the expected outputs"] if expected else [])]
    with closing(_executors(compiled, built)) as executors:
        for executor, run in executors:
            progress(f"running {executor}")
            for (path, frame), reference in zip(frames, references, strict=True):
                got = run(frame, reference)
                if found := first_difference(compiled, str(path), executor, got, reference):
                    raise CheckError(_located(compiled, found, executor, path, frame, reference, progress))
            names.append(executor)
    return Agreement(tuple(names), len(frames))


def first_difference(compiled: Compiled, source: str, executor: str, got: Values, want: Values) -> Difference | None:
    """The first tensor in the graph's order that both sides have and that differs."""
    for node in compiled.graph.nodes:
        if node.name not in got or node.name not in want:
            continue
        a, b = np.asarray(got[node.name]).astype(np.int64), np.asarray(want[node.name]).astype(np.int64)
        unequal = a != b
        if unequal.any():
            index = tuple(int(i) for i in np.argwhere(unequal)[0])
            count = int(np.count_nonzero(unequal))
            return Difference(source, executor, node.name, index, int(a[index]), int(b[index]), count, a.size)
    return None


Run = Callable[[Values, Values], Values]

PLACES: Mapping[str, Where] = {
    "simulated accelerator with portable C": "sim",
    "simulated accelerator with RISC-V C under qemu": "qemu",
    "portable C in place of the accelerator": "cpu",
}


def _executors(compiled: Compiled, built: Package) -> Generator[tuple[str, Run], None, None]:
    """What can run here: the package on both places, and the Vitis C++ of every device region under ap_int."""
    for name, place in PLACES.items():
        if (place == "qemu" and compiled.target.cpu.isa == "rv32im") or (place == "cpu" and not compiled.failover):
            continue
        with Session(built, on=place, deadline=600.0) as session:
            yield name, lambda frame, reference, session=session: session.run(frame)  # type: ignore[misc]
    for region in compiled.plan.regions:
        if region.engine.side == "device":
            with CSimulation(compiled.artifacts[region.name], region.graph) as simulation:
                yield (
                    f"Vitis C++ of {region.name} under ap_int",
                    lambda frame, reference, simulation=simulation: simulation.run(reference),  # type: ignore[misc]
                )


def _located(
    compiled: Compiled,
    found: Difference,
    executor: str,
    path: Path,
    frame: Values,
    reference: Values,
    progress: Progress,
) -> Difference:
    """Run once more with every tensor observed, to name the first one that differs instead of the output it spoils."""
    place = PLACES.get(executor)
    if place is None:
        return found
    progress("a tensor differs: looking for the first one")
    watched = observed(compiled, progress)
    with tempfile.TemporaryDirectory() as folder:
        built = package(watched, Path(folder) / "observed", {}, progress)
        with Session(built, on=place, deadline=600.0) as session:
            got = session.run(frame)
    return first_difference(watched, str(path), executor, got, reference) or found
