"""Objects kept between builds: the same ones are not compiled again, any difference is seen."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from host import objects
from host.build import Toolchain
from host.package import Package, write_package
from tests.host import fake

FILES = {
    **fake.FILES,
    "regions/head/head.c": '#include "own.h"\n' + fake.HEAD,
    "regions/head/own.h": "#define KERNEL <inner.inc>\n#include KERNEL\n",
    "regions/head/inner.inc": "enum { UNUSED_HERE = 1 };\n",
}


@dataclass(frozen=True)
class Builder:
    """Builds packages by a compiler that notes what it compiles."""

    folder: Path
    log: Path
    compiler: Path

    def build(self, name: str, files: Mapping[str, str], *extra: str) -> tuple[Package, set[str]]:
        """A package, and the C sources that were compiled for it."""
        self.log.write_text("")
        toolchain = Toolchain(cc=str(self.compiler), extra=extra, objects=self.folder / "objects")
        package = write_package(self.folder / name, fake.manifest(), files, toolchain.build)
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return package, {words[-1] for words in lines if "-c" in words}


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    for command in ("make", "cc", "c++"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
    compiler, log = tmp_path / "noting", tmp_path / "log"
    compiler.write_text(f'#!/bin/sh\necho "$*" >>{log}\nexec cc "$@"\n')
    compiler.chmod(0o755)
    return Builder(tmp_path, log, compiler)


def test_what_was_compiled_once_is_used_again(builder: Builder) -> None:
    first, compiled = builder.build("first", FILES)
    assert {"runtime/hc_schedule.c", "regions/head/head.c", "plan.c"} <= compiled
    second, again = builder.build("second", FILES)
    assert again == set()
    assert second.seal == first.seal


@pytest.mark.slow
def test_a_source_or_a_file_that_it_names_is_compiled_anew(builder: Builder) -> None:
    builder.build("first", FILES)
    for i, name in enumerate(("regions/head/head.c", "regions/head/own.h", "regions/head/inner.inc")):
        edited = {**FILES, name: FILES[name] + "enum { ANOTHER = 1 };\n"}
        _, compiled = builder.build(f"edited{i}", edited)
        assert compiled == {"regions/head/head.c", "plan.c"}, name  # the plan has the hash of all files


@pytest.mark.slow
def test_other_flags_and_another_compiler_compile_everything(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    _, compiled = builder.build("first", FILES)
    assert builder.build("flags", FILES, "OPTIMISE=-O1")[1] == compiled
    monkeypatch.setenv("CFLAGS", "-DOF_THE_ENVIRONMENT")  # which make reads
    assert builder.build("environment", FILES)[1] == compiled
    monkeypatch.delenv("CFLAGS")
    said = 'case "$*" in --version) echo newer; exit;; esac\n'
    builder.compiler.write_text(builder.compiler.read_text().replace("exec", f"{said}exec"))
    assert builder.build("compiler", FILES)[1] == compiled


def test_the_oldest_objects_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "LIMIT", 250)
    folder, made = tmp_path / "objects", tmp_path / "made.o"
    made.write_bytes(bytes(100))
    for age, name in enumerate(("a", "b", "c")):
        objects.keep({made: folder / f"{name}.o"}, folder)
        os.utime(folder / f"{name}.o", (time.time() - 1000 + age,) * 2)
        if name == "b":
            os.utime(folder / "a.o")  # used again
    assert sorted(path.name for path in folder.iterdir()) == ["a.o", "c.o"]


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    made = tmp_path / "made.o"
    made.write_bytes(b"")
    objects.keep({made: tmp_path / "file" / "a.o"}, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "no folder"
