"""The vendor project of an accelerator: scripts for AMD's tools beside the generated C++.

``run_hls.tcl`` (Vitis HLS: simulation, synthesis, co-simulation, IP) for every AMD part; ``block_design.tcl`` and
``bitstream.tcl`` (Vivado) for the boards of `BLOCK_DESIGNS`; a ``Makefile`` over both; ``vectors.cpp``, which makes the
simulations' inputs and expected outputs with the bit-exact simulator; ``hardware.json``, what a bitstream's manifest
repeats (host/bitstream.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hls.program import Design, Port
from ir.graph import Graph
from ir.target import Target
from ir.types import TensorType

from .project_design import BlockDesign
from .project_ultra96 import CONTROL_BASE, HOST, Accelerator, StreamPort, ultra96_design

IP_VENDOR, IP_LIBRARY, IP_VERSION = "hetero", "accelerator", "1.0"
PROTOCOL = 1
"""HC_PROTOCOL_VERSION of host/runtime/hc_regs.h, which the register page obeys."""

BLOCK_DESIGNS: Mapping[str, Callable[[Accelerator, float, float], BlockDesign]] = {"ultra96-v2": ultra96_design}
"""By board: accelerator, fabric's and core's clock in MHz -> the design around it."""

BOARD_PARTS: Mapping[str, str] = {"ultra96-v2": "avnet.com:ultra96v2:part0"}
"""The boards' names in Vivado's store, without a version."""


def missing_project(target: Target) -> str | None:
    """What of a vendor project there is not for a board, as one line; None where there is all of it."""
    if target.fabric is None or target.name in BLOCK_DESIGNS:
        return None
    if not _is_amd(target):
        return (
            f"no vendor project for {target.fabric.part}: scripts exist for AMD parts; the accelerator's C++ and its "
            "simulator are in the package"
        )
    return f"no block design for board {target.name} (there is one for {', '.join(BLOCK_DESIGNS)}): HLS scripts only"


def project_files(design: Design, region: Graph, target: Target, folder: str, text: str) -> dict[str, str]:
    """Paths and texts; none for parts that are not AMD's.

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
    names = ["run_hls.tcl", "csim.tcl", "cosim.tcl", "vectors.cpp"]
    build = BLOCK_DESIGNS.get(target.name)
    made = {}
    if build:
        blocks = build(accelerator_of(design), fabric.clock_mhz, target.cpu.clock_mhz)
        facts |= {"design": blocks, "board_part": BOARD_PARTS[target.name]}
        names += ["block_design.tcl", "bitstream.tcl"]
        made["hardware.json"] = _hardware(design.name, target, fabric.part, blocks)
    facts["no_bitstream"] = missing_project(target) or ""
    templates = Environment(
        loader=PackageLoader("hls"), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
    made |= {name: templates.get_template(f"{name}.j2").render(facts) for name in names}
    made["Makefile"] = templates.get_template("Makefile.j2" if build else "Makefile.hls.j2").render(facts)
    return {f"{folder}/vendor/{name}": content for name, content in sorted(made.items())}


def accelerator_of(design: Design) -> Accelerator:
    """The IP that ``run_hls.tcl`` exports, as a block design sees it."""

    def streams(ports: tuple[Port, ...]) -> tuple[StreamPort, ...]:
        return tuple(StreamPort(port.wire.name, port.bits, port.wire.words) for port in ports)

    vlnv = f"{IP_VENDOR}:{IP_LIBRARY}:{design.name}:{IP_VERSION}"
    return Accelerator(vlnv, streams(design.read), streams(design.outputs))


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


def _hardware(name: str, target: Target, part: str, design: BlockDesign) -> str:
    """``Hardware`` of host/bitstream.py: the host's windows on the control side, by the slave's name."""
    windows = [
        {"name": window.segment.split("/")[0], "base": f"{window.base:#x}", "bytes": window.bytes}
        for window in design.windows
        if window.space == HOST and window.base >= CONTROL_BASE
    ]
    facts = {
        "board": target.name,
        "part": part,
        "bitstream": f"{name}.bit",
        "protocol": PROTOCOL,
        "registers": windows,
    }
    return json.dumps(facts, indent=1) + "\n"


def _is_amd(target: Target) -> bool:
    return target.fabric is not None and target.fabric.part.startswith("xc")
