"""The prototype network, unchanged but for its imports: pad, packed convolution, pool, fork, depthwise, residual."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest
from hcl_programs import run, run_ap

from hls.heterocl import hcl
from hls.heterocl.lower import lower
from hls.heterocl.simulate import simulate


@pytest.fixture(scope="module")
def net(shared_data: Path) -> types.ModuleType:
    file = shared_data.parent / "prototypes" / "heterocl" / "mini_net.py"
    if not file.exists():
        pytest.skip(f"no prototype at {file}")
    text = file.read_text()
    for old, new in (
        ("import heterocl as hcl, numpy as np, sys", "import numpy as np, sys; from hls.heterocl import hcl"),
        ("import extensions\n", ""),
        ("from extensions import alloc", "from hls.heterocl import alloc"),
    ):
        assert old in text
        text = text.replace(old, new)
    module = types.ModuleType("mini_net")
    exec(text, module.__dict__)
    return module


def _words(net: types.ModuleType, frame: np.ndarray) -> np.ndarray:
    return (frame.astype(np.int64) << (4 * np.arange(net.C))).sum(-1)


def _lanes(net: types.ModuleType, words: np.ndarray) -> np.ndarray:
    return np.stack([(words.astype(np.int64) >> (8 * k)) & 255 for k in range(net.C)], -1)


def _frame(net: types.ModuleType, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 16, (net.H, net.W, net.C))


@pytest.mark.parametrize("stream", [False, True], ids=["arrays", "streams"])
def test_native(net: types.ModuleType, stream: bool) -> None:
    schedule = net.build(stream)
    for seed in range(2):
        frame = _frame(net, seed)
        (got,) = run(schedule, _words(net, frame))
        assert np.array_equal(_lanes(net, got), net.ref(frame))


@pytest.mark.parametrize("stream", [False, True], ids=["arrays", "streams"])
@pytest.mark.parametrize("garbage", [0, 0x5A5A5A5A5])
def test_simulator(net: types.ModuleType, stream: bool, garbage: int) -> None:
    frame = _frame(net, 7)
    result = simulate(lower(net.build(stream)), _words(net, frame), np.zeros((net.H // 2, net.W // 2)), garbage=garbage)
    assert np.array_equal(_lanes(net, result.arrays[1]), net.ref(frame))
    if stream:
        assert result.peaks.keys() == {"P1", "B", "D", "F0", "F1", "P2", "G"}
        assert 7 <= result.peaks["F1"] <= 64  # the short branch waits for a line and a pixel of the long one


@pytest.mark.parametrize("stream", [False, True], ids=["arrays", "streams"])
def test_ap_int(net: types.ModuleType, stream: bool, tmp_path: Path) -> None:
    frame = _frame(net, 9)
    size, half = net.H * net.W, net.H * net.W // 4
    if stream:
        body = "hls::stream<ap_uint<16>> A; hls::stream<ap_int<32>> R; "
        feed, take = "A.write(v)", "R.read()"
    else:
        body = f"static ap_uint<16> A[{net.H}][{net.W}]; static ap_int<32> R[{net.H // 2}][{net.W // 2}]; "
        feed, take = f"A[i / {net.W}][i % {net.W}] = v", f"R[i / {net.W // 2}][i % {net.W // 2}]"
    body += f'int v; for (int i = 0; i < {size}; ++i) {{ scanf("%d", &v); {feed}; }} top(A, R); '
    body += f'for (int i = 0; i < {half}; ++i) printf("%d\\n", (int){take});'
    words = " ".join(map(str, _words(net, frame).reshape(-1)))
    got = run_ap(tmp_path, hcl.build(net.build(stream), target="vhls"), f"int main() {{ {body} return 0; }}", words)
    assert np.array_equal(_lanes(net, np.array(got).reshape(net.H // 2, net.W // 2)), net.ref(frame))


def test_stages_and_loops_are_attributes(net: types.ModuleType) -> None:
    top = net.build(True).program
    assert [loop.name for loop in top.P1.axis] == ["y", "x"]
    assert top.conv1.co.op.ii.data == 1
    assert top.conv1.ck.op.unroll.data == 0


def test_vitis_text(net: types.ModuleType) -> None:
    text = hcl.build(net.build(True), target="vhls")
    for line in (
        "void top(hls::stream<ap_uint<16>> &A, hls::stream<ap_int<32>> &R_stream) {",
        "#pragma HLS dataflow",
        "#pragma HLS stream variable=F1 depth=64",
        "#pragma HLS array_partition variable=LB1 complete dim=1",
        "#pragma HLS array_partition variable=WB1 complete dim=0",
        "static const int WP[2][3][3][4] = {",
        "conv1_co: for (int co = 0; co < 2; ++co) {\n                #pragma HLS pipeline II=1",
        "ap_uint<16>(q1) << (8 * co + 4)",
        "if (y >= 1 && y < 9 && x >= 1 && x < 13) {\n                pv = A.read();",
    ):
        assert line in text
