"""Packages built once for all tests of the runtime."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from host.build import Toolchain
from host.manifest import Manifest
from host.package import Package, load_package, write_package
from tests.host import fake
from tests.once import Once

STRICT = ("WARNINGS=-Wall -Wextra -Werror",)


def build(
    folder: Path, manifest: Manifest, files: Mapping[str, str] = fake.FILES, cc_riscv: str | None = None
) -> Package:
    """A package built with warnings as errors; the test is skipped where there is no C compiler."""
    for command in ("make", "cc", "c++"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
    return write_package(folder, manifest, files, Toolchain(cc_riscv=cc_riscv, extra=STRICT).build)


@pytest.fixture(scope="session")
def package(once: Once) -> Package:
    """The fake network on a board whose memory is not coherent."""
    folder = once("host", lambda folder: build(folder / "package", fake.manifest(coherent=False)))
    return load_package(folder / "package")


@pytest.fixture(scope="session")
def cc_riscv() -> str:
    """The compiler of standalone RISC-V programs."""
    for module, wheel in (("ziglang", "ziglang"), ("qemu", "xuantie-qemu")):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{wheel} is not installed")
    return f"{sys.executable} -m ziglang cc"


@pytest.fixture(scope="session")
def riscv_package(once: Once, cc_riscv: str) -> Package:
    """The same with the standalone RISC-V program."""
    folder = once("host-riscv", lambda folder: build(folder / "package", fake.manifest(), cc_riscv=cc_riscv))
    return load_package(folder / "package")


@pytest.fixture(scope="session")
def spared_riscv(once: Once, cc_riscv: str) -> Package:
    """The fake network with CPU code for its device region, on a uio board, with the standalone RISC-V program."""
    manifest = fake.manifest(coherent=False, failover=True, driver="uio")
    folder = once("host-spared", lambda folder: build(folder / "package", manifest, fake.FAILOVER_FILES, cc_riscv))
    return load_package(folder / "package")


@pytest.fixture(scope="session")
def detector(once: Once) -> Package:
    """A CPU-only network that sees the same object in every photo: see `fake.DETECTOR_BOX`."""
    files = fake.DETECTOR_FILES
    folder = once("host-detector", lambda folder: build(folder / "package", fake.detector_manifest(), files))
    return load_package(folder / "package")
