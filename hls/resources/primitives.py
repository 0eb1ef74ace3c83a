"""A catalogue of explicitly structured primitives, a few lines of Verilog each, with what they compute.

Each family of `hls.resources.families` has one writer here. ``reference`` maps the input ports' values (unsigned, as
they stand on the wires) to the output's, ``latency`` cycles later; primitives with a state have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from hls.resources.families import address, dot_shape, sample_graph, sample_weights, width
from hls.resources.lut_dot import lut_dot, offset
from hls.resources.pipeline import pipelined
from hls.resources.verilog import Module

Values = Mapping[str, int]


@dataclass(frozen=True)
class Primitive:
    """``inputs``: bits of the input ports; ``bits`` those of ``y``."""

    family: str
    parameters: Mapping[str, int]
    inputs: Mapping[str, int]
    bits: int
    verilog: str
    latency: int = 1
    reference: Callable[[Values], int] | None = None
    derive: Callable[[dict[str, int]], None] | None = None
    """Sets input ports that are functions of others, in place."""

    @property
    def name(self) -> str:
        return f"{self.family}({', '.join(f'{k}={v}' for k, v in self.parameters.items())})"


def signed(value: int, bits: int) -> int:
    """A wire's value as two's complement."""
    return value - (1 << bits) if value >> bits - 1 else value


def fields(value: int, count: int, bits: int) -> list[int]:
    """``count`` neighbouring unsigned fields of a word, the lowest first."""
    return [value >> (k * bits) & ((1 << bits) - 1) for k in range(count)]


def _finish(module: Module, bits: int, result: str, **rest: Any) -> dict[str, Any]:
    return {"inputs": module.inputs, "bits": bits, "verilog": module.text(bits, result), **rest}


def _adder(bits: int) -> dict[str, Any]:
    m = Module({"a": bits, "b": bits})
    return _finish(m, bits + 1, m.register(bits + 1, "a + b"), reference=lambda v: v["a"] + v["b"])


def _adder_tree(terms: int, bits: int) -> dict[str, Any]:
    m = Module({"x": terms * bits})
    level, latency = [(f"x[{k * bits} +: {bits}]", bits) for k in range(terms)], 0
    while len(level) > 1:
        pairs = []
        for (a, m_bits), (b, n_bits) in zip(level[::2], level[1::2], strict=False):
            wide = max(m_bits, n_bits) + 1
            pairs.append((m.register(wide, f"{a} + {b}"), wide))
        # A term without a partner goes up through the tree without a register: its shape counts, not its timing.
        level, latency = pairs + level[2 * len(pairs) :], latency + 1
    signal, wide = level[0]
    reference = (lambda v: sum(fields(v["x"], terms, bits))) if terms & (terms - 1) == 0 else None
    return _finish(m, wide, signal, latency=latency, reference=reference)


def _accumulator(bits: int) -> dict[str, Any]:
    m = Module({"x": bits, "first": 1})
    m.lines.append(f"  reg [{bits - 1}:0] sum;")
    wide = m.carry(bits, "x", f"(sum & {{{bits}{{~first}}}})")
    m.lines.append(f"  always @(posedge clk) sum <= {wide}[{bits - 1}:0];")
    return _finish(m, bits, "sum")


def _comparator(bits: int) -> dict[str, Any]:
    m = Module({"x": bits, "t": bits})
    y = m.register(1, "$signed(x) >= $signed(t)")
    return _finish(m, 1, y, reference=lambda v: int(signed(v["x"], bits) >= signed(v["t"], bits)))


def _maximum(bits: int) -> dict[str, Any]:
    m = Module({"a": bits, "b": bits})
    y = m.register(bits, "$signed(a) > $signed(b) ? a : b")
    return _finish(m, bits, y, reference=lambda v: max(v["a"], v["b"], key=lambda x: signed(x, bits)))


def _clip(bits: int, out: int) -> dict[str, Any]:
    m = Module({"x": bits})
    high = m.wire(1, f"|x[{bits - 2}:{out}]")
    y = m.register(out, f"{{{out}{{~x[{bits - 1}]}}}} & (x[{out - 1}:0] | {{{out}{{{high}}}}})")
    return _finish(m, out, y, reference=lambda v: min(max(signed(v["x"], bits), 0), (1 << out) - 1))


def _mux(inputs: int, bits: int) -> dict[str, Any]:
    m = Module({"x": inputs * bits, "s": address(inputs)})
    cases = " ".join(f"{k}: pick = x[{k * bits} +: {bits}];" for k in range(inputs))
    m.lines += [f"  reg [{bits - 1}:0] pick;", f"  always @* case (s) {cases} default: pick = {bits}'bx; endcase"]
    y = m.register(bits, "pick")

    def derive(v: dict[str, int]) -> None:
        v["s"] %= inputs

    return _finish(m, bits, y, reference=lambda v: fields(v["x"], inputs, bits)[v["s"]], derive=derive)


def _rom(words: int, bits: int) -> dict[str, Any]:
    content = [int(n) for n in np.random.default_rng(words * 100 + bits).integers(0, 1 << bits, words)]
    m = Module({"a": address(words)})
    cases = " ".join(f"{k}: word = {bits}'d{n};" for k, n in enumerate(content))
    m.lines += [f"  reg [{bits - 1}:0] word;", f"  always @* case (a) {cases} default: word = {bits}'bx; endcase"]

    def derive(v: dict[str, int]) -> None:
        v["a"] %= words

    return _finish(m, bits, m.register(bits, "word"), reference=lambda v: content[v["a"]], derive=derive)


def _ram(words: int, bits: int) -> dict[str, Any]:
    m = Module({"d": bits, "w": address(words), "r": address(words), "e": 1})
    m.lines += [
        f'  (* ram_style = "distributed" *) reg [{bits - 1}:0] memory [0:{words - 1}];',
        "  always @(posedge clk) if (e) memory[w] <= d;",
    ]
    return _finish(m, bits, m.register(bits, "memory[r]"))


def _fifo(depth: int, bits: int) -> dict[str, Any]:
    m, n = Module({"d": bits, "push": 1, "pull": 1}), address(depth)
    m.lines += [
        f"  reg [{n - 1}:0] last = 0;",
        "  reg some = 0;",
        f"  wire full = some & (last == {depth - 1}), put = push & ~full, take = pull & some;",
        "  always @(posedge clk) if (put != take) begin",
        "    some <= put | (last != 0);",
        "    if (some & (put | (last != 0))) last <= put ? last + 1 : last - 1;",
        "  end",
        f"  wire [{bits - 1}:0] q;",
        f"  genvar k; generate for (k = 0; k < {bits}; k = k + 1) begin : lane",
        f"    reg [{depth - 1}:0] shift;",
        f"    always @(posedge clk) if (put) shift <= {{shift[{depth - 2}:0], d[k]}};",
        "    assign q[k] = shift[last];",
        "  end endgenerate",
    ]
    return _finish(m, bits + 2, "{some, full, q}")


def _delay(cycles: int, bits: int) -> dict[str, Any]:
    m = Module({"x": bits})
    m.lines += [
        f"  reg [{bits - 1}:0] stage [0:{cycles - 1}];",
        "  integer k;",
        "  always @(posedge clk) begin",
        "    stage[0] <= x;",
        f"    for (k = 1; k < {cycles}; k = k + 1) stage[k] <= stage[k - 1];",
        "  end",
    ]
    return _finish(m, bits, f"stage[{cycles - 1}]", latency=cycles, reference=lambda v: v["x"])


def _counter_nest(bits: int, counters: int) -> dict[str, Any]:
    """Counters of equal width, the trip counts just below a power of two."""
    each, m, wrap = bits // counters, Module({"step": 1}), "step"
    for k in range(counters):
        last = (1 << each) - 2 - k
        m.lines += [
            f"  reg [{each - 1}:0] i{k} = 0;",
            f"  wire end{k} = i{k} == {last};",
            f"  always @(posedge clk) if ({wrap}) i{k} <= end{k} ? 0 : i{k} + 1;",
        ]
        wrap = f"{wrap} & end{k}"
    return _finish(m, bits, "{" + ", ".join(f"i{k}" for k in range(counters)) + "}")


def _segment_decode(segments: int, pitch: int, chains: int) -> dict[str, Any]:
    """Unsigned fields out of 48-bit sums, one per chain, each field added up over the chains."""
    m, results, wide, latency = Module({"p": 48 * chains}), [], pitch, 0
    for k in range(segments):
        level, latency, wide = [f"p[{48 * c + k * pitch} +: {pitch}]" for c in range(chains)], 0, pitch
        while len(level) > 1:
            wide += 1
            pairs = [m.register(wide, f"{a} + {b}") for a, b in zip(level[::2], level[1::2], strict=True)]
            level, latency = pairs, latency + 1
        results.append(level[0])

    def reference(v: Values) -> int:
        words = fields(v["p"], chains, 48)
        sums = [sum(fields(word, segments, pitch)[k] for word in words) for k in range(segments)]
        return sum(s << (k * wide) for k, s in enumerate(sums))

    result = "{" + ", ".join(reversed(results)) + "}"
    return _finish(m, segments * wide, result, latency=latency, reference=reference)


def _popcount(n: int) -> dict[str, Any]:
    m = Module({"x": n})
    count = m.count({0: [f"x[{k}]" for k in range(n)]}, width(n))
    return _finish(m, width(n), m.register(width(n), count), reference=lambda v: v["x"].bit_count())


def _xnor_popcount(n: int) -> dict[str, Any]:
    m = Module({"x": n, "w": n})
    equal = [m.wire(1, f"~(x[{k}] ^ w[{k}])", "e") for k in range(n)]
    columns: dict[int, list[str]] = {0: [], 1: []}
    for k in range(0, n - n % 3, 3):
        ones = m.wire(2, " + ".join(equal[k : k + 3]), "t")
        columns[0].append(f"{ones}[0]")
        columns[1].append(f"{ones}[1]")
    columns[0] += equal[n - n % 3 :]
    y = m.register(width(n), m.count(columns, width(n)))
    return _finish(m, width(n), y, reference=lambda v: n - (v["x"] ^ v["w"]).bit_count())


def _lut_dot(terms: int, weight: int, activation: int, chain: int) -> dict[str, Any]:
    text, bits, latency = lut_dot(terms, weight, activation, chain)
    shape = dot_shape(terms, weight, activation, chain)
    by_weight, other = weight <= activation, shape.row_bits - 1

    def values(v: Values) -> tuple[list[int], list[int]]:
        raw = fields(v["w"], terms, weight)
        return (raw if weight == 1 else [signed(w, weight) for w in raw]), fields(v["a"], terms, activation)

    def derive(v: dict[str, int]) -> None:
        weights, activations = values(v)
        paired = activations if by_weight else weights
        sums = [sum(paired[k : k + 2]) % (1 << shape.row_bits) for k in range(0, terms, 2)]
        v["s"] = sum(s << (k * (other + 1)) for k, s in enumerate(sums))

    def reference(v: Values) -> int:
        weights, activations = values(v)
        exact = sum(w * a for w, a in zip(weights, activations, strict=True))
        return (exact + offset(terms, weight, activation)) % (1 << bits)

    inputs = {"w": terms * weight, "a": terms * activation, "s": shape.rows * shape.row_bits}
    return {
        "inputs": inputs,
        "bits": bits,
        "verilog": text,
        "latency": latency,
        "reference": reference,
        "derive": derive,
    }


def _constant_dot(outputs: int, terms: int, weight: int, activation: int) -> dict[str, Any]:
    """Random weights, seeded by the parameters."""
    weights, graph = sample_weights(outputs, terms, weight), sample_graph(outputs, terms, weight, activation)
    m = Module({"x": terms * activation})
    result, bits, latency = pipelined(m, graph)
    each = bits // outputs

    def reference(v: Values) -> int:
        sums = weights @ np.array(fields(v["x"], terms, activation))
        return sum((int(s) % (1 << each)) << (k * each) for k, s in enumerate(sums))

    return _finish(m, bits, result, latency=latency, reference=reference)


WRITERS: Mapping[str, Callable[..., dict[str, Any]]] = MappingProxyType(
    {
        "adder": _adder,
        "adder_tree": _adder_tree,
        "accumulator": _accumulator,
        "comparator": _comparator,
        "maximum": _maximum,
        "clip": _clip,
        "mux": _mux,
        "rom": _rom,
        "ram": _ram,
        "fifo": _fifo,
        "delay": _delay,
        "counter_nest": _counter_nest,
        "segment_decode": _segment_decode,
        "popcount": _popcount,
        "xnor_popcount": _xnor_popcount,
        "lut_dot": _lut_dot,
        "constant_dot": _constant_dot,
    }
)


def primitive(family: str, **parameters: int) -> Primitive:
    """One member of a family."""
    return Primitive(family, parameters, **WRITERS[family](**parameters))
