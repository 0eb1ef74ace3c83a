"""The PYNQ device on a stand-in of PYNQ's API whose memory is not coherent, served by the real device process."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host.bitstream import Hardware, Window, write_bitstream
from host.errors import PackageError, RunError
from host.manifest import Manifest
from host.package import Package, write_package
from host.plan import make_plan
from host.session import Session
from ir.engine import WeightPort
from tests.host import fake
from tests.host import test_host_regions as many
from tests.host.conftest import build
from tests.host.nodes import ADDRESS, PAGE, Nodes

VERILOG = "module scale(input clk); endmodule\n"
PATH = "regions/scale/scale.v"
HARDWARE = Hardware("fake", "xczu3eg-sbva484-1-e", "fake.bit", 1, (Window("registers", "0xa0000000", 0x1000),))


def manifest() -> Manifest:
    plain = fake.manifest(coherent=False, failover=True, driver="pynq")
    regions = tuple(replace(r, hardware=(PATH,)) if r.side == "device" else r for r in plain.regions)
    return replace(plain, regions=regions)


@pytest.fixture(scope="module")
def pynq_package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(tmp_path_factory.mktemp("pynq") / "p", manifest(), {**fake.FAILOVER_FILES, PATH: VERILOG})


def record(folder: Path, package: Package) -> Path:
    (folder / "built").mkdir()
    (folder / "built/fake.bit").write_bytes(b"bits")
    return write_bitstream(folder / "bits", "fake", package, HARDWARE, "Vivado", folder / "built").root


@pytest.fixture
def bitstream(pynq_package: Package, tmp_path: Path) -> Path:
    return record(tmp_path, pynq_package)


@pytest.fixture
def board(pynq_package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in's board, with a device process behind it."""
    monkeypatch.syspath_prepend(str(Path(__file__).with_name("fake_pynq")))
    monkeypatch.delitem(sys.modules, "pynq", raising=False)
    board = importlib.import_module("pynq").board
    with Nodes(tmp_path / "root", pynq_package) as nodes:
        board.registers, board.memory, board.address = nodes.registers, nodes.memory, ADDRESS
        board.downloaded, board.freed, board.failing, board.whole = [], 0, None, False
        yield board
    sys.modules.pop("pynq")  # monkeypatch.delitem would put it back afterwards


@pytest.mark.parametrize(("on", "whole"), [("pynq", False), ("pynq", True), ("board", False)])
def test_frames(pynq_package: Package, bitstream: Path, board: Any, on: Any, whole: bool) -> None:
    frames, said = fake.frames(20), list[str]()
    board.whole = whole
    with Session(pynq_package, on=on, bitstream=bitstream, notify=said.append) as session:
        for frame, answer in zip(frames, session.run_all(frames), strict=True):
            for name, expected in fake.meaning(frame).items():
                np.testing.assert_array_equal(answer[name], expected, err_msg=name)
    assert said == []
    assert board.downloaded == [str(bitstream / "fake.bit")]
    assert board.freed == 1


def test_dma_memory_that_is_exhausted(pynq_package: Package, bitstream: Path, board: Any) -> None:
    board.memory.write_bytes(bytes(4096))
    with pytest.raises(RunError, match=r"PYNQ has no [0-9]+ bytes of DMA memory \(Failed to allocate") as caught:
        Session(pynq_package, on="pynq", bitstream=bitstream)
    assert caught.value.code == "dma_memory"


def test_a_wrong_bitstream_is_not_configured(pynq_package: Package, board: Any, tmp_path: Path) -> None:
    """Neither one of another accelerator, nor one whose device says it was built for another package."""
    files = {**fake.FAILOVER_FILES, PATH: VERILOG + "//\n"}
    other = write_package(tmp_path / "other", manifest(), files)
    (tmp_path / "foreign").mkdir()
    with pytest.raises(PackageError, match="holds another accelerator than the package"):
        Session(pynq_package, on="pynq", bitstream=record(tmp_path / "foreign", other))
    assert board.downloaded == []
    with board.registers.open("r+b") as registers:
        registers.seek(8)
        registers.write(b"\1\2\3\4")
    with pytest.raises(RunError, match="the device was built for another package") as caught:
        Session(pynq_package, on="pynq", bitstream=record(tmp_path, pynq_package))
    assert caught.value.code == "hash"
    assert board.freed == 1


def test_without_pynq(pynq_package: Package, bitstream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(RunError, match="PYNQ is not installed"):
        Session(pynq_package, on="pynq", bitstream=bitstream)
    with pytest.raises(RunError, match="needs the bitstream"):
        Session(pynq_package, on="pynq")


@pytest.mark.parametrize("way", ["flush", "invalidate"])
@pytest.mark.parametrize("call", [1, 2, 3, 5, 8, 13, 40, 200])
def test_cache_maintenance_that_fails_gives_no_wrong_frame(
    pynq_package: Package, bitstream: Path, board: Any, way: str, call: int
) -> None:
    """Wherever it fails, of rings or of buffers: an error that names the cause, or the CPU goes on; all that came out
    before is right."""
    frames, said, right = fake.frames(30), list[str](), 0
    try:
        with Session(pynq_package, on="pynq", bitstream=bitstream, notify=said.append) as session:
            board.failing = (way, call, RuntimeError("Flush\nFailed: 22"))
            for frame, answer in zip(frames, session.run_all(frames), strict=True):
                for name, expected in fake.meaning(frame).items():
                    np.testing.assert_array_equal(answer[name], expected, err_msg=name)
                right += 1
    except RunError as error:
        assert error.code == "sync" and str(error).endswith("cache maintenance failed (Flush Failed: 22)")
        assert str(error).startswith("region '")
    else:
        assert right == 30 and (board.failing or len(said) == 1)
    assert board.freed == 1


def test_an_interrupt_during_cache_maintenance_is_not_lost(pynq_package: Package, bitstream: Path, board: Any) -> None:
    session = Session(pynq_package, on="pynq", bitstream=bitstream)
    frames = fake.frames(3)
    session.run(frames[0])
    board.failing = ("invalidate", 2, KeyboardInterrupt())
    with session, pytest.raises(KeyboardInterrupt):
        session.run(frames[1])
    assert board.freed == 1


def test_weights_come_once_a_frame_or_not_at_all(board: Any, tmp_path: Path) -> None:
    """What is brought once a frame is in the device's memory, flushed; what is streamed has no driver."""
    words = np.arange(-10, 10, dtype=np.int32)
    path = "regions/scale/weights.c"
    source = (
        f"#include <stdint.h>\nstatic const int32_t w[] = {{{', '.join(map(str, words))}}};\n"
        "extern const void *const hc_weights_scale[];\nconst void *const hc_weights_scale[] = {w};\n"
    )

    def fed(repeats: int) -> Manifest:
        facts = {"weights": (WeightPort("w", 80, repeats),), "weight_source": path}
        plain = manifest()
        regions = tuple(replace(r, **facts) if r.side == "device" else r for r in plain.regions)  # type: ignore[arg-type]
        return replace(plain, regions=regions)

    files = {**fake.FAILOVER_FILES, PATH: VERILOG, path: source}
    package = build(tmp_path / "p", fed(1), files)
    with Nodes(tmp_path / "fed", package) as nodes:
        board.registers, board.memory = nodes.registers, nodes.memory
        frames, said = fake.frames(6), list[str]()
        with Session(package, on="pynq", bitstream=record(tmp_path, package), notify=said.append) as session:
            for frame, answer in zip(frames, session.run_all(frames), strict=True):
                np.testing.assert_array_equal(answer["y"], fake.meaning(frame)["y"])
        plan = make_plan(package.manifest)
        start = PAGE + plan.frames * plan.pool_bytes
        assert nodes.memory.read_bytes()[start : start + 80] == words.tobytes()
    assert said == []
    streamed = write_package(tmp_path / "streamed", fed(50), files)
    (tmp_path / "of_streamed").mkdir()
    folder = record(tmp_path / "of_streamed", streamed)
    with pytest.raises(RunError, match="port 'w' brings its weights 50 times a frame; boards bring them once a frame"):
        Session(streamed, on="pynq", bitstream=folder)
    assert board.downloaded == [str(tmp_path / "bits/fake.bit")]


def test_several_regions_in_one_bitstream(board: Any, tmp_path: Path) -> None:
    """Every region of the package has to be in it, and each is reached."""
    package = build(tmp_path / "p", *many.described("pynq"))
    on_device = [region.name for region in package.manifest.regions if region.side == "device"]
    folder = record(tmp_path, package)
    fed = many.frames(30)
    with Nodes(tmp_path / "many", package) as nodes:
        board.registers, board.memory = nodes.registers, nodes.memory
        with Session(package, on="pynq", bitstream=folder) as session:
            many.assert_right(fed, list(session.run_all(fed)))
            runs = {step.name: step.runs for step in session.times() if step.kind == "device"}
    assert runs == dict.fromkeys(on_device, 30) and len(on_device) == 5
    document = json.loads((folder / "manifest.json").read_text())
    assert sorted(document["accelerators"]) == sorted(on_device)
    del document["accelerators"]["deep"]
    (folder / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(PackageError, match="region 'deep' has hash none in the bitstream"):
        Session(package, on="pynq", bitstream=folder)
