"""The layouts of tensors between regions, chosen so that the fewest conversions are left at run time.

A tensor is written in one form and converted into every other one that a reader wants, between two packed forms by way
of the plain one (`host.plan`). Where a region can read a tensor in several forms, what it reads the tensor in changes
nothing for any other tensor. So the minimum over the graph is the sum of the tensors' minima, and each is found by
trying all combinations of the few forms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from ir.engine import LayoutEngine
from ir.graph import Graph
from ir.layouts import Layout, Plain, united
from ir.target import Target
from ir.types import TensorType
from partition.plan import Plan, Region


@dataclass(frozen=True)
class Forms:
    """A tensor as ``written``, and per region that reads it the forms it can read, the one it would rather have first.
    ``plain``: somebody else needs it plain, as the network's caller and CPU regions do."""

    type: TensorType
    written: Layout
    readers: Mapping[str, Sequence[Layout]]
    plain: bool


def conversions(forms: Forms, read: Sequence[Layout]) -> int:
    """At run time: into each form with other bytes once, and into the plain one if packed forms have to be changed."""
    written = united(forms.written, forms.type)
    wanted = {united(form, forms.type) for form in read} - {written}
    by_way_of_plain = written != Plain() and (forms.plain or bool(wanted))
    return len(wanted - {Plain()}) + by_way_of_plain


def fewest(forms: Forms) -> tuple[int, Mapping[str, Layout]]:
    """The least number of conversions, and what every region reads then; among equals what it would rather have."""
    names, best = list(forms.readers), None
    for chosen in product(*forms.readers.values()):
        dislike = sum(forms.readers[name].index(form) for name, form in zip(names, chosen, strict=True))
        cost = conversions(forms, chosen), dislike
        if best is None or cost < best[0]:
            best = cost, dict(zip(names, chosen, strict=True))
    assert best is not None, "a product is never empty unless a region reads no form"
    return best[0][0], best[1]


def agreed(plan: Plan, graph: Graph, target: Target) -> Plan:
    """The plan with a choice for the inputs of regions whose engine can read them in several layouts."""
    flexible = [r for r in plan.regions if isinstance(r.engine, LayoutEngine)]
    if len(flexible) < 2:
        return plan  # everything else is written or read by somebody who has no choice
    offers = {r.name: r.engine.layouts(r.graph, r.choices, target) for r in flexible}  # type: ignore[attr-defined]
    chosen: dict[str, dict[str, Layout]] = {r.name: {} for r in flexible}
    for writer in flexible:
        for tensor in writer.graph.outputs:
            readers = {r.name: offers[r.name][tensor] for r in flexible if tensor in r.graph.inputs}
            if readers:
                others = [r for r in plan.regions if r.name not in readers and tensor in r.graph.inputs]
                plain = bool(others) or tensor in graph.outputs
                forms = Forms(graph.types[tensor], offers[writer.name][tensor][0], readers, plain)
                for name, form in fewest(forms)[1].items():
                    chosen[name][tensor] = form
    return replace(plan, regions=tuple(_reading(r, chosen.get(r.name, {})) for r in plan.regions))


def _reading(region: Region, forms: Mapping[str, Layout]) -> Region:
    engine = region.engine
    if not forms or not isinstance(engine, LayoutEngine):
        return region
    return replace(region, choices={**region.choices, **{t: engine.reading(form) for t, form in forms.items()}})
