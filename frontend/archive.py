"""Reading `torch.export` archives (.pt2) without executing anything that is in them.

torch's reader unpickles payloads that are marked as pickled, opaque constants, legacy weight files and sample inputs;
it evaluates symbolic shapes, imports modules that a tree description names, and loads compiled libraries. So it never
sees the file itself, only a copy made here of the parts that are known to be data: the graph's description, the tables
of tensors, and raw tensors. An archive with any other part, or with a description that names code, is refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import torch
from torch.export import ExportedProgram

import frontend.quantisers  # noqa: F401 - registers the hetero:: operators that archives refer to
from frontend.errors import ModelError

REMEDY = (
    "export plain tensors with static shapes, of which the batch alone may be open: "
    "torch.export.export(model.eval(), (example,))"
)

MODEL = "models/model.json"
SAMPLE_INPUTS = "data/sample_inputs/model.pt"
RAW = re.compile(r"archive_format|archive_version|byteorder|\.data/version|data/(weights/weight|constants/tensor)_\d+")
NOT_NEEDED = re.compile(r"\.data/serialization_id|extra/.*")

ACTIVE_KEYS: Mapping[str, str] = {
    "expr_str": "it has symbolic shapes",
    "__enum__": "its tree description imports modules",
    "default_factory_module": "its tree description imports modules",
}
"""Keys of the graph's description whose values torch would evaluate or import."""
PLAIN_SYMBOL = re.compile(r"Symbol\('s\d+', positive=True, integer=True\)")
"""The one expression that is let through: an extent that is open, as it is."""


class _RefusedError(ValueError):
    """A part of an archive that is more than data; the message is a phrase."""


def is_archive(path: Path) -> bool:
    """Whether the file is a `torch.export` archive, by its members; ModelError for a damaged zip."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(PurePosixPath(name).name == "archive_format" for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise ModelError(f"{path}: truncated or damaged archive ({_first_line(error)})") from None


def load_program(path: Path) -> ExportedProgram:
    """The exported program, without its sample inputs; ModelError for an archive that is damaged or holds more than
    data."""
    try:
        copy = io.BytesIO()
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as clean:
            for name, content in _data(archive):
                clean.writestr(f"model/{name}", content)
    except _RefusedError as error:
        raise ModelError(f"{path}: refused: {error} ({REMEDY})") from None
    except Exception as error:  # zipfile and json have many ways to fail on damaged bytes
        raise ModelError(f"{path}: truncated or damaged archive ({_first_line(error)})") from None
    # torch.export.load falls back to a format that is all pickles. Here, because a quarter of a program's start is
    # torch's compiler, which no other kind of model file needs.
    from torch.export.pt2_archive._package import load_pt2

    try:
        copy.seek(0)
        return load_pt2(copy).exported_programs["model"]
    except Exception as error:  # and so has torch's reader
        raise ModelError(f"{path}: not loadable as a torch.export archive ({_first_line(error)})") from None


def _data(archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    """Names (below the archive's root folder) and contents of the parts that are read; _RefusedError for the rest."""
    seen = set()
    for entry in archive.infolist():
        name = entry.filename.partition("/")[2]
        if name in seen:
            raise _RefusedError(f"it carries '{name}' twice")
        seen.add(name)
        if name in CHECKS:
            content = archive.read(entry)
            CHECKS[name](json.loads(content))
            yield name, content
        elif RAW.fullmatch(name):
            yield name, archive.read(entry)
        elif name == SAMPLE_INPUTS:
            _check_sample_inputs(entry.filename, archive.read(entry))
            yield name, b""  # not needed, so torch's reader gets no pickle at all
        elif not NOT_NEEDED.fullmatch(name):
            raise _RefusedError(f"it carries '{entry.filename}', which is neither the graph nor a tensor of it")


def _check_sample_inputs(name: str, pickled: bytes) -> None:
    try:
        torch.load(io.BytesIO(pickled), weights_only=True)
    except Exception:  # whatever the restricted unpickler does not take
        raise _RefusedError(f"'{name}' holds more than tensors") from None


def _check_table(table: object) -> None:
    """Every payload of a table of tensors is a raw tensor of known shape."""
    _check_description(table)
    config = table.get("config") if isinstance(table, dict) else None
    if not isinstance(config, dict):
        raise _RefusedError("a table of tensors has no 'config'")
    for key, entry in config.items():
        if not isinstance(entry, dict) or entry.get("use_pickle") is not False:
            raise _RefusedError(f"'{key}' is stored as a pickle")
        if not re.fullmatch(r"(weight|tensor)_\d+", str(entry.get("path_name"))):
            raise _RefusedError(f"'{key}' is stored in '{entry.get('path_name')}', which is no tensor")


def _check_description(value: object) -> None:
    """No key of `ACTIVE_KEYS` anywhere but for `PLAIN_SYMBOL`, nor in JSON within strings, as trees are described."""
    if isinstance(value, dict):
        for key in value:
            if key in ACTIVE_KEYS and not (key == "expr_str" and PLAIN_SYMBOL.fullmatch(str(value[key]))):
                raise _RefusedError(ACTIVE_KEYS[key])
        for each in value.values():
            _check_description(each)
    elif isinstance(value, list):
        for each in value:
            _check_description(each)
    elif isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            nested = json.loads(value)
        except json.JSONDecodeError:
            return
        _check_description(nested)


CHECKS: Mapping[str, Callable[[object], None]] = {
    MODEL: _check_description,
    "data/weights/model_weights_config.json": _check_table,
    "data/constants/model_constants_config.json": _check_table,
}
"""The parts in JSON, and what they must not say."""


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
