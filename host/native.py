"""The runtime's library in this process, through ctypes (runtime/hc_session.h)."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_uint32, c_uint64, c_void_p
from pathlib import Path

from host.errors import RunError
from host.transport import Setting

OK, PENDING, BUSY = 0, 1, 2
SLICE_MS = 100
OPEN_SECONDS = 30.0


class _StepTime(ctypes.Structure):
    _fields_ = (("runs", c_uint64), ("busy_ns", c_uint64))


class NativeTransport:
    """A `host.transport.Transport`; signals are handled between slices of `SLICE_MS`."""

    def __init__(self, library: Path, setting: Setting) -> None:
        self._library = _load(library)
        self._setting = setting
        self._session = c_void_p()
        self._open()
        self._library.hc_session_set_deadline(self._session, setting.deadline_ms)
        status = self._library.hc_session_set_threads(self._session, setting.threads)
        if status != OK:
            self.close()
            raise self._error(status, f"{setting.threads or 'all'} threads")

    @property
    def plan_hash(self) -> str:
        return f"{self._library.hc_session_plan_hash():016x}"

    def begin(self, inputs: Sequence[bytes]) -> bool:
        pointers = (c_char_p * len(inputs))(*inputs)
        status = self._library.hc_session_begin(self._session, pointers)
        if status == BUSY:
            return False
        self._raise_unless_ok(status)
        return True

    def finish(self) -> list[bytes]:
        while (status := self._library.hc_session_advance(self._session, SLICE_MS)) == PENDING:
            self._setting.check_device()
        self._raise_unless_ok(status)
        buffers = [ctypes.create_string_buffer(size) for size in self._setting.output_bytes]
        pointers = (c_void_p * len(buffers))(*(ctypes.addressof(buffer) for buffer in buffers))
        self._raise_unless_ok(self._library.hc_session_finish(self._session, pointers))
        return [buffer.raw for buffer in buffers]

    def times(self) -> list[tuple[int, int]]:
        times = self._library.hc_session_times(self._session)
        return [(times[step].runs, times[step].busy_ns) for step in range(self._setting.steps)]

    def close(self) -> None:
        if self._session:
            self._library.hc_session_close(self._session)
            self._session = c_void_p()

    def _open(self) -> None:
        shared_file = self._setting.shared_file
        name, path = c_char_p(b""), str(shared_file).encode() if shared_file else None
        end = time.monotonic() + OPEN_SECONDS
        while True:
            status = self._library.hc_session_open(path, SLICE_MS, byref(name), byref(self._session))
            if status == OK:
                return
            self._setting.check_device()
            if status != PENDING:
                raise self._error(status, (name.value or b"").decode())
            if time.monotonic() > end:
                raise RunError("deadline", f"the device was not ready within {OPEN_SECONDS:g} s")

    def _raise_unless_ok(self, status: int) -> None:
        if status != OK:
            code = c_int32()
            step = self._library.hc_session_failed_step(self._session, byref(code)).decode()
            self._setting.check_device()
            raise self._error(status, f"{step} returned {code.value}" if code.value else step)

    def _error(self, status: int, about: str) -> RunError:
        text = self._library.hc_status_text(status).decode()
        return RunError(self._library.hc_status_name(status).decode(), f"{text}{f': {about}' if about else ''}")


def _load(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise RunError("system", f"{path}: cannot be loaded ({error})") from None
    signatures: dict[str, tuple[object, tuple[object, ...]]] = {
        "hc_session_plan_hash": (c_uint64, ()),
        "hc_session_open": (c_int, (c_char_p, c_uint32, POINTER(c_char_p), POINTER(c_void_p))),
        "hc_session_close": (None, (c_void_p,)),
        "hc_session_set_deadline": (None, (c_void_p, c_uint32)),
        "hc_session_set_threads": (c_int, (c_void_p, c_uint32)),
        "hc_session_begin": (c_int, (c_void_p, POINTER(c_char_p))),
        "hc_session_advance": (c_int, (c_void_p, c_uint32)),
        "hc_session_finish": (c_int, (c_void_p, POINTER(c_void_p))),
        "hc_session_times": (POINTER(_StepTime), (c_void_p,)),
        "hc_session_failed_step": (c_char_p, (c_void_p, POINTER(c_int32))),
        "hc_status_name": (c_char_p, (c_int,)),
        "hc_status_text": (c_char_p, (c_int,)),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
