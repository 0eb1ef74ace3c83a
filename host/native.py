"""The runtime's library in this process, through ctypes (runtime/hc_session.h)."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_int32, c_uint32, c_uint64, c_void_p, pointer
from pathlib import Path

from host.device import Link, Mapping
from host.errors import RunError
from host.transport import SPAN, RawSpan, Setting

OK, PENDING, BUSY = 0, 1, 2
SLICE_MS = 100
OPEN_SECONDS = 30.0
TEXT_BYTES = 512
"""HC_TEXT_BYTES of runtime/hc_failure.h."""

_Sync = CFUNCTYPE(c_int32, c_void_p, c_uint64, c_uint64, c_int32)


class _StepTime(ctypes.Structure):
    _fields_ = (("runs", c_uint64), ("busy_ns", c_uint64))


class _Mapping(ctypes.Structure):
    _fields_ = (
        ("registers", c_void_p),
        ("memory", c_void_p),
        ("bus_address", c_uint64),
        ("bytes", c_uint64),
        ("sync", _Sync),
        ("context", c_void_p),
    )


class _Link(ctypes.Structure):
    _fields_ = (
        ("shared", c_char_p),
        ("nodes", c_char_p),
        ("mapping", POINTER(_Mapping)),
        ("interrupt", c_int32),
    )


class _Maintenance:
    """A device's cache maintenance, as the library calls it: 0, or 1 where it raised what is then in ``raised``."""

    def __init__(self, sync: Callable[[int, int, bool], None]) -> None:
        self._sync = sync
        self.raised: BaseException | None = None

    def __call__(self, context: object, offset: int, size: int, for_device: int) -> int:
        try:
            self._sync(offset, size, bool(for_device))
        except BaseException as error:  # an interrupt, too: nothing passes through the library's frames
            self.raised = self.raised or error
            return 1
        return 0


class NativeTransport:
    """A `host.transport.Transport`; signals are handled between slices of `SLICE_MS`."""

    def __init__(self, library: Path, setting: Setting) -> None:
        self._library = _load(library)
        self._setting = setting
        self._session = c_void_p()
        mapping = setting.device.link.mapping
        self._maintenance = _Maintenance(mapping.sync) if mapping and mapping.sync else None
        self._link = _link(setting.device.link, self._maintenance)  # kept: the library holds on to the callback
        self._open()
        self._library.hc_session_set_deadline(self._session, setting.deadline_ms)
        if setting.trace:
            self._raise_unless_ok(self._library.hc_session_trace(self._session))
        status = self._library.hc_session_set_threads(self._session, setting.threads)
        if status != OK:
            name, text = self._name(status), self._library.hc_status_text(status).decode()
            self.close()
            raise RunError(name, f"{setting.threads or 'all'} threads: {text}")

    @property
    def plan_hash(self) -> str:
        return f"{self._library.hc_session_plan_hash():016x}"

    def begin(self, inputs: Sequence[bytes]) -> bool:
        pointers = (c_char_p * len(inputs))(*inputs)
        status = self._library.hc_session_begin(self._session, pointers)
        self._pass_interrupt_on()
        self._tell()
        if status == BUSY:
            return False
        self._raise_unless_ok(status)
        return True

    def finish(self) -> list[bytes]:
        while (status := self._library.hc_session_advance(self._session, SLICE_MS)) == PENDING:
            self._pass_interrupt_on()
            self._tell()
        self._pass_interrupt_on()
        self._tell()
        self._raise_unless_ok(status)
        buffers = [ctypes.create_string_buffer(size) for size in self._setting.output_bytes]
        pointers = (c_void_p * len(buffers))(*(ctypes.addressof(buffer) for buffer in buffers))
        self._raise_unless_ok(self._library.hc_session_finish(self._session, pointers))
        return [buffer.raw for buffer in buffers]

    def spans(self) -> list[RawSpan]:
        count = c_uint32()
        first = self._library.hc_session_spans(self._session, byref(count))
        return [RawSpan(*fields) for fields in SPAN.iter_unpack(ctypes.string_at(first, count.value * SPAN.size))]

    def times(self) -> list[tuple[int, int]]:
        times = self._library.hc_session_times(self._session)
        return [(times[step].runs, times[step].busy_ns) for step in range(self._setting.steps)]

    def close(self) -> None:
        if self._session:
            self._library.hc_session_close(self._session)
            self._session = c_void_p()

    def _open(self) -> None:
        about = ctypes.create_string_buffer(TEXT_BYTES)
        end = time.monotonic() + OPEN_SECONDS
        while True:
            status = self._library.hc_session_open(byref(self._link), SLICE_MS, about, byref(self._session))
            self._pass_interrupt_on()
            if status == OK:
                return
            if ended := self._setting.device.ended():
                raise RunError("device_lost", ended)
            if status != PENDING:
                more = about.value.decode(errors="replace") or self._cause()
                text = self._library.hc_status_text(status).decode()
                raise RunError(self._name(status), f"{text}{f': {more}' if more else ''}")
            if time.monotonic() > end:
                raise RunError("deadline", f"the device was not ready within {OPEN_SECONDS:g} s")

    def _tell(self) -> None:
        if notice := self._library.hc_session_notice(self._session):
            self._setting.notify(notice.decode())

    def _raise_unless_ok(self, status: int) -> None:
        if status != OK:
            ended = self._setting.device.ended() or self._cause()
            text = self._library.hc_session_failure(self._session).decode()
            raise RunError(self._name(status), f"{text}{f' ({ended})' if ended else ''}")

    def _pass_interrupt_on(self) -> None:
        """Ctrl-C while Python was called from the library."""
        raised = self._maintenance.raised if self._maintenance else None
        if raised and not isinstance(raised, Exception):
            raise raised

    def _cause(self) -> str:
        """What cache maintenance raised, in one line."""
        raised = self._maintenance.raised if self._maintenance else None
        return " ".join(str(raised).split()) if raised else ""

    def _name(self, status: int) -> str:
        return str(self._library.hc_status_name(status).decode())


def _link(link: Link, maintenance: _Maintenance | None) -> _Link:
    paths = (str(path).encode() if path else None for path in (link.shared, link.nodes))
    mapping = pointer(_mapping(link.mapping, maintenance)) if link.mapping else None
    return _Link(*paths, mapping, int(link.interrupt))


def _mapping(mapping: Mapping, maintenance: _Maintenance | None) -> _Mapping:
    callback = _Sync(maintenance) if maintenance else _Sync()
    return _Mapping(mapping.registers, mapping.memory, mapping.bus_address, mapping.bytes, callback, None)


def _load(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise RunError("system", f"{path}: cannot be loaded ({error})") from None
    signatures: dict[str, tuple[object, tuple[object, ...]]] = {
        "hc_session_plan_hash": (c_uint64, ()),
        "hc_session_open": (c_int, (POINTER(_Link), c_uint32, c_char_p, POINTER(c_void_p))),
        "hc_session_close": (None, (c_void_p,)),
        "hc_session_set_deadline": (None, (c_void_p, c_uint32)),
        "hc_session_set_threads": (c_int, (c_void_p, c_uint32)),
        "hc_session_begin": (c_int, (c_void_p, POINTER(c_char_p))),
        "hc_session_advance": (c_int, (c_void_p, c_uint32)),
        "hc_session_finish": (c_int, (c_void_p, POINTER(c_void_p))),
        "hc_session_times": (POINTER(_StepTime), (c_void_p,)),
        "hc_session_trace": (c_int, (c_void_p,)),
        "hc_session_spans": (c_void_p, (c_void_p, POINTER(c_uint32))),
        "hc_session_failure": (c_char_p, (c_void_p,)),
        "hc_session_notice": (c_char_p, (c_void_p,)),
        "hc_status_name": (c_char_p, (c_int,)),
        "hc_status_text": (c_char_p, (c_int,)),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
