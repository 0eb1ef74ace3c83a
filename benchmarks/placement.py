"""How long placement takes: python -m benchmarks.placement [MODEL] [--board NAME] [--objective TEXT]... [--json]

Asks the shipped engines about every node of MODEL, by default of a network of ResNet-50's shapes with 4-bit weights and
activations (`benchmarks.deep`), then solves for every objective. Seconds are those of this process's CPU time, so that
other work on the machine does not count; the solver's effort is also given in its deterministic seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.deep import resnet50
from frontend.load import load_model
from frontend.lower.freeze import freeze
from hetero_compile.board import load_board
from hetero_compile.flow import engines
from hetero_compile.objective import Objective
from ir.graph import Graph
from ir.target import Target
from partition.explain import explained
from partition.offers import Offers, ask
from partition.partitioner import plan_of, pose
from partition.solution import best


def solved(graph: Graph, target: Target, offers: Offers) -> dict[str, Any]:
    """The times of one objective's solution and of its explanation, and what they found."""
    problem = pose(graph, engines(), target, offers=offers)
    start = time.process_time()
    solution = best(problem)
    found = time.process_time()
    plan, why = plan_of(problem, solution), explained(problem, solution)
    return {
        "objective": target.objective,
        "solve_s": round(found - start, 2),
        "deterministic_s": round(solution.effort, 2),
        "explain_s": round(time.process_time() - found, 2),
        "gap": solution.gap,
        "scope": why.scope,
        "device_ms": plan.device_ms,
        "cpu_ms": plan.cpu_ms,
        "regions": [f"{region.name}: {len(region.graph.nodes)}" for region in plan.regions],
        "resources": vars(plan.resources),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--board", default="zu3eg-rvv")
    parser.add_argument("--objective", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    graph = freeze(load_model(options.model).graph).graph if options.model else resnet50()
    target = load_board(options.board)
    start = time.process_time()
    offers = ask(graph, engines(), target)
    results = {"nodes": len(graph.nodes), "ask_s": round(time.process_time() - start, 2), "solved": []}
    for text in options.objective or ["throughput", "latency"]:
        results["solved"].append(solved(graph, Objective.parse(text).applied(target), offers))
    if options.json:
        print(json.dumps(results))
        return
    print(f"{results['nodes']} nodes, engines asked in {results['ask_s']} s")
    for result in results["solved"]:
        for key, value in result.items():
            print(f"  {key:16} {value if not isinstance(value, float) else f'{value:.6g}'}")
        print()


if __name__ == "__main__":
    main()
