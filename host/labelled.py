"""Sets of labelled pictures, on which a classifier's accuracy is measured: .npz files, and folders of one per class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from host.errors import InputError
from host.inputs import load_arrays
from host.manifest import Manifest
from host.vision.heads import Classification, Findings
from host.vision.picture import check_photo, load_photo
from ir.records import ClassifierHead

Array = npt.NDArray[Any]
TENSOR_SUFFIX = ".npz"


@dataclass(frozen=True)
class Example:
    """An RGB picture and its class."""

    name: str
    photo: Image.Image
    label: str


@dataclass(frozen=True)
class LabelledSet:
    """``count`` examples, which are read one by one: either ``files`` or ``pixels`` (N, H, W, 3) with labels each."""

    path: Path
    labels: tuple[str, ...]
    files: tuple[Path, ...] = ()
    pixels: Array | None = None

    @property
    def count(self) -> int:
        return len(self.labels)

    def examples(self) -> Iterator[Example]:
        """In order. Raises InputError for a photo that is damaged."""
        for index, label in enumerate(self.labels):
            if self.pixels is None:
                yield Example(str(self.files[index]), load_photo(self.files[index]), label)
            else:
                photo = Image.fromarray(np.ascontiguousarray(self.pixels[index]))
                yield Example(f"{self.path}[{index}]", photo, label)


def labelled_sets(paths: Sequence[Path], manifest: Manifest) -> list[LabelledSet]:
    """The paths as sets, if the network is a classifier of pictures and the first path is one; empty otherwise.

    A set is an .npz file of two arrays, uint8 pictures (N, 3, H, W) or (N, H, W, 3) in RGB and N class numbers, or a
    folder with a subfolder of photos for each class, called like its label. InputError where a later path is no set, or
    a set holds what the network does not know.
    """
    if not isinstance(manifest.head, ClassifierHead) or manifest.picture is None:
        return []
    found = [_read(path, manifest.head.labels) for path in paths]
    if found[0] is None:
        return []
    wrong = next((path for path, each in zip(paths, found, strict=True) if each is None), None)
    if wrong is not None:
        raise InputError(f"{wrong}: is no set of labelled pictures, as {paths[0]} is: give them one after the other")
    return [each for each in found if each]


def _read(path: Path, labels: tuple[str, ...]) -> LabelledSet | None:
    if path.is_dir():
        return _folder(path, labels)
    return _arrays(path, labels) if path.suffix == TENSOR_SUFFIX and path.is_file() else None


def _folder(path: Path, labels: tuple[str, ...]) -> LabelledSet | None:
    """None where no subfolder has a label's name."""
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir())
    if not any(folder.name in labels for folder in folders):
        return None
    unknown = next((folder for folder in folders if folder.name not in labels), None)
    if unknown is not None:
        raise InputError(f"{unknown}: is no class of the network (its classes: {', '.join(labels)})")
    endings = Image.registered_extensions()
    files = [file for folder in folders for file in sorted(folder.iterdir()) if file.suffix.lower() in endings]
    if not files:
        raise InputError(f"{path}: its folders hold no pictures")
    for file in files:
        check_photo(file)
    return LabelledSet(path, tuple(file.parent.name for file in files), tuple(files))


def _arrays(path: Path, labels: tuple[str, ...]) -> LabelledSet | None:
    """None where the arrays are no pictures with a number each."""
    arrays = list(load_arrays(path).values())
    pictures = [a for a in arrays if a.ndim == 4 and a.dtype == np.uint8 and 3 in (a.shape[1], a.shape[3])]
    numbers = [a for a in arrays if a.ndim == 1 and a.dtype.kind in "iu"]
    if len(arrays) != 2 or len(pictures) != 1 or len(numbers) != 1:
        return None
    pixels, classes = pictures[0], numbers[0].astype(np.int64)
    if len(pixels) != len(classes) or not len(classes):
        raise InputError(f"{path}: {len(pixels)} pictures and {len(classes)} class numbers")
    if classes.min() < 0 or classes.max() >= len(labels):
        raise InputError(f"{path}: class numbers {classes.min()}..{classes.max()} (allowed: 0..{len(labels) - 1})")
    if pixels.shape[1] == 3:
        pixels = pixels.transpose(0, 2, 3, 1)
    return LabelledSet(path, tuple(labels[c] for c in classes.tolist()), pixels=pixels)


@dataclass
class Accuracy:
    """How often the right class was the first, or among those that a classifier names."""

    seen: int = 0
    first: int = 0
    named: int = 0

    def add(self, findings: Findings, label: str) -> bool:
        """Counts one picture; whether its class came first."""
        names = [finding.label for finding in findings if isinstance(finding, Classification)]
        self.seen += 1
        self.first += names[0] == label
        self.named += label in names
        return names[0] == label

    @property
    def top1(self) -> float:
        return self.first / self.seen

    @property
    def top5(self) -> float:
        return self.named / self.seen

    def __str__(self) -> str:
        return f"{self.first} of {self.seen} right: top-1 {100 * self.top1:.1f} %, top-5 {100 * self.top5:.1f} %"


def total(sets: Iterable[LabelledSet]) -> int:
    return sum(each.count for each in sets)
