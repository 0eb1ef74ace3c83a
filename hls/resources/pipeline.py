"""An adder graph as pipelined Verilog, and the registers that this takes."""

from __future__ import annotations

from hls.resources.adder_graph import AdderGraph
from hls.resources.verilog import Module

LEVELS = 2
"""Adders in a row between two registers."""


def stages(graph: AdderGraph) -> list[int]:
    """Per signal (inputs, then adders) the pipeline stage in which it is made; inputs are there in stage 0."""
    depth = [0] * graph.inputs
    for adder in graph.adders:
        depth.append(1 + max(depth[adder.left], depth[adder.right]))
    return [max(0, d - 1) // LEVELS for d in depth]


def lifetimes(graph: AdderGraph) -> list[tuple[int, int]]:
    """Per signal the stages in which it is made and last read; outputs are read behind the last stage."""
    made = stages(graph)
    last, end = list(made), max(made) + 1
    for k, adder in enumerate(graph.adders):
        for source in (adder.left, adder.right):
            last[source] = max(last[source], made[graph.inputs + k])
    for output in graph.outputs:
        if output:
            last[output[0]] = end
    return list(zip(made, last, strict=True))


def register_bits(graph: AdderGraph) -> int:
    """Flip-flops of the pipeline: every signal is kept from the stage that makes it to the last that reads it."""
    bits = [graph.input_bits] * graph.inputs + [adder.bits for adder in graph.adders]
    return sum(b * (last - made) for b, (made, last) in zip(bits, lifetimes(graph), strict=True))


def pipelined(module: Module, graph: AdderGraph) -> tuple[str, int, int]:
    """Write the graph over the port ``x`` (unsigned inputs side by side): the outputs side by side, all of the same
    width, their bits together, and the latency."""
    life, input_bits = lifetimes(graph), graph.input_bits
    each = max((graph.width(output) for output in graph.outputs), default=1)
    signals: list[list[str]] = []

    def at(signal: int, stage: int) -> str:
        return signals[signal][stage - life[signal][0]]

    def keep(name: str, bits: int, signal: int) -> None:
        kept = [name]
        for _ in range(life[signal][1] - life[signal][0]):
            kept.append(module.register(bits, kept[-1], "d"))
        signals.append(kept)

    for k in range(graph.inputs):
        keep(module.wire(input_bits, f"x[{k * input_bits} +: {input_bits}]", "x"), input_bits, k)
    for k, adder in enumerate(graph.adders):
        index = graph.inputs + k
        left, right = (
            f"({_extended(at(source, life[index][0]), graph, source, adder.bits)} << {shift})"
            for source, shift in ((adder.left, adder.left_shift), (adder.right, adder.right_shift))
        )
        keep(module.wire(adder.bits, f"{left} {'+' if adder.sign > 0 else '-'} {right}", "a"), adder.bits, index)
    end = max((last for _, last in life), default=0)
    words = []
    for output in graph.outputs:
        if output is None:
            words.append(f"{each}'d0")
            continue
        signal, shift, sign = output
        value = _extended(at(signal, end), graph, signal, each)
        words.append(module.wire(each, f"{'-' if sign < 0 else ''}({value} << {shift})", "o"))
    return "{" + ", ".join(reversed(words)) + "}", each * len(words), end


def _extended(name: str, graph: AdderGraph, signal: int, bits: int) -> str:
    """A signal widened to ``bits``, by its sign where it has one."""
    adder = graph.adders[signal - graph.inputs] if signal >= graph.inputs else None
    have = adder.bits if adder else graph.input_bits
    if have >= bits:
        return f"{name}[{bits - 1}:0]"
    sign = f"{name}[{have - 1}]" if adder and adder.lo < 0 else "1'b0"
    return f"{{{{{bits - have}{{{sign}}}}}, {name}}}"
