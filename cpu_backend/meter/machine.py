"""Machine models: YAML tables that turn counts into cycles. ``machines/`` has the shipped ones, with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cpu_backend.meter.counts import SCALAR, VECTOR, VECTOR_ARITHMETIC, VECTOR_MEMORY, Counts, MeterError
from cpu_backend.meter.meter import Cache

Isa = Literal["rv64gc", "rv64gcv", "rv32im"]
DEFAULTS: Mapping[str, str] = {"rv64gcv": "generic", "rv64gc": "u54", "rv32im": "vexriscv"}
"""The machine of a board file that names none."""


class MachineError(ValueError):
    """A machine model that cannot be used; one line."""


@dataclass(frozen=True)
class Cycles:
    """Estimated cycles of a region, and what they consist of.

    ``issue``, ``arithmetic`` and ``memory`` overlap, so the largest counts; ``stalls`` (cache misses) come on top.
    """

    issue: int
    arithmetic: int
    memory: int
    stalls: int

    @property
    def total(self) -> int:
        return max(self.issue, self.arithmetic, self.memory) + self.stalls

    @property
    def bound(self) -> str:
        """Which of the overlapping ones is the largest; the first where several are."""
        parts = {"issue": self.issue, "arithmetic": self.arithmetic, "memory": self.memory}
        return max(parts, key=lambda name: parts[name])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Extra = Annotated[int, Field(ge=0, le=1000)]
ScalarName = Literal["alu", "mul", "div", "load", "store", "branch", "jump", "float", "system"]
VectorName = Literal["vload", "vstore", "vadd", "vmul", "vdiv", "vlogic", "vcompare", "vmove", "vperm", "vred", "vmask"]
assert get_args(ScalarName) == SCALAR and get_args(VectorName) == VECTOR


class CacheModel(_Strict):
    """``miss_cycles``: cycles that the core stands still because a line is not in this level, beyond those of L1.
    ``write_allocate``: whether a store fetches its line, else it costs nothing (l1 without an l2 only)."""

    kib: Annotated[int, Field(ge=1, le=65_536)]
    ways: Annotated[int, Field(ge=1, le=64)]
    line_bytes: Literal[16, 32, 64, 128]
    miss_cycles: Extra
    write_allocate: bool = True

    def cache(self) -> Cache:
        return Cache(self.kib, self.ways, self.line_bytes, self.write_allocate)


class Machine(_Strict):
    """A core: cycles = max(issue, arithmetic beats, memory beats) + misses * penalty.

    ``issue_width``: instructions begun in a cycle; ``extra_cycles``: further cycles, per instruction of a class, in
    which nothing else begins. ``dlen``: bits of the vector datapath; ``beat_cycles``: cycles per DLEN bits of an
    operation, 1 where not given. ``vlens``: the vector lengths it exists with, any if empty.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    isas: Annotated[list[Isa], Field(min_length=1)]
    vlens: list[Literal[128, 256, 512, 1024]] = []
    issue_width: Annotated[int, Field(ge=1, le=16)]
    extra_cycles: dict[ScalarName, Extra] = {}
    dlen: Literal[64, 128, 256, 512, 1024] | None = None
    beat_cycles: dict[VectorName, Annotated[int, Field(ge=1, le=1000)]] = {}
    l1: CacheModel | None = None
    l2: CacheModel | None = None

    @property
    def caches(self) -> tuple[Cache, ...]:
        return tuple(level.cache() for level in (self.l1, self.l2) if level)

    def check(self, isa: str, vlen: int) -> None:
        """MachineError where the machine does not run this instruction set or vector length."""
        if isa not in self.isas:
            raise MachineError(f"machine '{self.name}' does not run {isa} (it runs {', '.join(self.isas)})")
        if vlen and self.vlens and vlen not in self.vlens:
            raise MachineError(
                f"machine '{self.name}' does not exist with VLEN {vlen} (with {', '.join(map(str, self.vlens))})"
            )

    def cycles(self, counts: Counts, vlen: int) -> Cycles:
        """The estimate for a region, counted at this VLEN with `caches`."""
        issue = -(-counts.total // self.issue_width)
        issue += sum(counts.instructions[name] * extra for name, extra in self.extra_cycles.items())
        arithmetic = memory = 0
        if self.dlen:
            beats = counts.beats(vlen, self.dlen)
            arithmetic, memory = (
                sum(beats[name] * self._beat_cycles(name) for name in names)
                for names in (VECTOR_ARITHMETIC, VECTOR_MEMORY)
            )
        elif any(counts.instructions[name] for name in VECTOR):
            raise MachineError(f"machine '{self.name}' has no vectors, but vector instructions were executed")
        misses = ((self.l1, counts.l1_misses), (self.l2, counts.l2_misses))
        stalls = sum(level.miss_cycles * missed for level, missed in misses if level)
        return Cycles(issue, arithmetic, memory, stalls)

    def operation(self, name: VectorName, vlen: int, eighths: int) -> int:
        """Cycles of one vector operation of a class on groups of this EMUL, in eighths of a register."""
        assert self.dlen is not None
        return -(-vlen * eighths // (8 * self.dlen)) * self._beat_cycles(name)

    def _beat_cycles(self, name: str) -> int:
        return {str(key): value for key, value in self.beat_cycles.items()}.get(name, 1)


def shipped_machines() -> tuple[str, ...]:
    """The names that `load_machine` takes without a file."""
    folder = files("cpu_backend") / "meter" / "machines"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_machine(name_or_path: str) -> Machine:
    """A shipped machine by name, or a machine file by path. Raises MachineError."""
    if name_or_path in shipped_machines():
        text = (files("cpu_backend") / "meter" / "machines" / f"{name_or_path}.yaml").read_text("utf-8")
    else:
        path = Path(name_or_path)
        if path.suffix not in (".yaml", ".yml"):
            allowed = ", ".join(shipped_machines())
            raise MachineError(f"machine '{name_or_path}': unknown (shipped: {allowed}; or a .yaml file)")
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise MachineError(f"{name_or_path}: cannot be read ({reason})") from None
    try:
        machine = Machine.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise MachineError(f"{name_or_path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise MachineError(f"{name_or_path}: {_first(error)}") from None
    if problem := _contradiction(machine):
        raise MachineError(f"{name_or_path}: {problem}")
    return machine


def _contradiction(machine: Machine) -> str | None:
    """What is wrong between keys."""
    vectors = "rv64gcv" in machine.isas
    if vectors != (machine.dlen is not None):
        return f"dlen {'is missing' if vectors else 'is given'}: it goes with rv64gcv among the isas"
    if (machine.vlens or machine.beat_cycles) and not vectors:
        return "vlens and beat_cycles go with rv64gcv among the isas"
    if machine.l2 and not machine.l1:
        return "key 'l2': there is no l1"
    if machine.l1 and machine.l2 and machine.l1.line_bytes != machine.l2.line_bytes:
        return f"key 'l2.line_bytes': is {machine.l2.line_bytes}, l1 has {machine.l1.line_bytes}"
    if machine.l2 and not all(level.write_allocate for level in (machine.l1, machine.l2) if level):
        return "key 'write_allocate': false goes with an l1 and no l2"
    for key, level in (("l1", machine.l1), ("l2", machine.l2)):
        try:
            _ = level.cache().sets if level else 0
        except MeterError as error:
            return f"key '{key}': {error}"
    return None


def _first(error: ValidationError) -> str:
    """The first problem, with the key's path and what is allowed there."""
    found = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    path = [str(part) for part in found["loc"]]
    key = ".".join(path) or "top level"
    if found["type"] == "extra_forbidden":
        section = CacheModel if path[0] in ("l1", "l2") else Machine
        return f"unknown key '{key}' (allowed: {', '.join(section.model_fields)})"
    if found["type"] == "missing":
        return f"key '{key}' is missing"
    value = "" if found["type"] == "model_type" else f", is {found['input']!r}"
    return f"key '{key.removesuffix('.[key]')}': {found['msg']}{value}"
