"""Checks that no source file of the repository has more than 400 lines: a file is one idea."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LIMIT = 400
SUFFIXES = (".py", ".c", ".h", ".cpp", ".inc", ".j2")


def main() -> int:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    long = [(n, name) for name in listed if name.endswith(SUFFIXES) and (n := _lines(Path(name))) > LIMIT]
    for n, name in long:
        print(f"{name}: {n} lines, allowed: {LIMIT}", file=sys.stderr)
    return 1 if long else 0


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


if __name__ == "__main__":
    sys.exit(main())
