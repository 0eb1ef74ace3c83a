"""The hardware a graph is compiled for: plain facts, already validated (board files are read by hetero_compile)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, cast

Extension = Literal["zvbb"]
"""zvbb: bit manipulation in vectors, of which kernels use the count of bits."""
March = Literal["rv64gc", "rv64gcv", "rv64gcv_zvbb", "rv32im"]
HostArch = Literal["aarch64", "armv7l"]


@dataclass(frozen=True)
class Resources:
    """Programmable-logic resources; block RAM in units of 18 Kbit."""

    lut: int = 0
    dsp: int = 0
    bram18: int = 0
    uram: int = 0
    ff: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.lut + other.lut, self.dsp + other.dsp, self.bram18 + other.bram18, self.uram + other.uram,
            self.ff + other.ff,
        )  # fmt: skip

    def __sub__(self, other: Resources) -> Resources:
        return self + other * -1

    def __mul__(self, count: int) -> Resources:
        return Resources(*(getattr(self, f.name) * count for f in fields(self)))

    def exceeds(self, budget: Resources) -> tuple[str, ...]:
        """The names of the resources of which there are more than in ``budget``."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) > getattr(budget, f.name))


@dataclass(frozen=True)
class Fabric:
    """Programmable logic: part name, what may be used of it, multiplier kind (a name known to hls.packing), clock.

    ``cycle_budget``: cycles per frame that are fast enough, for the smallest accelerator that keeps them; else the
    fastest is wanted.
    """

    part: str
    budget: Resources
    dsp: str
    clock_mhz: float
    cycle_budget: int | None = None


@dataclass(frozen=True)
class Cpu:
    """The RISC-V side. ``vlen`` is 0 without the vector extension; ``isa`` is rv64gc, rv64gcv or rv32im.

    ``machine``: the model that turns counted instructions into cycles (known to cpu_backend.meter). ``extensions``:
    optional ones beside the isa's, in lower case.
    """

    isa: Literal["rv64gc", "rv64gcv", "rv32im"]
    vlen: int
    cores: int
    clock_mhz: float
    role: Literal["host", "coprocessor"]
    machine: str = "generic"
    extensions: tuple[Extension, ...] = ()

    @property
    def march(self) -> March:
        """The isa with its extensions, as RISC-V names them."""
        return cast(March, "_".join((self.isa, *self.extensions)))


@dataclass(frozen=True)
class Host:
    """The cores that run the host's program where they are no RISC-V: ``arch`` is what ``uname -m`` says there."""

    arch: HostArch
    clock_mhz: float


@dataclass(frozen=True)
class SharedMemory:
    """The memory both sides see: contiguous DMA pool size, bandwidth, cache line, coherence.

    ``invocation_us``: what starting an accelerator region and learning of its end costs the CPU, in microseconds."""

    pool_bytes: int
    bandwidth_gbs: float
    cache_line: int
    coherent: bool
    invocation_us: float = 0.0


@dataclass(frozen=True)
class HostLink:
    """How the program that feeds the accelerator reaches it: the ``driver`` (none: no known one), and how it learns of
    a ``completion``."""

    driver: Literal["none", "uio", "pynq"] = "none"
    completion: Literal["polling", "interrupt"] = "polling"


@dataclass(frozen=True)
class Target:
    """One board. ``fabric`` is None where there is no programmable logic.

    ``objective``: most frames a second, least time of a frame, or the smallest accelerator that gives
    ``frames_per_second``."""

    name: str
    cpu: Cpu
    memory: SharedMemory
    fabric: Fabric | None = None
    objective: Literal["throughput", "latency", "area"] = "throughput"
    hypothetical: bool = False
    link: HostLink = HostLink()
    frames_per_second: float | None = None
    host: Host | None = None

    @property
    def host_clock_mhz(self) -> float:
        """Of the cores that hand tensors to the accelerator and take them back."""
        return self.host.clock_mhz if self.host else self.cpu.clock_mhz
