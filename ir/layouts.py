"""How a tensor lies in memory where two regions meet.

Every layout is pixel-major: (H, W, C), channels innermost. `Plain` keeps one element per native integer, what the CPU
kernels read. `Words` packs ``lanes`` neighbouring channels of a pixel into one little-endian word, what an
accelerator streams; lane 0 sits in the low bits, elements as ``bits``-wide two's complement, a bipolar one as one bit
that is set for +1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ir.types import Array, TensorType

WORD_BYTES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Plain:
    """(H, W, C) in the element type's container (int8, uint8, int16, ...)."""

    def bytes_of(self, type_: TensorType) -> int:
        return type_.elements * type_.dtype.container.itemsize

    def pack(self, values: Array, type_: TensorType) -> bytes:
        """(C, H, W) -> bytes."""
        return np.ascontiguousarray(pixels_first(values)).astype(type_.dtype.container).tobytes()

    def unpack(self, data: bytes, type_: TensorType) -> Array:
        """bytes -> (C, H, W): int64, floats in their own width."""
        flat = np.frombuffer(data, type_.dtype.container)
        flat = flat.astype(np.int64) if type_.dtype.is_integer else flat
        return channels_first(flat, type_.shape)


@dataclass(frozen=True)
class Words:
    """``lanes`` channels of ``bits`` bits in a word of ``word_bytes`` bytes; channels must divide into lanes."""

    lanes: int
    bits: int
    word_bytes: int

    def __post_init__(self) -> None:
        if self.word_bytes not in WORD_BYTES or self.lanes * self.bits > 8 * self.word_bytes:
            raise ValueError(f"{self.lanes} lanes of {self.bits} bits do not fit a word of {self.word_bytes} bytes")

    @staticmethod
    def narrowest(lanes: int, bits: int) -> Words:
        """The layout with the smallest word; ValueError above 64 bits."""
        width = next((b for b in WORD_BYTES if 8 * b >= lanes * bits), None)
        if width is None:
            raise ValueError(f"{lanes} lanes of {bits} bits exceed a 64-bit word")
        return Words(lanes, bits, width)

    def bytes_of(self, type_: TensorType) -> int:
        return type_.elements // self.lanes * self.word_bytes

    def pack(self, values: Array, type_: TensorType) -> bytes:
        """(C, H, W) -> bytes."""
        plain = values > 0 if type_.dtype.kind == "bipolar" else values
        lanes = pixels_first(plain).reshape(-1, self.lanes).astype(np.int64).view(np.uint64)
        words = np.zeros(lanes.shape[0], np.uint64)
        mask = np.uint64((1 << self.bits) - 1)
        for lane in range(self.lanes):
            words |= (lanes[:, lane] & mask) << np.uint64(lane * self.bits)
        return words.astype(f"<u{self.word_bytes}").tobytes()

    def unpack(self, data: bytes, type_: TensorType) -> Array:
        """bytes -> (C, H, W) int64."""
        words = np.frombuffer(data, f"<u{self.word_bytes}").astype(np.uint64)
        top = np.uint64(64 - self.bits)
        lanes = np.empty((words.size, self.lanes), np.int64)
        for lane in range(self.lanes):
            aligned = (words >> np.uint64(lane * self.bits)) << top
            signed = type_.dtype.signed
            lanes[:, lane] = (
                (aligned.view(np.int64) >> np.int64(64 - self.bits)) if signed else (aligned >> top).view(np.int64)
            )
        if type_.dtype.kind == "bipolar":
            lanes = np.where(lanes != 0, 1, -1)
        return channels_first(lanes.reshape(-1), type_.shape)


Layout = Plain | Words


def united(layout: Layout, type_: TensorType) -> Layout:
    """The layout that stands for all with the same bytes.

    Words without unused bits are one stream of lanes, whatever their width; at native width they are plain, except for
    bipolar elements, whose lanes hold 0 and 1 where plain ones hold -1 and +1.
    """
    if not isinstance(layout, Words) or layout.lanes * layout.bits != 8 * layout.word_bytes:
        return layout
    if layout.bits == 8 * type_.dtype.container.itemsize and type_.dtype.kind != "bipolar":
        return Plain()
    return next((Words(8 * w // layout.bits, layout.bits, w) for w in WORD_BYTES if 8 * w % layout.bits == 0), layout)


def pixels_first(values: Array) -> Array:
    """(C, H, W) -> (H, W, C); vectors stay as they are."""
    return values.transpose(1, 2, 0) if values.ndim == 3 else values


def channels_first(flat: Array, shape: tuple[int, ...]) -> Array:
    """Elements in (H, W, C) order -> array of the logical shape (C, H, W)."""
    if len(shape) != 3:
        return flat.reshape(shape)
    return flat.reshape(shape[1], shape[2], shape[0]).transpose(2, 0, 1)
