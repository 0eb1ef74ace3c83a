"""What the command prints of a plan, and the same facts as ``placement.json`` in the package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from hetero_compile.flow import Compiled, manifest_of
from hls.vendor.project import missing_project
from hls.vendor.project_ultra96 import Accelerator
from host.plan import make_plan
from partition import Alternative, Plan


def summary(compiled: Compiled, console: Console) -> None:
    """What runs where and why, what it is estimated to take, and what would change that."""
    table = Table("node", "operator", "where", "why", box=None, header_style="bold", pad_edge=False)
    for decision in compiled.plan.decisions:
        table.add_row(decision.node, decision.operator, decision.engine, decision.reason)
    console.print(table)
    for line in _lines(compiled):
        console.print(line, markup=False)


def placement_json(compiled: Compiled) -> str:
    """Decisions, estimates and the explanation."""
    plan = compiled.plan
    regions = [
        {"name": r.name, "engine": r.engine.name, "nodes": [n.name for n in r.graph.nodes]} for r in plan.regions
    ]
    facts = {
        "decisions": [asdict(decision) for decision in plan.decisions],
        "regions": regions,
        "device_ms": plan.device_ms,
        "cpu_ms": plan.cpu_ms,
        "resources": asdict(plan.resources),
        "conversions": conversions(compiled),
        "explanation": asdict(plan.explanation) if plan.explanation else None,
    }
    return json.dumps(facts, indent=2) + "\n"


def conversions(compiled: Compiled) -> list[str]:
    """The conversions between layouts that are left at run time, in order."""
    return [s.name for s in make_plan(manifest_of(compiled)).steps if s.kind in ("pack", "unpack")]


def unbuilt(compiled: Compiled) -> str | None:
    """Why no bitstream of the accelerator can be built, or not by the package's scripts alone; None where it can."""
    blocks = [artifact.interface for artifact in compiled.artifacts.values()]
    return missing_project(compiled.target, [block for block in blocks if isinstance(block, Accelerator)])


def rate(plan: Plan, alternative: Alternative) -> str:
    """What another placement or a larger board would give, in the unit of the objective."""
    if alternative.ms is None:
        return f"impossible ({alternative.note})"
    latency = plan.explanation is not None and plan.explanation.objective == "latency"
    now = plan.latency_ms if latency else plan.interval_ms
    value = f"{alternative.ms:.3f} ms a frame" if latency else f"{1000 / alternative.ms:.1f} frames/s"
    gain = now / alternative.ms - 1 if alternative.ms else 0.0
    note = f"{alternative.note} " if alternative.note else ""
    return f"{note}{value} ({gain:+.1%})"


def _lines(compiled: Compiled) -> Iterator[str]:
    plan, fabric, why = compiled.plan, compiled.target.fabric, compiled.plan.explanation
    together = f"{1000 / plan.interval_ms:.0f} frames/s" if plan.interval_ms else "-"
    yield f"estimate: accelerator {plan.device_ms:.3f} ms, CPU {plan.cpu_ms:.3f} ms a frame, together {together}"
    if fabric:
        used, budget = plan.resources, fabric.budget
        pairs = ((k, getattr(used, k), getattr(budget, k)) for k in ("lut", "dsp", "bram18"))
        yield "resources: " + ", ".join(f"{k.upper()} {u} of {b}" for k, u, b in pairs)
    for region, artifact in compiled.artifacts.items():
        for port in artifact.weights:
            if port.repeats > 1:
                yield f"{region}: {port.name} reads its weights {port.repeats} times a frame: no board driver can"
    missing = unbuilt(compiled)
    if missing and any(region.engine.side == "device" for region in plan.regions):
        yield missing
    left = conversions(compiled)
    yield f"conversions at run time: {len(left)}" + (f" ({', '.join(left)})" if left else "")
    if why is None:
        return
    yield f"objective {why.objective}: at most {why.gap:.2%} from the best placement with {why.scope}"
    yield f"bottleneck: {why.bottleneck}"
    for alternative in why.alternatives:
        yield f"{alternative.what}: {rate(plan, alternative)}"
    for alternative in why.larger:
        yield f"with {alternative.what}: {rate(plan, alternative)}"
