"""The PYNQ device on PYNQ itself: its Overlay, MMIO and buffers, over a device whose registers and memory are files.

PYNQ needs numpy 1, so it is not in the environment of the other tests. In one of its own (``pip install pynq pytest
pytest-xdist pillow``, and delete the folder ``tests`` that PYNQ puts into site-packages) this file shows that what
`tests/host/fake_pynq` pretends is what PYNQ does. It passes with 4.0.0.
"""

from __future__ import annotations

import importlib
import inspect
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from host.package import Package
from host.session import Session
from tests.host import fake
from tests.host.conftest import build
from tests.host.nodes import ADDRESS, Nodes
from tests.host.test_host_pynq import PATH, VERILOG, manifest, record

pynq: Any = pytest.importorskip("pynq")
FAKE = Path(__file__).with_name("fake_pynq")
BASE = 0xA0000000
METADATA: dict[str, Any] = {
    name: {} for name in ("ip_dict", "gpio_dict", "interrupt_controllers", "interrupt_pins", "hierarchy_dict")
} | {"mem_dict": {}, "clock_dict": {}, "systemgraph": None}


def file_device(nodes: Nodes, cached: Any, whole: bool) -> Any:
    """A `pynq.Device` whose registers and memory are those of ``nodes``."""

    class FileDevice(pynq.Device):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("files")
            self.name = "files"
            self.capabilities = {"MEMORY_MAPPED": True}
            self.downloaded: list[str] = []

        def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
            return SimpleNamespace(**METADATA)

        def download(self, bitstream: Any, parser: Any = None) -> None:
            self.downloaded.append(bitstream.bitfile_name)

        def mmap(self, base_addr: int, length: int) -> Any:
            assert base_addr == BASE
            with nodes.registers.open("r+b") as file:
                return np.frombuffer(mmap.mmap(file.fileno(), length), np.uint32)

        def allocate(self, shape: Any, dtype: Any, **_: Any) -> Any:
            own = np.full(shape, 0xEE, np.uint8)
            with nodes.memory.open("r+b") as file:
                device = np.frombuffer(mmap.mmap(file.fileno(), 0), np.uint8)[: own.size]
            self.cache = cached(own, device, whole)
            return pynq.buffer.PynqBuffer(
                shape, dtype, buffer=own, device=self, device_address=ADDRESS, bo=1, coherent=False
            )

        def flush(self, bo: int, offset: int, pointer: int, size: int) -> None:
            self.cache.flush(offset, size)

        def invalidate(self, bo: int, offset: int, pointer: int, size: int) -> None:
            self.cache.invalidate(offset, size)

    return FileDevice()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(tmp_path_factory.mktemp("pynq") / "p", manifest(), {**fake.FAILOVER_FILES, PATH: VERILOG})


@pytest.fixture
def caches(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(FAKE))
    yield importlib.import_module("caches")
    sys.modules.pop("caches")


@pytest.mark.parametrize("whole", [False, True])
def test_frames(package: Package, tmp_path: Path, caches: Any, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    bitstream = record(tmp_path, package)
    frames, said = fake.frames(20), list[str]()
    with Nodes(tmp_path / "root", package) as nodes:
        device = file_device(nodes, caches.Cached, whole)
        monkeypatch.setattr(type(pynq.Device), "active_device", device)
        with Session(package, on="pynq", bitstream=bitstream, notify=said.append) as session:
            for frame, answer in zip(frames, session.run_all(frames), strict=True):
                for name, expected in fake.meaning(frame).items():
                    np.testing.assert_array_equal(answer[name], expected, err_msg=name)
    assert said == [] and device.downloaded == [str(bitstream / "fake.bit")]


def test_the_stand_in_has_the_names_of_pynq() -> None:
    """Every parameter that the stand-in names is PYNQ's, at the same place."""
    specification = importlib.util.spec_from_file_location("stand_in_of_pynq", FAKE / "pynq.py")
    assert specification and specification.loader
    sys.path.insert(0, str(FAKE))
    try:
        specification.loader.exec_module(stand_in := importlib.util.module_from_spec(specification))
    finally:
        sys.path.remove(str(FAKE))
    for name in ("Overlay.__init__", "MMIO.__init__", "allocate"):
        mine, theirs = (list(inspect.signature(_found(module, name)).parameters) for module in (stand_in, pynq))
        named = [parameter for parameter in mine if parameter != "_"]
        assert theirs[: len(named)] == named, name
    for name in ("flush", "invalidate", "freebuffer"):
        assert len(inspect.signature(getattr(pynq.buffer.PynqBuffer, name)).parameters) == 1, name


def _found(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module
