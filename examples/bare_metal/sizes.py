"""python examples/bare_metal/sizes.py ELF: bytes of code, constants, initialised and zeroed data, by section."""

from __future__ import annotations

import struct
import sys
from pathlib import Path


def sections(elf: bytes) -> dict[str, tuple[int, bytes]]:
    """Size and contents (none for zeroed data) of each section, little-endian ELF of 32 or 64 bits."""
    wide = elf[4] == 2
    table, entry, count, names = (
        (*struct.unpack_from("<Q", elf, 0x28), *struct.unpack_from("<3H", elf, 0x3A))
        if wide
        else (*struct.unpack_from("<I", elf, 0x20), *struct.unpack_from("<3H", elf, 0x2E))
    )
    form = "<IIQQQQ" if wide else "<6I"  # name, type, flags, address, offset, size
    headers = [struct.unpack_from(form, elf, table + n * entry) for n in range(count)]
    found = {}
    for name, kind, _, _, offset, size in headers:
        at = headers[names][4] + name
        text = elf[at : elf.index(b"\0", at)].decode()
        found[text] = (size, b"" if kind == 8 else elf[offset : offset + size])
    return found


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
