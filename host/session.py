"""Runs a package: `Session` feeds frames to the C scheduler, here (``sim``) or in a RISC-V program (``qemu``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from host.bitstream import check_bitstream, load_bitstream
from host.device import SimulatedDevice
from host.emulated import EmulatedTransport
from host.errors import InputError, RunError
from host.manifest import Tensor
from host.native import NativeTransport
from host.package import Package, load_package
from host.plan import StepKind, make_plan
from host.transport import Setting, Transport
from ir.layouts import Plain

Array = npt.NDArray[Any]
Frame = Mapping[str, Array] | Array
Where = Literal["sim", "qemu", "board"]
PLACES: tuple[Where, ...] = ("sim", "qemu", "board")


@dataclass(frozen=True)
class StepTime:
    """What one step of the plan took: frames it ran for and the seconds it was busy, as its own side measured."""

    name: str
    kind: StepKind
    runs: int
    seconds: float


class Session:
    """A running network; a context manager, for one thread at a time.

    ``deadline`` is how many seconds the device may go without completing a command. Frames and outputs are integer
    arrays (C, H, W) (or (C,)), keyed by tensor; a bare array is the only input. ``bitstream`` is the folder or manifest
    of the one to load on a board. ``threads``: how many run CPU regions, at most the board's cores; None for as many of
    these as there are here. Raises PackageError (also for a bitstream of another accelerator), RunError and, for
    a frame that is not what the network takes, InputError.
    """

    def __init__(
        self,
        package: Package | Path | str,
        on: Where = "sim",
        deadline: float = 10.0,
        bitstream: Path | str | None = None,
        threads: int | None = None,
    ) -> None:
        self.package = package if isinstance(package, Package) else load_package(package)
        if bitstream is not None:
            if on != "board":
                raise RunError("board", f"--on {on} loads no bitstream (only --on board does)")
            check_bitstream(load_bitstream(bitstream), self.package)
        manifest = self.package.manifest
        if threads is not None and not 1 <= threads <= manifest.board.threads:
            raise RunError("threads", f"{threads} threads: the package is made for 1..{manifest.board.threads}")
        self._plan = make_plan(manifest)
        self._inputs = [manifest.tensor(name) for name in manifest.inputs]
        self._outputs = [manifest.tensor(name) for name in manifest.outputs]
        self._stack = ExitStack()
        self._closed = False
        try:
            self._transport = self._start(on, deadline, threads or 0)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the device process and removes the shared file; may be called twice."""
        self._closed = True
        self._stack.close()

    def run(self, frame: Frame) -> dict[str, Array]:
        """One frame."""
        return next(self.run_all([frame]))

    def run_all(self, frames: Iterable[Frame]) -> Iterator[dict[str, Array]]:
        """The outputs of each frame, in order; while one is computed, later ones are taken and begun."""
        in_flight = 0
        try:
            for frame in frames:
                data = self._pack(frame)
                while not self._open_transport.begin(data):
                    in_flight -= 1
                    yield self._unpack(self._open_transport.finish())
                in_flight += 1
            while in_flight:
                in_flight -= 1
                yield self._unpack(self._open_transport.finish())
        except (RunError, KeyboardInterrupt):
            self.close()
            raise
        except BaseException:
            # A bad frame, or a consumer that has seen enough: the next call must find no frame in flight.
            self._drain(in_flight)
            raise

    def times(self) -> tuple[StepTime, ...]:
        """What each step has cost so far; not while frames are in flight."""
        measured = zip(self._plan.steps, self._open_transport.times(), strict=True)
        return tuple(StepTime(step.name, step.kind, runs, busy / 1e9) for step, (runs, busy) in measured)

    def _drain(self, in_flight: int) -> None:
        try:
            for _ in range(in_flight):
                self._open_transport.finish()
        except RunError:
            self.close()

    @property
    def _open_transport(self) -> Transport:
        if self._closed:
            raise RunError("closed", "the session is closed")
        return self._transport

    def _start(self, on: Where, deadline: float, threads: int) -> Transport:
        start = STARTERS.get(on)
        if start is None:
            raise RunError(
                "board",
                f"--on {on}: drivers for devices of real boards (pynq, uio) are not built yet (possible: sim, qemu)",
            )
        device = None
        if self.package.manifest.uses_device:
            device = SimulatedDevice(self.package)
            self._stack.callback(device.close)
        setting = Setting(
            shared_file=device.file if device else None,
            deadline=deadline,
            output_bytes=tuple(Plain().bytes_of(tensor.type) for tensor in self._outputs),
            steps=len(self._plan.steps),
            frames=self._plan.frames,
            threads=threads,
            check_device=device.check if device else lambda: None,
        )
        transport = start(self.package, setting)
        self._stack.callback(transport.close)
        return transport

    def _pack(self, frame: Frame) -> list[bytes]:
        arrays = self._named(frame)
        for tensor in self._inputs:
            if reason := tensor.objection(arrays[tensor.name]):
                raise InputError(reason)
        return [Plain().pack(arrays[tensor.name], tensor.type) for tensor in self._inputs]

    def _named(self, frame: Frame) -> Mapping[str, Array]:
        names = [tensor.name for tensor in self._inputs]
        if isinstance(frame, np.ndarray):
            if len(names) != 1:
                raise InputError(f"a bare array does not say which of the inputs it is ({', '.join(names)})")
            return {names[0]: frame}
        if set(frame) != set(names):
            raise InputError(f"inputs {', '.join(sorted(frame)) or 'none'} given, {', '.join(names)} expected")
        return frame

    def _unpack(self, data: Sequence[bytes]) -> dict[str, Array]:
        return {t.name: _unpack_plain(content, t) for t, content in zip(self._outputs, data, strict=True)}


def _native(package: Package, setting: Setting) -> Transport:
    library = package.program("library")
    transport = NativeTransport(library, setting)
    if transport.plan_hash != package.seal.plan:
        transport.close()
        raise RunError("hash", f"{library}: was built for another package")
    return transport


def _emulated(package: Package, setting: Setting) -> Transport:
    board = package.manifest.board
    return EmulatedTransport(package.program("standalone", "riscv64"), board.isa, board.vlen, setting)


STARTERS: Mapping[str, Callable[[Package, Setting], Transport]] = {"sim": _native, "qemu": _emulated}


def _unpack_plain(data: bytes, tensor: Tensor) -> Array:
    """Bytes -> (C, H, W) in the element type's container."""
    flat = np.frombuffer(data, tensor.dtype.container)
    if len(tensor.shape) != 3:
        return flat.reshape(tensor.shape)
    channels, height, width = tensor.shape
    return flat.reshape(height, width, channels).transpose(2, 0, 1)
