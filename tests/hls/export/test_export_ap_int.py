"""The exported texts as a C++ compiler reads them: ap_int computes the network that the graph defines."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np
import pytest
from export_networks import random_network

from hls.csim import CSimulationError, ap_headers
from hls.export.layers import conv_layers
from hls.export.params import params_files
from hls.export.read import read_params
from ir.executor import execute

HARNESS = """
#include <cstdio>
#include <vector>
#include "config.h"
#include "weights.hpp"
typedef std::vector<long long> Tensor;

// What the templates do, in the plainest loops: lanes of a word are signed, the rounding constant is added here.
template <int K, int C, int H, int W, int O, int P, int WB, int SIMD, int PE, int N>
static Tensor convolve(const Tensor &x, const ap_uint<WB * SIMD> (&w)[PE][K][N]) {
    const int oh = H + 2 * P - K + 1, ow = W + 2 * P - K + 1;
    Tensor out((size_t)O * oh * ow);
    for (int o = 0; o < O; o++) for (int r = 0; r < oh; r++) for (int c = 0; c < ow; c++) {
        long long sum = 0;
        for (int kc = 0; kc < K; kc++) for (int kr = 0; kr < K; kr++) for (int i = 0; i < C; i++) {
            const int y = r + kr - P, xx = c + kc - P, flat = kr * C + i;
            if (y < 0 || y >= H || xx < 0 || xx >= W) continue;
            const ap_uint<WB * SIMD> word = w[o % PE][kc][o / PE * (K * C / SIMD) + flat / SIMD];
            const ap_int<WB> lane = word.range((flat % SIMD + 1) * WB - 1, flat % SIMD * WB);
            sum += lane.to_int64() * x[(i * H + y) * W + xx];
        }
        out[(o * oh + r) * ow + c] = sum;
    }
    return out;
}
template <int PE, int N, int IB, int BB>
static void requantise(Tensor &x, int channels, int shift, int bits, const ap_int<IB> (&inc)[PE][N],
                       const ap_int<BB> (&bias)[PE][N]) {
    for (size_t i = 0; i < x.size(); i++) {
        const int c = (int)(i / (x.size() / channels));
        const long long scaled = x[i] * inc[c % PE][c / PE].to_int64() + bias[c % PE][c / PE].to_int64();
        const long long v = (scaled + (1ll << (shift - 1))) >> shift;
        x[i] = v < 0 ? 0 : v >> bits ? (1ll << bits) - 1 : v;
    }
}
static Tensor pool(const Tensor &x, int channels, int rows, int columns) {
    Tensor out;
    for (int c = 0; c < channels; c++) for (int r = 0; r < rows / 2; r++) for (int k = 0; k < columns / 2; k++) {
        long long most = -1;
        for (int i = 0; i < 4; i++) {
            const long long v = x[(c * rows + 2 * r + i / 2) * columns + 2 * k + i % 2];
            most = v > most ? v : most;
        }
        out.push_back(most);
    }
    return out;
}
int main() {
    Tensor x;
    for (long long v; std::scanf("%lld", &v) == 1;) x.push_back(v);
BODY
    for (long long v : x) std::printf("%lld\\n", v);
}
"""


def body(layers: int, pooled: list[bool]) -> str:
    """Calls that know only the macros and whether a layer is pooled, which is seen from the macros' extents."""
    lines = []
    for n in range(layers):
        m = f"CONV_{n}_"
        sizes = ", ".join(m + name for name in ("K", "IFM_CH", "IFM_ROW", "IFM_COL", "OFM_CH"))
        padding = f"({m}OFM_ROW - {m}IFM_ROW + {m}K - 1) / 2"
        lines.append(f"    x = convolve<{sizes}, {padding}, {m}W_BIT, {m}SIMD, {m}PE>(x, conv_{n}_w);")
        if n < layers - 1:
            shift = f"{m}W_BIT - 1 + {m}IN_BIT + {m}L_SHIFT"
            lines.append(f"    requantise(x, {m}OFM_CH, {shift}, CONV_{n + 1}_IN_BIT, conv_{n}_inc, conv_{n}_bias);")
            if pooled[n]:
                lines.append(f"    x = pool(x, {m}OFM_CH, {m}OFM_ROW, {m}OFM_COL);")
    return "\n".join(lines)


@pytest.mark.parametrize("seed", [3, 8])
def test_ap_int_computes_the_network_from_the_files(seed: int, tmp_path: Path) -> None:
    """The texts included by a C++ compiler, strings parsed by ap_int, equal the reference executor on three frames."""
    try:
        headers = ap_headers()
    except CSimulationError as error:
        pytest.skip(str(error))
    graph, foldings = random_network(seed)
    files = params_files(conv_layers(graph, foldings))
    layers = read_params(files)
    pooled = [a.target[1:] != b.source[1:] for a, b in pairwise(layers)]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "main.cpp").write_text(HARNESS.replace("BODY", body(len(layers), pooled)))
    command = ["g++", "-std=c++17", "-O1", "-isystem", str(headers), "main.cpp", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (source,) = graph.inputs.values()
    rng = np.random.default_rng(seed)
    frames = [
        np.zeros(source.shape, int),
        np.full(source.shape, source.hi),
        rng.integers(0, source.hi + 1, source.shape),
    ]
    for frame in frames:
        expected = execute(graph, {"x": frame})[graph.outputs[0]]
        text = " ".join(map(str, frame.reshape(-1)))
        done = subprocess.run([tmp_path / "main"], input=text, capture_output=True, text=True, check=True)
        np.testing.assert_array_equal([int(v) for v in done.stdout.split()], expected.reshape(-1))
        assert len(done.stdout.split()) == prod(expected.shape)
