"""Every construct that generators use has been looked up in the sources of HeteroCL v0.5, and no other is used.

A construct that is new here has to be looked up first: how HeteroCL types it, builds it, runs it and prints it. Then
it joins the list. `docs/heterocl.md` says what was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pytest
from binary_graphs import random_layer as random_binary
from census import Census, census
from design_runs import folded
from drawn_layers import LAYERS, any_lanes, drawn
from layer_graphs import random_layer
from test_fed_weights import fed_design
from test_pool_matrix import random_pool
from test_resize_matrix import random_resize

from hls.design import is_register
from hls.layers.weights import FED
from hls.program import schedule
from ir.graph import Graph

AUDITED = {
    "calls": """
        and_(_)  cast(_, _)  const_tensor(_, _, _)  create_schedule(_, _)  else_()  for_(_, _, name=)
        for_(_, _, name=, tag=)  if_(_)  init(_)  placeholder(_, _, dtype=)  scalar(_, _, dtype=)  select(_, _, _)
    """,
    "schedule": "dataflow_regions(_, _)  partition(_, dim=)  pipeline(_)",
    "memories": """
        alloc of Int before a stage  alloc of Int in a stage  alloc of UInt before a stage  const_tensor of Int
    """,
    "loops": """
        often from 0 by 1  often from 0 by 1 under if_  once from 0 by 1  once from 0 by 1 under if_
    """,
    "accesses": """
        read constant affine  read constant by data  read memory affine  read scalar affine
        store memory affine  store memory by data  store scalar affine
    """,
    "stores": "Binary  Cast  Load  Select  const",
    "operators": """
        Index != const  Index * const  Index + const  Index - const  Index < const  Index == const  Index > const
        Index >= const  const * Index  const + Index
        Int & Int  Int & const  Int * Int  Int * UInt  Int * const  Int + Index  Int + Int  Int + UInt  Int + const
        Int - Int  Int - UInt  Int - const  Int < Int  Int < const  Int << const  Int == const  Int > Int  Int > const
        Int >= Int  Int >= const  Int >> Index  Int >> const  const + Int  const - Int
        UInt & const  UInt * Int  UInt * UInt  UInt * const  UInt + Int  UInt + UInt  UInt + const  UInt << Index
        UInt << Int  UInt << const  UInt == const  UInt > const  UInt >> Int  UInt >> const  UInt ^ UInt  UInt | UInt
        Int(Int)  Int(UInt)  UInt(Int)  UInt(UInt)
        Compare and_ Compare  LogicalAnd and_ Compare
        Compare ? Int : Int  Compare ? Int : const  Compare ? const : Int  Compare ? const : const
        LogicalAnd ? const : const
    """,
}
"""Types of operands without their widths; `const` is a Python integer."""


def audited() -> dict[str, set[str]]:
    return {kind: set(re.split(r"\s*\n\s*|  +", texts.strip())) for kind, texts in AUDITED.items()}


def traced(seeds: Iterable[int]) -> Census:
    """What programs of every layer type use, in random foldings of random layers."""
    with census() as found:
        for seed in seeds:
            rng = np.random.default_rng(seed)
            for kind in LAYERS:
                schedule(any_lanes(drawn(seed, kind), rng))
            for graph in (random_layer(seed), random_layer(seed, depthwise=True), *random_others(seed)):
                schedule(folded(graph, rng))
            for style in FED:
                design = fed_design(random_layer(seed), style, rng)
                if design is not None:
                    schedule(design)
    return found


def random_others(seed: int) -> tuple[Graph, ...]:
    pools = (random_pool(3 * seed + i) for i in range(3))
    return random_binary(seed, False), random_binary(seed, True), *pools, random_resize(seed)


def test_generators_use_what_has_been_audited() -> None:
    found = traced((0, 1, 2, 7))
    assert found.found == audited()
    assert [name for name in sorted(found.registers) if not is_register(name)] == []
    assert [name for name in sorted(found.counters) if is_register(name)] == []


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 120))
def test_and_nothing_else(seed: int) -> None:
    found = traced((seed,))
    for kind, texts in found.found.items():
        assert texts <= audited()[kind], kind
    assert all(map(is_register, found.registers))
    assert not any(map(is_register, found.counters))
