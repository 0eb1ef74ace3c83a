"""Model files as users have them -> graph of fake-quantised values with its picture and head records."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

from frontend.archive import is_archive, load_program
from frontend.bounds import check_tensors, check_unpacked
from frontend.checkpoint import READ, SETTINGS, StateDict, load_state_dict
from frontend.errors import ModelError
from frontend.importer import import_program, shapes_of, with_batch_of_one
from frontend.lower.freeze import Frozen, freeze
from frontend.onnx.importer import InputType, import_onnx
from frontend.zoo import ENTRIES, FAMILIES, IntegerFamily, ZooEntry, candidates, entry_named
from ir.graph import Graph
from ir.records import HEADS, Dequantise, Head, Picture
from ir.types import Array

NOT_READ: Mapping[str, str] = {
    ".tflite": f"TensorFlow Lite models are not read ({READ})",
    ".pb": f"TensorFlow graphs are not read ({READ})",
    ".h5": f"Keras models are not read ({READ})",
    ".keras": f"Keras models are not read ({READ})",
    ".safetensors": "safetensors files are not read yet (save the state dict with torch.save or numpy.savez)",
    ".caffemodel": f"Caffe models are not read ({READ})",
    ".weights": f"Darknet weights are not read ({READ})",
}

OPTIONAL_KEYS = ("num_batches_tracked", ".size_product", ".memory_size", ".in_width")
"""State that training leaves and inference does not need: counts of batches, and of operations."""


NEAREST = 5
"""Networks of which it is said how far a checkpoint is from them."""


@dataclass(frozen=True)
class Model:
    """A loaded network; ``origin`` says in one line what the file was taken for and why.

    Without a ``picture`` its inputs are plain tensors, whose shapes in the file, and the outputs', are ``shapes``.
    ``dequantise``: of the outputs of a graph that holds integers already; None where the graph is still to be frozen.
    """

    graph: Graph
    picture: Picture | None
    head: Head | None
    origin: str
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dequantise: Mapping[str, Dequantise] | None = None

    def frozen(self, fallback: bool = False) -> Frozen:
        """The integer network; with ``fallback`` what has no integer form is computed in reals between integers.
        Raises ModelError where a value has neither form."""
        whole = self.dequantise is not None
        return Frozen(self.graph, self.dequantise or {}) if whole else freeze(self.graph, fallback=fallback)


def load_model(path: Path, arch: str | None = None, inputs: Sequence[str] = ()) -> Model:
    """Read a checkpoint, a state dict in .npz, a `torch.export` archive, or an ONNX file; or take the module that
    ``file.py:factory`` makes, with the values that it has.

    ``arch`` is a name of the zoo or ``file.py:factory``; without it the keys and shapes of the state dict are compared
    with the zoo, and exactly one network has to match. A family of the zoo makes integers of it at once. An archive
    brings its own graph; its records come from the zoo's network of the same keys and shapes, and where there is none
    it is one of plain tensors. ``inputs`` say what integers an ONNX file's inputs are (`InputType.parse`). Raises
    ModelError.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ModelError(f"{path}: is no regular file")
    if path.suffix.lower() == ".onnx":
        return _onnx(path, arch, inputs)
    if inputs:
        raise ModelError(f"{path}: --input {inputs[0]}: only ONNX files take it")
    if ".py:" in path.name and not path.exists():
        return _of_factory(str(path), arch)
    if path.suffix.lower() in NOT_READ:
        raise ModelError(f"{path}: {NOT_READ[path.suffix.lower()]}")
    check_unpacked(path)
    if path.is_file() and is_archive(path):
        program = with_batch_of_one(load_program(path), str(path))
        state = {k: v for k, v in program.state_dict.items() if isinstance(v, torch.Tensor)}
        constants = {k: v for k, v in program.constants.items() if isinstance(v, torch.Tensor)}
        check_tensors(path, {**constants, **state})
        _require_finite(path, state)
        if arch is None and not _matches(candidates(state), state):
            return _of_tensors(program, "network", "torch.export archive of no known network: its input is a tensor")
        entry = _entry(path, arch, state)
        origin = f"torch.export archive with the tensors of '{entry.name}'"
    else:
        state = _read_state(path)
        check_tensors(path, state)
        if family := _family(arch, state):
            return _integers(path, family, arch, state)
        entry = _entry(path, arch, state)
        module = _filled(path, entry, state)
        if made := _of_brevitas(module, entry):
            return made
        program = _exported(entry, module)
        recognised = f"recognised as '{entry.name}' ({entry.description}) by its keys and shapes"
        origin = f"architecture '{arch}'" if arch else recognised
    graph = import_program(program, entry.name, entry.picture)
    shapes = {} if entry.picture else shapes_of(program, graph)
    return Model(graph, entry.picture, entry.head, origin, shapes)


def load_module(
    module: nn.Module, inputs: Picture | Sequence[int], head: Head | None = None, name: str = "network"
) -> Model:
    """A live module of the project's quantisers, of floats or of Brevitas' layers, for a picture or for a plain tensor
    of this shape (batch of 1 included). Raises ModelError."""
    picture = inputs if isinstance(inputs, Picture) else None
    shape = (1, 3, inputs.height, inputs.width) if isinstance(inputs, Picture) else tuple(inputs)
    state = module.state_dict()
    check_tensors(Path(name), state)
    _require_finite(Path(name), state)
    entry = ZooEntry(name, lambda: module, shape, picture, head, "a live module")
    if made := _of_brevitas(module, entry):
        return made
    program, origin = _exported(entry, module.eval()), "live module"
    if picture is None:
        return replace(_of_tensors(program, name, origin), head=head)
    return Model(import_program(program, name, picture), picture, head, origin)


def _of_tensors(program: ExportedProgram, name: str, origin: str) -> Model:
    graph = import_program(program, name, None)
    return Model(graph, None, None, origin, shapes_of(program, graph))


def _of_factory(text: str, arch: str | None) -> Model:
    """The module of ``file.py:factory``, as it is made."""
    if arch is not None:
        raise ModelError(f"{text}: --arch {arch}: a factory makes its own network")
    entry = _entry_of_file(text, "")
    model = load_module(entry.factory(), entry.picture or entry.input_shape, entry.head, entry.name)
    return replace(model, origin=f"the module of {text}")


def _of_brevitas(module: nn.Module, entry: ZooEntry) -> Model | None:
    """The network of a module that has layers of Brevitas; None for any other."""
    if not any(type(part).__module__.split(".")[0] == "brevitas" for part in module.modules()):
        return None
    from frontend.brevitas import load_brevitas  # which needs this module

    if entry.picture is not None:
        raise ModelError(
            f"'{entry.name}': modules of Brevitas quantise plain tensors: give 'input_shape', no 'picture'"
        )
    return replace(load_brevitas(module, entry.input_shape, entry.name), head=entry.head)


def _onnx(path: Path, arch: str | None, inputs: Sequence[str]) -> Model:
    if arch is not None:
        raise ModelError(f"{path}: --arch {arch}: an ONNX file brings its own network")
    imported = import_onnx(path, [InputType.parse(text) for text in inputs])
    return Model(imported.graph, None, None, f"ONNX network of {imported.kind}", imported.shapes)


def _read_state(path: Path) -> StateDict:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names):
            raise ModelError(
                f"{path}: TorchScript archives are not read (save the state dict, or export with torch.export)"
            )
        if all(name.endswith(".npy") for name in names):
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    return {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}
            except Exception as error:  # numpy and zipfile have many ways to fail on damaged bytes
                raise ModelError(f"{path}: not a state dict in .npz form ({error})") from None
    return load_state_dict(path)


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    kept = (k for k in state if not k.endswith(OPTIONAL_KEYS) and not k.startswith(f"{SETTINGS}."))
    return {k: tuple(state[k].shape) for k in kept}


def _differences(expected: Mapping[str, tuple[int, ...]], state: StateDict) -> list[str]:
    """How a state dict departs from a module's shapes: missing, unknown and differently shaped keys, in words."""
    wanted = {k: v for k, v in expected.items() if not k.endswith(OPTIONAL_KEYS)}
    given = _shapes(state)
    return [
        *(f"'{k}' is missing" for k in wanted if k not in given),
        *(f"'{k}' is unknown" for k in given if k not in wanted),
        *(f"'{k}' has shape {given[k]}, needs {wanted[k]}" for k in wanted if k in given and given[k] != wanted[k]),
    ]


def _family(arch: str | None, state: StateDict) -> IntegerFamily | None:
    """The family that the user names, or else the one whose names the state dict has."""
    if arch is not None:
        return FAMILIES.get(arch)
    arrays = _arrays(state)
    return next((family for family in FAMILIES.values() if family.matches(arrays)), None)


def _integers(path: Path, family: IntegerFamily, arch: str | None, state: StateDict) -> Model:
    arrays = _arrays(state)
    if not family.matches(arrays):
        raise ModelError(f"{path}: does not fit '{family.name}', which has {family.tensors}")
    _require_finite(path, state)
    try:
        made = family.build(arrays)
    except ModelError as error:
        raise ModelError(f"{path}: does not fit '{family.name}': {error}") from None
    recognised = f"recognised as '{made.graph.name}' ({made.description}) by its keys and shapes"
    origin = f"architecture '{arch}' ({made.description})" if arch else recognised
    return Model(made.graph, made.picture, made.head, origin, dequantise=made.dequantise)


def _arrays(state: StateDict) -> dict[str, Array]:
    """Floating values in float64, which bfloat16 has to be for numpy."""
    wide = {name: value.detach().double() if value.is_floating_point() else value for name, value in state.items()}
    return {name: value.numpy() for name, value in wide.items()}


def _entry(path: Path, arch: str | None, state: StateDict) -> ZooEntry:
    """The network that the user names, or else the one that the state dict fits."""
    if arch is None:
        return _recognise(path, state)
    if ":" in arch:
        return _entry_of_file(arch)
    entry = _entry_by_name(arch).sized(state)
    if entry.name != arch:
        raise ModelError(f"{path}: --arch {arch}: the checkpoint says that it is of '{entry.name}'")
    return entry


def _matches(known: Sequence[ZooEntry], state: StateDict) -> list[ZooEntry]:
    return [entry for entry in known if entry.may_fit(state) and not _differences(entry.shapes(), state)]


def _recognise(path: Path, state: StateDict) -> ZooEntry:
    known = candidates(state)
    matches = _matches(known, state)
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(entry.name for entry in matches)
        raise ModelError(f"{path}: matches several networks, choose one with --arch: {names}")
    differences = {entry.name: _differences(entry.shapes(), state) for entry in known}
    nearest = sorted(differences.items(), key=lambda pair: len(pair[1]))[:NEAREST]
    near = "; ".join(
        (
            *(f"{n}: {len(d)} differences, first {d[0]}" for n, d in nearest),
            *(f"{n}: has {family.tensors}" for n, family in FAMILIES.items()),
        )
    )
    raise ModelError(
        f"{path}: matches no known network by keys and shapes, give --arch NAME or file.py:factory (nearest: {near})"
    )


def _entry_by_name(arch: str) -> ZooEntry:
    entry = entry_named(arch)
    if entry is None:
        raise ModelError(
            f"--arch {arch}: unknown network ({_resembling(arch)}allowed: {', '.join((*ENTRIES, *FAMILIES))}, or "
            "file.py:factory; quantised forms have any widths: resnet20_w6a8)"
        )
    return entry


def _resembling(arch: str) -> str:
    """What may have been meant by an unknown name."""
    close = [f"{arch}:FACTORY"] if arch.endswith(".py") else get_close_matches(arch, (*ENTRIES, *FAMILIES), 1)
    return f"did you mean '{close[0]}'? " if close else ""


def _entry_of_file(arch: str, option: str = "--arch ") -> ZooEntry:
    """The network of ``file.py:factory``, which ``option`` named. Its module says what surrounds it: attributes
    ``picture`` and ``head_record``, or ``input_shape`` where the input is a plain tensor."""
    file, _, name = arch.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise ModelError(f"{option}{arch}: no file '{file}'")
    spec = importlib.util.spec_from_file_location(f"user_architecture_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{option}{arch}: '{file}' is no Python file")
    source = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(source)
    except Exception as error:  # the user's own code may raise anything
        raise ModelError(f"{option}{arch}: importing '{file}' failed: {_raised(error)}") from error
    factory = getattr(source, name, None)
    if not callable(factory):
        raise ModelError(f"{option}{arch}: '{file}' has no callable '{name}'")
    try:
        made: Any = factory()
    except Exception as error:  # the user's own code may raise anything
        raise ModelError(f"{option}{arch}: '{name}' failed: {_raised(error)}") from error
    if not isinstance(made, nn.Module):
        raise ModelError(f"{option}{arch}: '{name}' returned {type(made).__name__}, needs a torch.nn.Module")
    picture, head, plain = (getattr(made, name, None) for name in ("picture", "head_record", "input_shape"))
    if plain is None and (picture is None or head is None):
        state = made.state_dict()
        twin = next((e for e in ENTRIES.values() if e.may_fit(state) and not _differences(e.shapes(), state)), None)
        picture, head = picture or (twin and twin.picture), head or (twin and twin.head)
        plain = twin.input_shape if twin and not twin.picture else None
    if picture is None and isinstance(plain, tuple) and isinstance(head, Head | None):
        return ZooEntry(name, lambda: made, plain, None, head, f"from {path.name}")
    if not isinstance(picture, Picture) or not isinstance(head, Head):
        raise ModelError(
            f"{option}{arch}: the module needs attributes 'picture' (ir.records.Picture) and 'head_record' "
            f"({', '.join(class_.__name__ for class_ in HEADS.values())} of ir.records): they say what its input and "
            "output mean; a network of a plain tensor needs 'input_shape', a tuple"
        )
    shape = (1, 3, picture.height, picture.width)
    return ZooEntry(name, lambda: made, shape, picture, head, f"from {path.name}")


def _raised(error: Exception) -> str:
    """What went wrong in the user's own code, and what may help."""
    missing = isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == "brevitas"
    help_ = " (pip install 'hetero-compile[brevitas]')" if missing else ""
    return f"{type(error).__name__}: {error}{help_}"


def _filled(path: Path, entry: ZooEntry, state: StateDict) -> nn.Module:
    """The network with the checkpoint's values, in evaluation mode."""
    module = entry.factory()
    differences = _differences(_shapes(module.state_dict()), state)
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise ModelError(f"{path}: does not fit '{entry.name}': {'; '.join(differences[:3])}{more}")
    _require_finite(path, state)
    module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, strict=False)
    return module.eval()


def _require_finite(path: Path, state: StateDict) -> None:
    bad = [k for k, v in state.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
    if bad:
        raise ModelError(f"{path}: '{bad[0]}' holds values that are not finite")


def _exported(entry: ZooEntry, module: nn.Module) -> ExportedProgram:
    try:
        return torch.export.export(module, (torch.zeros(entry.input_shape),))
    except Exception as error:  # whatever the user's forward raises, and export's own limits
        first = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"'{entry.name}': torch.export cannot record the network for an input of shape {entry.input_shape}: "
            f"{type(error).__name__}: {first}"
        ) from error
