"""Bound multiplications compute what the text computed before: both texts compiled under ap_int, extreme operands."""

from __future__ import annotations

import itertools
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from post_texts import CALLS, TEXTS, network, plan_for, run_text

from hls.heterocl import hcl
from hls.vendor import Control, Interval, MemoryMaster, Multiplications, Plan, VendorError, post_pass


def _frame() -> np.ndarray:
    """Activations of 18 bits: rows of extremes, then random ones; the words' high bits are noise that is cut off."""
    rng = np.random.default_rng(5)
    low, high = -(1 << 17), (1 << 17) - 1
    frame = rng.integers(low, high, (6, 4), endpoint=True)
    frame[0], frame[1], frame[2], frame[3] = low, high, (low, high, low, high), (0, -1, 1, low)
    return frame


@pytest.mark.parametrize("name", TEXTS)
def test_a_network_computes_the_same(name: str, tmp_path: Path) -> None:
    frame = _frame()
    words = (frame + (np.random.default_rng(6).integers(-9, 9, frame.shape) << 18)).ravel().tolist()
    expected = network(frame).ravel().tolist()
    assert run_text(tmp_path, TEXTS[name], CALLS[name], words) == expected
    assert run_text(tmp_path, post_pass(TEXTS[name], plan_for(name)), CALLS[name], words) == expected


PLACES = {
    "sum": "out[0] = a[0] * b[0] + 7;",
    "difference": "out[0] = 7 - a[0] * b[0];",
    "difference of unsigned": "out[0] = u[0] * v[0] - 7;",
    "negated": "out[0] = -(u[0] * v[0]);",
    "complement": "out[0] = ~(u[0] * v[0]);",
    "swapped ports": "out[0] = b[0] * a[0];",
    "signed by unsigned": "out[0] = a[0] * v[0];",
    "wrapped": "out[0] = ap_int<20>(a[0] * b[0]);",
    "wrapped to unsigned": "out[0] = ap_uint<44>(a[0] * b[0]);",
    "shifted left": "out[0] = (a[0] * b[0]) << 3;",
    "shifted right": "out[0] = (a[0] * b[0]) >> 5;",
    "shift of unsigned": "out[0] = (u[0] * v[0]) << 2;",
    "bits": "out[0] = ((a[0] * b[0]) & 1023) | (u[0] * v[0]) ^ -5;",
    "compared": "out[0] = a[0] * b[0] > u[0] * v[0] ? 1 : 2;",
    "chosen": "out[0] = test ? c * d : d * c;",
    "declared": "const ap_int<30> t = a[0] * b[0];\n    out[0] = t;",
    "product of a product": "out[0] = (ap_int<9>(a[0]) * ap_int<5>(b[0])) * 3;",
    "a name that is taken": "ap_int<45> out_product = a[0] * b[0];\n    out[0] = out_product * 1 + a[0] * b[0];",
    "widened": "ap_int<60> x = a[0];\n    ap_int<60> y = b[0];\n    ap_int<60> z = x * y;\n    out[0] = z;",
    "native": "int64_t x = ap_int<27>(a[0]);\n    int32_t y = b[0];\n    out[0] = x * y + ap_int<4>(c) * d;",
    "in place": "out[0] = 5;\n    out[0] += a[0] * b[0];",
}


ARGUMENTS = "ap_int<27> a[1], ap_int<18> b[1], ap_uint<26> u[1], ap_uint<17> v[1]"


def _places() -> str:
    functions = [
        f"static void f{i}({ARGUMENTS}, ap_int<64> out[1]) {{\n"
        f"    const ap_int<27> c = a[0];\n    const ap_int<18> d = b[0];\n"
        f"    const ap_uint<1> test = a[0] > b[0] ? 1 : 0;\n    {body}\n}}\n"
        for i, body in enumerate(PLACES.values())
    ]
    calls = "\n".join(f"    f{i}(a, b, u, v, out{i});" for i in range(len(PLACES)))
    results = ", ".join(f"ap_int<64> out{i}[1]" for i in range(len(PLACES)))
    top = f"void all({ARGUMENTS}, {results}) {{\n{calls}\n}}\n"
    return "#include <ap_int.h>\n#include <cstdint>\n\n" + "\n".join(functions) + "\n" + top


@pytest.mark.parametrize("implementation", ["dsp", "fabric"])
def test_a_product_anywhere_computes_the_same(implementation: Any, tmp_path: Path) -> None:
    text = _places()
    plan = Plan(multiplications=tuple(Multiplications(f"f{i}", implementation) for i in range(len(PLACES))))
    after = post_pass(text, plan)
    assert after.count("#pragma HLS bind_op") >= len(PLACES)
    outs = ", ".join(f"o{i}" for i in range(len(PLACES)))
    main = (
        f"long long w, x, y, z; while (std::cin >> w >> x >> y >> z) {{ {ARGUMENTS.replace(',', ';')}; "
        "a[0] = w; b[0] = x; u[0] = y; v[0] = z; ap_int<64> "
        + ", ".join(f"o{i}[1]" for i in range(len(PLACES)))
        + f"; all(a, b, u, v, {outs}); "
        + " ".join(f'std::cout << o{i}[0].to_int64() << "\\n";' for i in range(len(PLACES)))
        + " }"
    )
    operands = itertools.product(
        (-(1 << 26), -1, 0, (1 << 26) - 1), (-(1 << 17), 1, (1 << 17) - 1), (0, (1 << 26) - 1), (0, 5, (1 << 17) - 1)
    )
    given = [word for case in operands for word in case]
    before = run_text(tmp_path, text, main, given)
    assert len(before) == 72 * len(PLACES)
    assert run_text(tmp_path, after, main, given) == before


def test_a_program_of_this_projects_heterocl(tmp_path: Path) -> None:
    """Printed now, bound, run, and compared with numpy: extreme 27-bit weights times 18-bit operands."""
    weights = np.array([-(1 << 26), (1 << 26) - 1, -1, 99991, (1 << 26) - 1, -(1 << 26)])
    values = np.array([-(1 << 17), -(1 << 17), (1 << 17) - 1, (1 << 17) - 1, (1 << 17) - 1, 77777])

    def scaled(x: Any) -> Any:
        w = hcl.const_tensor(weights, "w", hcl.Int(27))
        return hcl.compute((6,), lambda i: w[i] * x[i], "made", dtype=hcl.Int(45))

    schedule = hcl.create_schedule([hcl.placeholder((6,), "x", hcl.Int(18))], scaled)
    text = hcl.build(schedule, target="vhls")
    main = (
        "ap_int<18> x[6]; ap_int<45> y[6]; for (auto &e : x) { long long v; std::cin >> v; e = v; } scaled(x, y); "
        'for (auto &e : y) std::cout << e.to_int64() << "\\n";'
    )
    expected = (weights * values).tolist()
    after = post_pass(text, Plan(multiplications=(Multiplications("scaled", "dsp", memory="w"),)))
    assert "impl=dsp" in after
    assert run_text(tmp_path, text, main, values.tolist()) == expected
    assert run_text(tmp_path, after, main, values.tolist()) == expected


def test_the_prototype_network(shared_data: Path, tmp_path: Path) -> None:
    """The program that v0.5 itself runs: padding, packed convolution, pooling, fork, depthwise, residual addition."""
    file = shared_data.parent / "prototypes" / "heterocl" / "mini_net.py"
    if not file.exists():
        pytest.skip(f"no prototype at {file}")
    source = file.read_text().replace(
        "import heterocl as hcl, numpy", "from hls.heterocl import alloc, hcl\nimport numpy"
    )
    net = types.ModuleType("mini_net")
    exec(source.replace("import extensions\n", "").replace("from extensions import alloc", ""), net.__dict__)
    text = hcl.build(net.build(False), target="vhls")
    plan = Plan(
        ports=("A", "R"),
        interfaces=(MemoryMaster("A", "gmem0"), MemoryMaster("R", "gmem1"), Control()),
        multiplications=(
            Multiplications("top", "dsp", memory="WP"),
            Multiplications("top", "fabric", memory="DW"),
        ),
        intervals=(Interval("top", None, 9),),
    )
    after = post_pass(text, plan)
    frame = np.random.default_rng(3).integers(0, 16, (net.H, net.W, net.C))
    words = (frame << (4 * np.arange(net.C))).sum(-1).ravel().tolist()
    main = (
        f"static ap_uint<16> A[{net.H}][{net.W}]; static ap_int<32> R[{net.H // 2}][{net.W // 2}]; "
        "for (auto &row : A) for (auto &e : row) { long long v; std::cin >> v; e = v; } top(A, R); "
        'for (auto &row : R) for (auto &e : row) std::cout << e.to_int64() << "\\n";'
    )
    got = np.array(run_text(tmp_path, after, main, words)).reshape(net.H // 2, net.W // 2)
    lanes = np.stack([(got >> (8 * k)) & 255 for k in range(net.C)], -1)
    assert np.array_equal(lanes, net.ref(frame))


REFUSED = {
    "call": ("out[0] = s.read() * b[0];", "has a call as an operand"),
    "condition": ("if (a[0] * b[0] > 4) {\n        out[0] = 1;\n    }", "stands in a condition"),
    "read under a condition": ("out[0] = b[0] > 0 ? a[b[0]] * b[0] : 0;", "reads an array under a condition"),
    "product of a bound product": ("out[0] = a[0] * b[0] * b[1];", "is an operand of another product"),
    "unknown width": ("float f = 1.5f;\n    out[0] = f * b[0];", "has an operand that is no integer"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_moved(case: str) -> None:
    body, message = REFUSED[case]
    text = f"void f(hls::stream<ap_int<9>> &s, ap_int<9> a[4], ap_int<9> b[4], ap_int<64> out[1]) {{\n    {body}\n}}\n"
    with pytest.raises(VendorError, match=message):
        post_pass(text, Plan(multiplications=(Multiplications("f", "dsp"),)))


def test_shifts_and_subscripts_are_no_multiplications() -> None:
    body = "for (int i = 0; i < 2; ++i) {\n        out[i * n[0]] = a[2 * i] * 64;\n    }"
    text = f"void f(ap_int<9> a[4], int n[1], ap_int<64> out[9]) {{\n    {body}\n}}\n"
    with pytest.raises(VendorError, match="function f has no products to bind to fabric"):
        post_pass(text, Plan(multiplications=(Multiplications("f", "fabric"),)))
