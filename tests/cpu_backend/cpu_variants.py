"""Kernel cases with a kernel of the tuner's choosing instead of the rules'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from cpu_blocks import FIELDS, MAP_PARAMETERS
from cpu_cases import Case
from cpu_encode import CHOSEN, CONV, TYPES

from cpu_backend.variants import FAMILIES, Fields, Variant, legal

FAMILY_NUMBERS = {family: number for number, family in enumerate(FAMILIES)}


def fields_of(case: Case) -> Fields:
    """The convolution's record, types by name."""
    numbers = dict(zip(FIELDS, case.parameters[MAP_PARAMETERS:], strict=False))
    return {**numbers, "x_type": TYPES[numbers["x_type"]]}


def chosen(case: Case, variant: Variant) -> Case:
    choice = (FAMILY_NUMBERS[variant.family], variant.sums, variant.lmul, variant.pixels)
    parameters = (*case.parameters, *choice)
    return replace(case, operator=CHOSEN, parameters=parameters, label=f"{variant}; {case.label}")


def every_variant(cases: Sequence[Case], vlen: int) -> Iterator[tuple[Variant, Case]]:
    """Each case with each variant that it allows at this VLEN."""
    for case in cases:
        if case.operator == CONV:
            for variant in legal(fields_of(case), vlen):
                yield variant, chosen(case, variant)


def sampled(cases: Sequence[Case], vlen: int, each: int, seed: int) -> list[tuple[Variant, Case]]:
    """At most ``each`` cases of every variant."""
    pairs = list(every_variant(cases, vlen))
    order = np.random.default_rng(seed).permutation(len(pairs))
    taken: dict[Variant, list[tuple[Variant, Case]]] = {}
    for i in order:
        mine = taken.setdefault(pairs[i][0], [])
        if len(mine) < each:
            mine.append(pairs[i])
    return [pair for pairs_ in taken.values() for pair in pairs_]
