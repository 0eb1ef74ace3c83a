"""report.html: what runs where and why, cycles, resources, memory, as one self-contained file with its drawings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cpu_backend.meter.machine import load_machine
from hetero_compile.flow import Compiled, manifest_of
from hetero_compile.report.memory import draw_memory
from hetero_compile.report.network import draw_network
from hetero_compile.report.roofline import Roof, Work, draw_roofline
from hetero_compile.report.timeline import draw_timeline, expected
from hetero_compile.summary import conversions, rate, unbuilt
from host.plan import Plan, make_plan
from ir.engine import Artifact, Port
from ir.graph import NodeView
from ir.ops import Conv2d, GatedConv2d, Op
from partition import Region
from partition.problem import PACKING_CYCLES_PER_BYTE

RESOURCES = (("dsp", "DSP"), ("lut", "LUT"), ("ff", "FF"), ("bram18", "BRAM18"), ("uram", "URAM"))
MULTIPLYING: Mapping[type[Op], int] = {Conv2d: 1, GatedConv2d: 2}
"""Multiply-accumulates per weight and output pixel."""


def report(compiled: Compiled) -> str:
    """The page's HTML."""
    environment = Environment(loader=PackageLoader("hetero_compile"), undefined=StrictUndefined, autoescape=True)
    graph, plan, target = compiled.graph, compiled.plan, compiled.target
    engines = {region.engine.name: region.engine.side for region in plan.regions}
    sides = {decision.node: engines[decision.engine] for decision in plan.decisions}
    runtime = make_plan(manifest_of(compiled))
    return environment.get_template("report.html.j2").render(
        name=graph.name,
        origin=compiled.model.origin,
        target=target,
        plan=plan,
        network=Markup(draw_network(graph, sides, {d.node: d.reason for d in plan.decisions})),
        layers=[
            {
                **asdict(decision),
                "side": sides[decision.node],
                "type": str(graph.types[decision.node]),
                "reads": _data_inputs(compiled, decision.node),
                "macs": macs(graph.view(decision.node)),
            }
            for decision in plan.decisions
        ],
        regions=[_region(compiled, region) for region in plan.regions],
        usage=_usage(compiled),
        runtime=runtime,
        timeline=Markup(draw_timeline(expected(runtime, _durations(compiled, runtime)))),
        memories=[Markup(drawn) for in_pool in (True, False) if (drawn := draw_memory(runtime, in_pool))],
        roofline=Markup(draw_roofline(list(_works(compiled)), list(_roofs(compiled)), _bandwidth(compiled))),
        missing_project=unbuilt(compiled),
        why=plan.explanation,
        rate=rate,
        conversions=conversions(compiled),
    )  # fmt: skip


def macs(view: NodeView) -> int:
    """Multiply-accumulates of a node in a frame, padding among them."""
    factor = MULTIPLYING.get(type(view.op), 0)
    if not factor:
        return 0
    weights, outputs = view.operands[1].type.shape, view.type.shape
    return factor * int(np.prod(weights[1:], dtype=np.int64) * np.prod(outputs, dtype=np.int64))


def _region(compiled: Compiled, region: Region) -> dict[str, Any]:
    artifact, clock = compiled.artifacts[region.name], region.engine.clock_mhz(compiled.target)
    cycles = _cycles(region, artifact)
    top = max((s.cycles for s in artifact.stages), default=1) or 1
    work = sum(macs(view) for view in region.graph.views())
    return {
        "name": region.name,
        "side": region.engine.side,
        "engine": region.engine.name,
        "clock": clock,
        "cycles": cycles,
        "ms": cycles / clock / 1e3,
        "latency_ms": artifact.latency / clock / 1e3,
        "macs": work,
        "macs_per_cycle": work / cycles if cycles else 0.0,
        "stages": [{**asdict(s), "share": 100 * s.cycles / top, "ms": s.cycles / clock / 1e3} for s in artifact.stages],
        "drawings": _drawings(artifact),
        "ports": [
            {"tensor": p.tensor, "way": way, "layout": p.layout, "bytes": _bytes(compiled, p)}
            for way, ports in (("in", artifact.inputs), ("out", artifact.outputs))
            for p in ports
        ],
    }


def _drawings(artifact: Artifact) -> list[dict[str, str]]:
    """Each drawing of a stage once, with the names of all stages that look like it."""
    users: dict[tuple[str, ...], list[str]] = {}
    for stage in artifact.stages:
        if stage.drawing:
            users.setdefault(stage.drawing, []).append(stage.name)
    return [{"stages": ", ".join(names), "text": "\n".join(lines)} for lines, names in users.items()]


def _cycles(region: Region, artifact: Artifact) -> int:
    """Dataflow stages run at once, the slowest sets the pace; on a CPU they follow each other."""
    total = max if region.engine.side == "device" else sum
    return artifact.interval or (total(s.cycles for s in artifact.stages) if artifact.stages else 0)


def _bytes(compiled: Compiled, port: Port) -> int:
    return port.layout.bytes_of(compiled.graph.types[port.tensor])


def _usage(compiled: Compiled) -> list[dict[str, Any]]:
    fabric = compiled.target.fabric
    found = []
    for key, label in RESOURCES if fabric else ():
        assert fabric is not None
        used, budget = getattr(compiled.plan.resources, key), getattr(fabric.budget, key)
        if budget:
            found.append({"label": label, "used": used, "budget": budget, "share": 100 * used / budget})
    return found


def _durations(compiled: Compiled, runtime: Plan) -> dict[str, float]:
    """Milliseconds of each step: regions by their cycles, conversions by the bytes of the tensor's plain form."""
    per_byte = PACKING_CYCLES_PER_BYTE / (compiled.target.host_clock_mhz * 1e3)
    times = {}
    for region in compiled.plan.regions:
        clock = region.engine.clock_mhz(compiled.target)
        times[region.name] = _cycles(region, compiled.artifacts[region.name]) / (clock * 1e3)
    for step in runtime.steps:
        if step.name not in times:
            plain = compiled.graph.types[runtime.buffers[step.reads[0]].tensor]
            times[step.name] = plain.elements * plain.dtype.container.itemsize * per_byte
    return times


def _works(compiled: Compiled) -> Iterator[Work]:
    """The convolutions of the CPU one by one, an accelerator as a whole: its layers meet no memory in between."""
    for region in compiled.plan.regions:
        clock, graph = region.engine.clock_mhz(compiled.target), region.graph
        if region.engine.side == "device":
            artifact = compiled.artifacts[region.name]
            moved = sum(_bytes(compiled, port) for port in (*artifact.inputs, *artifact.outputs))
            moved += sum(choice.traffic for choice in region.choices.values())
            total, cycles = sum(macs(view) for view in graph.views()), _cycles(region, artifact)
            if total and cycles:
                yield Work(region.name, "device", total, moved, cycles / clock / 1e3)
            continue
        for view in graph.views():
            cycles = region.choices[view.name].cycles if view.name in region.choices else 0
            if macs(view) and cycles:
                types = (*(operand.type for operand in view.operands), view.type)
                moved = sum(t.elements * t.dtype.container.itemsize for t in types)
                yield Work(view.name, "cpu", macs(view), moved, cycles / clock / 1e3)


def _roofs(compiled: Compiled) -> Iterator[Roof]:
    """The CPU's 8-bit multiply-accumulates with all lanes busy, and those that the accelerator was built for."""
    cpu = compiled.target.cpu
    dlen = load_machine(cpu.machine).dlen if cpu.vlen else None
    lanes = dlen // 8 if dlen else 1
    yield Roof(f"CPU, {lanes * cpu.cores} MAC a cycle", "cpu", lanes * cpu.cores * cpu.clock_mhz * 1e6)
    for region in compiled.plan.regions:
        if region.engine.side == "device":
            rates = (macs(v) / max(region.choices[v.name].cycles, 1) for v in region.graph.views() if macs(v))
            built = sum(rates)
            clock = region.engine.clock_mhz(compiled.target)
            yield Roof(f"{region.name}, {built:.0f} MAC a cycle", "device", built * clock * 1e6)


def _bandwidth(compiled: Compiled) -> float:
    return compiled.target.memory.bandwidth_gbs * 1e9


def _data_inputs(compiled: Compiled, node: str) -> str:
    graph = compiled.graph
    return ", ".join(i for i in graph.by_name[node].inputs if i not in graph.constants)
