"""`--check`: equal integers, or floats within float32's rounding, on every path; or the first tensor that differs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hetero_compile.flow import Compiled, Progress, observed, package, watchable
from hls.csim import CSimulation
from host.checks import PORTS_MAX
from host.errors import InputError
from host.inputs import check_input, load_input
from host.package import Package
from host.places import Where
from host.session import Session
from ir.executor import execute
from ir.tolerance import tolerances
from ir.types import Array

Values = Mapping[str, Array]


@dataclass(frozen=True)
class Difference:
    """The first tensor, in the graph's order, on which an executor and the expected values part; floats by more than
    ``allowed`` at that place."""

    source: str
    executor: str
    tensor: str
    index: tuple[int, ...]
    got: int | float
    expected: int | float
    count: int
    size: int
    allowed: float = 0.0

    def __str__(self) -> str:
        place = ", ".join(map(str, self.index))
        rounding = f" ({self.allowed:.2g} is float32's rounding)" if self.allowed else ""
        return (
            f"{self.source}: {self.executor}: tensor '{self.tensor}' differs first at ({place}): {self.got} instead of "
            f"{self.expected}{rounding}; {self.count} of {self.size} elements differ"
        )


class CheckError(Exception):
    """An executor gave other integers than the reference: the flow stops, exit status 1."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


@dataclass(frozen=True)
class Agreement:
    """All executors gave the same integers, or floats that differ by at most ``used`` of what rounding allows."""

    executors: tuple[str, ...]
    frames: int
    used: float | None = None

    def __str__(self) -> str:
        beyond = (
            f" beyond float32's rounding (at most {self.used:.1%} of what it allows)" if self.used is not None else ""
        )
        frames = f"{self.frames} frame{'s' * (self.frames > 1)}"
        return f"{frames}: no difference{beyond} between {', '.join(self.executors)}"


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
        type_ = compiled.graph.types[name]
        kinds, what = ("iu", "integers") if type_.dtype.is_integer else ("f", "floats")
        if value.shape != type_.shape or value.dtype.kind not in kinds:
            raise InputError(f"{path}: '{name}' is {value.dtype}{list(value.shape)}, needs {what} {list(type_.shape)}")
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
    references = [Reference.of(compiled, frame) for _, frame in frames]
    for (path, _), reference, want in zip(frames, references, wanted, strict=False):
        if found := reference.first_difference(compiled, str(path), "reference executor", want, reverse=True):
            raise CheckError(found)
    used: list[float] = []
    names = ["reference executor", *(["the expected outputs"] if expected else [])]
    with closing(_executors(compiled, built, progress)) as executors:
        for executor, run in executors:
            progress(f"running {executor}")
            for (path, frame), reference in zip(frames, references, strict=True):
                got = run(frame, reference.values)
                if found := reference.first_difference(compiled, str(path), executor, got):
                    raise CheckError(_located(compiled, found, executor, path, frame, reference, progress))
                used.append(reference.used(got))
            names.append(executor)
    return Agreement(tuple(names), len(frames), max(used, default=0.0) if references[0].allowed else None)


@dataclass(frozen=True)
class Reference:
    """Every tensor of a frame as the reference executor gives it and, of a float graph, what others may differ by."""

    values: Values
    allowed: Values

    @staticmethod
    def of(compiled: Compiled, frame: Values) -> Reference:
        values = execute(compiled.graph, frame)
        return Reference(values, tolerances(compiled.graph, values) if compiled.kind == "float32" else {})

    def first_difference(
        self, compiled: Compiled, source: str, executor: str, got: Values, reverse: bool = False
    ) -> Difference | None:
        """The first tensor in the graph's order that both sides have and that differs; with ``reverse`` the others'
        values are the expected ones."""
        for node in compiled.graph.nodes:
            if node.name not in got:
                continue
            pair = [np.asarray(got[node.name]), np.asarray(self.values[node.name])]
            a, b = reversed(pair) if reverse else pair
            allowed = self.allowed.get(node.name)
            unequal = a != b if allowed is None else ~(np.abs(a - b) <= allowed)  # a NaN is unequal, too
            if unequal.any():
                index = tuple(int(i) for i in np.argwhere(unequal)[0])
                count = int(np.count_nonzero(unequal))
                bound = 0.0 if allowed is None else float(allowed[index])
                return Difference(
                    source, executor, node.name, index, a[index].item(), b[index].item(), count, a.size, bound
                )
        return None

    def used(self, got: Values) -> float:
        """The largest difference of floats, as a share of what is allowed."""
        shares = [
            float((np.abs(got[name] - self.values[name]) / np.maximum(allowed, np.finfo(np.float64).tiny)).max())
            for name, allowed in self.allowed.items()
            if name in got
        ]
        return max(shares, default=0.0)


Run = Callable[[Values, Values], Values]

PLACES: Mapping[str, Where] = {
    "simulated accelerator with portable C": "sim",
    "simulated accelerator with RISC-V C under qemu": "qemu",
    "portable C in place of the accelerator": "cpu",
}


def _executors(compiled: Compiled, built: Package, progress: Progress) -> Generator[tuple[str, Run], None, None]:
    """What can run here: the package on both places, and the Vitis C++ of every device region under ap_int."""
    for name, place in PLACES.items():
        if (place == "qemu" and compiled.target.cpu.isa == "rv32im") or (place == "cpu" and not compiled.failover):
            continue
        with Session(built, on=place, deadline=600.0) as session:
            yield name, lambda frame, reference, session=session: session.run(frame)  # type: ignore[misc]
    for region in compiled.plan.regions:
        if region.engine.side == "device":
            progress(f"compiling the Vitis C++ of {region.name}")
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
    reference: Reference,
    progress: Progress,
) -> Difference:
    """Run again with every tensor observed, to name the first one that differs instead of the output it spoils."""
    place = PLACES.get(executor)
    if place is None:
        return found
    progress("a tensor differs: looking for the first one")
    for names in batches(compiled):
        watched = observed(compiled, names, progress)
        with tempfile.TemporaryDirectory() as folder:
            built = package(watched, Path(folder) / "observed", {}, progress)
            with Session(built, on=place, deadline=600.0) as session:
                got = session.run(frame)
        if first := reference.first_difference(watched, str(path), executor, got):
            return first
    return found


def batches(compiled: Compiled) -> list[tuple[str, ...]]:
    """The tensors that can be observed, in order, as many at a time as every region has room for beside its own; those
    in a region that is full cannot."""
    room = {
        region.name: PORTS_MAX[region.engine.side] - len(region.graph.inputs) - len(region.graph.outputs)
        for region in compiled.plan.regions
    }
    full = {node.name for r in compiled.plan.regions if room[r.name] < 1 for node in r.graph.nodes}
    names = tuple(name for name in watchable(compiled.graph) if name not in full)
    size = min((places for places in room.values() if places > 0), default=1)
    return [names[i : i + size] for i in range(0, len(names), size)]
