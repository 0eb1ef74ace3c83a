"""report.html: what runs where and why, cycles, resources, memory, as one self-contained file."""

from __future__ import annotations

from dataclasses import asdict

from jinja2 import Environment, PackageLoader, StrictUndefined

from hetero_compile.flow import Compiled, manifest_of
from hetero_compile.summary import conversions, rate
from hls.vendor.project import missing_project
from host.plan import make_plan
from ir.engine import Port


def report(compiled: Compiled) -> str:
    """The page's HTML."""

    def bytes_of(port: Port) -> int:
        return port.layout.bytes_of(compiled.graph.types[port.tensor])

    environment = Environment(loader=PackageLoader("hetero_compile"), undefined=StrictUndefined, autoescape=True)
    graph, plan, target = compiled.graph, compiled.plan, compiled.target
    sides = {region.engine.name: region.engine.side for region in plan.regions}
    layers = [
        {
            **asdict(decision),
            "side": sides[decision.engine],
            "type": str(graph.types[decision.node]),
            "reads": _data_inputs(compiled, decision.node),
        }
        for decision in plan.decisions
    ]
    regions = []
    for region in plan.regions:
        artifact, clock = compiled.artifacts[region.name], region.engine.clock_mhz(target)
        # Dataflow stages run at once, the slowest sets the pace; on a CPU they follow each other.
        total = max if region.engine.side == "device" else sum
        cycles = artifact.interval or (total(s.cycles for s in artifact.stages) if artifact.stages else 0)
        top = max((s.cycles for s in artifact.stages), default=1) or 1
        stages = [{**asdict(s), "share": 100 * s.cycles / top, "ms": s.cycles / clock / 1e3} for s in artifact.stages]
        regions.append(
            {
                "name": region.name,
                "side": region.engine.side,
                "engine": region.engine.name,
                "clock": clock,
                "cycles": cycles,
                "ms": cycles / clock / 1e3,
                "latency_ms": artifact.latency / clock / 1e3,
                "stages": stages,
                "ports": [
                    {"tensor": p.tensor, "way": way, "layout": p.layout, "bytes": bytes_of(p)}
                    for way, ports in (("in", artifact.inputs), ("out", artifact.outputs))
                    for p in ports
                ],
            }
        )  # fmt: skip
    runtime = make_plan(manifest_of(compiled))
    usage = []
    if target.fabric:
        for key, label in (("dsp", "DSP"), ("lut", "LUT"), ("ff", "FF"), ("bram18", "BRAM18"), ("uram", "URAM")):
            used, budget = getattr(plan.resources, key), getattr(target.fabric.budget, key)
            if budget:
                usage.append({"label": label, "used": used, "budget": budget, "share": 100 * used / budget})
    return environment.get_template("report.html.j2").render(
        name=graph.name,
        origin=compiled.model.origin,
        target=target,
        plan=plan,
        layers=layers,
        regions=regions,
        usage=usage,
        runtime=runtime,
        missing_project=missing_project(target),
        why=plan.explanation,
        rate=rate,
        conversions=conversions(compiled),
    )


def _data_inputs(compiled: Compiled, node: str) -> str:
    graph = compiled.graph
    return ", ".join(i for i in graph.by_name[node].inputs if i not in graph.constants)
