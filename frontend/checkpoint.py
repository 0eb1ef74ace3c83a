"""Reading state dicts from checkpoints without executing anything that is in them.

The unpickler is PyTorch's weights-only one, which builds tensors and plain containers and calls nothing else. Real
checkpoints also carry training history as numpy objects; those become inert place holders. Every other global is
refused by name.
"""

from __future__ import annotations

import contextlib
import pickletools
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from frontend.errors import ModelError

StateDict = dict[str, torch.Tensor]

CONTAINER_KEYS = ("model", "state_dict", "model_state_dict", "net")
"""Where training scripts keep the state dict, in order of preference."""


SETTINGS = "model_params"
"""Where some of them keep, beside the state dict, the numbers that the network was made with."""


READ = "allowed: PyTorch checkpoint, .npz state dict, .pt2, .onnx"
"""The model files that there is a reader for."""


class _Inert:
    """Stands in for a pickled numpy object: takes any construction and state, does nothing."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


_NUMPY_GLOBALS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Inert, f"numpy.{name}")
    for name in (
        "ndarray",
        "dtype",
        "core.multiarray._reconstruct",
        "core.multiarray.scalar",
        "_core.multiarray._reconstruct",
        "_core.multiarray.scalar",
    )
]


def load_state_dict(path: Path) -> StateDict:
    """The tensors of a checkpoint by name: a pickle (zip or legacy), with the state dict at top level or under one of
    `CONTAINER_KEYS`. A ``module.`` prefix left by data-parallel training is removed. Lists of integers (or of digits)
    under `SETTINGS` become tensors called ``model_params.<key>``.

    Raises ModelError for a file that is missing, truncated, no checkpoint, or that wants something executed.
    """
    content = _unpickle(path)
    found = _tensors(content)
    if not found:
        raise ModelError(f"{path}: no state dict found (looked at top level and under {', '.join(CONTAINER_KEYS)})")
    if all(name.startswith("module.") for name in found):
        found = {name.removeprefix("module."): tensor for name, tensor in found.items()}
    return {**found, **_settings(content)}


def _unpickle(path: Path) -> object:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_NUMPY_GLOBALS):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ModelError(f"{path}: is a folder, needs a model file") from None
    except PermissionError:
        raise ModelError(f"{path}: not readable") from None
    except Exception as error:  # damaged bytes make torch's reader fail in many ways
        raise ModelError(f"{path}: {_cause(path, error)}") from None


def _cause(path: Path, error: Exception) -> str:
    """What is wrong with a checkpoint that the restricted loader did not take."""
    if path.stat().st_size == 0:
        return "the file is empty"
    looks_right = zipfile.is_zipfile(path) or path.read_bytes()[:2] in (b"\x80\x02", b"PK")
    named = re.search(r"GLOBAL ([\w.]*\w)(?=\s)", str(error))
    refused = named[1] if named else "" if looks_right else _foreign_global(path)
    if refused:
        return (
            f"refused: the file wants to call '{refused}'; only tensors and plain containers are loaded "
            "(save the state dict alone: torch.save(model.state_dict(), ...))"
        )
    return "truncated or damaged checkpoint" if looks_right else f"not a PyTorch checkpoint ({READ})"


def _foreign_global(path: Path) -> str:
    """What a pickle of a protocol that PyTorch never writes would call first; empty if nothing."""
    strings: list[str] = []
    with contextlib.suppress(Exception), warnings.catch_warnings():  # the file may be anything but a pickle
        warnings.simplefilter("ignore")
        for operation, argument, _ in pickletools.genops(path.read_bytes()):
            if operation.name == "GLOBAL":
                return str(argument).replace(" ", ".")
            if operation.name == "STACK_GLOBAL":
                return ".".join(strings[-2:])
            if isinstance(argument, str):
                strings.append(argument)
    return ""


def _tensors(content: object) -> StateDict:
    """The named tensors of a loaded object; empty if it is no state dict and holds none."""
    if not isinstance(content, Mapping):
        return {}
    tensors = {str(k): v.detach() for k, v in content.items() if isinstance(v, torch.Tensor)}
    if tensors:
        return tensors
    nested: list[Any] = [content[key] for key in CONTAINER_KEYS if key in content]
    return _tensors(nested[0]) if nested else {}


def _settings(content: object) -> StateDict:
    """What the network was made with, as far as it is integers; nothing where the file does not say."""
    given = content.get(SETTINGS) if isinstance(content, Mapping) else None
    made = {}
    for key, value in given.items() if isinstance(given, Mapping) else ():
        numbers = list(value) if isinstance(value, list | tuple | str) else []
        if numbers and all(isinstance(n, int) or (isinstance(n, str) and n.isdecimal()) for n in numbers):
            made[f"{SETTINGS}.{key}"] = torch.tensor([int(n) for n in numbers])
    return made
