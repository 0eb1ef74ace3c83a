"""Bitstreams: a folder with the file that configures the fabric and a ``manifest.json`` that says what is in it.

The manifest is JSON, not YAML, since a board installs no YAML reader. See ``bitstreams/README.md``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from host import checks, codec
from host.errors import PackageError
from host.package import Package

FORMAT = 1
MANIFEST_NAME = "manifest.json"
PROTOCOL = 1
"""The version of registers and rings (HC_PROTOCOL_VERSION in runtime/hc_regs.h)."""
REGISTER_PAGE = "registers"
"""The window in which the host finds the registers of runtime/hc_regs.h."""
REGISTER_BYTES = 0x1000


@dataclass(frozen=True)
class Window:
    """Some ``bytes`` of the processor's address space; ``base`` is hexadecimal text, a multiple of ``bytes``."""

    name: str
    base: str
    bytes: int

    def __post_init__(self) -> None:
        if not re.fullmatch(r"0x[0-9a-f]{1,16}", self.base):
            raise ValueError(f"base '{self.base}' is no hexadecimal address (0x and lower-case digits)")
        if self.bytes < 1 or self.bytes & (self.bytes - 1) or self.address % self.bytes:
            raise ValueError(f"{self.bytes} bytes from {self.base} on: must be a power of two, aligned to itself")

    @property
    def address(self) -> int:
        return int(self.base, 16)


@dataclass(frozen=True)
class Hardware:
    """What a vendor project (``hardware.json`` in it) builds, and where things will stand in it."""

    board: str
    part: str
    bitstream: str
    protocol: int
    registers: tuple[Window, ...]


@dataclass(frozen=True)
class BitstreamManifest:
    """What a bitstream is: for which board and part, by which tool, from which accelerators (region -> hash).

    ``files`` are the bitstream and what goes with it, with their SHA-256; ``bitstream`` is one of them. ``registers``
    is the map of the processor's address space, `REGISTER_PAGE` in it.
    """

    name: str
    board: str
    part: str
    tool: str
    protocol: int
    bitstream: str
    accelerators: Mapping[str, str]
    registers: tuple[Window, ...]
    files: Mapping[str, str]


@dataclass(frozen=True)
class Bitstream:
    """A bitstream on disk whose files are those that its manifest states."""

    root: Path
    manifest: BitstreamManifest

    @property
    def file(self) -> Path:
        return self.root / self.manifest.bitstream


def read_hardware(path: Path) -> Hardware:
    """``hardware.json``; PackageError where it is missing or not as it should be."""
    if not path.is_file():
        raise PackageError(f"{path}: is missing: there is no vendor project for this board")
    hardware: Hardware = codec.decode(Hardware, codec.loads(path.read_text("utf-8"), str(path)), str(path))
    _check_map(hardware.protocol, hardware.registers, str(path))
    return hardware


def write_bitstream(folder: Path, name: str, package: Package, hardware: Hardware, tool: str, built: Path) -> Bitstream:
    """Records a bitstream that ``tool`` has made from ``package``: copies what is in ``built`` and writes the manifest.

    Raises PackageError: ``built`` has not the bitstream, or the package no accelerator.
    """
    if not (built / hardware.bitstream).is_file():
        raise PackageError(f"{built}: the tools have made no {hardware.bitstream}")
    if not package.seal.accelerators:
        raise PackageError(f"{package.root}: no region of the package is built as hardware")
    contents = {path.name: path.read_bytes() for path in sorted(built.iterdir()) if path.is_file()}
    manifest = BitstreamManifest(
        name=name,
        board=hardware.board,
        part=hardware.part,
        tool=tool,
        protocol=hardware.protocol,
        bitstream=hardware.bitstream,
        accelerators=package.seal.accelerators,
        registers=hardware.registers,
        files={file: hashlib.sha256(content).hexdigest() for file, content in contents.items()},
    )
    _check(manifest, str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    (folder / MANIFEST_NAME).write_text(codec.dumps({"format": FORMAT, **codec.encode(manifest)}), "utf-8")
    return Bitstream(folder, manifest)


def load_bitstream(path: Path | str) -> Bitstream:
    """Reads a bitstream by its folder or manifest and verifies its files; PackageError says what is wrong."""
    source = Path(path) / MANIFEST_NAME if Path(path).is_dir() else Path(path)
    if not source.is_file():
        raise PackageError(f"{path}: no bitstream (there is no {MANIFEST_NAME})")
    try:
        document = codec.loads(source.read_text("utf-8"), str(source))
    except UnicodeDecodeError:
        raise PackageError(f"{source}: no UTF-8 text") from None
    version = document.pop("format", None) if isinstance(document, dict) else None
    if version != FORMAT:
        raise PackageError(f"{source}: is no manifest of a bitstream that can be read (format {FORMAT} can)")
    manifest: BitstreamManifest = codec.decode(BitstreamManifest, document, str(source))
    _check(manifest, str(source))
    for name, digest in manifest.files.items():
        file = source.parent / name
        if file.is_symlink() or not file.is_file():
            raise PackageError(f"{source}: file '{name}' is missing")
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise PackageError(f"{source}: file '{name}' is not the one that was recorded")
    return Bitstream(source.parent, manifest)


def check_bitstream(bitstream: Bitstream, package: Package) -> None:
    """PackageError unless the bitstream was made from this package's accelerators, for its board."""
    where, board = bitstream.root / MANIFEST_NAME, package.manifest.board.name
    if bitstream.manifest.board != board:
        raise PackageError(f"{where}: is for board '{bitstream.manifest.board}', the package for '{board}'")
    if not package.manifest.uses_device:
        raise PackageError(f"{where}: the package has no accelerator, it runs without a bitstream")
    for region in package.manifest.regions:
        if region.side != "device":
            continue
        wanted, found = (of.get(region.name) for of in (package.seal.accelerators, bitstream.manifest.accelerators))
        if wanted is None or wanted != found:
            raise PackageError(
                f"{where}: holds another accelerator than the package: region '{region.name}' has hash "
                f"{found or 'none'} in the bitstream, {wanted or 'none'} in the package"
            )


def _check(manifest: BitstreamManifest, where: str) -> None:
    for what in ("name", "board", "part", "tool"):
        if not getattr(manifest, what).strip():
            raise PackageError(f"{where}: {what} is empty")
    for name in manifest.files:
        checks.check_path(name, f"{where}: files")
        if "/" in name or name == MANIFEST_NAME:
            raise PackageError(f"{where}: files: '{name}' must stand beside the manifest")
    if manifest.bitstream not in manifest.files:
        raise PackageError(f"{where}: bitstream '{manifest.bitstream}' is not among the files")
    if not manifest.accelerators:
        raise PackageError(f"{where}: accelerators are empty")
    for name, digest in (*manifest.accelerators.items(), *manifest.files.items()):
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise PackageError(f"{where}: '{digest}' of '{name}' is no SHA-256")
    _check_map(manifest.protocol, manifest.registers, where)


def _check_map(protocol: int, windows: Sequence[Window], where: str) -> None:
    if protocol != PROTOCOL:
        raise PackageError(f"{where}: speaks version {protocol} of the registers, this runtime version {PROTOCOL}")
    named = {window.name: window for window in windows}
    if len(named) != len(windows):
        raise PackageError(f"{where}: registers: a name appears twice")
    if REGISTER_PAGE not in named or named[REGISTER_PAGE].bytes < REGISTER_BYTES:
        raise PackageError(f"{where}: registers: no window '{REGISTER_PAGE}' of {REGISTER_BYTES} bytes")
    by_address = sorted(windows, key=lambda window: window.address)
    for low, high in pairwise(by_address):
        if low.address + low.bytes > high.address:
            raise PackageError(f"{where}: registers: '{low.name}' and '{high.name}' overlap")
