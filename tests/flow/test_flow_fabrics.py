"""Fabrics of other vendors: their multiplier blocks are packed, exactly, and no vendor project is promised."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_flow_user_network import checkpoint

from hetero_compile.command import run as hetero_compile

BOARD = """
name: other
objective: throughput
fabric: {{part: LFE5U-85F, dsp: {dsp}, dsp_count: 120, lut_count: 16000, bram18_count: 208, clock_mhz: 75}}
cpu: {{isa: rv64gc, cores: 1, clock_mhz: 100, role: host}}
memory: {{dma_pool_mib: 16, bandwidth_gb_s: 0.4, cache_line_bytes: 32, coherent: false}}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "dsp", ["ecp5", *(pytest.param(dsp, marks=pytest.mark.full) for dsp in ("gowin9", "gowin18", "gowin5a"))]
)
def test_blocks_of_other_vendors(dsp: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, board, package = checkpoint(tmp_path), tmp_path / "board.yaml", tmp_path / "package"
    board.write_text(BOARD.format(dsp=dsp))
    frame = tmp_path / "frame.npy"
    np.save(frame, np.random.default_rng(2).integers(0, 256, (3, 36, 48)))
    arguments = [str(model), "--arch", f"{tmp_path / 'net.py'}:Net", "--board", str(board), "-o", str(package)]
    assert hetero_compile([*arguments, "--check", str(frame)]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "no difference between" in said and "no vendor project for LFE5U-85F" in said
    used = json.loads((package / "placement.json").read_text())["resources"]
    assert 0 < used["dsp"] <= 120 and used["lut"] <= 16000 * 0.8
