"""Runs a package: `Session` feeds frames to the C scheduler, wherever that runs (`host.places`)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from host.bitstream import check_bitstream, load_bitstream
from host.errors import InputError, RunError
from host.manifest import Tensor
from host.package import Package, load_package
from host.places import Request, Where, resolve
from host.plan import StepKind, make_plan
from host.trace import Span, named_spans
from host.transport import Setting, Transport
from ir.layouts import Plain

Array = npt.NDArray[Any]
Frame = Mapping[str, Array] | Array


class FailoverWarning(UserWarning):
    """The device failed and the CPU computes its regions, or it serves again; the text says which, where and why."""


@dataclass(frozen=True)
class StepTime:
    """What one step of the plan took: frames it ran for and the seconds it was busy, as its own side measured."""

    name: str
    kind: StepKind
    runs: int
    seconds: float


def warn(text: str) -> None:
    """What a session does by default with what it has to say."""
    warnings.warn(text, FailoverWarning, stacklevel=4)


class Session:
    """A running network; a context manager, for one thread at a time.

    ``on`` is one of `host.places`; ``bitstream`` (folder or manifest), ``nodes`` and ``remote`` are what some of these
    need. ``deadline`` is how many seconds the device may go without completing a command. When the device fails and the
    package has CPU code for its regions, no frame is lost: the CPU goes on, ``notify`` is told why, and once the device
    answers again it gets the frames that begin then. ``trace`` keeps the `spans` of every frame.
    ``threads``: how many run CPU regions, at most the board's cores; None for as many of these as there are here.

    Frames and outputs are integer arrays (C, H, W) (or (C,)), keyed by tensor; a bare array is the only input. Raises
    PackageError (also for a bitstream of another accelerator), RunError, naming region, frame and cause, and, for a
    frame that is not what the network takes, InputError.
    """

    def __init__(
        self,
        package: Package | Path | str,
        on: Where = "sim",
        deadline: float = 10.0,
        bitstream: Path | str | None = None,
        threads: int | None = None,
        nodes: Path | None = None,
        remote: str | None = None,
        trace: bool = False,
        notify: Callable[[str], None] = warn,
    ) -> None:
        self.package = package if isinstance(package, Package) else load_package(package)
        manifest = self.package.manifest
        if threads is not None and not 1 <= threads <= manifest.board.threads:
            raise RunError("threads", f"{threads} threads: the package is made for 1..{manifest.board.threads}")
        request = Request(on, Path(bitstream) if bitstream is not None else None, nodes, remote)
        request, place = resolve(request, self.package)
        if request.bitstream is not None:
            check_bitstream(load_bitstream(request.bitstream), self.package)
        self._plan = make_plan(manifest)
        self._inputs = [manifest.tensor(name) for name in manifest.inputs]
        self._outputs = [manifest.tensor(name) for name in manifest.outputs]
        self._spans: list[Span] = []
        self._finished = 0
        self._trace = trace
        self._stack = ExitStack()
        self._closed = False
        try:
            device = place.device(self.package, request)
            self._stack.callback(device.close)
            setting = Setting(
                device=device,
                deadline=deadline,
                threads=threads or 0,
                output_bytes=tuple(Plain().bytes_of(tensor.type) for tensor in self._outputs),
                steps=len(self._plan.steps),
                frames=self._plan.frames,
                trace=trace,
                notify=notify,
            )
            self._transport = place.transport(self.package, request, setting)
            self._stack.callback(self._transport.close)
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

    def run_batch(self, frames: Array | Mapping[str, Array]) -> dict[str, Array]:
        """Frames stacked along a first axis, to outputs stacked likewise; as many as there are, also none."""
        arrays = frames if isinstance(frames, Mapping) else {self._inputs[0].name: frames}
        counts = {len(array) for array in arrays.values()}
        if len(counts) != 1:
            raise InputError(f"a batch holds as many frames of every input, not {sorted(counts)}")
        cut = ({name: array[i] for name, array in arrays.items()} for i in range(counts.pop()))
        answers = list(self.run_all(cut))
        empty = [np.empty((0, *tensor.shape), tensor.dtype.container) for tensor in self._outputs]
        return {
            tensor.name: np.stack([answer[tensor.name] for answer in answers]) if answers else none
            for tensor, none in zip(self._outputs, empty, strict=True)
        }

    def run_all(self, frames: Iterable[Frame]) -> Iterator[dict[str, Array]]:
        """The outputs of each frame, in order; while one is computed, later ones are taken and begun."""
        in_flight = 0
        try:
            for frame in frames:
                data = self._pack(frame)
                while not self._open_transport.begin(data):
                    in_flight -= 1
                    yield self._finish()
                in_flight += 1
            while in_flight:
                in_flight -= 1
                yield self._finish()
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

    def spans(self) -> list[Span]:
        """What was kept, with ``trace``, of the frames finished since the last call."""
        found, self._spans = self._spans, []
        return found

    def _finish(self) -> dict[str, Array]:
        outputs = self._unpack(self._open_transport.finish())
        if self._trace:
            self._spans += named_spans(self._transport.spans(), self._plan, self._finished)
        self._finished += 1
        return outputs

    def _drain(self, in_flight: int) -> None:
        try:
            for _ in range(in_flight):
                self._finish()
        except RunError:
            self.close()

    @property
    def _open_transport(self) -> Transport:
        if self._closed:
            raise RunError("closed", "the session is closed")
        return self._transport

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


def _unpack_plain(data: bytes, tensor: Tensor) -> Array:
    """Bytes -> (C, H, W) in the element type's container."""
    flat = np.frombuffer(data, tensor.dtype.container)
    if len(tensor.shape) != 3:
        return flat.reshape(tensor.shape)
    channels, height, width = tensor.shape
    return flat.reshape(height, width, channels).transpose(2, 0, 1)
