"""Plans that turn out too large when they are lowered are cut off and solved again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from fake_engines import FakeEngine, chain, cpu, target

from ir.engine import Artifact, Candidate
from ir.graph import Graph
from ir.target import Resources, Target
from partition import PlanError, settled


@dataclass(frozen=True)
class Growing(FakeEngine):
    """Lowered, a region takes what its candidates say and ``growth`` for each node beyond the first."""

    growth: Resources = field(default_factory=Resources)

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        if self.side == "cpu":
            return Artifact({}, (), (), ())
        used = sum((c.resources for c in choices.values()), self.fixed)
        return Artifact({}, (), (), (), resources=used + self.growth * (len(choices) - 1))


@dataclass(frozen=True)
class Drafting(Growing):
    """Knows of its growth before it has lowered a region."""

    def drafted(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Resources:
        return self.lower(region, choices, target).resources


@dataclass(frozen=True)
class Host(FakeEngine):
    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        return Artifact({}, (), (), ())


def engines(growth: int) -> tuple[Growing, Host]:
    ways = {name: [Candidate(10, Resources(lut=8)), Candidate(20, Resources(lut=4))] for name in "abc"}
    host = cpu(dict.fromkeys("abc", 5000))
    return Growing("dev", "device", ways, growth=Resources(lut=growth)), Host(host.name, host.side, host.table)


def test_what_lowering_shows_is_believed() -> None:
    """Estimated, three nodes at ten cycles fit 24 LUTs. Each node beyond the first really takes two more, so one of
    them has to be the smaller one."""
    said: list[str] = []
    plan, artifacts = settled(chain(3), engines(2), target(Resources(lut=24)), said.append)
    (region,) = plan.regions
    assert artifacts["fpga0"].resources.lut <= 24
    assert sorted(c.cycles for c in region.choices.values()) != [10, 10, 10]
    assert "partitioning again: lowered, the plan takes 28 LUT of 24" in said
    assert [d.engine for d in plan.decisions] == ["dev"] * 3


def test_what_is_known_before_lowering_is_not_lowered() -> None:
    """The same, by an engine that says so in time: the plan that does not fit costs no lowering."""
    said: list[str] = []
    device, host = engines(2)
    knowing = Drafting(device.name, device.side, device.table, growth=device.growth)
    plan, artifacts = settled(chain(3), (knowing, host), target(Resources(lut=24)), said.append)
    assert artifacts["fpga0"].resources.lut <= 24
    assert said[1:] == [
        "partitioning",
        "partitioning again: drawn up, the plan takes 28 LUT of 24",
        "generating fpga0 (dev, 3 nodes)",
    ]
    known, _ = settled(chain(3), engines(2), target(Resources(lut=24)), said.append)
    assert [dict(r.choices) for r in plan.regions] == [dict(r.choices) for r in known.regions]


def test_a_plan_that_fits_is_lowered_once() -> None:
    said: list[str] = []
    settled(chain(3), engines(0), target(Resources(lut=24)), said.append)
    assert said == ["asking 2 engines about 3 nodes", "partitioning", "generating fpga0 (dev, 3 nodes)"]


def test_what_grows_too_much_goes_to_the_cpu() -> None:
    plan, artifacts = settled(chain(3), engines(100), target(Resources(lut=24)), lambda what: None)
    assert any(d.engine == "cpu" for d in plan.decisions)
    assert sum((a.resources for a in artifacts.values()), Resources()).lut <= 24


@dataclass(frozen=True)
class Short(FakeEngine):
    """Lowered, any region takes 1 LUT more than its candidates say."""

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        return Artifact({}, (), (), (), resources=sum((c.resources for c in choices.values()), Resources(lut=1)))


def test_what_is_always_missing_is_spared() -> None:
    """Two of 22 like nodes fit the estimated budget, one of them the real one. There are more pairs that have shown
    nothing yet than plans that are looked at."""
    names = [node.name for node in chain(22).nodes]
    device = Short("dev", "device", {name: [Candidate(10, Resources(lut=8))] for name in names})
    host = Host("cpu", "cpu", {name: [Candidate(5000)] for name in names})
    plan, artifacts = settled(chain(22), (device, host), target(Resources(lut=16)), lambda what: None)
    assert artifacts["fpga0"].resources.lut == 9
    assert sum(d.engine == "dev" for d in plan.decisions) == 1


def test_what_fits_nowhere_is_an_error() -> None:
    """The node is taken by the accelerator alone, whose estimate fits and whose region does not."""
    device = Growing("dev", "device", {"a": [Candidate(10, Resources(lut=8))], "b": [Candidate(10, Resources(lut=8))]})
    device = replace(device, growth=Resources(lut=9))
    host = Host("cpu", "cpu", {}, dict.fromkeys("ab", "no kernel"))
    with pytest.raises(PlanError, match="some nodes cannot run on the CPU, and with them the accelerator exceeds"):
        settled(chain(2), (device, host), target(Resources(lut=24)), lambda what: None)
