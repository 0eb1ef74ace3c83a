"""Which emulator runs a package's RISC-V program."""

from __future__ import annotations

from pathlib import Path

import pytest

from host.errors import RunError
from host.piped import emulator


def executable(folder: Path, name: str, version: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho qemu-riscv64 version {version}\n")
    path.chmod(0o755)
    return path


def test_zvbb_takes_a_recent_emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="put qemu-riscv64 of version 9 or later on PATH"):
        emulator("rv64gcv_zvbb", 256)
    executable(tmp_path, "qemu-riscv64", "7.2.22 (Debian 1:7.2+dfsg-7)")
    with pytest.raises(RunError, match="use Zvbb"):
        emulator("rv64gcv_zvbb", 256)
    beside = executable(tmp_path, "qemu-riscv64-zvbb", "10.0.2")
    command = emulator("rv64gcv_zvbb", 256)
    assert command[0] == str(beside) and "vlen=256" in command[2] and "zvbb=true" in command[2]
