"""The database of measurements: a JSON file per signature, machine model, VLEN and place, for people to read and diff.

A file is named by the hash of what its measurements depend on; versions of kernels, compiler and meter stand inside, so
that measuring again after a change shows as a change of the same file. An entry counts while those versions are the
present ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cpu_backend import toolchain
from cpu_backend.meter.machine import Machine
from cpu_backend.meter.meter import PLUGIN
from cpu_backend.tuning.measure import MAIN, Measurement, kernel_sources
from cpu_backend.tuning.signature import Signature, digest
from cpu_backend.variants import Variant

SHIPPED = Path(__file__).with_name("database")
FORMAT = 1
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
DIGITS = 12


class DatabaseError(ValueError):
    """A file that is no entry; one line."""


@dataclass(frozen=True)
class Tried:
    """A variant, the model's estimate of its cycles, and what was measured."""

    variant: Variant
    estimate: int
    measured: Measurement


@dataclass(frozen=True, eq=False)
class Entry:
    """``machine``: name of the model; ``model``: hash of what it says; ``default``: what is taken without an entry.

    ``tried`` has the default and, best estimate first, the variants that were measured."""

    signature: Signature
    machine: str
    model: str
    vlen: int
    place: str
    versions: Mapping[str, str]
    default: Variant
    tried: tuple[Tried, ...]

    @property
    def best(self) -> Tried:
        """The fewest cycles; the default where others only equal it."""
        return min(self.tried, key=lambda each: (each.measured.cycles, each.variant != self.default))

    @property
    def usual(self) -> Tried:
        """The default's measurement."""
        return next(each for each in self.tried if each.variant == self.default)

    @property
    def key(self) -> str:
        return key_of(self.signature, self.model, self.vlen, self.place)

    @property
    def path(self) -> Path:
        """In a database's folder."""
        return Path(f"{self.machine}-vlen{self.vlen}", f"{self.signature.name}-{self.key}.json")

    def find(self, variant: Variant) -> Tried | None:
        return next((each for each in self.tried if each.variant == variant), None)

    def outdated(self, machine: Machine) -> str | None:
        """What changed since it was measured; None while it counts."""
        if self.model != model_hash(machine):
            return f"machine model {self.machine} changed"
        now = versions()
        changed = [f"{name} changed" for name in now if self.versions.get(name) != now[name]]
        return ", ".join(changed) or None

    def text(self) -> str:
        value = {
            "format": FORMAT,
            "signature": self.signature.as_json(),
            "machine": self.machine,
            "machine_model": self.model,
            "vlen": self.vlen,
            "place": self.place,
            "versions": dict(self.versions),
            "default": asdict(self.default),
            "best": str(self.best.variant),
            "tried": [_tried_json(each) for each in self.tried],
        }
        return json.dumps(value, indent=1) + "\n"


def _tried_json(each: Tried) -> dict[str, Any]:
    measured = {"cycles": each.measured.cycles, "clock": each.measured.clock, **each.measured.detail}
    return {"name": str(each.variant), "variant": asdict(each.variant), "estimate": each.estimate, "measured": measured}


def read_entry(path: Path) -> Entry:
    """DatabaseError for what is not an entry of this format."""
    try:
        value = json.loads(path.read_text("utf-8"))
        if value["format"] != FORMAT:
            raise DatabaseError(f"{path}: has format {value['format']}, this version reads {FORMAT}")
        tried = []
        for each in value["tried"]:
            detail = dict(each["measured"])
            measured = Measurement(int(detail.pop("cycles")), str(detail.pop("clock")), detail)
            tried.append(Tried(Variant(**each["variant"]), int(each["estimate"]), measured))
        entry = Entry(
            Signature(**value["signature"]),
            value["machine"],
            value["machine_model"],
            int(value["vlen"]),
            value["place"],
            value["versions"],
            Variant(**value["default"]),
            tuple(tried),
        )
        if entry.find(entry.default) is None:
            raise DatabaseError(f"{path}: its default was not measured")
        if path.name != entry.path.name:
            raise DatabaseError(f"{path}: is not named by its content, which gives {entry.path.name}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DatabaseError):
            raise
        raise DatabaseError(f"{path}: is not an entry ({type(error).__name__}: {error})") from None
    return entry


def key_of(signature: Signature, model: str, vlen: int, place: str) -> str:
    """Twelve digits of the hash of everything but versions."""
    return digest([signature.as_json(), model, vlen, place])[:DIGITS]


def model_hash(machine: Machine) -> str:
    """Of what a machine model says, but for its description."""
    return digest(machine.model_dump(exclude={"description"}))[:DIGITS]


def versions() -> dict[str, str]:
    """Of what measurements are made with: kernels (comments and spaces left out), compiler, meter."""
    try:
        compiler = f"ziglang {version('ziglang')}"
    except PackageNotFoundError:
        compiler = "none"
    headers = sorted(path for pattern in ("*.h", "*.inc") for path in toolchain.KERNELS.glob(pattern))
    kernels = [path for path in headers if not path.name.startswith(("hck_real", "hck_scalar", "hck_swar", "hck_xnor"))]
    return {
        "kernels": _sources_hash([*kernel_sources(), *kernels]),
        "compiler": f"{compiler}, {toolchain.VECTOR.mcpu}",
        "meter": _sources_hash([*sorted(PLUGIN.glob("*.[ch]")), MAIN]),
    }


def _sources_hash(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        text = " ".join(COMMENT.sub(" ", path.read_text("utf-8")).split())
        found.update(f"{path.name}\n{text}\n".encode())
    return found.hexdigest()[:DIGITS]


@dataclass(frozen=True)
class Database:
    """Folders of entries; an earlier one's count before a later one's, a board's before the meter's."""

    folders: tuple[Path, ...] = (SHIPPED,)

    def entries(self) -> Iterator[tuple[Path, Entry]]:
        """DatabaseError."""
        for folder in self.folders:
            for path in sorted(folder.glob("*/*.json")):
                yield path, read_entry(path)

    @cached_property
    def versions(self) -> Mapping[str, str]:
        return versions()

    @cached_property
    def _current(self) -> tuple[Entry, ...]:
        return tuple(entry for _, entry in self.entries() if entry.versions == self.versions)

    def find(self, signature: Signature, machine: Machine, vlen: int) -> Entry | None:
        """The entry that counts for a layer; None where there is none, or only what is out of date."""
        wanted = [key_of(signature, model_hash(machine), vlen, place) for place in ("board", "meter")]
        found = [entry for key in wanted for entry in self._current if entry.key == key]
        return found[0] if found else None

    def alike(self, signature: Signature, machine: Machine, vlen: int) -> Entry | None:
        """An entry for the same convolution, with whatever follows it."""
        model = model_hash(machine)
        return next(
            (e for e in self._current if e.signature.core == signature.core and (e.model, e.vlen) == (model, vlen)),
            None,
        )


def write_entry(folder: Path, entry: Entry) -> Path:
    """All of the file or nothing of it. OSError."""
    path = folder / entry.path
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(entry.text())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path
