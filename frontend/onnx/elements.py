"""Types of elements in ONNX files, and arrays of them. What numpy lacks is read as what holds it: 4-bit integers in
bytes, bfloat16 in float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ir.types import Array

FOUR_BITS: Mapping[int, str] = {TensorProto.INT4: "int4", TensorProto.UINT4: "uint4"}
READ_TYPES: Mapping[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    **FOUR_BITS,
    **{getattr(TensorProto, f"{u}INT{b}"): f"{u.lower()}int{b}" for u in ("", "U") for b in (8, 16, 32, 64)},
    TensorProto.BOOL: "bool",
}
HOLDERS: Mapping[str, str] = {"int4": "int8", "uint4": "uint8", "bfloat16": "float32"}
"""What numpy has instead."""


def stored_type(element: int) -> np.dtype[np.generic]:
    """numpy's type for elements of one of `READ_TYPES`."""
    return np.dtype(HOLDERS.get(READ_TYPES[element], READ_TYPES[element]))


def values_of(tensor: TensorProto) -> Array:
    """The values that lie in the message itself; ValueError or TypeError where they do not fit its shape."""
    return np.asarray(numpy_helper.to_array(tensor)).astype(stored_type(tensor.data_type), copy=False)


def packed_bytes(element: int, count: int) -> int:
    """Bytes of so many elements in a file of external data."""
    if element in FOUR_BITS:
        return (count + 1) // 2
    return count * helper.tensor_dtype_to_np_dtype(element).itemsize


def unpacked(element: int, content: bytes, count: int) -> Array:
    """The values of external data, which are little-endian; of two 4-bit integers in a byte the first is the lower."""
    if element in FOUR_BITS:
        pairs = np.frombuffer(content, np.uint8)
        nibbles = np.stack([pairs & 15, pairs >> 4], axis=1).ravel()[:count]
        return (
            np.where(nibbles > 7, nibbles - 16.0, nibbles).astype(np.int8) if READ_TYPES[element] == "int4" else nibbles
        )
    if element == TensorProto.BFLOAT16:
        return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    dtype = stored_type(element)
    return np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype)
