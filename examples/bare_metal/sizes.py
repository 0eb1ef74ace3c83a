"""python examples/bare_metal/sizes.py ELF: bytes of code, constants, initialised and zeroed data, by section."""

from __future__ import annotations

import sys
from pathlib import Path

from cpu_backend.sizes import sections


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: sizes.py ELF", file=sys.stderr)
        return 2
    found = sections(Path(sys.argv[1]).read_bytes())
    for name in (".text", ".rodata", ".data", ".bss"):
        print(f"{name:8} {found.get(name, (0, b''))[0]:7} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
