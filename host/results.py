"""Where hetero-run puts its results: pictures or raw outputs in files, JSON lines, tables."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from host.errors import InputError
from host.manifest import Manifest
from host.vision.draw import draw
from host.vision.heads import Classification, Detection, Drawing, Findings, dequantise
from ir.records import AnchorHead, ClassifierHead, Head, ObjectsHead, PictureHead, YoloHead

Array = npt.NDArray[Any]
RAW = ".npz"
FILE_ENDINGS: Mapping[type, str] = {
    YoloHead: ".boxes.png",
    AnchorHead: ".boxes.png",
    ObjectsHead: ".boxes.png",
    ClassifierHead: ".labels.png",
    PictureHead: ".picture.png",
}
JSON_KEYS: Mapping[type, str] = {
    YoloHead: "detections",
    AnchorHead: "detections",
    ObjectsHead: "detections",
    ClassifierHead: "classes",
    PictureHead: "pictures",
}


def choose_targets(inputs: Sequence[Path], output: Path | None, manifest: Manifest) -> list[Path]:
    """A file for each input's result.

    Without ``output`` they go to the working directory; with it, one result goes to that file, several into that
    folder. Pictures where the network has a head and takes pictures, or else the raw outputs as .npz; an ``output``
    ending in .npz asks for the latter. InputError if that cannot be done; nothing is created yet.
    """
    drawn = manifest.head is not None and manifest.picture is not None
    ending = FILE_ENDINGS[type(manifest.head)] if drawn else ".outputs" + RAW
    if output is None:
        return _distinct([Path(path.stem + ending) for path in inputs])
    if output.is_dir():
        return _distinct([output / (path.stem + ending) for path in inputs])
    if len(inputs) > 1:
        if output.exists():
            raise InputError(f"{output}: is a file; several results need a folder")
        return _distinct([output / (path.stem + ending) for path in inputs])
    if not output.parent.is_dir():
        raise InputError(f"{output}: the folder {output.parent} does not exist")
    if output.suffix != RAW and not (drawn and _format_of(output)):
        kinds = "a picture (.png, .jpg, ...) or .npz" if drawn else ".npz (there is no picture to draw)"
        raise InputError(f"{output}: cannot be written in that format (possible: {kinds})")
    return [output]


def write_result(
    target: Path, photo: Image.Image | None, findings: Findings, outputs: Mapping[str, Array], manifest: Manifest
) -> None:
    """The picture with its findings, or the outputs as .npz; the file appears whole or not at all."""
    with whole_file(target) as stream:
        if target.suffix == RAW or photo is None:
            arrays: dict[str, Any] = {n: np.ascontiguousarray(v) for n, v in file_outputs(outputs, manifest).items()}
            np.savez_compressed(stream, **arrays)
        else:
            draw(photo, findings).save(stream, _format_of(target))


def file_outputs(outputs: Mapping[str, Array], manifest: Manifest) -> dict[str, Array]:
    """Raw integers (C, H, W); where the manifest says what shape an output has in the model's file, that shape, with
    the real values (float32) that a record gives."""
    result = {}
    for name, values in outputs.items():
        shape, record = manifest.shapes.get(name), manifest.dequantise.get(name)
        if shape is not None and record is not None:
            values = dequantise(values, record).astype(np.float32)
        result[name] = values if shape is None else values.reshape(shape)
    return result


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes the name ``target`` only once it is complete; InputError where it cannot be written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error})") from None
    finally:
        Path(name).unlink(missing_ok=True)


def json_line(path: Path, findings: Findings, outputs: Mapping[str, Array], manifest: Manifest) -> str:
    """``{"file", "detections": [{"box", "score", "label"}]}``, ``"classes"``, or, without a head, ``"outputs"``."""
    if manifest.head is None:
        arrays = file_outputs(outputs, manifest)
        return json.dumps({"file": str(path), "outputs": {name: values.tolist() for name, values in arrays.items()}})
    return json.dumps({"file": str(path), **findings_as_json(findings, manifest.head)})


def findings_as_json(findings: Findings, head: Head) -> dict[str, Any]:
    """``{"detections": [{"box", "score", "label"}]}`` or ``{"classes": [{"label", "score"}]}``, best first; or
    ``{"pictures": [{"width", "height"}]}``, which are in the result's file."""
    return {JSON_KEYS[type(head)]: [AS_JSON[type(finding)](finding) for finding in findings]}


AS_JSON: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    Detection: lambda found: {"box": list(found.box), "score": found.score, "label": found.label},
    Classification: lambda found: {"label": found.label, "score": found.score},
    Drawing: lambda found: {"width": found.pixels.shape[1], "height": found.pixels.shape[0]},
}


def text_line(findings: Findings) -> str:
    """Findings for people, on one line."""
    return "; ".join(AS_TEXT[type(finding)](finding) for finding in findings)


AS_TEXT: Mapping[type, Callable[[Any], str]] = {
    Detection: lambda found: (
        f"{found.label} {100 * found.score:.0f} % at ({', '.join(f'{edge:.0f}' for edge in found.box)})"
    ),
    Classification: lambda found: f"{found.label} {100 * found.score:.1f} %",
    Drawing: lambda found: f"picture of {found.pixels.shape[1]} x {found.pixels.shape[0]} pixels",
}


def _format_of(path: Path) -> str | None:
    """The name of Pillow's writer for a file name; None if there is none."""
    name = Image.registered_extensions().get(path.suffix.lower())
    return name if name in Image.SAVE else None


def _distinct(paths: Sequence[Path]) -> list[Path]:
    """The same paths, later ones of equal name numbered: a.boxes.png, a-2.boxes.png."""
    taken: set[Path] = set()
    result: list[Path] = []
    for path in paths:
        stem, _, ending = path.name.rpartition(".")[0].rpartition(".")
        ending = f".{ending}{path.suffix}"
        candidate, number = path, 1
        while candidate in taken:
            number += 1
            candidate = path.with_name(f"{stem}-{number}{ending}")
        taken.add(candidate)
        result.append(candidate)
    return result
