"""Programs for boards whose host is an Arm: under an emulator, with the accelerator's simulator beside it."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from host import places
from host.build import Toolchain
from host.package import write_package
from host.piped import PipedTransport
from host.places import Place, Request
from host.session import Session
from ir.target import HostArch
from tests.host import fake
from tests.host.conftest import STRICT

EMULATORS = {"aarch64": ("qemu-aarch64", "/usr/aarch64-linux-gnu"), "armv7l": ("qemu-arm", "/usr/arm-linux-gnueabihf")}
"""With the folder of the C library (Debian: libc6-arm64-cross, libc6-armhf-cross)."""
ELF_MACHINES = {"aarch64": 183, "armv7l": 40}
"""e_machine of the ELF specification."""


@pytest.mark.slow
@pytest.mark.parametrize("machine", EMULATORS)
def test_frames(machine: HostArch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator, libraries = EMULATORS[machine]
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed")
    if shutil.which(emulator) is None or not Path(libraries).is_dir():
        pytest.skip(f"{emulator} or {libraries} is missing")
    manifest = fake.manifest(coherent=False, isa="rv32im", vlen=0, role="coprocessor", host_arch=machine)
    toolchain = Toolchain(cc_arm=f"{sys.executable} -m ziglang cc", extra=STRICT)
    package = write_package(tmp_path / "package", manifest, fake.FILES, toolchain.build)
    library = package.program("library", machine).read_bytes()
    assert library[:4] == b"\x7fELF" and struct.unpack_from("<H", library, 18) == (ELF_MACHINES[machine],)

    def transport(package: places.Package, request: Request, setting: places.Setting) -> PipedTransport:
        program = package.program("standalone", machine)
        return PipedTransport([emulator, "-L", libraries, str(program)], setting)

    monkeypatch.setitem(places.PLACES, "sim", Place(places.PLACES["sim"].device, transport))  # type: ignore[index]
    frames = fake.frames(20)
    with Session(package) as session:
        for frame, answer in zip(frames, session.run_all(frames), strict=True):
            for name, expected in fake.meaning(frame).items():
                np.testing.assert_array_equal(answer[name], expected, err_msg=name)
