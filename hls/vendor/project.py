"""Vendor projects: scripts for AMD's tools beside the generated C++.

Per region and for every AMD part: ``run_hls.tcl`` (Vitis HLS: simulation, synthesis, co-simulation, IP), a
``Makefile``, and ``vectors.cpp``, which makes the simulations' inputs and expected outputs with the exact simulator.
Of all regions together, in `SYSTEM`, for the boards of `SYSTEMS`: ``block_design.tcl`` and ``bitstream.tcl`` (Vivado),
a ``Makefile``, and ``hardware.json``, what a bitstream's manifest repeats (host/bitstream.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hls.program import Design, Port
from ir.graph import Graph
from ir.target import Target
from ir.types import TensorType

from .project_design import BlockDesign
from .project_ultra96 import CONTROL_BASE, HOST, Accelerator, StreamPort, ultra96_design, ultra96_limits

IP_VENDOR, IP_LIBRARY, IP_VERSION = "hetero", "accelerator", "1.0"
PROTOCOL = 1
"""HC_PROTOCOL_VERSION of host/runtime/hc_regs.h, which the register page obeys."""

SYSTEM = "hardware"
"""The package's folder for the project of the whole fabric."""
DESIGN = "system"
"""The block design's name, and the bitstream's."""


@dataclass(frozen=True)
class _System:
    """``design``: accelerators, fabric's and core's clock in MHz -> the design around them; ``limits``: why there is
    none for some accelerators, in one line; ``board_part``: the board's name in Vivado's store, without a version."""

    design: Callable[[Sequence[Accelerator], float, float], BlockDesign]
    limits: Callable[[Sequence[Accelerator]], str | None]
    board_part: str


SYSTEMS: Mapping[str, _System] = {"ultra96-v2": _System(ultra96_design, ultra96_limits, "avnet.com:ultra96v2:part0")}
"""By board."""


def missing_project(target: Target, accelerators: Sequence[Accelerator] = ()) -> str | None:
    """What of a vendor project there is not for a board and a package's regions, as one line; None where there is all
    of it."""
    if target.fabric is None:
        return None
    if target.name in SYSTEMS:
        limit = SYSTEMS[target.name].limits(accelerators)
        return f"no block design for these regions: {limit}" if limit else None
    if not _is_amd(target):
        return (
            f"no vendor project for {target.fabric.part}: scripts exist for AMD parts; the accelerator's C++ and its "
            "simulator are in the package"
        )
    return f"no block design for board {target.name} (there is one for {', '.join(SYSTEMS)}): HLS scripts only"


def project_files(design: Design, region: Graph, target: Target, folder: str, text: str) -> dict[str, str]:
    """Paths and texts of a region's own project; none for parts that are not AMD's.

    Args:
        design: the accelerator.
        region: the graph it computes, for the ranges of its inputs.
        target: a board with programmable logic.
        folder: where ``accelerator.cpp``, ``testbench.cpp`` and ``simulator.cpp`` are; the project lies below it.
        text: the accelerator's C++. Where it has no interface pragmas, the HLS script sets the interfaces.
    """
    fabric = target.fabric
    if fabric is None or not _is_amd(target):
        return {}
    facts: dict[str, Any] = {
        "name": design.name,
        "board": target.name,
        "part": fabric.part,
        "clock_mhz": f"{fabric.clock_mhz:g}",
        "period_ns": f"{1000 / fabric.clock_mhz:.3f}",
        "ip": (IP_VENDOR, IP_LIBRARY, IP_VERSION),
        "directives": [] if "#pragma HLS interface" in text else _directives(design),
        "constants": bool(design.constants),
        "inputs": [_vector(p, t) for p, t in zip(design.inputs, region.inputs.values(), strict=True)],
        "outputs": [_vector(p, region.types[t]) for p, t in zip(design.outputs, region.outputs, strict=True)],
    }
    names = {name: f"{name}.j2" for name in ("run_hls.tcl", "csim.tcl", "cosim.tcl", "vectors.cpp")}
    return _rendered(f"{folder}/vendor", names | {"Makefile": "Makefile.hls.j2"}, facts)


def system_files(accelerators: Sequence[Accelerator], target: Target) -> dict[str, str]:
    """Paths and texts of the project that builds all regions of a package into one bitstream; none where
    `missing_project` says why."""
    fabric = target.fabric
    if fabric is None or not accelerators or target.name not in SYSTEMS or missing_project(target, accelerators):
        return {}
    system = SYSTEMS[target.name]
    design = system.design(accelerators, fabric.clock_mhz, target.cpu.clock_mhz)
    facts = {
        "name": DESIGN,
        "board": target.name,
        "part": fabric.part,
        "clock_mhz": f"{fabric.clock_mhz:g}",
        "board_part": system.board_part,
        "regions": [accelerator.name for accelerator in accelerators],
        "design": design,
    }
    names = {name: f"{name}.j2" for name in ("block_design.tcl", "bitstream.tcl")}
    made = _rendered(SYSTEM, names | {"Makefile": "Makefile.system.j2"}, facts)
    return made | {f"{SYSTEM}/hardware.json": _hardware(target, fabric.part, design)}


def _rendered(folder: str, templates: Mapping[str, str], facts: Mapping[str, Any]) -> dict[str, str]:
    environment = Environment(
        loader=PackageLoader("hls"), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
    return {f"{folder}/{name}": environment.get_template(of).render(facts) for name, of in sorted(templates.items())}


def accelerator_of(design: Design) -> Accelerator:
    """The IP that ``run_hls.tcl`` exports, as a block design sees it."""

    def streams(ports: tuple[Port, ...]) -> tuple[StreamPort, ...]:
        return tuple(StreamPort(port.wire.name, port.bits, port.wire.words) for port in ports)

    vlnv = f"{IP_VENDOR}:{IP_LIBRARY}:{design.name}:{IP_VERSION}"
    return Accelerator(design.name, vlnv, streams(design.read), streams(design.outputs))


@dataclass(frozen=True)
class _Vector:
    """What ``vectors.cpp`` needs of a port: ``words`` of ``bytes`` bytes, each ``lanes`` values of ``bits`` bits."""

    words: int
    bytes: int
    lanes: int
    bits: int
    lo: int
    hi: int


def _vector(port: Port, type_: TensorType) -> _Vector:
    wire = port.wire
    lo, hi = (0, 1) if type_.dtype.kind == "bipolar" else (type_.lo, type_.hi)
    return _Vector(wire.words, port.bits // 8, wire.word_bits // wire.bits, wire.bits, lo, hi)


def _directives(design: Design) -> list[str]:
    """Streams, and AXI4-Lite to start the accelerator."""
    lines = [f"set_directive_interface -mode axis {design.name} {port.wire.name}" for port in design.ports]
    return [*lines, f"set_directive_interface -mode s_axilite -bundle control {design.name}"]


def _hardware(target: Target, part: str, design: BlockDesign) -> str:
    """``Hardware`` of host/bitstream.py: the host's windows on the control side, by the slave's name."""
    windows = [
        {"name": window.segment.split("/")[0], "base": f"{window.base:#x}", "bytes": window.bytes}
        for window in design.windows
        if window.space == HOST and window.base >= CONTROL_BASE
    ]
    facts = {
        "board": target.name,
        "part": part,
        "bitstream": f"{DESIGN}.bit",
        "protocol": PROTOCOL,
        "registers": windows,
    }
    return json.dumps(facts, indent=1) + "\n"


def _is_amd(target: Target) -> bool:
    return target.fabric is not None and target.fabric.part.startswith("xc")
