"""The rules between a manifest's fields; each raises PackageError with one line that says what and where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from math import prod
from pathlib import PurePosixPath

from host.errors import PackageError
from host.manifest import Board, Manifest, Region, Side, Tensor
from ir.engine import MOST_PORTS
from ir.layouts import Layout, Plain, Words
from ir.records import AnchorHead, ClassifierHead, Head, ObjectsHead, PictureHead, YoloHead
from ir.rounding import ROUNDINGS

PORTS_MAX: Mapping[Side, int] = {"device": MOST_PORTS, "cpu": 256}  # HC_PORTS_MAX, HC_CPU_PORTS_MAX of runtime/
THREADS_MAX = 256  # HC_THREADS_MAX of runtime/hc_threads.h

# What the package's Makefile has rules for; CPU regions are plain C, compiled for any machine, and bytes.
SUFFIXES: Mapping[Side, tuple[str, ...]] = {"cpu": (".c", ".S"), "device": (".c", ".cc", ".cpp")}


def check(manifest: Manifest) -> None:
    """PackageError unless every field of the manifest agrees with the others."""
    _identifier(manifest.name, "name", r"[A-Za-z0-9][A-Za-z0-9._-]*")
    _board(manifest.board)
    for tensor in manifest.tensors:
        _tensor(tensor)
    _unique((tensor.name for tensor in manifest.tensors), "tensors")
    _unique(manifest.inputs, "inputs")
    _unique(manifest.outputs, "outputs")
    for region in manifest.regions:
        _region(region, manifest.tensor_table)
    _unique((name for region in manifest.regions for name in _symbols(region)), "regions")
    _order(manifest)
    _picture(manifest)
    _dequantise(manifest)
    _quantise(manifest)
    _shapes(manifest)
    _head(manifest)


def check_path(path: str, where: str) -> None:
    """PackageError unless ``path`` is a plain relative path that stays inside the package."""
    parts = PurePosixPath(path).parts
    if not re.fullmatch(r"[A-Za-z0-9_+./-]+", path) or path != "/".join(parts) or ".." in parts or path[0] in "/-":
        raise PackageError(f"{where}: '{path}' is no plain relative path inside the package")


def _identifier(name: str, where: str, pattern: str = r"[A-Za-z_][A-Za-z0-9_]*") -> None:
    if not re.fullmatch(pattern, name):
        raise PackageError(f"{where}: '{name}' is no valid name (it must match {pattern})")


def _unique(names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise PackageError(f"{where}: '{name}' appears twice")
        seen.add(name)


def _symbols(region: Region) -> tuple[str, ...]:
    """What the region's C entries are called, without their common prefix."""
    return (region.name, f"{region.name}_cpu") if region.failover else (region.name,)


def _board(board: Board) -> None:
    line = board.cache_line
    if line < 4 or line & (line - 1) or line > 4096:
        raise PackageError(f"board.cache_line: {line} is no power of two from 4 to 4096")
    if not 1 <= board.threads <= THREADS_MAX:
        raise PackageError(f"board.threads: {board.threads} is not in 1..{THREADS_MAX}")
    if board.pool_bytes < 0 or board.pool_bytes >= 1 << 32:
        raise PackageError(f"board.pool_bytes: {board.pool_bytes} is not in 0..2^32-1 (offsets have 32 bits)")
    if board.isa.startswith("rv64gcv") != (board.vlen > 0):
        raise PackageError(f"board.vlen: {board.vlen} does not go with {board.isa} (0 means no vector extension)")


def _tensor(tensor: Tensor) -> None:
    try:
        _ = tensor.type
    except ValueError as error:
        raise PackageError(f"tensor '{tensor.name}': {error}") from None
    if len(tensor.shape) not in (1, 3):
        raise PackageError(f"tensor '{tensor.name}': shape {tensor.shape} is neither (C, H, W) nor (C,)")


def _region(region: Region, tensors: Mapping[str, Tensor]) -> None:
    where = f"region '{region.name}'"
    _identifier(region.name, where)
    most = PORTS_MAX[region.side]
    if not region.outputs or len(region.inputs) + len(region.weights) + len(region.outputs) > most:
        raise PackageError(
            f"{where}: {len(region.inputs)} inputs, {len(region.weights)} ports for weights, {len(region.outputs)} "
            f"outputs (allowed: at least one output, {most} ports in all)"
        )
    _weights(region, where)
    if not region.sources:
        raise PackageError(f"{where}: no sources")
    for source in region.sources:
        check_path(source, f"{where}, sources")
        if PurePosixPath(source).suffix not in SUFFIXES[region.side]:
            allowed = ", ".join(SUFFIXES[region.side])
            raise PackageError(f"{where}: source '{source}' cannot be compiled on the {region.side} side ({allowed})")
    for source in region.failover:
        check_path(source, f"{where}, failover")
        if PurePosixPath(source).suffix not in SUFFIXES["cpu"] or region.side != "device":
            raise PackageError(f"{where}: failover source '{source}' is no C for a region of the device")
    for path in region.hardware:
        check_path(path, f"{where}, hardware")
    if region.hardware and region.side != "device":
        raise PackageError(f"{where}: runs on the {region.side}, which is no hardware to be built")
    for port in (*region.inputs, *region.outputs):
        if port.tensor not in tensors:
            raise PackageError(f"{where}: tensor '{port.tensor}' is not in the manifest's tensors")
        LAYOUT_RULES[type(port.layout)](port.layout, tensors[port.tensor], f"{where}, tensor '{port.tensor}'")


def _plain(layout: Layout, tensor: Tensor, where: str) -> None:
    """Every tensor may lie in memory as native elements."""


def _words(layout: Layout, tensor: Tensor, where: str) -> None:
    assert isinstance(layout, Words)
    if not tensor.dtype.is_integer:
        raise PackageError(f"{where}: {tensor.dtype} cannot be packed into words (only integers can)")
    if layout.lanes < 1 or layout.bits < 1 or tensor.shape[0] % layout.lanes:
        raise PackageError(f"{where}: {tensor.shape[0]} channels do not divide into words of {layout.lanes} lanes")
    signed = tensor.dtype.signed
    lo, hi = (-(1 << layout.bits - 1), (1 << layout.bits - 1) - 1) if signed else (0, (1 << layout.bits) - 1)
    if (tensor.lo < lo or tensor.hi > hi) and tensor.dtype.kind != "bipolar":
        raise PackageError(
            f"{where}: values {tensor.lo}..{tensor.hi} of {tensor.dtype} do not fit lanes of {layout.bits} bits"
        )


def _weights(region: Region, where: str) -> None:
    if bool(region.weights) != bool(region.weight_source) or (region.weights and region.side != "device"):
        raise PackageError(f"{where}: ports for weights need a source of them, and a device")
    if region.weights:
        check_path(region.weight_source, f"{where}, weight_source")
    for port in region.weights:
        if not 0 < port.bytes < 1 << 31 or port.repeats < 1:
            raise PackageError(f"{where}: port '{port.name}' brings {port.bytes} bytes {port.repeats} times a frame")


LAYOUT_RULES: Mapping[type, Callable[[Layout, Tensor, str], None]] = {Plain: _plain, Words: _words}


def _order(manifest: Manifest) -> None:
    """Every tensor is written once, before it is read; what the manifest names exists."""
    tensors = manifest.tensor_table
    for name in (*manifest.inputs, *manifest.outputs):
        if name not in tensors:
            raise PackageError(f"inputs and outputs: tensor '{name}' is not in the manifest's tensors")
    written = set(manifest.inputs)
    for region in manifest.regions:
        for port in region.inputs:
            if port.tensor not in written:
                raise PackageError(f"region '{region.name}': tensor '{port.tensor}' is read before it is written")
        for port in region.outputs:
            if port.tensor in written:
                raise PackageError(f"region '{region.name}': tensor '{port.tensor}' is written twice")
            written.add(port.tensor)
    for name in (*manifest.outputs, *tensors):
        if name not in written:
            raise PackageError(f"tensor '{name}' is written by no region and is no input")
    if not manifest.inputs or not manifest.outputs or not manifest.regions:
        raise PackageError("a network needs at least one input, one output and one region")


def _picture(manifest: Manifest) -> None:
    picture = manifest.picture
    if picture is None:
        return
    if len(manifest.inputs) != 1:
        raise PackageError(f"picture: a network of {len(manifest.inputs)} inputs cannot take a picture")
    tensor = manifest.tensor(manifest.inputs[0])
    if tensor.shape != (3, picture.height, picture.width) or (tensor.lo, tensor.hi) != (0, 255):
        raise PackageError(
            f"picture: {picture.width} x {picture.height} pixels do not go with the input {tensor.type} "
            f"(expected uint8[3x{picture.height}x{picture.width}] in 0..255)"
        )


def _dequantise(manifest: Manifest) -> None:
    for name, record in manifest.dequantise.items():
        if name not in manifest.outputs:
            raise PackageError(f"dequantise: '{name}' is no output")
        channels = manifest.tensor(name).shape[0]
        if len(record.bias) != channels:
            raise PackageError(f"dequantise: {len(record.bias)} biases for the {channels} channels of '{name}'")
        if len(record.gain) not in (0, channels):
            raise PackageError(f"dequantise: {len(record.gain)} gains for the {channels} channels of '{name}'")


def _quantise(manifest: Manifest) -> None:
    for name, record in manifest.quantise.items():
        if name not in manifest.inputs:
            raise PackageError(f"quantise: '{name}' is no input")
        channels = manifest.tensor(name).shape[0]
        if len(record.gain) not in (1, channels) or len(record.offset) not in (1, channels):
            raise PackageError(f"quantise: gains or offsets do not fit the {channels} channels of '{name}'")
        if record.rounding not in ROUNDINGS or not record.scale > 0:
            raise PackageError(f"quantise: '{name}' has scale {record.scale} and rounding '{record.rounding}'")
        if list(record.thresholds) != sorted(record.thresholds):
            raise PackageError(f"quantise: the thresholds of '{name}' do not rise")


def _shapes(manifest: Manifest) -> None:
    for name, shape in manifest.shapes.items():
        if name not in (*manifest.inputs, *manifest.outputs):
            raise PackageError(f"shapes: '{name}' is neither input nor output")
        if any(extent < 1 for extent in shape) or prod(shape) != manifest.tensor(name).type.elements:
            raise PackageError(f"shapes: '{name}' is {manifest.tensor(name).type}, which does not make up {shape}")


def _head(manifest: Manifest) -> None:
    if manifest.head is None:
        return
    if len(manifest.outputs) != 1:
        raise PackageError(f"head: the network has {len(manifest.outputs)} outputs instead of one")
    HEAD_RULES[type(manifest.head)](manifest.head, manifest)


def _yolo(head: Head, manifest: Manifest) -> None:
    assert isinstance(head, YoloHead)
    shape, picture = manifest.tensor(manifest.outputs[0]).shape, manifest.picture
    if picture is None:
        raise PackageError("head: a detector needs a picture record")
    cells = (picture.height // max(head.stride, 1), picture.width // max(head.stride, 1))
    if head.anchors < 1 or head.stride < 1 or shape != (6 * head.anchors, *cells):
        raise PackageError(
            f"head: the output's shape {shape} is not ({head.anchors} anchors * 6, {cells[0]}, {cells[1]})"
        )
    if len(head.labels) != 1:
        raise PackageError(f"head: a single-object detector has one label, not {len(head.labels)}")


def _classifier(head: Head, manifest: Manifest) -> None:
    assert isinstance(head, ClassifierHead)
    shape = manifest.tensor(manifest.outputs[0]).shape
    if shape[0] != len(head.labels) or any(extent != 1 for extent in shape[1:]):
        raise PackageError(f"head: the output's shape {shape} does not hold {len(head.labels)} scores")


def _anchors(head: Head, manifest: Manifest) -> None:
    assert isinstance(head, AnchorHead)
    _grid(head, 5, manifest)
    if len(head.labels) != 1:
        raise PackageError(f"head: a single-object detector has one label, not {len(head.labels)}")


def _objects(head: Head, manifest: Manifest) -> None:
    assert isinstance(head, ObjectsHead)
    _grid(head, 5 + len(head.labels), manifest)
    if not head.labels or head.shares not in ("softmax", "sigmoid") or head.most < 1:
        raise PackageError(f"head: {len(head.labels)} labels, shares '{head.shares}', at most {head.most} objects")
    if not (0 <= head.least <= 1 and 0 <= head.overlap <= 1):
        raise PackageError(f"head: least {head.least} and overlap {head.overlap} have to be in 0..1")


def _grid(head: AnchorHead | ObjectsHead, channels: int, manifest: Manifest) -> None:
    shape, picture = manifest.tensor(manifest.outputs[0]).shape, manifest.picture
    if picture is None:
        raise PackageError("head: a detector needs a picture record")
    count, cells = len(head.widths), (picture.height // max(head.stride, 1), picture.width // max(head.stride, 1))
    if not count or len(head.heights) != count or head.stride < 1 or shape != (channels * count, *cells):
        raise PackageError(
            f"head: the output's shape {shape} is not ({count} widths, {len(head.heights)} heights of anchors, each "
            f"{channels} channels, {cells[0]}, {cells[1]})"
        )


def _picture_out(head: Head, manifest: Manifest) -> None:
    assert isinstance(head, PictureHead)
    shape = manifest.tensor(manifest.outputs[0]).shape
    if len(shape) != 3 or shape[0] != 3:
        raise PackageError(f"head: the output's shape {shape} is no picture of three colours")
    if head.order not in ("bgr", "rgb") or not head.steps > 0:
        raise PackageError(f"head: a picture of order '{head.order}' and {head.steps} steps")


HEAD_RULES: Mapping[type, Callable[[Head, Manifest], None]] = {
    YoloHead: _yolo,
    ClassifierHead: _classifier,
    AnchorHead: _anchors,
    ObjectsHead: _objects,
    PictureHead: _picture_out,
}
