"""What surrounds an integer graph: how a picture or real values become its input and what its output integers mean.

The compiler writes these records into a package's manifest and host.vision executes them; none is code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

from ir.rounding import ROUNDINGS
from ir.types import Array


@dataclass(frozen=True)
class Picture:
    """The network's input picture: ``width`` x ``height`` pixels, channels in ``order``, uint8.

    ``bilinear`` samples at half-pixel centres without antialiasing, with 11-bit weights (ir.resize has the
    integer formula). The float network saw ``value / steps`` or, where they are given, ``(value / steps - mean[c]) /
    std[c]`` with one number per channel in ``order``; that is the graph's first node, nothing that a host computes.
    """

    width: int
    height: int
    order: Literal["bgr", "rgb"]
    resize: Literal["bilinear"] = "bilinear"
    steps: float = 255.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.mean) not in (0, 3) or len(self.std) != len(self.mean) or 0.0 in self.std:
            raise ValueError(f"mean {self.mean} and std {self.std} need three numbers each, std none that is zero")


@dataclass(frozen=True)
class Quantise:
    """The integer that a real input (C, H, W) becomes, where the network itself begins with a quantiser:
    ``clip(round((x * gain[c] + offset[c]) / scale + zero), lo, hi) - zero``, in float64.

    ``gain`` and ``offset`` hold one number, or one per channel; ``rounding`` is a name of `ir.rounding`. A quantiser
    with ``thresholds`` counts those that ``x * gain[c] + offset[c]`` reaches instead, in equal steps from lo to hi.
    """

    scale: float
    zero: int
    lo: int
    hi: int
    rounding: str
    gain: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    thresholds: tuple[float, ...] = ()

    def integers(self, x: Array) -> Array:
        """int64 of x's shape."""
        gain, offset = (np.reshape(v, (-1, *[1] * (x.ndim - 1))) for v in (self.gain, self.offset))
        values = x.astype(np.float64) * gain + offset
        if self.thresholds:
            reached = np.searchsorted(self.thresholds, values, side="right")
            return np.asarray(self.lo - self.zero + reached * ((self.hi - self.lo) // len(self.thresholds)))
        scaled = np.clip(values / self.scale + self.zero, self.lo, self.hi)
        return np.asarray(ROUNDINGS[self.rounding](scaled).astype(np.int64) - self.zero)


@dataclass(frozen=True)
class Dequantise:
    """The real value of an integer output (C, H, W): ``raw * scale * gain[c] + bias[c]``; an empty gain is 1."""

    scale: float
    bias: tuple[float, ...]
    gain: tuple[float, ...] = ()


@dataclass(frozen=True)
class YoloHead:
    """A single-object detection head on a dequantised output (anchors * 6, H, W), one cell per ``stride`` pixels.

    Channels are ``anchors`` groups of (tx, ty, tw, th, confidence, class). In pixels of the input picture,
    ``centre = (sigmoid(t_xy) + cell) * stride`` and ``size = exp(t_wh) * anchor_size``, averaged over the anchors, in
    the cell whose confidence (also averaged) is highest. With ``whole_pixels`` the corners are cut to whole pixels of
    the photo, as the UltraNet family's reference boxes are.
    """

    labels: tuple[str, ...]
    anchors: int = 6
    stride: int = 16
    anchor_size: float = 20.0
    whole_pixels: bool = False


@dataclass(frozen=True)
class ClassifierHead:
    """A classification head: the dequantised output (C, 1, 1) or (C,) holds one score per label."""

    labels: tuple[str, ...]


@dataclass(frozen=True)
class AnchorHead:
    """A single-object detection head whose anchors differ in size: output (anchors * 5, H, W), a cell per ``stride``.

    Channels are (tx, ty, tw, th, confidence) of each anchor, of ``widths[a]`` x ``heights[a]`` cells. In pixels of the
    input picture, ``centre = (sigmoid(t_xy) + cell) * stride`` and ``size = exp(t_wh) * anchor * stride``, of the
    anchor and cell whose confidence is highest (Redmon and Farhadi, YOLO9000, CVPR 2017).
    """

    labels: tuple[str, ...]
    widths: tuple[float, ...]
    heights: tuple[float, ...]
    stride: int


@dataclass(frozen=True)
class ObjectsHead:
    """A detection head for any number of objects (YOLO): output (anchors * (5 + labels), H, W), a cell per ``stride``.

    Channels are (tx, ty, tw, th, confidence, a value per label) of each anchor; boxes are those of `AnchorHead`. The
    score of a label is ``sigmoid(confidence)`` times its share: a ``softmax`` over the labels (YOLO9000), or a
    ``sigmoid`` of its own (Redmon and Farhadi, YOLOv3, arXiv:1804.02767). Of a label's boxes with a score of at least
    ``least`` the best is taken and those that overlap it by an IoU above ``overlap`` are dropped, again and again; at
    most ``most`` boxes are found, best first.
    """

    labels: tuple[str, ...]
    widths: tuple[float, ...]
    heights: tuple[float, ...]
    stride: int
    shares: Literal["softmax", "sigmoid"] = "softmax"
    least: float = 0.25
    overlap: float = 0.45
    most: int = 100


@dataclass(frozen=True)
class PictureHead:
    """The dequantised output (3, H, W) is a picture, channels in ``order``: a byte is ``round(value * steps)``, from 0
    to 255, ties to even."""

    order: Literal["bgr", "rgb"]
    steps: float = 255.0


Head = YoloHead | ClassifierHead | AnchorHead | ObjectsHead | PictureHead
HEADS: Mapping[str, type[Head]] = {
    "yolo": YoloHead,
    "classifier": ClassifierHead,
    "anchors": AnchorHead,
    "objects": ObjectsHead,
    "picture": PictureHead,
}


def head_to_json(head: Head) -> dict[str, Any]:
    """A JSON object with the head's kind and fields."""
    kind = next(name for name, class_ in HEADS.items() if isinstance(head, class_))
    return {"kind": kind, **asdict(head)}


def head_from_json(data: Mapping[str, Any]) -> Head:
    """The inverse of `head_to_json`; ValueError names an unknown kind or field, or a missing field."""
    class_ = HEADS.get(str(data.get("kind")))
    if class_ is None:
        raise ValueError(f"head kind '{data.get('kind')}' is unknown (allowed: {', '.join(HEADS)})")
    known = {f.name for f in fields(class_)}
    unknown = set(data) - known - {"kind"}
    if unknown:
        raise ValueError(f"head has an unknown key '{sorted(unknown)[0]}' (allowed: {', '.join(sorted(known))})")
    missing = [f.name for f in fields(class_) if f.default is MISSING and f.name not in data]
    if missing:
        raise ValueError(f"head has no key '{missing[0]}'")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items() if name in known
    }
    return class_(**values)
