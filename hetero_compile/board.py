"""Board files: YAML, validated key by key, turned into ir.target facts.

Units are part of the key (``clock_mhz``, ``dma_pool_mib``); unknown keys, wrong types and impossible values are errors
that name file, key and what is allowed.
"""

from __future__ import annotations

from collections.abc import Hashable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cpu_backend.meter.machine import DEFAULTS, load_machine, shipped_machines
from ir.target import Cpu, Extension, Fabric, Host, HostArch, HostLink, Resources, SharedMemory, Target

Count = Annotated[int, Field(ge=0, le=10_000_000)]
FLIP_FLOPS_PER_LUT = {"dsp48e1": 2, "dsp48e2": 2, "dsp58": 2}
"""Of fabrics that have more than one."""
Megahertz = Annotated[float, Field(gt=0, le=10_000)]


class BoardError(ValueError):
    """A board file that cannot be used; one line."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FabricModel(_Strict):
    """``dsp``: the multiplier block; counts are what the accelerator may use. ``ff_count`` is by default what the
    fabric has beside ``lut_count`` LUTs: two flip-flops each on AMD's parts, one on the others.
    ``lut_share``: of the LUTs, for the layers' logic; the rest is the vendor tool's, for control and routing.
    ``cycle_budget``: cycles per frame that are fast enough; the accelerator is then as small as they allow."""

    part: str
    dsp: Literal["dsp48e1", "dsp48e2", "dsp58", "macc18", "ecp5", "gowin18", "gowin9", "gowin5a"]
    dsp_count: Count
    lut_count: Count
    bram18_count: Count
    uram_count: Count = 0
    ff_count: Count | None = None
    clock_mhz: Megahertz
    lut_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    cycle_budget: Annotated[int, Field(ge=1)] | None = None


class CpuModel(_Strict):
    """``vlen`` in bits, with the V extension only. ``machine``: a model of cpu_backend/meter/machines, by default the
    usual one for the isa; it has to run that isa and vlen. ``extensions``: optional ones that the cores have; with
    zvbb (which goes with V), binary convolutions count bits."""

    isa: Literal["rv64gc", "rv64gcv", "rv32im"]
    vlen: Literal[0, 128, 256, 512, 1024] = 0
    cores: Annotated[int, Field(ge=1, le=256)]
    clock_mhz: Megahertz
    role: Literal["host", "coprocessor"]
    machine: str | None = None
    extensions: list[Extension] = []

    @model_validator(mode="after")
    def _vlen_goes_with_v(self) -> Self:
        if (self.isa == "rv64gcv") != (self.vlen > 0):
            raise ValueError(f"vlen {self.vlen} does not go with isa {self.isa} (rv64gcv needs 128 or more, others 0)")
        return self

    @model_validator(mode="after")
    def _extensions_go_with_the_isa(self) -> Self:
        if len(set(self.extensions)) < len(self.extensions):
            raise ValueError("extensions names one twice")
        if self.extensions and not self.vlen:
            raise ValueError(f"extension {self.extensions[0]} does not go with isa {self.isa} (it needs rv64gcv)")
        return self

    @model_validator(mode="after")
    def _machine_runs_the_isa(self) -> Self:
        if self.machine and self.machine not in shipped_machines():
            raise ValueError(f"machine '{self.machine}' is unknown (allowed: {', '.join(shipped_machines())})")
        load_machine(self.model).check(self.isa, self.vlen)
        return self

    @property
    def model(self) -> str:
        return self.machine or DEFAULTS[self.isa]

    def facts(self) -> Cpu:
        extensions = tuple(sorted(self.extensions))
        return Cpu(self.isa, self.vlen, self.cores, self.clock_mhz, self.role, self.model, extensions)


class HostModel(_Strict):
    """The cores that run ``hetero-run`` where the RISC-V ones are a coprocessor; ``arch`` is what ``uname -m`` says."""

    arch: HostArch
    clock_mhz: Megahertz


class MemoryModel(_Strict):
    """The memory that both sides see. ``invocation_us``: what a command to the accelerator and its completion cost the
    CPU; the default is a guess (two interrupts under Linux), to be replaced by a measurement on the board."""

    dma_pool_mib: Annotated[int, Field(ge=1, le=65_536)]
    bandwidth_gb_s: Annotated[float, Field(gt=0, le=2000)]
    cache_line_bytes: Literal[16, 32, 64, 128]
    coherent: bool
    invocation_us: Annotated[float, Field(ge=0, le=1e6)] = 5.0


class RuntimeModel(_Strict):
    """How ``hetero-run --on board`` reaches the accelerator: through UIO and u-dma-buf nodes, PYNQ, or not at all."""

    driver: Literal["none", "uio", "pynq"] = "none"
    completion: Literal["polling", "interrupt"] = "polling"

    @model_validator(mode="after")
    def _interrupts_need_uio(self) -> Self:
        if self.completion == "interrupt" and self.driver != "uio":
            raise ValueError(f"completion interrupt needs driver uio, not {self.driver}")
        return self


class BoardModel(_Strict):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    hypothetical: bool = False
    objective: Literal["throughput", "latency", "area"] = "throughput"
    frames_per_second: Annotated[float, Field(gt=0, le=1e9)] | None = None
    fabric: FabricModel | None = None
    cpu: CpuModel
    memory: MemoryModel
    runtime: RuntimeModel = RuntimeModel()
    host: HostModel | None = None

    @model_validator(mode="after")
    def _host_beside_a_coprocessor(self) -> Self:
        if self.host and self.cpu.role == "host":
            raise ValueError("host goes with cpu.role coprocessor: with role host the RISC-V cores run hetero-run")
        return self

    @model_validator(mode="after")
    def _area_at_a_rate(self) -> Self:
        if (self.objective == "area") != (self.frames_per_second is not None):
            raise ValueError("objective 'area' and frames_per_second, the rate to be kept, go together")
        return self

    def target(self) -> Target:
        fabric = None
        if f := self.fabric:
            flip_flops = f.lut_count * FLIP_FLOPS_PER_LUT.get(f.dsp, 1) if f.ff_count is None else f.ff_count
            luts = int(f.lut_count * f.lut_share)
            budget = Resources(luts, f.dsp_count, f.bram18_count, f.uram_count, flip_flops)
            fabric = Fabric(f.part, budget, f.dsp, f.clock_mhz, f.cycle_budget)
        m = self.memory
        return Target(
            self.name,
            self.cpu.facts(),
            SharedMemory(m.dma_pool_mib << 20, m.bandwidth_gb_s, m.cache_line_bytes, m.coherent, m.invocation_us),
            fabric,
            self.objective,
            self.hypothetical,
            HostLink(self.runtime.driver, self.runtime.completion),
            self.frames_per_second,
            Host(self.host.arch, self.host.clock_mhz) if self.host else None,
        )


class _UniqueKeys(yaml.SafeLoader):
    """YAML takes the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # no key of a board file: refused by its name
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key.value}' appears twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def shipped_boards() -> tuple[str, ...]:
    """The names `--board` takes without a file."""
    folder = files("hetero_compile") / "boards"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_board(name_or_path: str) -> Target:
    """A shipped board by name, or a board file by path. Raises BoardError."""
    if name_or_path in shipped_boards():
        text = (files("hetero_compile") / "boards" / f"{name_or_path}.yaml").read_text()
    else:
        path = Path(name_or_path)
        if path.suffix not in (".yaml", ".yml"):
            raise BoardError(
                f"board '{name_or_path}': unknown (shipped: {', '.join(shipped_boards())}; or a .yaml file)"
            )
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise BoardError(f"{name_or_path}: cannot be read ({reason})") from None
    try:
        content = yaml.load(text, _UniqueKeys)
        if not isinstance(content, dict):
            raise BoardError(f"{name_or_path}: holds no keys (a board file has {', '.join(BoardModel.model_fields)})")
        return BoardModel.model_validate(content).target()
    except yaml.YAMLError as error:
        raise BoardError(f"{name_or_path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise BoardError(f"{name_or_path}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    """The first problem, with the key's path and what is allowed there; an unknown key explains a missing one."""
    found = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    path = [str(part) for part in found["loc"]]
    key = ".".join(path) or "top level"
    if found["type"] == "extra_forbidden":
        allowed = ", ".join(_keys_beside(path))
        return f"unknown key '{key}' (allowed: {allowed})"
    if found["type"] == "missing":
        return f"key '{key}' is missing"
    value = "" if found["type"] in ("value_error", "model_type") else f", is {found['input']!r}"
    return f"key '{key}': {found['msg'].removeprefix('Value error, ')}{value}"


def _keys_beside(path: list[str]) -> list[str]:
    """The keys of the section in which the last part of the path stands."""
    sections: dict[str, type[BaseModel]] = {
        "fabric": FabricModel,
        "cpu": CpuModel,
        "memory": MemoryModel,
        "runtime": RuntimeModel,
    }
    section = sections[path[0]] if len(path) > 1 and path[0] in sections else BoardModel
    return list(section.model_fields)
