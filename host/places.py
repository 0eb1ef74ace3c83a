"""Where a package runs: which device takes the commands, and where the scheduler with the CPU regions is.

====== ============================================== ===============================
place  scheduler and CPU regions                      accelerator
====== ============================================== ===============================
sim    library in this process                        its simulator, another process
cpu    library in this process                        none: the CPU computes its part
qemu   RISC-V program under qemu                      its simulator
uio    this machine's library or program              UIO and u-dma-buf nodes
pynq   library in this process                        through PYNQ
board  the one of uio, pynq and cpu that the package's board names
ssh    program on another machine                     that machine's UIO nodes, or none
====== ============================================== ===============================
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from host.device import Device, NoDevice, SimulatedDevice, UioDevice
from host.errors import PackageError, RunError
from host.native import NativeTransport
from host.package import Package
from host.piped import PipedTransport, emulator
from host.pynq_device import PynqDevice
from host.remote import Remote, check_remote_path
from host.transport import Setting, Transport

Where = Literal["sim", "cpu", "qemu", "uio", "pynq", "board", "ssh"]
NODES = Path("/")


@dataclass(frozen=True)
class Request:
    """What the user asked for: ``bitstream`` is configured first (pynq), ``nodes`` is the folder above dev/ and sys/,
    ``remote`` the machine to reach by ssh."""

    on: Where
    bitstream: Path | None = None
    nodes: Path | None = None
    remote: str | None = None


@dataclass(frozen=True)
class Place:
    """``device`` opens the accelerator of a package that has one; ``transport`` starts the scheduler."""

    device: Callable[[Package, Request], Device]
    transport: Callable[[Package, Request, Setting], Transport]
    takes: tuple[str, ...] = ()
    """Which further fields of the request mean something here."""


def resolve(request: Request, package: Package) -> tuple[Request, Place]:
    """The place that the request means; RunError where it asks for what the place does not take."""
    where = request.on
    if where == "board":
        driver = package.manifest.board.driver
        if driver == "none" and package.manifest.uses_device:
            raise RunError("board", f"--on board: no driver is known for board '{package.manifest.board.name}'")
        where = "cpu" if driver == "none" else driver
    place = PLACES[where]
    for field in ("bitstream", "nodes", "remote"):
        if getattr(request, field) is not None and field not in place.takes:
            able = ", ".join(name for name, other in PLACES.items() if field in other.takes)
            raise RunError("argument", f"--on {request.on} takes no --{field} (allowed with {able})")
    if not package.manifest.uses_device:
        place = replace(place, device=lambda package, request: NoDevice())
    return replace(request, on=where), place


def _simulated(package: Package, request: Request) -> Device:
    return _nodes(package, request) if request.nodes else SimulatedDevice(package)


def _none(package: Package, request: Request) -> Device:
    if not package.manifest.has_failover:
        raise RunError("no_failover", "--on cpu: the package has no CPU code for the accelerator's regions")
    return NoDevice()


def _check_weights(package: Package) -> None:
    """Boards' DMA engines bring a port's weights once a frame."""
    for region in package.manifest.regions:
        for port in region.weights:
            if port.repeats > 1:
                raise RunError(
                    "weights",
                    f"region '{region.name}': port '{port.name}' brings its weights {port.repeats} times a frame; "
                    "boards bring them once a frame (into UltraRAM), so this package runs on sim, qemu and cpu only",
                )


def _nodes(package: Package, request: Request) -> Device:
    _check_weights(package)
    return UioDevice(request.nodes or NODES, package.manifest.board.completion == "interrupt")


def _pynq(package: Package, request: Request) -> Device:
    if request.bitstream is None:
        raise RunError("argument", "--on pynq needs the bitstream: --bitstream FOLDER")
    _check_weights(package)
    return PynqDevice(package, request.bitstream)


def _remote_device(package: Package, request: Request) -> Device:
    driver = package.manifest.board.driver
    if driver != "uio":
        name = package.manifest.board.name
        raise RunError("board", f"--on ssh drives uio devices; board '{name}' has driver {driver}")
    return _nodes(package, replace(request, nodes=check_remote_path(request.nodes or NODES)))


def _native(package: Package, request: Request, setting: Setting) -> Transport:
    library = package.program("library")
    transport = NativeTransport(library, setting)
    if transport.plan_hash != package.seal.plan:
        transport.close()
        raise RunError("hash", f"{library}: was built for another package")
    return transport


def _emulated(package: Package, request: Request, setting: Setting) -> Transport:
    board = package.manifest.board
    if not board.isa.startswith("rv64"):
        has = f"board '{board.name}' has {board.isa}, which --on sim runs"
        raise RunError("argument", f"--on qemu runs programs for rv64; {has}")
    program = package.program("standalone", "riscv64")
    return PipedTransport([*emulator(board.isa, board.vlen), str(program)], setting)


def _here(package: Package, request: Request, setting: Setting) -> Transport:
    """On boards there is only the program, cross-compiled."""
    try:
        package.program("library")
    except PackageError:
        return PipedTransport([str(package.program("standalone", platform.machine()))], setting)
    return _native(package, request, setting)


def _ssh(package: Package, request: Request, setting: Setting) -> Transport:
    if request.remote is None:
        raise RunError("argument", "--on ssh needs the machine: --remote [USER@]HOST")
    return PipedTransport(Remote(request.remote).command(package), setting)


PLACES: Mapping[str, Place] = {
    "sim": Place(_simulated, _native),
    "cpu": Place(_none, _here),
    "qemu": Place(_simulated, _emulated, ("nodes",)),
    "uio": Place(_nodes, _here, ("nodes",)),
    "pynq": Place(_pynq, _native, ("bitstream",)),
    "ssh": Place(_remote_device, _ssh, ("remote", "nodes")),
}
NAMES: tuple[str, ...] = (*PLACES, "board")
