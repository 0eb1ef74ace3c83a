"""The zoo's networks on two boards: what their placements look like on record, and one frame through a package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from zoo_networks import NAMES

from hetero_compile.flow import Compiled
from host.package import Package
from host.session import Session
from ir.executor import execute
from ir.tolerance import tolerances
from ir.types import Array

HERE = Path(__file__).parent
PLACEMENTS = HERE / "placements"
BOARDS = {"zu3eg-rvv": "zu3eg-rvv", "small-u54": str(HERE / "small-u54.yaml")}
CASES = [(name, board) for name in NAMES for board in BOARDS]
PLACES = ("sim", "qemu")


def placement(compiled: Compiled) -> str:
    """The table: node, operator, engine, cycles, and which of the engine's ways."""
    plan = compiled.plan
    regions = ", ".join(f"{r.name} ({len(r.graph.nodes)} nodes)" for r in plan.regions)
    used = ", ".join(f"{kind} {value}" for kind, value in vars(plan.resources).items() if value)
    lines = [
        f"{compiled.graph.name} on {compiled.target.name}",
        f"regions: {regions}",
        f"accelerator {plan.device_ms:.4f} ms, CPU {plan.cpu_ms:.4f} ms a frame; {used or 'no resources'}",
        "",
    ]
    choices = {name: choice for region in plan.regions for name, choice in region.choices.items()}
    for decision in plan.decisions:
        choice = choices.get(decision.node)
        way = " ".join(f"{k}={v}" for k, v in choice.configuration.items()) if choice else ""
        cycles = f"{choice.cycles:.0f}" if choice else "-"
        lines.append(f"{decision.node:32} {decision.operator:14} {decision.engine:4} {cycles:>10} {way}".rstrip())
    return "\n".join(lines) + "\n"


def first_difference(known: str, found: str) -> str:
    """The first two lines that differ; empty where the tables are the same."""
    different = [(a, b) for a, b in zip(known.splitlines(), found.splitlines(), strict=False) if a != b]
    if known == found:
        return ""
    return "\n".join(different[0]) if different else "more or fewer nodes"


@dataclass(frozen=True)
class Frame:
    """Uniform values, what the reference executor makes of them, and how far from it others may be."""

    values: Mapping[str, Array]
    expected: Mapping[str, Array]
    allowed: Mapping[str, Array]

    @classmethod
    def of(cls, compiled: Compiled) -> Frame:
        graph, rng = compiled.graph, np.random.default_rng(1)
        frame = {n: rng.integers(t.lo, t.hi + 1, t.shape) for n, t in graph.inputs.items()}
        values = execute(graph, frame)
        allowed = tolerances(graph, values) if compiled.kind == "float32" else {}
        return cls(frame, {name: values[name] for name in graph.outputs}, allowed)

    def wrong(self, package: Package, place: str) -> str:
        """What the package gets wrong on `sim` or under the emulator; empty where nothing."""
        with Session(package, on=place, deadline=1200.0) as session:  # type: ignore[arg-type]
            result = session.run(self.values)
        for name, expected in self.expected.items():
            wrong = ~(np.abs(result[name] - expected) <= self.allowed.get(name, 0))
            if wrong.any():
                return f"{place}: '{name}' differs at {int(wrong.sum())} of {wrong.size}"
        return ""
