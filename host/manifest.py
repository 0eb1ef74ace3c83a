"""The manifest: everything about a compiled network that whoever runs it must know.

The compiler fills in a `Manifest`; `host.package.write_package` adds the programs, the digest of every file and the
hashes (`Seal`) and stores both as ``manifest.json``. `host.checks` has the rules between the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy.typing as npt

from ir.engine import Port, WeightPort
from ir.records import Dequantise, Head, Picture, Quantise
from ir.target import HostArch, March
from ir.types import DType, TensorType

FORMAT = 4
MANIFEST_NAME = "manifest.json"

Side = Literal["cpu", "device"]


@dataclass(frozen=True)
class Board:
    """The facts of a board that matter at run time.

    ``isa``: with its extensions, as `ir.target.Cpu.march`; ``pool_bytes``: of its contiguous DMA memory; ``threads``:
    how many its CPU regions are made for; ``driver``: what reaches its accelerator (none: nothing that is known);
    ``completion``: how the host learns that a command is done; ``host_arch``: of the host's cores where they
    are no RISC-V.
    """

    name: str
    isa: March
    vlen: int
    role: Literal["host", "coprocessor"]
    coherent: bool
    cache_line: int
    pool_bytes: int
    threads: int = 1
    driver: Literal["none", "uio", "pynq"] = "none"
    completion: Literal["polling", "interrupt"] = "polling"
    host_arch: HostArch | None = None


@dataclass(frozen=True)
class Tensor:
    """A tensor at the edge of the network or between two regions; activations have shape (C, H, W)."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    lo: int
    hi: int

    @staticmethod
    def of(name: str, type_: TensorType) -> Tensor:
        return Tensor(name, type_.shape, type_.dtype, type_.lo, type_.hi)

    @property
    def type(self) -> TensorType:
        return TensorType(self.shape, self.dtype, self.lo, self.hi)

    def objection(self, values: npt.NDArray[Any]) -> str | None:
        """Why the tensor cannot hold ``values``; None if it can."""
        if values.shape != self.shape:
            return f"input '{self.name}': shape {values.shape} instead of {self.shape}"
        if not self.dtype.is_integer:
            return None
        if values.dtype.kind not in "iub":
            return f"input '{self.name}': {values.dtype} values instead of integers"
        if values.min() < self.lo or values.max() > self.hi:
            return f"input '{self.name}': values {values.min()}..{values.max()} outside {self.lo}..{self.hi}"
        if self.dtype.kind == "bipolar" and not values.all():
            return f"input '{self.name}': a value is 0, bipolar ones are -1 or +1"
        return None


@dataclass(frozen=True)
class Stage:
    """One line of a region's stage table: cycles of the engine's clock per frame, as estimated by the compiler."""

    name: str
    cycles: int
    note: str


@dataclass(frozen=True)
class Region:
    """A part of the network that runs in one place.

    ``name`` is a C identifier: the sources define ``const hc_region hc_region_<name>`` (runtime/hc_region.h). Ports are
    in the order of that ABI. ``sources`` are the C or C++ files of the package to compile for it: the code itself on
    the CPU, the bit-exact simulator of a device region. ``hardware`` are the files that a bitstream of the region is
    made from. ``clock_mhz`` is 0 where the engine states none. ``failover`` are the C files of a device region's
    ``const hc_region hc_region_<name>_cpu``, which computes the same on plain buffers when the device fails.
    ``weights`` are the ports by which a device region gets weights; ``weight_source`` is the C file of the table
    ``const void *const hc_weights_<name>[]`` of what they bring, "" without any.
    """

    name: str
    side: Side
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    sources: tuple[str, ...]
    stages: tuple[Stage, ...] = ()
    clock_mhz: float = 0.0
    hardware: tuple[str, ...] = ()
    failover: tuple[str, ...] = ()
    weights: tuple[WeightPort, ...] = ()
    weight_source: str = ""


@dataclass(frozen=True)
class Manifest:
    """What the compiler states.

    ``tensors`` lists the network's inputs and outputs and every tensor that crosses from one region to another;
    ``inputs`` and ``outputs`` name some of them, in the order of the runtime's API. ``regions`` are in an order in
    which every tensor is written before it is read. ``dequantise`` is keyed by output, ``quantise`` by input;
    ``shapes`` are those that inputs and outputs have in the model file, batch included, where that is not (C, H, W):
    the same elements in the same order.
    """

    name: str
    board: Board
    tensors: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    regions: tuple[Region, ...]
    picture: Picture | None = None
    head: Head | None = None
    dequantise: Mapping[str, Dequantise] = field(default_factory=dict)
    quantise: Mapping[str, Quantise] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def tensor(self, name: str) -> Tensor:
        """KeyError if the manifest has no such tensor."""
        return self.tensor_table[name]

    @property
    def tensor_table(self) -> dict[str, Tensor]:
        return {tensor.name: tensor for tensor in self.tensors}

    @property
    def uses_device(self) -> bool:
        return any(region.side == "device" for region in self.regions)

    @property
    def has_failover(self) -> bool:
        """Whether the CPU can compute everything."""
        return all(region.failover for region in self.regions if region.side == "device")


@dataclass(frozen=True)
class Program:
    """A binary of the package: the runtime as a shared ``library``, the simulated ``device``, or ``standalone``."""

    kind: Literal["library", "device", "standalone"]
    machine: str
    path: str


@dataclass(frozen=True)
class Seal:
    """What `write_package` adds.

    ``plan`` identifies what is computed (manifest and region sources): 16 hexadecimal digits, compiled into every
    program and read back from the device. ``accelerators`` has the hash of every region's ``hardware``
    (`host.package.accelerator_hash`), which a bitstream must have been built from. ``hash`` is the package's: SHA-256
    over the manifest and ``files``.
    """

    plan: str
    accelerators: Mapping[str, str]
    programs: tuple[Program, ...]
    files: Mapping[str, str]
    hash: str
