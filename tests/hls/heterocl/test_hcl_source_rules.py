"""Rules read in the sources of HeteroCL and its dialect: what they refuse or get wrong is refused here as well.

Files are those of cornell-zhang/heterocl, and of cornell-zhang/hcl-dialect where so marked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from hls.heterocl import alloc, hcl
from hls.heterocl.errors import APIError, DTypeError, StageError
from hls.heterocl.lower import lower
from hls.heterocl.schedule import Schedule

N = 4


def _stage(body: Callable[[Any, Any], None], tag: str = "t") -> Schedule:
    """Stage `tag`, which runs `body(A, i)`."""
    a = hcl.placeholder((N,), "A", hcl.Int(8))

    def top(a: Any) -> None:
        with hcl.for_(0, N, tag=tag, name="i") as i:
            body(a, i)

    return hcl.create_schedule([a], top)


def _scalars(*names: str) -> Callable[[Any, Any], None]:
    def body(a: Any, i: Any) -> None:
        for name in names:
            a[i] = hcl.scalar(a[i], name, hcl.Int(8)).v

    return body


def test_a_numbered_name_meets_a_name() -> None:
    """`UniqueName.get` (context.py) numbers a name that is taken and looks no further: `uname = name + "_" +
    str(set_size)`; `build_alloc_op` (ast/ir_builder.py): `if op.name in self.tensor_dict: raise APIError(f"Tensor name
    conflict: {op.name}")`."""
    with pytest.raises(APIError, match="HeteroCL calls s_0 s_0, which something else is called"):
        _stage(_scalars("s", "s", "s_0"))
    with pytest.raises(APIError, match="HeteroCL calls s s_0, which something else is called"):
        _stage(_scalars("s_0", "s", "s"))
    _stage(_scalars("s", "s", "s_1"))


def test_a_memory_meets_a_scalar() -> None:
    """The same: the two are told apart by `UniqueName.get` alone, and `alloc` takes its name there (`real.py`)."""

    def body(a: Any, i: Any) -> None:
        _scalars("m", "m")(a, i)
        alloc((2,), "m_0", hcl.Int(8))

    with pytest.raises(APIError, match="HeteroCL calls m_0 m_0, which something else is called"):
        _stage(body)


def test_a_scalar_hides_a_stage() -> None:
    """`create_compute_stage` (schedule.py), for scalars too: `setattr(top_func, op.name, op.tensor)`, after
    `create_imperative_stage` did `setattr(top_func, op.tag, stage)`."""
    with pytest.raises(APIError, match="scalar held hides the stage of that name"):
        _stage(_scalars("held"), "held")
    with pytest.raises(APIError, match="scalar held_0 hides the stage of that name"):
        _stage(_scalars("held", "held"), "held_0")


def _loops(*names: str) -> Callable[[Any, Any], None]:
    def body(a: Any, i: Any) -> None:
        for name in names:
            with hcl.for_(0, 2, name=name) as k:
                a[k] = i

    return body


def test_loops_by_name() -> None:
    """`runPipelining` (LoopTransformations.cpp of the dialect) takes the first loop where `loop_name ==
    getLoopName(forOp)`; `create_imperative_stage` (schedule.py): `setattr(stage, loop.name, loop_hdl)`, where a stage
    has attributes of its own."""
    with pytest.raises(APIError, match="HeteroCL calls loop k_0 k_0, which another is called"):
        _stage(_loops("k", "k", "k_0"))
    with pytest.raises(APIError, match="a loop is called axis, as HeteroCL calls something else of a stage"):
        _stage(_loops("axis"))


def test_names_that_meet_in_the_printed_code() -> None:
    """`addName` (Translation/Utils.cpp of the dialect): `valName += name + std::to_string(nameConflictCnt[name])`, for
    what is called alike among loops, memories and constants, whether or not that is a name already."""

    def body(a: Any, i: Any) -> None:
        _loops("s")(a, i)
        _scalars("s", "s1")(a, i)

    with pytest.raises(APIError, match=r"HeteroCL's C\+\+ has s1 twice, one is called s: name it otherwise"):
        _stage(body)
    _stage(_scalars("s", "s1"))

    def apart(a: Any) -> None:
        for tag, body in (("t", _loops("s")), ("u", _scalars("s")), ("v", _scalars("s1"))):  # a function each
            with hcl.for_(0, N, tag=tag, name="i") as i:
                body(a, i)

    hcl.create_schedule([hcl.placeholder((N,), "A", hcl.Int(8))], apart)


@pytest.mark.parametrize("value", [1 << 31, (1 << 32) - 1, 1 << 32, -(1 << 31) - 1])
def test_constants_of_more_than_32_bits(value: int) -> None:
    """`immediate_to_constant` (ast/ast.py): `Int(32 if value < 0xFFFFFFFF else value.bit_length())`, which has no room
    for a sign; before that `Int(64)`. Stores have no say: `AllocOp.__setitem__` makes the constant first."""
    with pytest.raises(APIError, match="wraps in HeteroCL"):
        _stage(lambda a, i: hcl.scalar(a[i] + value, "s", hcl.Int(64)))
    with pytest.raises(APIError, match="wraps in HeteroCL"):
        _stage(lambda a, i: hcl.scalar(value, "s", hcl.Int(64)))


def test_widest_type() -> None:
    """`Type.__init__` (types.py): `if bits > 2047: raise DTypeError("The maximum supported total bitwidth ...")`."""
    assert hcl.Int(2047).bits == 2047
    with pytest.raises(DTypeError, match="at most 2047 bits, not 2048"):
        hcl.UInt(2048)

    def doubled(a: Any, i: Any) -> None:
        wide = hcl.cast(hcl.Int(1024), a[i])
        a[i] = wide * wide

    with pytest.raises(DTypeError, match="at most 2047 bits, not 2048"):
        _stage(doubled)


def _outlined(names: Sequence[str]) -> Schedule:
    """A stage that keeps a sum in `M` and takes what it adds from the memories of these names."""
    memories: dict[str, Any] = {}

    def top(a: Any) -> Any:
        memories["rom"] = hcl.const_tensor(np.arange(N), "rom", hcl.Int(8))
        memories["A"], memories["M"] = a, alloc((N,), "M", hcl.Int(16))
        with hcl.for_(0, N, tag="t", name="i") as i:
            memories["M"][0] = sum((memories[name][i] for name in names), memories["M"][0])

    a = hcl.placeholder((N,), "A", hcl.Int(8))
    s = hcl.create_schedule([a], top)
    s.outline(s[top.t])  # type: ignore[attr-defined]
    return s


def test_a_stage_that_reads_only_its_own_memory() -> None:
    """`getOutputMemRefs` (LoopTransformations.cpp of the dialect), for a memory that is stored to and in the list of
    those read: `if (allMemrefs.size() == 1) return WalkResult::advance();`, before it would be moved; constants are
    not in the list."""
    with pytest.raises(StageError, match="stage t reads no memory but M, which it stores to first"):
        lower(_outlined(["rom"]))
    lower(_outlined(["rom", "A"]))
