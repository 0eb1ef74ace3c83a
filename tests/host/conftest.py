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
from host.package import Package, write_package
from tests.host import fake

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
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The fake network on a board whose memory is not coherent."""
    return build(tmp_path_factory.mktemp("packages") / "fake", fake.manifest(coherent=False))


@pytest.fixture(scope="session")
def riscv_package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The same with the standalone RISC-V program."""
    for module, wheel in (("ziglang", "ziglang"), ("qemu", "xuantie-qemu")):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{wheel} is not installed")
    folder = tmp_path_factory.mktemp("packages") / "riscv"
    return build(folder, fake.manifest(), cc_riscv=f"{sys.executable} -m ziglang cc")


@pytest.fixture(scope="session")
def spared_riscv(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The fake network with CPU code for its device region, on a uio board, with the standalone RISC-V program."""
    for module, wheel in (("ziglang", "ziglang"), ("qemu", "xuantie-qemu")):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{wheel} is not installed")
    folder = tmp_path_factory.mktemp("packages") / "spared"
    manifest = fake.manifest(coherent=False, failover=True, driver="uio")
    return build(folder, manifest, fake.FAILOVER_FILES, cc_riscv=f"{sys.executable} -m ziglang cc")


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A CPU-only network that sees the same object in every photo: see `fake.DETECTOR_BOX`."""
    return build(tmp_path_factory.mktemp("packages") / "detector", fake.detector_manifest(), fake.DETECTOR_FILES)
