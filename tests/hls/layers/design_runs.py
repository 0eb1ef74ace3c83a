"""Accelerator designs run by each of their executors, words packed and unpacked at the ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from hls.design import build_design
from hls.heterocl import hcl
from hls.heterocl.lower import lower
from hls.heterocl.passes.common import functions
from hls.heterocl.simulate import Simulator
from hls.nodes import RULES
from hls.packing import GEOMETRIES, Geometry
from hls.program import Design, Port, schedule
from hls.timing import stage_cycles
from ir.engine import Configuration
from ir.executor import execute, outputs_of
from ir.graph import Graph
from ir.layouts import Words
from ir.types import Array

DSP = GEOMETRIES["dsp48e2"]
Runner = Callable[[Mapping[str, Array]], dict[str, Array]]


def folded(graph: Graph, rng: np.random.Generator, dsp: Geometry = DSP) -> Design:
    """The design of a graph with a random configuration of each node."""
    choices: dict[str, Configuration] = {}
    for node in graph.nodes:
        options = list(RULES[type(node.op)].configurations(graph.view(node.name), dsp))
        choices[node.name] = options[rng.integers(len(options))]
    return build_design(graph, choices, dsp)


def simulated(graph: Graph, design: Design, garbage: int = 0) -> Runner:
    """The stage simulator, streams at their declared depths; ``garbage`` is what memories hold at first."""
    module = lower(schedule(design))
    assert_cycles(design, module)
    simulator = Simulator(module, garbage=garbage)

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        given = [*_words(graph, design, inputs), *_constants(design)]
        empty = [np.zeros(port.wire.shape, np.int64) for port in design.outputs]
        return _unpacked(graph, design, simulator.run(*given, *empty).arrays[len(given) :])

    return run


def assert_cycles(design: Design, module: ModuleOp) -> None:
    """Every stage's formula gives the cycles of its loops."""
    functions_by_name = {function.sym_name.data: function for function in functions(module)}
    for stage in design.stages:
        assert stage_cycles(functions_by_name[stage.name]) == stage.cycles, stage


def native(graph: Graph, design: Design) -> Runner:
    """The printed C++ with native integers, compiled."""
    program = hcl.build(schedule(design))

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        words = [*_words(graph, design, inputs), *_constants(design)]
        given = [hcl.asarray(w, hcl.Int(port.bits)) for w, port in zip(words, design.read, strict=True)]
        made = [hcl.asarray(np.zeros(port.wire.shape, np.int64), hcl.Int(port.bits)) for port in design.outputs]
        program(*given, *made)
        return _unpacked(graph, design, [array.asnumpy() for array in made])

    return run


def reference(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs that every executor has to give."""
    return outputs_of(graph, execute(graph, inputs))


def random_inputs(graph: Graph, rng: np.random.Generator) -> dict[str, Array]:
    """Values over each input's whole range, both ends well represented."""
    values = {}
    for name, type_ in graph.inputs.items():
        drawn = rng.integers(type_.lo, type_.hi, type_.shape, endpoint=True)
        extremes = rng.choice([type_.lo, type_.hi], type_.shape)
        drawn = extremes if type_.dtype.kind == "bipolar" else drawn
        values[name] = np.where(rng.random(type_.shape) < 0.4, extremes, drawn)
    return values


def assert_equal(got: Mapping[str, Array], expected: Mapping[str, Array], what: object = "") -> None:
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, err_msg=f"{name} of {what}")


def _layout(port: Port) -> Words:
    return Words(port.wire.lanes, port.wire.bits, port.bits // 8)


def _words(graph: Graph, design: Design, inputs: Mapping[str, Array]) -> list[Array]:
    words = []
    for (name, type_), port in zip(graph.inputs.items(), design.inputs, strict=True):
        data = _layout(port).pack(inputs[name], type_)
        words.append(np.frombuffer(data, f"<i{port.bits // 8}").astype(np.int64).reshape(port.wire.shape))
    return words


def _constants(design: Design) -> list[Array]:
    """What the ports for weights bring in a frame."""
    return [np.tile(c.words, c.repeats).reshape(c.port.wire.shape) for c in design.constants]


def _unpacked(graph: Graph, design: Design, arrays: list[Array]) -> dict[str, Array]:
    results = {}
    for name, port, array in zip(graph.outputs, design.outputs, arrays, strict=True):
        data = array.astype(f"<i{port.bits // 8}").tobytes()
        results[name] = _layout(port).unpack(data, graph.types[name])
    return results
