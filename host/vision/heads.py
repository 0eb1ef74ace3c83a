"""What the network's output means: boxes, labels or a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ir.records import AnchorHead, ClassifierHead, Dequantise, Head, ObjectsHead, Picture, PictureHead, YoloHead

Floats = npt.NDArray[np.float64]
TOP = 5


@dataclass(frozen=True)
class Detection:
    """``box`` is (xmin, ymin, xmax, ymax) in pixels of the photo, inside it; ``score`` is in 0..1."""

    box: tuple[float, float, float, float]
    score: float
    label: str


@dataclass(frozen=True)
class Classification:
    score: float
    label: str


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture: uint8 (H, W, 3), RGB."""

    pixels: npt.NDArray[np.uint8]


Findings = tuple[Detection, ...] | tuple[Classification, ...] | tuple[Drawing, ...]


def dequantise(raw: npt.NDArray[Any], record: Dequantise | None) -> Floats:
    """(C, H, W) or (C,) integers -> reals by `ir.records.Dequantise`; unchanged values without a record."""
    if record is None:
        return raw.astype(np.float64)
    bias, gain = (np.reshape(v, (-1, *(1,) * (raw.ndim - 1))) for v in (record.bias, record.gain or (1.0,)))
    return np.asarray(raw.astype(np.float64) * (record.scale * gain) + bias, np.float64)


def decode(head: Head, values: Floats, size: tuple[int, int], picture: Picture | None) -> Findings:
    """Dequantised output -> findings on a photo of ``size`` (width, height)."""
    return DECODERS[type(head)](head, values, size, picture)


def _yolo(head: Head, values: Floats, size: tuple[int, int], picture: Picture | None) -> Findings:
    """See `ir.records.YoloHead` for the formula; the box is clipped to the photo."""
    assert isinstance(head, YoloHead) and picture is not None
    grid = values.reshape(head.anchors, 6, *values.shape[1:])
    confidence = grid[:, 4].mean(axis=0)
    y, x = np.unravel_index(confidence.argmax(), confidence.shape)
    cell = grid[:, :, y, x]
    centre = ((_sigmoid(cell[:, 0:2]) + np.array([x, y])) * head.stride).mean(axis=0)
    with np.errstate(over="ignore"):  # a box may be as large as it likes: it is clipped to the photo
        extent = (np.exp(cell[:, 2:4]) * head.anchor_size).mean(axis=0)
    box = _on_photo(centre, extent, size, picture, head.whole_pixels)
    return (Detection(box, float(_sigmoid(confidence[y, x])), head.labels[0]),)


def _anchored(head: Head, values: Floats, size: tuple[int, int], picture: Picture | None) -> Findings:
    """See `ir.records.AnchorHead` for the formula; the box is clipped to the photo."""
    assert isinstance(head, AnchorHead) and picture is not None
    grid = values.reshape(len(head.widths), 5, *values.shape[1:])
    anchor, y, x = np.unravel_index(grid[:, 4].argmax(), grid[:, 4].shape)
    t = grid[anchor, :, y, x]
    box = _anchored_box(head, t, (int(anchor), int(y), int(x)), size, picture)
    return (Detection(box, float(_sigmoid(t[4])), head.labels[0]),)


def _objects(head: Head, values: Floats, size: tuple[int, int], picture: Picture | None) -> Findings:
    """See `ir.records.ObjectsHead`; overlap is that of the boxes as they are clipped to the photo."""
    assert isinstance(head, ObjectsHead) and picture is not None
    grid = values.reshape(len(head.widths), 5 + len(head.labels), *values.shape[1:])
    logits = grid[:, 5:]
    if head.shares == "softmax":
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
    else:
        shares = _sigmoid(logits)
    scores = _sigmoid(grid[:, 4:5]) * shares
    found: list[Detection] = []
    for label, name in enumerate(head.labels):
        places = np.argwhere(scores[:, label] >= head.least)
        order = np.argsort(-scores[:, label][tuple(places.T)], kind="stable")
        boxes: list[tuple[float, float, float, float]] = []
        for anchor, y, x in places[order]:
            box = _anchored_box(head, grid[anchor, :, y, x], (anchor, y, x), size, picture)
            if len(boxes) < head.most and all(_iou(box, other) <= head.overlap for other in boxes):
                boxes.append(box)
                found.append(Detection(box, float(scores[anchor, label, y, x]), name))
    return tuple(sorted(found, key=lambda each: -each.score)[: head.most])


def _anchored_box(
    head: AnchorHead | ObjectsHead, t: Floats, place: tuple[int, int, int], size: tuple[int, int], picture: Picture
) -> tuple[float, float, float, float]:
    """The box of ``place`` (anchor, row, column) on the photo; ``t`` begins with tx, ty, tw, th."""
    anchor, y, x = place
    centre = (_sigmoid(t[0:2]) + np.array([x, y])) * head.stride
    with np.errstate(over="ignore"):  # a box may be as large as it likes: it is clipped to the photo
        extent = np.exp(t[2:4]) * np.array([head.widths[anchor], head.heights[anchor]]) * head.stride
    return _on_photo(centre, extent, size, picture)


def _iou(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - shared
    return shared / union if union > 0 else 0.0


def _picture(head: Head, values: Floats, size: tuple[int, int], picture: Picture | None) -> Findings:
    """See `ir.records.PictureHead`."""
    assert isinstance(head, PictureHead)
    pixels = np.clip(np.rint(values * head.steps), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return (Drawing(np.ascontiguousarray(pixels[:, :, ::-1] if head.order == "bgr" else pixels)),)


def _on_photo(
    centre: Floats, extent: Floats, size: tuple[int, int], picture: Picture, whole_pixels: bool = False
) -> tuple[float, float, float, float]:
    """A box in pixels of the network's picture -> its edges on the photo."""
    scale = np.divide(size, (picture.width, picture.height))
    low = np.clip((centre - extent / 2) * scale, 0, size)
    high = np.clip((centre + extent / 2) * scale, 0, size)
    if whole_pixels:
        low, high = np.floor(low), np.floor(high)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _classifier(head: Head, values: Floats, size: tuple[int, int], picture: Picture | None) -> Findings:
    """Softmax, the `TOP` best first; equal scores in the labels' order."""
    assert isinstance(head, ClassifierHead)
    scores = values.reshape(-1)
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    best = np.argsort(-shares, kind="stable")[:TOP]
    return tuple(Classification(float(shares[i]), head.labels[i]) for i in best)


DECODERS: Mapping[type, Callable[[Head, Floats, tuple[int, int], Picture | None], Findings]] = {
    YoloHead: _yolo,
    ClassifierHead: _classifier,
    AnchorHead: _anchored,
    ObjectsHead: _objects,
    PictureHead: _picture,
}


def _sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x)))
