"""Sample texts of both implementations, the plan that the tests apply to them, and a way to run a text."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hls.csim import ap_headers
from hls.vendor import (
    Axis,
    Control,
    Interval,
    MemoryMaster,
    Multiplications,
    Partition,
    Plan,
    Storage,
)

SAMPLES = Path(__file__).parent / "samples"
TEXTS = {name: (SAMPLES / f"{name}.cpp").read_text() for name in ("ours", "v05")}
"""One network of three stages as this project prints it, and in the manner of HeteroCL v0.5."""

WEIGHTS = np.array([[-67108864, 67108863, -1, 12345678], [67108863, -67108864, 0, -7654321]])
SCALES = np.array([-32768, 32767])
TABLE = np.array([[-300000000, -5, 0, 300000000], [-2000000000, -1, 1, 2000000000]])


def plan_for(name: str) -> Plan:
    """One plan for both texts, but for the ports: this project's printer makes streams of them, v0.5 arrays."""
    streams = (Axis("x"), Axis("y"))
    arrays = (MemoryMaster("x", "gmem0"), MemoryMaster("y", "gmem1", depth=48, burst=16))
    return Plan(
        ports=("x", "y"),
        interfaces=(*(streams if name == "ours" else arrays), Control()),
        multiplications=(
            Multiplications("conv", "dsp", memory="conv_w", latency=3),
            Multiplications("conv", "fabric", memory="conv_mul"),
        ),
        storage=(Storage("conv", "conv_w", "rom_1p", "lutram"), Storage("conv", "conv_a", "ram_s2p", "lutram")),
        partitions=(
            Partition("conv", "conv_w", dimension=2),
            Partition("conv", "conv_table", "cyclic", dimension=2, factor=2),
        ),
        intervals=(Interval("conv", "og", 1), Interval("conv", "c", 1), Interval("store", "col", 4)),
    )


def network(frame: np.ndarray) -> np.ndarray:
    """What the sample network computes of (6, 4) words, in Python's integers."""
    rows = []
    for row in frame.tolist():
        total = WEIGHTS.astype(object) @ np.array(row, object)
        level = [sum(t >= limit for limit in limits) for t, limits in zip(total, TABLE.tolist(), strict=True)]
        rows.append([(t * m >> 3) + n for t, m, n in zip(total, SCALES.tolist(), level, strict=True)])
    return np.array(rows, dtype=np.int64)


CALLS = {
    "ours": (
        "hls::stream<ap_int<64>> x, y; for (int i = 0; i < 24; ++i) { long long v; std::cin >> v; x.write(v); } "
        'net(x, y); while (!y.empty()) std::cout << y.read().to_int64() << "\\n";'
    ),
    "v05": (
        "ap_int<64> x[6][4], y[6][2]; for (auto &row : x) for (auto &e : row) { long long v; std::cin >> v; e = v; } "
        'top(x, y); for (auto &row : y) for (auto &e : row) std::cout << e.to_int64() << "\\n";'
    ),
}


def run_text(folder: Path, text: str, main: str, given: Sequence[int]) -> list[int]:
    """Compiles a text and a main program under the ap_int headers; the integers it prints.

    The headers lack ``ap_axi_sdata.h``, which v0.5 includes and does not use.
    """
    (folder / "ap_axi_sdata.h").write_text("")
    source, program = folder / "text.cpp", folder / "text"
    source.write_text(f"{text}\n#include <iostream>\nint main() {{ {main} }}\n")
    command = ["g++", "-std=c++17", "-O0", "-Wno-unknown-pragmas", "-I", str(folder), "-isystem", str(ap_headers())]
    built = subprocess.run([*command, str(source), "-o", str(program)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    words = "\n".join(map(str, given))
    done = subprocess.run([str(program)], input=words, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]
