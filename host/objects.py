"""Compiled objects kept from one package to the next: the runtime and most kernels are the same in all of them.

An object is known by everything that it is made of: the compiler's version, the command, the source and the files that
this names, directly or not. So a stored one is what the compiler would make again. System headers are taken to change
with the compiler.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

KEPT = Path(cache_from_source(__file__)).parent / "objects"
"""Where Python keeps this module's compiled form."""

LIMIT = 64 << 20
"""Bytes that are kept; what was not used for longest goes first."""

_COMPILES = re.compile(r"^(?P<command>.*) -c -o (?P<object>\S+\.c\.o) (?P<source>\S+\.c)$", re.MULTILINE)
"""What make says where it is about to compile a C source."""

_NAMED = re.compile(r"^[ \t]*#[^\n]*?[\"<]([^\">\n]+)[\">]", re.MULTILINE)
"""A file in a line of the preprocessor: ``#include "a.h"``, but also ``#define KERNEL "a.inc"`` to include later."""


def restore(package: Path, folder: Path, make: Sequence[str], compilers: Sequence[str]) -> Mapping[Path, Path]:
    """Puts objects that are in ``folder`` where ``make``, the command that builds the package, looks for them.

    Those that are not there, and where in ``folder`` `keep` puts them once they are made. ``compilers`` are command
    lines; of a command that starts with none of them nothing is known.
    """
    missing = {}
    for made, kept in _places(package, folder, make, compilers):
        if kept.exists():
            made.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(kept, made)  # newer than its source, as make wants it
            with suppress(OSError):
                kept.touch()
        else:
            missing[made] = kept
    return missing


def keep(missing: Mapping[Path, Path], folder: Path) -> None:
    """Stores objects that have been made now, and forgets others where they take too much. Nothing is kept where the
    folder cannot be written to, as Python does with its own."""
    if missing:
        with suppress(OSError):
            _store(missing, folder)


def _store(missing: Mapping[Path, Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for made, kept in missing.items():
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(made.read_bytes())
        Path(file.name).rename(kept)  # whole or not at all, whoever else is building
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.iterdir())
    total = sum(size for _, size, _ in files)
    for _, size, path in files:
        if total <= LIMIT:
            break
        path.unlink(missing_ok=True)
        total -= size


def _places(package: Path, folder: Path, make: Sequence[str], compilers: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """Each C object of the package, and where it is kept."""
    said = subprocess.run([*make, "--dry-run"], capture_output=True, text=True, check=False).stdout
    versions = {compiler: _version(compiler) for compiler in compilers}
    digests: dict[Path, str] = {}
    for found in _COMPILES.finditer(said.replace("\\\n", " ")):
        command, source = found["command"], Path(found["source"])
        version = next((v for compiler, v in versions.items() if command.startswith(f"{compiler} ")), None)
        if version is None:
            continue
        searched = [Path(path) for path in re.findall(r" -I(\S+)", command)]
        parts = [platform.machine(), version, command]
        for path in sorted(_read(package, source, searched)):
            if path not in digests:
                digests[path] = hashlib.sha256((package / path).read_bytes()).hexdigest()
            parts += [str(path), digests[path]]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        yield package / found["object"], folder / f"{key}.o"


def _version(compiler: str) -> str:
    done = subprocess.run([*shlex.split(compiler), "--version"], capture_output=True, text=True, check=False)
    return done.stdout


def _read(package: Path, source: Path, searched: Sequence[Path]) -> set[Path]:
    """The files of the package that a source is made of: itself, and what any of these names."""
    found, pending = {source}, [source]
    while pending:
        path = pending.pop()
        for name in _NAMED.findall((package / path).read_text("utf-8", "replace")):
            for place in (path.parent, *searched):
                named = place / name
                if named not in found and (package / named).is_file():
                    found.add(named)
                    pending.append(named)
    return found
