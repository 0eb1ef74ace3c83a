"""Checks what `make` needs before anything is downloaded: Python, compilers, disk. Standard library only."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

GIGABYTES = 4
TOOLS = {"g++": "apt install g++", "gcc": "apt install gcc", "make": "apt install make"}


def problems(folder: Path) -> list[str]:
    """What is missing, one line each."""
    found = []
    if sys.version_info < (3, 11):
        found.append(f"Python {sys.version.split()[0]} runs this; 3.11 or later is needed (make PYTHON=python3.11 ...)")
    found += [f"'{tool}' is not installed: {remedy}" for tool, remedy in TOOLS.items() if shutil.which(tool) is None]
    free = shutil.disk_usage(folder).free / 1e9
    if free < GIGABYTES and not (folder / ".venv").exists():
        found.append(f"{free:.1f} GB of disk are free here; {GIGABYTES} GB are needed")
    return found


def main() -> int:
    found = problems(Path.cwd())
    for line in found:
        print(f"needs: {line}", file=sys.stderr)
    return 2 if found else 0


if __name__ == "__main__":
    sys.exit(main())
