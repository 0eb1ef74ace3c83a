"""Bitstreams: strict reading, and none is loaded that was built from another accelerator."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host import cli
from host.bitstream import (
    PROTOCOL,
    REGISTER_BYTES,
    Hardware,
    Window,
    check_bitstream,
    load_bitstream,
    write_bitstream,
)
from host.errors import PackageError, RunError
from host.manifest import Manifest
from host.package import Package, load_package, write_package
from host.session import Session
from tests.host import fake

ROOT = Path(__file__).parents[2]
VERILOG = "module scale(input clk); endmodule\n"
PATH = "regions/scale/scale.v"
HARDWARE = Hardware(
    "fake",
    "xczu3eg-sbva484-1-e",
    "fake.bit",
    1,
    (Window("registers", "0xa0000000", 0x1000), Window("dma", "0xa0010000", 0x10000)),
)


def manifest(**facts: Any) -> Manifest:
    """The fake network, its device region made from one file."""
    plain = fake.manifest(**({"driver": "pynq"} | facts))
    regions = tuple(replace(r, hardware=(PATH,)) if r.side == "device" else r for r in plain.regions)
    return replace(plain, regions=regions)


def package_of(folder: Path, source: str = VERILOG, **facts: Any) -> Package:
    return write_package(folder, manifest(**facts), {**fake.FILES, PATH: source})


@pytest.fixture
def hard(tmp_path: Path) -> Package:
    return package_of(tmp_path / "package")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What the vendor's tools leave behind."""
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "fake.bit").write_bytes(b"\x00configuration\xff")
    (folder / "fake.hwh").write_text("<xml/>")
    return folder


@pytest.fixture
def folder(hard: Package, built: Path, tmp_path: Path) -> Path:
    """A recorded bitstream of the package."""
    return write_bitstream(tmp_path / "bits", "fake", hard, HARDWARE, "Vivado v2024.1", built).root


def test_the_accelerator_hash_is_of_the_hardware_and_of_nothing_else(hard: Package, tmp_path: Path) -> None:
    digest = hashlib.sha256(VERILOG.encode()).hexdigest()
    text = json.dumps({PATH: digest}, indent=1) + "\n"
    assert hard.seal.accelerators == {"scale": hashlib.sha256(text.encode()).hexdigest()}
    assert load_package(hard.root) == hard
    stated = json.loads((hard.root / "manifest.json").read_text())
    assert stated["seal"]["accelerators"] == hard.seal.accelerators
    other_board = package_of(tmp_path / "other", name="other", coherent=False)
    assert other_board.seal.hash != hard.seal.hash
    assert other_board.seal.accelerators == hard.seal.accelerators
    assert package_of(tmp_path / "edited", VERILOG + "//\n").seal.accelerators != hard.seal.accelerators


@pytest.mark.parametrize(
    ("region", "files", "message"),
    [
        (1, fake.FILES, f"region 'scale': hardware file '{PATH}' is not among the files"),
        (0, {**fake.FILES, PATH: VERILOG}, "region 'head': runs on the cpu, which is no hardware to be built"),
    ],
)
def test_hardware_that_is_none(region: int, files: dict[str, str], message: str, tmp_path: Path) -> None:
    plain = fake.manifest()
    regions = tuple(replace(r, hardware=(PATH,)) if i == region else r for i, r in enumerate(plain.regions))
    with pytest.raises(PackageError, match=f"^{re.escape(message)}$"):
        write_package(tmp_path / "package", replace(plain, regions=regions), files)


def test_what_is_recorded_is_read(hard: Package, folder: Path) -> None:
    for path in (folder, folder / "manifest.json"):
        bitstream = load_bitstream(path)
        assert bitstream.file.read_bytes() == b"\x00configuration\xff"
        assert bitstream.manifest.accelerators == hard.seal.accelerators
        assert bitstream.manifest.registers == HARDWARE.registers
        assert (bitstream.manifest.part, bitstream.manifest.tool) == ("xczu3eg-sbva484-1-e", "Vivado v2024.1")
        assert sorted(bitstream.manifest.files) == ["fake.bit", "fake.hwh"]
        check_bitstream(bitstream, hard)


def test_nothing_is_recorded_without_a_bitstream_or_an_accelerator(hard: Package, built: Path, tmp_path: Path) -> None:
    cpu_only = write_package(tmp_path / "cpu", fake.detector_manifest(), fake.DETECTOR_FILES)
    with pytest.raises(PackageError, match="no region of the package is built as hardware"):
        write_bitstream(tmp_path / "bits", "fake", cpu_only, HARDWARE, "Vivado", built)
    (built / "fake.bit").unlink()
    with pytest.raises(PackageError, match=r"the tools have made no fake\.bit$"):
        write_bitstream(tmp_path / "bits", "fake", hard, HARDWARE, "Vivado", built)
    assert not (tmp_path / "bits").exists()


def setting(*path: Any) -> Callable[[Any], None]:
    *keys, last, value = path

    def change(document: Any) -> None:
        for key in keys:
            document = document[key]
        document[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (setting("format", 2), "is no manifest of a bitstream that can be read (format 1 can)"),
        (setting("colour", "red"), "unknown key 'colour' (allowed: name, board, part, tool, protocol, bitstream, "),
        (lambda document: document.pop("part"), "key 'part' is missing"),
        (setting("tool", " "), "tool is empty"),
        (setting("tool", 2024.1), "tool: expected a text, found the number 2024.1"),
        (setting("protocol", 2), "speaks version 2 of the registers, this runtime version 1"),
        (setting("bitstream", "other.bit"), "bitstream 'other.bit' is not among the files"),
        (setting("accelerators", {}), "accelerators are empty"),
        (setting("accelerators", "scale", "ABC"), "'ABC' of 'scale' is no SHA-256"),
        (setting("files", "../x.bit", "0" * 64), "files: '../x.bit' is no plain relative path"),
        (setting("files", "a/x.bit", "0" * 64), "files: 'a/x.bit' must stand beside the manifest"),
        (setting("files", "x.bit", "0" * 64), "file 'x.bit' is missing"),
        (setting("files", "fake.bit", "0" * 64), "file 'fake.bit' is not the one that was recorded"),
        (setting("registers", 0, "name", "page"), "registers: no window 'registers' of 4096 bytes"),
        (setting("registers", 0, "bytes", 2048), "registers: no window 'registers' of 4096 bytes"),
        (setting("registers", 1, "name", "registers"), "registers: a name appears twice"),
        (setting("registers", 0, "base", "2684354560"), "base '2684354560' is no hexadecimal address"),
        (setting("registers", 0, "base", "0xa0000800"), "must be a power of two, aligned to itself"),
        (setting("registers", 0, "base", "0xa0011000"), "registers: 'dma' and 'registers' overlap"),
    ],
)
def test_damaged_manifests(change: Callable[[Any], None], message: str, folder: Path) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(PackageError) as raised:
        load_bitstream(folder)
    assert str(raised.value).startswith(str(path)) and message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_manifest_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no bitstream"):
        load_bitstream(tmp_path)
    for content in (b"\xff\xfe", b"{", b"[1]", b'{"format": 1, "format": 1}'):
        (tmp_path / "manifest.json").write_bytes(content)
        with pytest.raises(PackageError, match=r"manifest\.json: "):
            load_bitstream(tmp_path)


@pytest.fixture
def no_pynq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynq", None)


@pytest.mark.usefixtures("no_pynq")
def test_hetero_run_refuses_a_bitstream_of_another_accelerator(
    hard: Package, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with both hashes and status 2; the right bitstream gets as far as the driver."""
    other = package_of(tmp_path / "edited", VERILOG + "//\n")
    frame = tmp_path / "frame.npy"
    np.save(frame, fake.frames(3)[2])

    def run(package: Package, *options: str) -> str:
        status = cli.main([str(package.root), str(frame), "--json", *options])
        captured = capsys.readouterr()
        assert (status, captured.out) == (2, "")
        (line,) = captured.err.splitlines()
        return line

    line = run(other, "--on", "board", "--bitstream", str(folder))
    mine, theirs = hard.seal.accelerators["scale"], other.seal.accelerators["scale"]
    assert line == (
        f"hetero-run: {folder}/manifest.json: holds another accelerator than the package: region 'scale' has hash "
        f"{mine} in the bitstream, {theirs} in the package"
    )
    assert "PYNQ is not installed" in run(hard, "--on", "board", "--bitstream", str(folder))
    assert "needs the bitstream: --bitstream" in run(hard, "--on", "board")
    assert run(hard, "--bitstream", str(folder)) == ("hetero-run: --on sim takes no --bitstream (allowed with pynq)")
    assert run(hard, "--on", "board", "--bitstream", "nowhere").endswith("no bitstream (there is no manifest.json)")


@pytest.mark.usefixtures("no_pynq")
def test_a_session_refuses_too(hard: Package, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="holds another accelerator than the package"):
        Session(package_of(tmp_path / "edited", "//\n"), on="board", bitstream=folder)
    with pytest.raises(PackageError, match="is for board 'fake', the package for 'other'"):
        Session(package_of(tmp_path / "elsewhere", name="other"), on="board", bitstream=folder)
    plain = write_package(tmp_path / "plain", fake.manifest(driver="pynq"), fake.FILES)
    with pytest.raises(PackageError, match=r"has hash [0-9a-f]{64} in the bitstream, none in the package$"):
        Session(plain, on="board", bitstream=folder)
    cpu_only = write_package(
        tmp_path / "cpu", replace(fake.detector_manifest(), board=fake.board(driver="pynq")), fake.DETECTOR_FILES
    )
    with pytest.raises(PackageError, match="the package has no accelerator, it runs without a bitstream"):
        Session(cpu_only, on="board", bitstream=folder)
    with pytest.raises(RunError, match="PYNQ is not installed"):
        Session(hard, on="board", bitstream=folder)


def test_protocol_and_page_are_those_of_the_runtime() -> None:
    text = (ROOT / "host/runtime/hc_regs.h").read_text()
    assert f"HC_PROTOCOL_VERSION {PROTOCOL}u" in text
    assert f"HC_REGS_BYTES = {REGISTER_BYTES:#x}" in text


VIVADO = """#!/bin/sh
echo "vivado v2024.1 (64-bit)"
"""
MAKEFILE = """bit:
\tmkdir -p out
\tcp ../regions/scale/scale.v out/fake.bit
\tvivado -version > out/fake.hwh
"""


def with_project(folder: Path) -> Package:
    """A package whose vendor project is a Makefile that copies a file."""
    document = {
        "board": "fake",
        "part": "xczu3eg-sbva484-1-e",
        "bitstream": "fake.bit",
        "protocol": 1,
        "registers": [{"name": "registers", "base": "0xa0000000", "bytes": 4096}],
    }
    project = "hardware"
    files = {f"{project}/Makefile": MAKEFILE, f"{project}/hardware.json": json.dumps(document)}
    return write_package(folder, manifest(), {**fake.FILES, PATH: VERILOG, **files})


def build(package: Path, output: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bitstreams.build", str(package), "-o", str(output)],
        cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_build_script_runs_the_tools_and_records_the_manifest(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("vivado", "vitis_hls"):
        (tools / name).write_text(VIVADO)
        (tools / name).chmod(0o755)
    package = with_project(tmp_path / "package")
    done = build(package.root, tmp_path / "bits", f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    bitstream = load_bitstream(tmp_path / "bits/fake/fake")
    check_bitstream(bitstream, package)
    assert bitstream.manifest.tool == "vivado v2024.1 (64-bit)"
    assert bitstream.file.read_text() == VERILOG
    assert load_package(package.root) == package
    assert not list(package.root.glob("hardware/out"))


@pytest.mark.skipif(shutil.which("vivado") is not None, reason="vivado is installed")
def test_the_build_script_says_what_is_missing(tmp_path: Path) -> None:
    package = with_project(tmp_path / "package")
    done = build(package.root, tmp_path / "bits", os.environ["PATH"])
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("bitstreams.build: 'vivado' is not installed")
    plain = package_of(tmp_path / "plain")
    done = build(plain.root, tmp_path / "bits", os.environ["PATH"])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "hardware.json: is missing: there is no vendor project for this board" in done.stderr
