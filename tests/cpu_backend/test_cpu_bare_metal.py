"""The bare-metal example: built by its Makefile, run on an emulated machine, equal to the reference executor."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cpu_backend import sizes as elf
from cpu_backend import toolchain
from cpu_backend.emit.scalar import pack_tiles
from cpu_backend.scalar import scheme
from ir.executor import execute

FOLDER = Path(__file__).parents[2] / "examples" / "bare_metal"
QEMU = {"rv32im": "qemu-system-riscv32", "rv64gcv": "qemu-system-riscv64"}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bare_metal_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def make(isa: str, folder: Path, goal: str) -> str:
    if shutil.which("make") is None:
        pytest.skip("make is missing")
    words = [f"ISA={isa}", f"PYTHON={sys.executable}", f"BUILD={folder}", goal]
    return toolchain.run(["make", "-C", FOLDER, *words], what=f"make {goal}").stdout


def checksum(result: bytes) -> int:
    """FNV-1a of 32 bits."""
    code = 2166136261
    for byte in result:
        code = ((code ^ byte) * 16777619) & 0xFFFFFFFF
    return code


@pytest.mark.parametrize("isa", QEMU)
def test_prints_what_the_reference_computes(isa: str, tmp_path: Path, riscv_tools: None) -> None:
    if shutil.which(QEMU[isa]) is None:
        pytest.skip(f"{QEMU[isa]} is missing (Debian and Ubuntu: apt-get install qemu-system-misc)")
    make(isa, tmp_path, "run")
    made = load("network").example()
    y = execute(made.graph, {"x": made.frame})["y"].ravel()
    assert len(set(y.tolist())) > 5
    expected = f"checksum {checksum(y.astype('<i4').tobytes()):08x}\ny {' '.join(map(str, y))}\n"
    assert (tmp_path / "printed.txt").read_text(encoding="ascii") == expected


def test_constants_are_read_only_and_sizes_are_reported(tmp_path: Path, riscv_tools: None) -> None:
    printed = make("rv32im", tmp_path, "all")
    sections = elf.sections((tmp_path / "firmware.elf").read_bytes())
    for name in (".text", ".rodata", ".data", ".bss"):
        size = sections[name][0] if name in sections else 0
        assert f"{name:8} {size:7} bytes" in printed
    assert sections.get(".data", (0, b""))[0] == 0
    graph = load("network").example().graph
    for name, source in (("second", "half"), ("y", "fourth")):
        w = graph.constants[f"{name}.w"].astype(np.int64)
        found = scheme(w, graph.types[source], 32)
        assert found is not None
        assert pack_tiles(w, found).tobytes() in sections[".rodata"][1], name
    assert sections[".bss"][0] < 16384


def test_a_wrong_result_is_seen(tmp_path: Path, riscv_tools: None) -> None:
    """`make run` compares: with another expectation it fails."""
    if shutil.which(QEMU["rv32im"]) is None:
        pytest.skip("qemu-system-riscv32 is missing (Debian and Ubuntu: apt-get install qemu-system-misc)")
    make("rv32im", tmp_path, "all")
    (tmp_path / "expected.txt").write_text("checksum 00000000\n", encoding="ascii")
    with pytest.raises(toolchain.ToolError, match="checksum 00000000"):
        make("rv32im", tmp_path, "run")
