"""hetero-tune: its table, what it resumes, and its one line for what it cannot do."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
from small_package import lowered, manifest, written

from cpu_backend import toolchain
from cpu_backend.engine import CpuEngine
from cpu_backend.tuning.database import SHIPPED, read_entry
from cpu_backend.tuning.measure import Measurement
from cpu_backend.tuning.signature import Signature
from cpu_backend.variants import Variant
from hetero_compile import tune, tune_command
from hetero_compile.flow import engines
from hetero_compile.tune_command import run

EXAMPLE = Path(__file__).parents[2] / "examples" / "ultranet_4w4a.pt"
BOARDS = ["zu3eg-rvv", "bananapi-f3"]


def refuse_to_build(*_: object) -> Path:
    raise AssertionError("something is measured")


@pytest.mark.parametrize("board", BOARDS)
def test_the_shipped_example_is_tuned(
    board: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every layer of the example is in the shipped database, so that nothing has to be measured; the default may be the
    best of all. Of four layers of one shape three have the same share of zeros, which by columns cost nothing."""
    monkeypatch.setattr(tune_command, "measurer", refuse_to_build)
    assert run([str(EXAMPLE), "--board", board]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("layers_")]
    assert len(rows) == 7 and sum("(+2)" in row for row in rows) == 1
    assert lines[-1].startswith("together ") and float(lines[-1].split()[-1].rstrip("x")) >= 1


def test_verify_names_what_does_not_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without measuring: kernels that changed, and a file that is none."""
    folder = tmp_path / "db"
    shutil.copytree(SHIPPED, folder)
    paths = sorted(folder.glob("*/*.json"))
    for path in paths:
        path.write_text(path.read_text().replace(read_entry(path).versions["kernels"], "0" * 12))
    assert run(["verify", "--db", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{paths[0].relative_to(folder)}: kernels changed"
    assert lines[-1] == f"{len(paths)} entries, 0 measured again, {len(paths)} do not hold"
    paths[0].write_text("{}")
    assert error(["verify", "--db", str(folder)], capsys).startswith(f"hetero-tune: {paths[0]}: is not an entry")


@pytest.mark.slow
def test_verify_measures_again(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        toolchain.riscv_compiler()
        toolchain.emulator()
    except toolchain.ToolError as missing:
        pytest.skip(str(missing))
    assert run(["verify", "--sample", "1", "--seed", "4"]) == 0
    assert " 1 measured again, 0 do not hold" in capsys.readouterr().out


class Counting:
    """A measurer for which every variant takes as long."""

    place = "meter"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def measure(self, signature: Signature, variant: Variant) -> Measurement:
        self.asked.append(f"{signature.name} {variant}")
        return Measurement(1000, "meter")


def package(folder: Path) -> Path:
    artifact = lowered()
    return written(folder, artifact, manifest(artifact))


def test_a_package_is_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the signatures that it carries; nothing is measured twice."""
    on = Counting()
    monkeypatch.setattr(tune_command, "measurer", lambda *_: nullcontext(on))
    arguments = [str(package(tmp_path)), "--board", "zu3eg-rvv", "--db", str(tmp_path / "db"), "--top", "2"]
    for _ in range(2):
        assert run(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines[-4:]] == ["layer", "conv", "head", "together"]
        assert lines[-1].endswith("cycles by default, 2,000 tuned: 1.00x")
    assert len(on.asked) == len(set(on.asked)) == 2 * 3
    assert len(list((tmp_path / "db").glob("generic-vlen256/*.json"))) == 2


def test_a_model_is_read_as_by_hetero_compile(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of floats that hold integers, of which --input says which: MLPerf Tiny's ResNet has nine convolutions
    and a fully connected layer."""
    monkeypatch.setattr(tune_command, "measurer", lambda *_: nullcontext(Counting()))
    model = shared_data / "integer_onnx" / "mlperf" / "ImageClassification" / "network.onnx"
    arguments = [str(model), "--board", "bananapi-f3", "--db", str(tmp_path / "db"), "--top", "1"]
    assert "say which, with --input uint8 or --input int8" in error(arguments, capsys)
    assert run([*arguments, "--input", "uint8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("together ") and sum(line.endswith("x") for line in lines[:-1]) == 10


def test_a_compilation_takes_ones_own_measurements_first(tmp_path: Path) -> None:
    (engine,) = (engine for engine in engines(tmp_path) if isinstance(engine, CpuEngine))
    assert engine.database.folders == (tmp_path, SHIPPED)
    (engine,) = (engine for engine in engines() if isinstance(engine, CpuEngine))
    assert engine.database.folders == (SHIPPED,)


def error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error of a run with status 2."""
    assert run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1
    return printed.err.rstrip()


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh")
def test_a_board_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reached for before anything is compiled."""
    monkeypatch.setattr(tune, "build_program", refuse_to_build)
    arguments = [str(package(tmp_path)), "--board", "bananapi-f3", "--on", "ssh://127.0.0.1:1"]
    assert run([*arguments, "--db", str(tmp_path / "db")]) == 2
    assert capsys.readouterr().err == (
        "hetero-tune: 127.0.0.1: ssh: connect to host 127.0.0.1 port 1: Connection refused\n"
    )
    assert not (tmp_path / "db").exists()


def test_one_line_for_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = ["--board", "bananapi-f3"]
    for arguments, message in (
        ([str(EXAMPLE), "--board", "nowhere"], "board 'nowhere': unknown (shipped: "),
        ([str(EXAMPLE), "--board", "polarfire-icicle"], "cores without vectors have one kernel for each layer"),
        ([str(EXAMPLE), *board, "--on", "telnet://x"], "'telnet://x' is no place to measure (meter, or ssh://"),
        ([str(EXAMPLE), *board, "--top", "0"], "--top"),
        ([str(EXAMPLE), *board, "--launcher", "taskset '2"], '--launcher "taskset \'2": No closing quotation'),
        ([str(tmp_path / "none.pt"), *board], "none.pt"),
        ([str(tmp_path), *board], str(tmp_path)),
        ([str(tmp_path), *board, "--input", "uint8"], "is a package, whose network was read when it was compiled"),
        ([str(EXAMPLE), *board, "--calibration", "inputs.npy"], "--calibration needs --quantise"),
        (["verify", "--db", str(tmp_path)], "no measurements"),
        ([], "Missing argument"),
    ):
        assert message in error(arguments, capsys), arguments
