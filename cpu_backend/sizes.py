"""How much memory a region's program takes for code and constants: linked alone, without what nothing calls."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cpu_backend import toolchain

BARE_TARGETS: Mapping[str, str] = {
    "rv64gcv": "riscv64-freestanding",
    "rv64gc": "riscv64-freestanding",
    "rv32im": "riscv32-freestanding",
}
"""Link targets without a C library, which is not the region's."""

MEMCPY = "void *memcpy(void *to, const void *from, __SIZE_TYPE__ bytes);\n" + (
    "void *memcpy(void *to, const void *from, __SIZE_TYPE__ bytes) {\n"
    "    for (__SIZE_TYPE__ i = 0; i < bytes; i++) ((volatile char *)to)[i] = ((const char *)from)[i];\n"
    "    return to;\n}\n"
)
"""The one function that kernels take from outside; its few bytes are counted."""


@dataclass(frozen=True)
class Sizes:
    """In bytes: ``code`` executed, ``constants`` (weights among them) only read, ``data`` written."""

    code: int
    constants: int
    data: int


def region_sizes(name: str, sources: Sequence[Path], include: Path, isa: str, folder: Path) -> Sizes:
    """The sizes of region ``name``, whose C ``sources`` find hc_region.h in ``include``; works in ``folder``.

    Raises:
        ToolError: the compiler is missing or fails.
    """
    memcpy = folder / "hc_memcpy.c"
    memcpy.write_text(MEMCPY)
    target = BARE_TARGETS[isa]
    feature = replace(toolchain.FEATURES[isa], target=target)
    apart = ("-ffunction-sections", "-fdata-sections")
    objects = toolchain.compile_objects([*sources, memcpy], folder, feature, [include], apart)
    program = folder / f"{name}.elf"
    link = ("-nostdlib", "-static", "-Wl,--gc-sections", f"-Wl,--entry=hc_region_{name}")
    toolchain.run(
        [*toolchain.riscv_compiler(), "-target", target, f"-mcpu={feature.mcpu}", *link, *objects, "-o", program],
        what="linking",
    )
    found = sections(program.read_bytes())
    groups = {".text": 0, ".rodata": 0, ".data": 0, ".bss": 0, ".sdata": 0, ".sbss": 0, ".srodata": 0}
    for section, (size, _) in found.items():
        stem = "." + section.split(".")[1] if section.startswith(".") else section
        if stem in groups:
            groups[stem] += size
    return Sizes(
        groups[".text"],
        groups[".rodata"] + groups[".srodata"],
        groups[".data"] + groups[".sdata"] + groups[".bss"] + groups[".sbss"],
    )


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
