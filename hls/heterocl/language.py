"""The HeteroCL subset under HeteroCL's own names: `from hls.heterocl import hcl`.

What is missing here is missing on purpose: v0.5 rejects or miscompiles it, or no generator needs it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, NoReturn

import numpy as np

from .arrays import NDArray, asarray
from .build import build
from .errors import APIError, DTypeError
from .expr import Cast, Expr, LogicalAnd, LoopVar, Reduce, Select, as_expr
from .schedule import Partition, Schedule, create_schedule
from .tensor import Stage, TaggedStage, Tensor
from .trace import current
from .types import DType, Int, UInt

__all__ = [
    "Int",
    "NDArray",
    "Partition",
    "Schedule",
    "UInt",
    "and_",
    "asarray",
    "build",
    "cast",
    "compute",
    "const_tensor",
    "create_schedule",
    "else_",
    "for_",
    "if_",
    "init",
    "mutate",
    "placeholder",
    "reduce_axis",
    "scalar",
    "select",
    "sum",
]

_DEFAULT: ContextVar[DType] = ContextVar("hls.heterocl.default")


def init(init_dtype: DType | None = None) -> None:
    """Sets the type that tensors, scalars and sums have when none is given; `Int(32)` if called without one."""
    _DEFAULT.set(_dtype(init_dtype or Int(32)))


def _dtype(dtype: Any) -> DType:
    chosen = _DEFAULT.get(Int(32)) if dtype is None else dtype
    if not isinstance(chosen, DType):
        raise DTypeError(f"{dtype!r} is no type of the subset: Int(n) or UInt(n)")
    return chosen


def placeholder(shape: Sequence[int], name: str | None = None, dtype: DType | None = None) -> Tensor:
    """An argument of the program."""
    return Tensor(name or "arg", tuple(shape), _dtype(dtype))


def const_tensor(values: Any, name: str | None = None, dtype: DType | None = None) -> Tensor:
    """A read-only memory with these integers, of the array's shape; elements have at most 64 bits.

    Raises:
        DTypeError: a value that `dtype` does not hold, or one that is no integer.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iub":
        raise DTypeError(f"constant {name} holds {array.dtype} values: integers are needed")
    if array.size == 0:
        raise APIError(f"constant {name} is empty")
    if array.size == 1 and array.ndim < 2:
        raise APIError(
            f"constant {name} has one element, which HeteroCL's C++ declares as an array and reads without index"
        )
    tensor = Tensor(name or "const", array.shape, _dtype(dtype))
    return current().constant(tensor, [int(v) for v in array.reshape(-1).tolist()])


def scalar(init: Any = 0, name: str | None = None, dtype: DType | None = None) -> Tensor:
    """A register, set to `init` where it stands; read and written as `.v`."""
    return current().scalar(Tensor(name or "scalar", (1,), _dtype(dtype)), init)


def cast(dtype: DType, expr: Any) -> Expr:
    """`expr` wrapped into `dtype`; an extension follows the sign of the source."""
    return Cast(_dtype(dtype), as_expr(expr))


def select(cond: Any, true_val: Any, false_val: Any) -> Expr:
    """`true_val` where `cond` holds, else `false_val`; both are computed, so neither may read out of bounds."""
    return Select(as_expr(cond), as_expr(true_val), as_expr(false_val))


def and_(*args: Any) -> Expr:
    """The conjunction of comparisons."""
    if not args:
        raise APIError("and_ needs an operand")
    result = as_expr(args[0])
    for arg in args[1:]:
        result = LogicalAnd(result, as_expr(arg))
    return result


def compute(
    shape: Sequence[int], fcompute: Callable[..., Any], name: str | None = None, dtype: DType | None = None
) -> Tensor:
    """A stage that computes `tensor[i, j, ...] = fcompute(i, j, ...)` in raster order, and its tensor."""
    tracer = current()
    tensor = Tensor(name or "compute", tuple(shape), _dtype(dtype))
    with tracer.open_stage(tensor.name, tensor):
        axes = _axes(fcompute, tensor.shape)
        tracer.alloc(tensor, "tensor")
        with tracer.nest(axes):
            result = fcompute(*axes)
            if result is None:
                raise APIError(f"the body of compute {tensor.name} returns nothing: use mutate for effects only")
            tracer.store(tensor, tuple(axes), result)
    return tensor


def mutate(domain: Sequence[int], fcompute: Callable[..., Any], name: str | None = None) -> None:
    """A stage that runs `fcompute(i, j, ...)` for its effects, over a domain in raster order."""
    tracer, stage = current(), Stage(name or "mutate")
    with tracer.open_stage(stage.stage_name, stage):
        axes = _axes(fcompute, tuple(domain))
        with tracer.nest(axes):
            if fcompute(*axes) is not None:
                raise APIError(f"the body of mutate {stage.stage_name} returns a value: use compute")


def _axes(body: Callable[..., Any], shape: tuple[int, ...]) -> list[LoopVar]:
    names = [
        p.name for p in inspect.signature(body).parameters.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    if len(names) != len(shape):
        raise APIError(f"a body with {len(names)} arguments cannot run over a domain of {len(shape)} dimensions")
    return [LoopVar(name, range(_bound(extent, "an extent"))) for name, extent in zip(names, shape, strict=True)]


def _bound(value: Any, what: str) -> int:
    if isinstance(value, np.integer):
        return int(value)
    if not isinstance(value, int):
        raise APIError(f"{what} is a Python integer, not {type(value).__name__}: loops have static bounds")
    return value


class _For:
    """The context manager behind `for_`: a stage where it stands at the top, else a loop of the open one."""

    def __init__(self, variable: LoopVar, tag: str | None) -> None:
        self.variable, self.tag = variable, tag

    def __enter__(self) -> LoopVar:
        tracer = current()
        if self.tag is not None and tracer.stage is not None:
            raise APIError(
                f"loop {self.tag} is tagged inside stage {tracer.stage.stage_name}: only outermost loops are"
            )
        if self.tag is None and tracer.stage is None:
            raise APIError(f"the outermost loop {self.variable.name} has no tag: give it tag=")
        self._contexts: list[AbstractContextManager[None]] = []
        if self.tag is not None:
            self._contexts.append(tracer.open_stage(self.tag, TaggedStage(self.tag)))
        self._contexts.append(tracer.loop(self.variable))
        for context in self._contexts:
            context.__enter__()
        return self.variable

    def __exit__(self, *error: Any) -> None:
        for context in reversed(self._contexts):
            context.__exit__(*error)


def for_(begin: int, end: int, step: int = 1, tag: str | None = None, name: str | None = None) -> _For:
    """`for name in range(begin, end, step)`; a tagged loop at the top level is a stage.

    Raises:
        APIError: bounds that are no Python integers, an empty range, a step below 1.
    """
    start, stop, by = (_bound(v, w) for v, w in ((begin, "begin"), (end, "end"), (step, "step")))
    if by < 1:
        raise APIError(f"loop {name or tag} counts by {by}: count upwards and index backwards")
    if stop <= start:
        raise APIError(f"loop {name or tag} from {start} to {stop} is empty")
    return _For(LoopVar(name or "loop", range(start, stop, by), counted=True), tag)


def if_(cond: Any) -> AbstractContextManager[None]:
    """Runs the block where `cond` holds. Reads and stores may stand in it; loops in it cannot be scheduled."""
    return current().branch(as_expr(cond))


def else_() -> AbstractContextManager[None]:
    """Runs the block where the condition of the `if_` just before does not hold."""
    return current().otherwise()


def reduce_axis(lower: int, upper: int, name: str | None = None) -> LoopVar:
    """An axis to sum over."""
    return LoopVar(name or "r", range(_bound(lower, "lower"), _bound(upper, "upper")))


def sum(  # HeteroCL's name
    data: Any, axis: LoopVar | Sequence[LoopVar], name: str | None = None, dtype: DType | None = None
) -> Expr:
    """The sum of `data` over one or more axes, accumulated (and wrapped) in `dtype`."""
    axes = (axis,) if isinstance(axis, LoopVar) else tuple(axis)
    return Reduce(as_expr(data), axes, name or "sum", _dtype(dtype))


_INSTEAD = {
    "while_": "a for_ with static bounds and an if_",
    "break_": "a for_ with static bounds and an if_",
    "bitcast": "a cast of the same width",
    "def_": "a Python function",
    "update": "mutate",
    "reducer": "sum, or an explicit for_",
    "Fixed": "Int(n) and explicit shifts",
    "UFixed": "UInt(n) and explicit shifts",
    "Float": "integers; floating point does not reach the fabric",
    "Struct": "one wide word, lanes by shift and mask",
    "pack": "one wide word, lanes by shift and or",
    "unpack": "one wide word, lanes by shift and mask",
    "or_": "the negated condition and else_",
    "not_": "the opposite comparison",
    "elif_": "an if_ inside else_",
}


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    instead = f": write {_INSTEAD[name]}" if name in _INSTEAD else ""
    raise APIError(f"hcl.{name} is not in the subset that the generators use{instead}")
