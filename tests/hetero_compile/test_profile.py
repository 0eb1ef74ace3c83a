"""hetero-profile: a package's table and JSON, and what it says about packages that it cannot profile."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from small_package import lowered, manifest, written

from cpu_backend import toolchain
from hetero_compile import cli
from hetero_compile.profile_command import run
from ir.engine import Artifact


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return lowered()


@pytest.fixture(scope="module")
def package(artifact: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        toolchain.riscv_compiler()
        toolchain.emulator()
    except toolchain.ToolError as error:
        pytest.skip(str(error))
    return written(tmp_path_factory.mktemp("profile"), artifact, manifest(artifact))


def test_json(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cycles follow from their parts and the parts from the counts; two runs print the same digits."""
    assert run([str(package), "--json"]) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert (found["machine"], found["isa"], found["vlen"], found["clock_mhz"]) == ("spacemit-x60", "rv64gcv", 256, 1600)
    (region,) = found["regions"]
    assert (region["name"], [layer["name"] for layer in region["layers"]]) == ("cpu0", ["conv", "head"])
    for layer in region["layers"]:
        assert layer["entries"] == 1
        assert layer["cycles"] == max(layer["issue"], layer["arithmetic"], layer["memory"]) + layer["stalls"]
        assert layer["stalls"] == 16 * layer["l1_misses"] + 120 * layer["l2_misses"]  # the X60's table
        divisions = layer["instructions"].get("div", 0)
        assert layer["issue"] == -(-sum(layer["instructions"].values()) // 2) + 19 * divisions  # two a cycle
        assert layer["beats"]["vload"] > 0
    weights = 16 * 3 * 3 * 3 + 4 * 16 + 2 * 4 * 16  # int8, and two int32 a channel of the requantisation
    assert weights < region["bytes"]["constants"] < weights + 4096
    assert 4096 < region["bytes"]["code"] < 1 << 18
    assert region["bytes"]["data"] == 0  # all memory is the caller's
    assert found["cycles"] == sum(layer["cycles"] for layer in region["layers"])
    assert found["ms"] == pytest.approx(found["cycles"] / 1.6e6)
    assert run([str(package), "--json"]) == 0
    assert capsys.readouterr().out == text


def test_table(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(package), "--machine", "generic", "--vlen", "512"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "small on generic (rv64gcv, VLEN 512): one frame, one core, warm caches; an estimate"
    rows = {line.split()[0]: line.split() for line in lines[3:-2]}
    assert list(rows) == ["conv", "head"]
    cycles = [int(row[1].replace(",", "")) for row in rows.values()]
    assert re.fullmatch(r"bytes: code [\d,]+, constants [\d,]+", lines[-2])
    assert lines[-1].startswith(f"together {sum(cycles):,} cycles, ") and lines[-1].endswith(" ms at 1600 MHz")


def test_another_board(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The package's C is portable: PolarFire's cores run it without vectors."""
    assert run([str(package), "--board", "polarfire-icicle", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["machine"], found["isa"], found["vlen"], found["clock_mhz"]) == ("u54", "rv64gc", 0, 600)
    layer = found["regions"][0]["layers"][0]
    assert (layer["arithmetic"], layer["memory"], layer["beats"], layer["bound"]) == (0, 0, {}, "issue")


def error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error of a run with status 2."""
    assert run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1
    return printed.err.strip()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--machine", "x60"], "hetero-profile: machine 'x60': unknown (shipped: generic, sifive-x280, spacemit-x60, "),
        (["--machine", "u54"], "hetero-profile: machine 'u54' does not run rv64gcv (it runs rv64gc)"),
        (["--vlen", "512"], "hetero-profile: machine 'spacemit-x60' does not exist with VLEN 512 (with 256)"),
        (["--board", "polarfire-icicle", "--vlen", "128"], "hetero-profile: a vector length of 128 does not go with "),
        (["--board", "unknown"], "hetero-profile: board 'unknown': unknown (shipped: bananapi-f3, "),
        (["--vlen", "100"], "hetero-profile: Invalid value for '--vlen': '100' is not one of '128', '256', "),
        (["--speed"], "hetero-profile: No such option"),
    ],
)
def test_wrong_options(
    options: list[str], expected: str, artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert error([str(written(tmp_path, artifact, manifest(artifact))), *options], capsys).startswith(expected)


def test_no_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert error([str(tmp_path)], capsys).endswith("is no package (it has no manifest.json)")


def test_no_cpu_region(artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = manifest(artifact)
    device = replace(whole, regions=(replace(whole.regions[0], side="device"),))
    message = error([str(written(tmp_path, artifact, device))], capsys)
    assert message.endswith("has no CPU region: all of it runs on the accelerator")


def test_a_board_that_nobody_knows(artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its name, or because its facts are not those of the shipped board of that name; a machine model is enough."""
    for i, facts in enumerate(({"name": "my-board"}, {"vlen": 512})):
        folder = tmp_path / str(i)
        folder.mkdir()
        message = error([str(written(folder, artifact, manifest(artifact, **facts)))], capsys)
        assert "is none of the shipped ones: give its file with --board, or a machine model with --machine" in message


def test_a_machine_without_a_board(
    package: Path, artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = written(tmp_path, artifact, manifest(artifact, name="my-board", vlen=512))
    assert run([str(unknown), "--machine", "sifive-x280", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["machine"], found["vlen"], found["clock_mhz"], found["ms"]) == ("sifive-x280", 512, None, None)


def test_a_package_without_marks(
    package: Path, artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an older compiler wrote it."""
    files = dict(artifact.files)
    files["cpu/cpu0.c"] = artifact.files["cpu/cpu0.c"].replace("#ifdef HC_METER", "#ifdef NEVER")
    message = error([str(written(tmp_path, artifact, manifest(artifact), files))], capsys)
    assert message.endswith("cpu0.metered under the meter (VLEN 256): the program marked no region")


def test_rv32_needs_debians_emulator(
    package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    message = error([str(package), "--board", "ultra96-v2"], capsys)
    assert message.startswith(
        "hetero-profile: qemu-riscv32 is missing: install it (Debian and Ubuntu: apt-get install "
    )


def test_the_entry_point(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["hetero-profile", "--help"])
    assert cli.profile() == 0
    assert "Usage: hetero-profile [OPTIONS] PACKAGE" in capsys.readouterr().out
