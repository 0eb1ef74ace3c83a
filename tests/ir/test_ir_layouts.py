"""Layouts against a definition that places one bit at a time."""

from __future__ import annotations

import numpy as np
import pytest

from ir.layouts import Plain, Words
from ir.types import Array, DType, TensorType


def by_bits(values: Array, lanes: int, bits: int, word_bytes: int) -> bytes:
    """(C, H, W): for every pixel and group of channels one little-endian word, lane 0 in the low bits."""
    channels, rows, columns = values.shape
    out = bytearray()
    for y, x, g in np.ndindex(rows, columns, channels // lanes):
        word = bytearray(word_bytes)
        for lane in range(lanes):
            value = int(values[g * lanes + lane, y, x]) % (1 << bits)
            for bit in range(bits):
                position = lane * bits + bit
                word[position // 8] |= ((value >> bit) & 1) << (position % 8)
        out += word
    return bytes(out)


@pytest.mark.parametrize("kind", ["int", "uint"])
@pytest.mark.parametrize(
    ("bits", "lanes", "word_bytes"),
    [
        *[(1, 8, 1), (1, 3, 1), (3, 2, 1), (4, 4, 2), (5, 3, 2), (7, 9, 8), (8, 4, 4), (12, 5, 8), (17, 2, 8)],
        *[(32, 2, 8), (64, 1, 8), (63, 1, 8), (4, 1, 8)],
    ],
)
def test_words(kind: str, bits: int, lanes: int, word_bytes: int) -> None:
    dtype = DType(kind, bits)  # type: ignore[arg-type]
    type_ = TensorType.of_dtype((2 * lanes, 3, 2), dtype)
    if bits == 64 and kind == "uint":
        type_ = TensorType(type_.shape, dtype, 0, (1 << 63) - 1)  # values are int64 everywhere
    draw = np.random.default_rng(bits).integers(type_.lo, type_.hi, type_.shape, endpoint=True)
    values = np.where(np.arange(draw.size).reshape(draw.shape) % 5 == 0, np.int64(type_.lo), draw)
    values.flat[1] = type_.hi
    layout = Words(lanes, bits, word_bytes)
    data = layout.pack(values, type_)
    assert data == by_bits(values, lanes, bits, word_bytes)
    assert len(data) == layout.bytes_of(type_)
    assert np.array_equal(layout.unpack(data, type_), values)


@pytest.mark.parametrize(("lanes", "word_bytes"), [(1, 1), (8, 1), (13, 2), (24, 4), (64, 8)])
def test_bipolar_lanes_are_set_for_plus_one(lanes: int, word_bytes: int) -> None:
    type_ = TensorType.of_dtype((2 * lanes, 3, 2), DType("bipolar", 1))
    values = np.random.default_rng(lanes).choice([-1, 1], type_.shape)
    layout = Words.narrowest(lanes, 1)
    assert layout.word_bytes == word_bytes
    data = layout.pack(values, type_)
    assert data == by_bits((values + 1) // 2, lanes, 1, word_bytes)
    assert np.array_equal(layout.unpack(data, type_), values)


@pytest.mark.parametrize("name", ["int1", "uint4", "int9", "uint16", "int33", "bipolar"])
def test_plain_is_pixels_then_channels_in_the_container(name: str) -> None:
    type_ = TensorType.of_dtype((3, 2, 4), DType.parse(name))
    values = np.random.default_rng(8).choice([type_.lo, type_.hi], type_.shape)
    data = Plain().pack(values, type_)
    size = type_.dtype.container.itemsize
    assert len(data) == Plain().bytes_of(type_) == values.size * size
    for position, (y, x, c) in enumerate(np.ndindex(2, 4, 3)):
        element = data[position * size : (position + 1) * size]
        assert int.from_bytes(element, "little", signed=type_.dtype.signed) == values[c, y, x]
    assert np.array_equal(Plain().unpack(data, type_), values)


def test_vectors_keep_their_order() -> None:
    type_ = TensorType.of_range((5,), -9, 9)
    values = np.array([-9, 3, 0, 9, -1])
    assert np.array_equal(Plain().unpack(Plain().pack(values, type_), type_), values)


@pytest.mark.parametrize(("lanes", "bits", "width"), [(2, 4, 1), (3, 3, 2), (5, 7, 8), (4, 8, 4), (1, 64, 8)])
def test_narrowest_word(lanes: int, bits: int, width: int) -> None:
    assert Words.narrowest(lanes, bits).word_bytes == width


def test_words_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="exceed a 64-bit word"):
        Words.narrowest(13, 5)
    with pytest.raises(ValueError, match="do not fit a word of 2 bytes"):
        Words(3, 6, 2)
    with pytest.raises(ValueError, match="word of 3 bytes"):
        Words(3, 6, 3)
