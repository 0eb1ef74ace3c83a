"""Machine models: the arithmetic on counts made by hand, the shipped tables, and mistakes in a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cpu_backend.meter.counts import CLASSES, VECTOR, Counts
from cpu_backend.meter.machine import DEFAULTS, Cycles, Machine, MachineError, load_machine, shipped_machines

GOOD = """
name: my-core
isas: [rv64gcv, rv64gc]
issue_width: 2
extra_cycles: {div: 30, mul: 1}
dlen: 128
beat_cycles: {vlogic: 2, vload: 3}
l1: {kib: 32, ways: 8, line_bytes: 64, miss_cycles: 10}
l2: {kib: 512, ways: 8, line_bytes: 64, miss_cycles: 70}
"""


def counts(
    instructions: dict[str, int], groups: dict[str, tuple[int, ...]] | None = None, **more: dict[str, int] | int
) -> Counts:
    """Counts with zeros for what is not given."""
    elements = more.pop("elements", {})
    assert isinstance(elements, dict)
    rest = {key: int(str(more.get(key, 0))) for key in ("loaded", "stored", "l1_misses", "l2_misses")}
    return Counts(
        1,
        dict.fromkeys(CLASSES, 0) | instructions,
        dict.fromkeys(VECTOR, (0,) * 7) | (groups or {}),
        dict.fromkeys(VECTOR, 0) | elements,
        **rest,
    )


@pytest.fixture()
def machine(tmp_path: Path) -> Machine:
    file = tmp_path / "core.yaml"
    file.write_text(GOOD)
    return load_machine(str(file))


def test_issue(machine: Machine) -> None:
    """11 instructions two a cycle, then 3 * 30 and 2 * 1 cycles in which nothing begins."""
    result = machine.cycles(counts({"alu": 6, "div": 3, "mul": 2}), 256)
    assert result == Cycles(issue=6 + 92, arithmetic=0, memory=0, stalls=0)
    assert (result.total, result.bound) == (98, "issue")


def test_arithmetic_and_memory_overlap(machine: Machine) -> None:
    """At VLEN 256 and DLEN 128: EMUL 1/8..8 are 1, 1, 1, 2, 4, 8, 16 beats; logic takes 2 cycles a beat, loads 3."""
    groups = {"vadd": (1, 1, 1, 1, 1, 1, 1), "vlogic": (0, 0, 0, 0, 5, 0, 0), "vload": (0, 0, 0, 2, 0, 0, 0)}
    got = counts({"vadd": 7, "vlogic": 5, "vload": 3}, groups, elements={"vload": 32, "vstore": 5})
    result = machine.cycles(got, 256)
    assert result == Cycles(issue=8, arithmetic=33 + 2 * 20, memory=3 * (4 + 32) + 5, stalls=0)
    assert (result.total, result.bound) == (113, "memory")
    assert machine.cycles(got, 128).arithmetic == (1 + 1 + 1 + 1 + 2 + 4 + 8) + 2 * 10


def test_misses_come_on_top(machine: Machine) -> None:
    """Every miss of the first level costs 10, those of the second 70 more."""
    result = machine.cycles(counts({"load": 100}, l1_misses=8, l2_misses=3), 0)
    assert result == Cycles(issue=50, arithmetic=0, memory=0, stalls=80 + 210)
    assert result.total == 340


def test_vectors_on_a_scalar_machine_are_refused() -> None:
    with pytest.raises(MachineError, match="machine 'u54' has no vectors, but vector instructions were executed"):
        load_machine("u54").cycles(counts({"vadd": 1}), 128)


def test_the_shipped_machines() -> None:
    assert shipped_machines() == ("generic", "sifive-x280", "spacemit-x60", "u54", "vexriscv")
    machines = {name: load_machine(name) for name in shipped_machines()}
    assert all(machine.name == name for name, machine in machines.items())
    for isa, name in DEFAULTS.items():
        machines[name].check(isa, 1024 if isa == "rv64gcv" else 0)


def test_the_x60_follows_its_measured_table() -> None:
    """Cycles at LMUL 1, 2, 4, 8 and VLEN 256: 1, 2, 4, 8 for additions and products, twice that for logic."""
    x60 = load_machine("spacemit-x60")
    for group, lmul in ((3, 1), (4, 2), (5, 4), (6, 8)):
        one = tuple(int(g == group) for g in range(7))
        for name, cycles in (("vadd", lmul), ("vmul", lmul), ("vlogic", 2 * lmul), ("vperm", 2 * lmul)):
            assert x60.cycles(counts({name: 1}, {name: one}), 256).arithmetic == cycles, (name, lmul)


def test_the_x280_moves_256_bits_a_cycle() -> None:
    one = counts({"vadd": 1}, {"vadd": (0, 0, 0, 1, 0, 0, 0)})
    assert load_machine("sifive-x280").cycles(replace(one, elements=dict.fromkeys(VECTOR, 0)), 512).arithmetic == 2


def changed(key: str, value: object) -> str:
    data = yaml.safe_load(GOOD)
    place = data
    *sections, last = key.split(".")
    for section in sections:
        place = place[section]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return yaml.safe_dump(data)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("issue_width", None, "key 'issue_width' is missing"),
        ("issue_width", 0, "key 'issue_width': Input should be greater than or equal to 1, is 0"),
        ("issue_width", 1.5, "key 'issue_width': Input should be a valid integer, is 1.5"),
        ("width", 2, "unknown key 'width' (allowed: name, description, isas, vlens, issue_width, extra_cycles, dlen, "),
        ("l1.size", 2, "unknown key 'l1.size' (allowed: kib, ways, line_bytes, miss_cycles, write_allocate)"),
        ("isas", ["rv64imac"], "key 'isas.0': Input should be 'rv64gc', 'rv64gcv' or 'rv32im', is 'rv64imac'"),
        ("isas", [], "key 'isas': List should have at least 1 item after validation, not 0, is []"),
        ("beat_cycles.vfma", 2, "key 'beat_cycles.vfma': Input should be 'vload', 'vstore', 'vadd', 'vmul', 'vdiv', "),
        ("extra_cycles.vadd", 2, "key 'extra_cycles.vadd': Input should be 'alu', 'mul', 'div', 'load', 'store', "),
        ("beat_cycles.vadd", 0, "key 'beat_cycles.vadd': Input should be greater than or equal to 1, is 0"),
        ("dlen", 100, "key 'dlen': Input should be 64, 128, 256, 512 or 1024, is 100"),
        ("dlen", None, "dlen is missing: it goes with rv64gcv among the isas"),
        ("isas", ["rv64gc"], "dlen is given: it goes with rv64gcv among the isas"),
        ("l1", None, "key 'l2': there is no l1"),
        ("l2.line_bytes", 128, "key 'l2.line_bytes': is 128, l1 has 64"),
        ("l2.write_allocate", False, "key 'write_allocate': false goes with an l1 and no l2"),
        ("l1.ways", 3, "key 'l1': a cache of 32 KiB has no whole sets of 3 lines of 64 B"),
    ],
)
def test_mistakes(tmp_path: Path, key: str, value: object, expected: str) -> None:
    file = tmp_path / "core.yaml"
    file.write_text(changed(key, value))
    with pytest.raises(MachineError) as raised:
        load_machine(str(file))
    assert str(raised.value).removeprefix(f"{file}: ").startswith(expected)
    assert "\n" not in str(raised.value)


def test_unknown_names_and_unreadable_files(tmp_path: Path) -> None:
    allowed = r"shipped: generic, sifive-x280, spacemit-x60, u54, vexriscv; or a \.yaml file"
    with pytest.raises(MachineError, match=rf"machine 'x60': unknown \({allowed}\)"):
        load_machine("x60")
    with pytest.raises(MachineError, match=r"none\.yaml: cannot be read \(No such file or directory\)"):
        load_machine(str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("name: [1")
    with pytest.raises(MachineError, match=r"bad\.yaml: not valid YAML: "):
        load_machine(str(tmp_path / "bad.yaml"))
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(MachineError, match=r"list\.yaml: key 'top level': "):
        load_machine(str(tmp_path / "list.yaml"))
