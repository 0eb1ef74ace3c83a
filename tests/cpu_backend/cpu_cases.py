"""Kernel cases as driver.c reads them, and extreme values for tensors."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ir.types import Array, DType, TensorType


@dataclass(frozen=True)
class Case:
    """A kernel call, the bytes it has to leave in its result, and a line that tells it from others."""

    operator: int
    parameters: tuple[int, ...]
    blobs: tuple[bytes, ...]
    expected: bytes
    label: str


def encode(cases: Sequence[Case]) -> bytes:
    parts = [struct.pack("<Q", len(cases))]
    for case in cases:
        parts.append(struct.pack("<QQ", case.operator, len(case.parameters)))
        parts.append(struct.pack(f"<{len(case.parameters)}q", *case.parameters))
        parts.append(struct.pack("<Q", len(case.blobs)))
        parts += [struct.pack("<Q", len(blob)) + blob for blob in case.blobs]
        parts.append(struct.pack("<Q", len(case.expected)))
    return b"".join(parts)


def check(cases: Sequence[Case], results: bytes) -> None:
    """Asserts byte equality, naming the first case that differs."""
    at = 0
    for number, case in enumerate(cases):
        got = results[at : at + len(case.expected)]
        assert got == case.expected, f"case {number}: {case.label}: {_first_difference(got, case.expected)}"
        at += len(case.expected)
    assert at == len(results)


def _first_difference(got: bytes, expected: bytes) -> str:
    place = next((i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), len(got))
    return f"byte {place} of {len(expected)} is {got[place : place + 1]!r}, not {expected[place : place + 1]!r}"


def values(rng: np.random.Generator, type_: TensorType) -> Array:
    """Uniform, all lowest, all highest, or a mixture of the two extremes."""
    style = rng.integers(4)
    if style == 0 and type_.dtype.kind == "bipolar":
        return rng.choice([-1, 1], type_.shape)
    if style == 0:
        return rng.integers(type_.lo, type_.hi, type_.shape, endpoint=True)
    if style == 3:
        return rng.choice([type_.lo, type_.hi], type_.shape)
    return np.full(type_.shape, type_.lo if style == 1 else type_.hi, np.int64)


def operand(rng: np.random.Generator, shape: tuple[int, ...], names: Sequence[str]) -> TensorType:
    """A tensor of one of these element types, half the time in a narrower true range."""
    dtype = DType.parse(str(rng.choice(names)))
    if rng.integers(2) or dtype.kind == "bipolar":
        return TensorType.of_dtype(shape, dtype)
    lo, hi = sorted(int(v) for v in rng.integers(dtype.lo, dtype.hi, 2, endpoint=True))
    return TensorType(shape, dtype, lo, hi)
