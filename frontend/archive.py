"""Reading `torch.export` archives (.pt2) without executing anything that is in them.

`torch.export.load` unpickles payloads that are marked as pickled, falls back to a full unpickling of the sample inputs,
evaluates symbolic shape expressions and loads compiled libraries. Whatever would lead it there is refused first.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import torch
from torch.export import ExportedProgram

import frontend.quantisers  # noqa: F401 - registers the hetero:: operators that archives refer to
from frontend.errors import ModelError

REMEDY = "export plain tensors with static shapes: torch.export.export(model.eval(), (example,))"


def is_archive(path: Path) -> bool:
    """Whether the file is a `torch.export` archive, by its members."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(PurePosixPath(name).name == "archive_format" for name in archive.namelist())


def load_program(path: Path) -> ExportedProgram:
    """The exported program; ModelError for an archive that is damaged or wants something executed."""
    try:
        with zipfile.ZipFile(path) as archive:
            refused = next(_active_parts(archive), None)
        if refused:
            raise ModelError(f"{path}: refused: {refused} ({REMEDY})")
        return torch.export.load(path)
    except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: truncated or damaged archive ({error})") from None
    except (RuntimeError, KeyError, AttributeError, TypeError, AssertionError) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"{path}: not loadable as a torch.export archive ({first[0]})") from None


def _active_parts(archive: zipfile.ZipFile) -> Iterator[str]:
    """What in the archive is more than data, as phrases."""
    for name in archive.namelist():
        parts = PurePosixPath(name).parts[1:]
        if "aotinductor" in parts:
            yield f"it carries a compiled library ('{name}')"
        elif name.endswith("_config.json"):
            for key, entry in json.loads(archive.read(name)).get("config", {}).items():
                if entry.get("use_pickle"):
                    yield f"'{key}' is stored as a pickle"
        elif "models" in parts and name.endswith(".json"):
            if b'"expr_str"' in archive.read(name):
                yield "it has symbolic shapes"
        elif "sample_inputs" in parts:
            try:
                torch.load(io.BytesIO(archive.read(name)), weights_only=True)
            except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
                yield f"'{name}' holds more than tensors"
