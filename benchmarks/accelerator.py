"""The accelerator's pace by the models: python -m benchmarks.accelerator MODEL [--weights N,N,...] [--json]

Folds the whole network of MODEL into the fabric of zu3eg-rvv, lowers it, and runs frames through the timed model of its
stages and streams: with plain packings (no two fields of a product overlap, every product of a layer in multiplier
blocks but the 1x1 head's), with everything the generators have at no more than 80 % of the LUTs, and within the whole
device. With --weights and --activations the network's own weights are requantised to other widths (N bits a
convolution), its thresholds spread anew: the shape of a mixed-precision network, not a trained one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from frontend.load import load_model
from frontend.lower.freeze import freeze
from hetero_compile.board import load_board
from hls.engine import DataflowEngine
from ir.engine import Candidate
from ir.graph import Graph, Node
from ir.ops import Conv2d, MultiplyShift
from ir.target import Resources, Target
from ir.types import DType, TensorType
from partition import PlanError, whole
from partition.offers import Offer, ask

LUTS = 70_560
"""Of a ZU3EG; the board file keeps a fifth of them for the vendor tool's control logic."""

Choice = Callable[[Candidate, bool], bool]


def anything(candidate: Candidate, pointwise: bool) -> bool:
    return True


def plain(candidate: Candidate, pointwise: bool) -> bool:
    """Products in multiplier blocks, packed without overlap and whole; the head may be in LUTs."""
    choice = candidate.configuration
    if "channels" not in choice:
        return True
    whole = not choice.get("overlap") and not choice.get("offset")
    return whole if choice["channels"] else pointwise


def offers(graph: Graph, target: Target) -> Mapping[str, Offer]:
    """Every node's candidates. Exits where the accelerator does not take one."""
    found = ask(graph, [DataflowEngine()], target)[DataflowEngine().name]
    for name, offer in found.items():
        if offer.against is not None:
            sys.exit(f"benchmarks.accelerator: {name}: {offer.against.text}")
    return found


def measured(
    graph: Graph, target: Target, offered: Mapping[str, Offer], choice: Choice, device: Resources
) -> dict[str, Any]:
    """The fastest folding of these candidates, lowered: cycles of the stages, interval between frames, resources."""
    assert target.fabric is not None
    engine = DataflowEngine()
    pointwise = {v.name: isinstance(v.op, Conv2d) and v.operands[1].type.shape[2:] == (1, 1) for v in graph.views()}
    options = {
        name: replace(offer, candidates=[c for c in offer.candidates if choice(c, pointwise[name])])
        for name, offer in offered.items()
    }
    try:
        choices = whole(graph, engine, target, {engine.name: options})
    except PlanError as error:
        return {"lacks": str(error)}
    artifact = engine.lower(graph, choices, target)
    used = sum((s.resources for s in artifact.stages), Resources())
    slowest = max(artifact.stages, key=lambda s: s.cycles)
    return {
        "stage_cycles": slowest.cycles,
        "slowest": slowest.name,
        "interval": artifact.interval,
        "first_frame": artifact.latency,
        "dsp": used.dsp,
        "lut": used.lut,
        "lut_share": used.lut / device.lut,
        "bram18": used.bram18,
        "ff": used.ff,
    }


def requantised(graph: Graph, weights: Sequence[int], activations: Sequence[int], seed: int = 0) -> Graph:
    """The network with other widths: convolution i with weights of ``weights[i]`` bits from an input of
    ``activations[i]``."""
    rng, nodes, constants = np.random.default_rng(seed), list[Node](), dict(graph.constants)
    convolutions = [n.name for n in graph.nodes if isinstance(n.op, Conv2d)]
    inputs = {n: TensorType.of_dtype(t.shape, DType("uint", activations[0])) for n, t in graph.inputs.items()}
    types = dict(inputs)
    for node in graph.nodes:
        if node.name in convolutions:
            top = (1 << (weights[convolutions.index(node.name)] - 1)) - 1
            w = constants[node.inputs[1]].astype(np.float64)
            constants[node.inputs[1]] = np.rint(w * top / np.abs(w).max()).astype(np.int64)
            sums = Graph("c", types, (node,), (node.name,), constants).types[node.name]
        if isinstance(node.op, MultiplyShift):
            after = sum(c in {n.name for n in nodes} for c in convolutions)
            high = (1 << activations[after]) - 1
            step = rng.uniform(0.5, 2, sums.shape[0]) * high * 2.0**16 / (sums.hi - sums.lo)
            constants[node.inputs[1]] = np.maximum(np.rint(step), 1).astype(np.int64)
            constants[node.inputs[2]] = np.zeros(sums.shape[0], np.int64)
            node = replace(node, op=MultiplyShift(16, 0, high))
        nodes.append(node)
        known = Graph("t", inputs, tuple(nodes), (node.name,), constants).types
        types = {**inputs, **{n.name: known[n.name] for n in nodes}}
    return Graph(graph.name, inputs, tuple(nodes), graph.outputs, constants).verify()


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--weights", type=numbers, metavar="N,N,...")
    parser.add_argument("--activations", type=numbers, metavar="N,N,...")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    target = load_board("zu3eg-rvv")
    assert target.fabric is not None
    graph = freeze(load_model(options.model).graph).graph
    if options.weights:
        graph = requantised(graph, options.weights, options.activations)
    offered = offers(graph, target)
    device = replace(target.fabric.budget, lut=LUTS)
    whole = replace(target, fabric=replace(target.fabric, budget=device))
    results = {
        "plain": measured(graph, target, offered, plain, device),
        "80 % of the LUTs": measured(graph, target, offered, anything, device),
        "whole device": measured(graph, whole, offered, anything, device),
    }
    if options.json:
        print(json.dumps(results))
        return
    for name, result in results.items():
        print(name)
        for key, value in result.items():
            print(f"  {key:14} {value if not isinstance(value, float) else f'{value:.0%}'}")


if __name__ == "__main__":
    main()
