"""Element types and tensor types against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir.types import DType, TensorType

INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)


@given(INTEGERS, INTEGERS)
def test_holding_is_the_narrowest(a: int, b: int) -> None:
    lo, hi = min(a, b), max(a, b)
    found = DType.holding(lo, hi)
    assert found.lo <= lo <= hi <= found.hi
    assert found.kind == ("int" if lo < 0 else "uint")
    if found.bits > 1:
        narrower = DType(found.kind, found.bits - 1)
        assert lo < narrower.lo or hi > narrower.hi


@pytest.mark.parametrize(
    ("lo", "hi", "name"),
    [
        *[(0, 0, "uint1"), (-1, 0, "int1"), (-1, 1, "int2"), (-8, 7, "int4"), (-9, 7, "int5"), (-8, 8, "int5")],
        *[(0, 255, "uint8"), (-5, -3, "int4"), (-(1 << 63), 0, "int64"), (0, (1 << 64) - 1, "uint64")],
    ],
)
def test_holding(lo: int, hi: int, name: str) -> None:
    assert str(DType.holding(lo, hi)) == name


@pytest.mark.parametrize("text", ["int1", "int64", "uint1", "uint7", "uint64", "bipolar", "float32", "float64"])
def test_parse_is_the_inverse_of_str(text: str) -> None:
    assert str(DType.parse(text)) == text


@pytest.mark.parametrize("text", ["", "int", "int0", "int65", "uint65", "float16", "Int4", "-int4", "bipolar1"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is no element type"):
        DType.parse(text)


@pytest.mark.parametrize("kind", ["int", "uint"])
@pytest.mark.parametrize("bits", [1, 2, 7, 8, 9, 16, 17, 32, 33, 64])
def test_container_is_the_smallest_that_holds_the_range(kind: str, bits: int) -> None:
    dtype = DType(kind, bits)  # type: ignore[arg-type]
    info = np.iinfo(dtype.container)
    assert info.min <= dtype.lo and dtype.hi <= info.max
    assert dtype.container.itemsize == next(w for w in (1, 2, 4, 8) if 8 * w >= bits)


def test_bipolar_is_minus_one_or_one_in_a_signed_byte() -> None:
    bipolar = DType.parse("bipolar")
    assert (bipolar.lo, bipolar.hi, bipolar.container) == (-1, 1, np.dtype(np.int8))


def test_tensor_type_refuses_ranges_outside_the_element_type() -> None:
    with pytest.raises(ValueError, match=r"range -1\.\.3 is not inside uint2"):
        TensorType((2,), DType("uint", 2), -1, 3)
    with pytest.raises(ValueError, match=r"range 0\.\.4 is not inside uint2"):
        TensorType((2,), DType("uint", 2), 0, 4)
    with pytest.raises(ValueError, match=r"range 2\.\.1"):
        TensorType((2,), DType("uint", 2), 2, 1)
    with pytest.raises(ValueError, match="extent below 1"):
        TensorType((2, 0), DType("uint", 2), 0, 1)


def test_type_of_values_is_their_shape_and_range() -> None:
    found = TensorType.of_values(np.array([[-3, 0, 5]], np.int16))
    assert (found.shape, str(found.dtype), found.lo, found.hi) == ((1, 3), "int4", -3, 5)
    assert str(TensorType.of_values(np.zeros(2, np.float32)).dtype) == "float32"
    assert str(found) == "int4[1x3] in -3..5"
