"""`hetero-pack`: figures, drawing, simulation from a file, errors in one line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hls.packing.cli import main

ASK = ["--weight", "4", "--activation", "4", "--kernel", "3", "--dsp", "dsp48e2"]


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_figures(capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(capsys, *ASK, "--symmetric")
    assert answer["multiplies_per_dsp"] >= 7.5
    assert answer["proof"]["kind"] in ("exhaustive", "interval")
    assert sorted((answer["weight_bits"], answer["activation_bits"]))[0] <= 18
    assert sorted((answer["weight_bits"], answer["activation_bits"]))[1] <= 27
    assert answer["lut_estimate"] > 0 and answer["cascade_depth"] >= 1 and answer["scheme"] and answer["pitch"] > 0


def test_simulation_from_outside(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*ASK, "--json"]) == 0
    path = tmp_path / "packing.json"
    path.write_text(capsys.readouterr().out)
    rows = [([-8, -8, -8], [15] * 9), ([1, -8, 3], [15, 0, 7, 9]), ([7, 7, 7], [0])]
    lines = [json.dumps({"weights": w, "activations": a}) for w, a in rows]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    assert main(["--simulate", str(path)]) == 0
    answers = [json.loads(line)["sums"] for line in capsys.readouterr().out.splitlines()]
    assert answers == [np.convolve(w, a).tolist() for w, a in rows]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weight", "9", "--activation", "4"], "--weight 9 (allowed: 1 to 8 bits)"),
        (["--weight", "4"], "--activation is missing"),
        ([*ASK[:4], "--dsp", "dsp49"], "unknown multiplier 'dsp49' (allowed: dsp48e1"),
        ([*ASK[:4], "--kernel", "9"], "kernel 9x9 (allowed: 1 to 7)"),
        (
            ["--weight-range=-99999:9", "--activation-range", "0:9", "--dsp", "gowin9", "--no-split"],
            "fit no port of gowin9",
        ),
        ([*ASK, "--objective", "luts", "--rate", "40"], "rate 40 on dsp48e2"),
        (["--simulate", "missing.json"], "missing.json is no packing"),
    ],
)
def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1


def test_drawing_and_luts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASK, "--no-split"]) == 0
    drawing = capsys.readouterr().out
    assert "|w" in drawing and "|a" in drawing and "|s" in drawing and "proof: interval" in drawing
    assert main([*ASK[:6], "--dsp", "lut"]) == 0
    assert "no DSP" in capsys.readouterr().out
