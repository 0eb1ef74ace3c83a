"""What the measured primitives compute: simulated with Icarus Verilog against plain Python integers."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from hls.resources.catalogue import catalogue
from hls.resources.primitives import Primitive, primitive

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")

VECTORS = 60

CARRY4 = """
module CARRY4 (output [3:0] CO, output [3:0] O, input CI, input CYINIT, input [3:0] DI, input [3:0] S);
  // AMD UG974: O is S xor the carry, which each S passes on and otherwise takes from DI.
  wire [4:0] c = {CO, CI | CYINIT};
  assign O = S ^ c[3:0];
  assign CO[0] = S[0] ? c[0] : DI[0];
  assign CO[1] = S[1] ? c[1] : DI[1];
  assign CO[2] = S[2] ? c[2] : DI[2];
  assign CO[3] = S[3] ? c[3] : DI[3];
endmodule
"""

DOTS = [
    {"terms": terms, "weight": weight, "activation": activation, "chain": chain}
    for terms, weight, activation, chain in [
        (4, 1, 1, 4), (8, 2, 2, 4), (9, 3, 3, 4), (16, 4, 4, 4), (12, 4, 8, 8), (16, 8, 4, 4), (5, 5, 2, 4),
        (8, 1, 4, 4), (8, 4, 1, 4), (12, 7, 6, 3), (32, 8, 8, 8), (3, 6, 7, 4),
    ]
]  # fmt: skip

SAMPLE = [
    ("adder", {"bits": 5}),
    ("adder_tree", {"terms": 4, "bits": 5}),
    ("comparator", {"bits": 7}),
    ("maximum", {"bits": 6}),
    ("clip", {"bits": 12, "out": 4}),
    ("mux", {"inputs": 5, "bits": 3}),
    ("rom", {"words": 40, "bits": 5}),
    ("delay", {"cycles": 5, "bits": 4}),
    ("segment_decode", {"segments": 4, "pitch": 11, "chains": 4}),
    ("popcount", {"n": 25}),
    ("popcount", {"n": 64}),
    ("xnor_popcount", {"n": 26}),
    ("constant_dot", {"outputs": 4, "terms": 9, "weight": 4, "activation": 4}),
    ("constant_dot", {"outputs": 1, "terms": 27, "weight": 8, "activation": 8}),
    *(("lut_dot", dot) for dot in DOTS),
]


def vectors(p: Primitive) -> list[dict[str, int]]:
    """All zeros, all ones, then random operands."""
    source = random.Random(p.name)
    chosen = []
    for k in range(VECTORS):
        bits = {name: (1 << n) - 1 if k == 1 else source.getrandbits(n) if k else 0 for name, n in p.inputs.items()}
        if p.derive:
            p.derive(bits)
        chosen.append(bits)
    return chosen


def simulated(p: Primitive, operands: list[dict[str, int]], folder: Path) -> list[str]:
    ports, words, start = [], [0] * len(operands), 0
    for name, bits in p.inputs.items():
        ports.append(f".{name}(v[{start + bits - 1}:{start}])")
        words = [word | each[name] << start for word, each in zip(words, operands, strict=True)]
        start += bits
    bench = f"""
module bench;
  reg clk = 0; reg [{start - 1}:0] m [0:{len(operands) - 1}]; reg [{start - 1}:0] v; integer i, k;
  wire [{p.bits - 1}:0] y;
  top dut (.clk(clk), {", ".join(ports)}, .y(y));
  initial begin
    $readmemh("operands.hex", m);
    for (i = 0; i < {len(operands)}; i = i + 1) begin
      v = m[i]; #1;
      for (k = 0; k < {p.latency}; k = k + 1) begin clk = 1; #1; clk = 0; #1; end
      $display("%h", y);
    end
  end
endmodule
"""
    (folder / "operands.hex").write_text("\n".join(f"{word:x}" for word in words))
    (folder / "all.v").write_text(p.verilog + CARRY4 + bench)
    subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "bench", "all.v"], cwd=folder, check=True)
    return subprocess.run(["vvp", "bench"], cwd=folder, check=True, capture_output=True, text=True).stdout.split()


def check(p: Primitive, folder: Path) -> None:
    assert p.reference is not None
    operands = vectors(p)
    expected = [f"{p.reference(each):0{-(-p.bits // 4)}x}" for each in operands]
    assert simulated(p, operands, folder) == expected


@pytest.mark.parametrize(("family", "parameters"), SAMPLE, ids=str)
def test_primitives_compute_what_they_say(family: str, parameters: dict[str, int], tmp_path: Path) -> None:
    check(primitive(family, **parameters), tmp_path)


@pytest.mark.full
def test_the_whole_catalogue(tmp_path: Path) -> None:
    for family, parameters in catalogue():
        p = primitive(family, **parameters)
        if p.reference:
            check(p, tmp_path)
