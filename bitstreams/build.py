"""Builds the bitstream of a package with the vendor's tools and records it: ``python -m bitstreams.build PACKAGE``.

The tools work on a copy of the package, which stays beside it as ``PACKAGE.vendor`` with their logs and reports. What
comes out lies in ``bitstreams/BOARD/NAME/``: the bitstream, its hand-off file and ``manifest.json``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from host.bitstream import Bitstream, read_hardware, write_bitstream
from host.errors import BuildError, HostError, PackageError
from host.package import is_package, load_package

HERE = Path(__file__).parent
PROJECT = "hardware"
"""The package's folder with the vendor project of its accelerators."""
TOOLS = ("make", "vivado")
"""What must be on the PATH; the project's Makefile says which command runs high-level synthesis."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 after any error (one line on standard error)."""
    parser = argparse.ArgumentParser(prog="bitstreams.build", description="Builds and records a package's bitstream.")
    parser.add_argument("package", type=Path, help="folder written by hetero-compile")
    parser.add_argument("-o", "--output", type=Path, default=HERE, metavar="FOLDER", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        bitstream = build(options.package, options.output)
    except HostError as error:
        print(f"bitstreams.build: {error}", file=sys.stderr)
        return 2
    print(f"{bitstream.root}: {bitstream.manifest.bitstream} by {bitstream.manifest.tool}")
    return 0


def build(path: Path, output: Path) -> Bitstream:
    """Raises PackageError (no vendor project in the package) or BuildError (a tool is missing or failed)."""
    package = load_package(path)
    if not package.seal.accelerators:
        raise PackageError(f"{package.root}: no region of the package is built as hardware")
    hardware = read_hardware(package.root / PROJECT / "hardware.json")
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise BuildError(f"'{tool}' is not installed or not on the PATH: without it there is no bitstream")
    work = package.root.with_name(f"{package.root.name}.vendor")
    if work.exists() and not is_package(work):
        raise BuildError(f"{work}: exists and is no copy of a package; it is not overwritten")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(package.root, work)
    if subprocess.run(["make", "-C", str(work / PROJECT), "bit"], check=False).returncode:
        raise BuildError(f"{work / PROJECT}: make bit failed; its log is above and in the folder")
    output = output / hardware.board / package.manifest.name
    return write_bitstream(output, package.manifest.name, package, hardware, _version(), work / PROJECT / "out")


def _version() -> str:
    """The first line of what the tool says of itself, such as ``vivado v2024.1 (64-bit)``."""
    said = subprocess.run(["vivado", "-version"], capture_output=True, text=True, check=False).stdout.splitlines()
    if not said:
        raise BuildError("vivado -version says nothing")
    return said[0].strip()


if __name__ == "__main__":
    sys.exit(main())
