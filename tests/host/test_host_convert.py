"""The C conversions against the numpy layouts of `ir.layouts`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np
import pytest

from host.package import Package
from ir.layouts import Plain, Words
from ir.types import Array, DType, TensorType


class Conversion(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint32)
        for name in ("elements", "element_bytes", "is_signed", "lanes", "bits", "word_bytes", "is_bipolar")
    )


def cases() -> Iterator[tuple[Words, DType]]:
    """Every layout that a fast path exists for, then random ones: all word sizes, containers and signs."""
    for bits in (1, 2, 4, 8, 16, 32):
        for kind in ("int", "uint"):
            for word_bytes in (1, 2, 4, 8):
                if bits <= 8 * word_bytes and not (kind == "int" and bits == 1):
                    yield Words(8 * word_bytes // bits, bits, word_bytes), DType(kind, bits)
    yield Words(3, 8, 4), DType("uint", 8)
    yield Words(1, 64, 8), DType("int", 64)
    random = np.random.default_rng(7)
    for _ in range(250):
        word_bytes = int(random.choice([1, 2, 4, 8]))
        bits = int(random.integers(1, 8 * word_bytes + 1))
        lanes = int(random.integers(1, 8 * word_bytes // bits + 1))
        kind = "int" if random.integers(2) and bits > 1 else "uint"
        yield Words(lanes, bits, word_bytes), DType(kind, int(random.integers(bits, min(64, 2 * bits) + 1)))


@pytest.fixture(scope="module")
def library(package: Package) -> ctypes.CDLL:
    return ctypes.CDLL(str(package.program("library")))


@pytest.mark.parametrize(("layout", "dtype"), list(cases()), ids=str)
def test_conversions_equal_the_layouts(library: ctypes.CDLL, layout: Words, dtype: DType) -> None:
    random = np.random.default_rng(layout.bits)
    shape = (layout.lanes * int(random.integers(1, 4)), 5, int(random.integers(1, 14)))
    narrow = DType(dtype.kind, layout.bits)  # the container may be wider than the lanes
    type_ = TensorType(shape, dtype, narrow.lo, narrow.hi)
    high = np.uint64(narrow.hi - narrow.lo)
    values = random.integers(0, high, shape, np.uint64, endpoint=True).view(np.int64) + np.int64(narrow.lo)
    values.flat[0], values.flat[-1] = np.int64(narrow.lo), np.array(narrow.hi, np.uint64).view(np.int64)
    width, signed = type_.dtype.container.itemsize, type_.dtype.signed
    conversion = Conversion(type_.elements, width, signed, layout.lanes, layout.bits, layout.word_bytes, 0)
    check(library, conversion, layout, type_, values)


@pytest.mark.parametrize("layout", [Words(1, 1, 1), Words(8, 1, 1), Words(5, 1, 2), Words(24, 1, 4), Words(64, 1, 8)])
def test_bipolar_elements_are_bits(library: ctypes.CDLL, layout: Words) -> None:
    type_ = TensorType.of_dtype((2 * layout.lanes, 3, 5), DType("bipolar", 1))
    values = np.random.default_rng(layout.lanes).choice([-1, 1], type_.shape)
    conversion = Conversion(type_.elements, 1, 1, layout.lanes, layout.bits, layout.word_bytes, 1)
    check(library, conversion, layout, type_, values)


def check(library: ctypes.CDLL, conversion: Conversion, layout: Words, type_: TensorType, values: Array) -> None:
    """Both directions, byte for byte, and nothing written behind the end."""
    plain, words = Plain().pack(values, type_), layout.pack(values, type_)
    packed = ctypes.create_string_buffer(b"\xaa" * (len(words) + 8), len(words) + 8)
    library.hc_pack(ctypes.byref(conversion), plain, packed)
    assert packed.raw == words + b"\xaa" * 8

    unpacked = ctypes.create_string_buffer(b"\xaa" * (len(plain) + 8), len(plain) + 8)
    library.hc_unpack(ctypes.byref(conversion), words, unpacked)
    assert unpacked.raw == plain + b"\xaa" * 8
    np.testing.assert_array_equal(Plain().unpack(unpacked.raw[:-8], type_), values)
