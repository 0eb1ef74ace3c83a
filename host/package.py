"""Packages: a folder that holds a compiled network with everything needed to build and run it.

::

    manifest.json     what it is (host.manifest), the digest of every other file
    regions/, ...     the compiler's files, as it named them
    runtime/          this package's copy of the C runtime
    plan.c ...        the scheduler's tables, generated from the manifest (host.plan)
    Makefile          builds bin/ from the above (host.build says how)
    bin/MACHINE/      libhetero.so, device (this machine), hetero (this machine and a RISC-V Linux)
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host import checks, codec, generate
from host.errors import PackageError
from host.manifest import FORMAT, MANIFEST_NAME, Manifest, Program, Seal

Content = str | bytes | Path
Build = Callable[[Path, Manifest], Sequence[Program]]


@dataclass(frozen=True)
class Package:
    """A package on disk whose files are those that were written."""

    root: Path
    manifest: Manifest
    seal: Seal

    def program(self, kind: str, machine: str | None = None) -> Path:
        """The binary of that kind for ``machine`` (this one by default); PackageError if it was not built."""
        machine = machine or platform.machine()
        for program in self.seal.programs:
            if (program.kind, program.machine) == (kind, machine):
                return self.root / program.path
        built = ", ".join(sorted({f"{p.kind} for {p.machine}" for p in self.seal.programs})) or "none"
        raise PackageError(f"{self.root}: has no {kind} program for {machine} (built: {built})")


def write_package(
    path: Path | str,
    manifest: Manifest,
    files: Mapping[str, Content],
    build: Build | None = None,
    accept: Callable[[Package], None] | None = None,
) -> Package:
    """Writes a package to ``path`` in one step: either all of it is there afterwards or nothing has changed.

    ``files`` maps paths inside the package to texts, bytes, or files to copy; the regions' ``sources`` must be among
    them. The runtime, its tables and the Makefile are added. ``build`` (usually ``host.build.Toolchain().build``) is
    then called with the folder and returns the programs it made there. ``accept`` sees the finished package in its
    staging folder; what it raises keeps it from being put in place. An existing package at ``path`` is replaced.

    Raises PackageError: a contradictory manifest, a path outside the package, ``path`` taken by something that is no
    package; and what ``build`` raises.
    """
    target = Path(path).absolute()
    checks.check(manifest)
    _check_files(manifest, files)
    check_destination(path)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        staging.chmod(0o755)
        for name, content in files.items():
            _write(staging / name, content)
        plan = _plan_hash(manifest, {name: _digest(staging / name) for name in files})
        generated = generate.files(manifest, plan)
        for name, text in generated.items():
            _write(staging / name, text)
        programs = tuple(build(staging, manifest)) if build else ()
        digests = {name: _digest(staging / name) for name in (*files, *generated, *(p.path for p in programs))}
        accelerators = _accelerators(manifest, digests)
        seal = Seal(plan, accelerators, programs, digests, "")
        seal = Seal(plan, accelerators, programs, digests, _hash(manifest, seal))
        _write(staging / MANIFEST_NAME, codec.dumps(_document(manifest, seal)))
        if accept:
            accept(Package(staging, manifest, seal))
        _replace(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Package(target, manifest, seal)


def check_destination(path: Path | str) -> None:
    """PackageError if a package cannot be written to ``path``; the folder above it is made."""
    target = Path(path).absolute()
    if target.is_symlink() or (target.exists() and not is_package(target)):
        raise PackageError(f"{path}: exists and is no package; it is not overwritten")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent):
            pass
    except OSError as error:
        raise PackageError(f"{path}: cannot be written ({error.strerror or error})") from None


def load_package(path: Path | str) -> Package:
    """Reads a package and verifies every file; PackageError names the first that is missing or was edited."""
    root = Path(path)
    if not root.is_dir():
        raise PackageError(f"{path}: no such folder")
    source = root / MANIFEST_NAME
    if source.is_symlink() or not source.is_file():
        raise PackageError(f"{path}: is no package (it has no {MANIFEST_NAME})")
    manifest, seal = _parse(source)
    for name, digest in seal.files.items():
        checks.check_path(name, f"{source}: files")
        _verify(root, name, digest)
    for program in seal.programs:
        if program.path not in seal.files:
            raise PackageError(f"{source}: program '{program.path}' is not among the files")
    if _hash(manifest, seal) != seal.hash:
        raise PackageError(f"{source}: was edited after compilation (its hash does not match)")
    checks.check(manifest)
    if dict(seal.accelerators) != _accelerators(manifest, seal.files):
        raise PackageError(f"{source}: seal.accelerators are not the hashes of the regions' hardware")
    return Package(root.absolute(), manifest, seal)


def is_package(path: Path) -> bool:
    """Whether ``path`` is a folder with a manifest of ours (of any format version, intact or not)."""
    try:
        document = json.loads((path / MANIFEST_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and "format" in document and "regions" in document


def _parse(source: Path) -> tuple[Manifest, Seal]:
    try:
        document = codec.loads(source.read_text("utf-8"), str(source))
    except UnicodeDecodeError:
        raise PackageError(f"{source}: no UTF-8 text") from None
    if not isinstance(document, dict):
        raise PackageError(f"{source}: expected an object")
    version = document.pop("format", None)
    if version != FORMAT:
        raise PackageError(f"{source}: format {version} cannot be read (this version reads format {FORMAT})")
    seal = document.pop("seal", None)
    return codec.decode(Manifest, document, str(source)), codec.decode(Seal, seal, f"{source}.seal")


def _document(manifest: Manifest, seal: Seal) -> dict[str, Any]:
    return {"format": FORMAT, **codec.encode(manifest), "seal": codec.encode(seal)}


def _hash(manifest: Manifest, seal: Seal) -> str:
    """SHA-256 of the manifest's canonical text with an empty hash; it covers the files through their digests."""
    blank = Seal(seal.plan, seal.accelerators, seal.programs, seal.files, "")
    return hashlib.sha256(codec.dumps(_document(manifest, blank)).encode()).hexdigest()


def _plan_hash(manifest: Manifest, digests: Mapping[str, str]) -> str:
    """Identifies what is computed: the manifest and the regions' files, but not the programs built from them."""
    text = codec.dumps({"manifest": codec.encode(manifest), "files": dict(sorted(digests.items()))})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def accelerator_hash(digests: Mapping[str, str]) -> str:
    """Identifies an accelerator: SHA-256 over the canonical text of its sources' paths and SHA-256 digests.

    A bitstream carries the hash of what it was built from; nothing else decides whether it belongs to a package.
    """
    return hashlib.sha256(codec.dumps(dict(sorted(digests.items()))).encode()).hexdigest()


def _accelerators(manifest: Manifest, digests: Mapping[str, str]) -> dict[str, str]:
    """Region -> accelerator hash; PackageError where a file that it is made from is not in the package."""
    for region in manifest.regions:
        for path in region.hardware:
            if path not in digests:
                raise PackageError(f"region '{region.name}': hardware file '{path}' is not among the files")
    return {
        region.name: accelerator_hash({path: digests[path] for path in region.hardware})
        for region in manifest.regions
        if region.hardware
    }


def _check_files(manifest: Manifest, files: Mapping[str, Content]) -> None:
    for name in files:
        checks.check_path(name, "files")
        if name in generate.RESERVED or name.split("/")[0] in generate.RESERVED:
            raise PackageError(f"files: '{name}' is a name that packages keep for themselves")
    for region in manifest.regions:
        for source in (*region.sources, *region.failover, *filter(None, [region.weight_source])):
            if source not in files:
                raise PackageError(f"region '{region.name}': source '{source}' is not among the files")
    _accelerators(manifest, dict.fromkeys(files, ""))


def _write(path: Path, content: Content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.read_bytes() if isinstance(content, Path) else content
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _verify(root: Path, name: str, digest: str) -> None:
    path = root
    for part in name.split("/"):
        path = path / part
        if path.is_symlink():
            raise PackageError(f"{root}: '{name}' leads through a symbolic link")
    if not path.is_file():
        raise PackageError(f"{root}: file '{name}' is missing")
    if _digest(path) != digest:
        raise PackageError(f"{root}: file '{name}' was edited after compilation")


def _replace(staging: Path, target: Path) -> None:
    """Puts ``staging`` in the place of ``target``; the old package is gone only once the new one is there."""
    if not target.exists():
        staging.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    try:
        target.rename(old / "package")
        try:
            staging.rename(target)
        except OSError:
            (old / "package").rename(target)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
