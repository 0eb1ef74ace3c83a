"""The C library that the setup builds, in a minute, is the one that packages are linked with."""

from __future__ import annotations

import os
from pathlib import Path

from cpu_backend import toolchain
from cpu_backend.warm import PROGRAM
from host.build import ZIG_LINK


def test_a_package_is_linked_with_the_library_of_the_setup(tmp_path: Path) -> None:
    source = tmp_path / "hello.c"
    source.write_text(PROGRAM)
    toolchain.build_riscv([source], tmp_path / "first", toolchain.SCALAR)
    source.write_text(PROGRAM + f"// {tmp_path}\n")  # which no cache knows
    command = [*toolchain.riscv_compiler(), *ZIG_LINK.split(), source, "-o", tmp_path / "second"]
    said = toolchain.run(command, folder=tmp_path, environment={**os.environ, "ZIG_VERBOSE_CC": "1"}).stderr
    compiled = {word for word in said.split() if word.endswith(".c")}
    assert {Path(name).name for name in compiled} == {"hello.c"}
