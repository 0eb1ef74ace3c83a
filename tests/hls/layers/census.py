"""Which constructs of HeteroCL programs use, written down while they are traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

import hls.heterocl.expr as ex
from hls.heterocl import dialect as ir
from hls.heterocl import language
from hls.heterocl.schedule import Schedule, StageSchedule
from hls.heterocl.trace import Tracer
from hls.heterocl.types import Index

PRIMITIVES: Mapping[type[Any], tuple[str, ...]] = {
    Schedule: ("partition", "reuse_at", "to", "outline", "dataflow_regions"),
    StageSchedule: ("pipeline", "unroll"),
}
CALLS = tuple(name for name in language.__all__ if callable(getattr(language, name)) and name.islower())


class Census:
    """Constructs as short texts by what they are; `registers` are the names of scalars, `counters` those of loops."""

    def __init__(self) -> None:
        self.found: dict[str, set[str]] = {}
        self.registers: set[str] = set()
        self.counters: set[str] = set()

    def add(self, kind: str, text: str) -> None:
        self.found.setdefault(kind, set()).add(text)

    def expression(self, e: ex.Expr) -> None:
        match e:
            case ex.Binary() | ex.Compare():
                self.add("operators", f"{_type(e.lhs)} {e.op} {_type(e.rhs)}")
            case ex.LogicalAnd():
                self.add("operators", f"{type(e.lhs).__name__} and_ {type(e.rhs).__name__}")
            case ex.Select():
                self.add("operators", f"{type(e.condition).__name__} ? {_type(e.on_true)} : {_type(e.on_false)}")
            case ex.Cast():
                self.add("operators", f"{_type(e)}({_type(e.operand)})")
            case ex.Load():
                owner = "constant" if e.tensor.constant else "scalar" if e.tensor.shape == (1,) else "memory"
                self.add("accesses", f"read {owner} {_subscripts(e.indices)}")
            case _:
                self.add("operators", type(e).__name__)

    def call(self, kind: str, callee: str, /, *args: Any, **named: Any) -> None:
        many = args[:1] if callee == "and_" else args
        given = ", ".join([*("_" for _ in many), *(f"{name}=" for name in sorted(named))])
        self.add(kind, f"{callee}({given})")

    def primitive(self, callee: str, owner: Any, /, *args: Any, **named: Any) -> None:
        self.call("schedule", callee, *args, **named)

    def store(self, tracer: Tracer, tensor: Any, indices: tuple[ex.Expr, ...], value: Any) -> None:
        owner = "scalar" if tensor.shape == (1,) else "memory"
        self.add("accesses", f"store {owner} {_subscripts(indices)}")
        self.add("stores", "const" if isinstance(value, int) else type(value).__name__)

    def loop(self, tracer: Tracer, variable: ex.LoopVar) -> None:
        under = any(isinstance(block.parent_op(), ir.IfOp) for block in tracer.blocks)
        often = "once" if len(variable.domain) == 1 else "often"
        self.counters.add(variable.name)
        self.add("loops", f"{often} from {variable.domain.start} by {variable.domain.step}{' under if_' * under}")

    def scalar(self, tracer: Tracer, tensor: Any, init: Any) -> None:
        self.registers.add(tensor.name)

    def constant(self, tracer: Tracer, tensor: Any, values: Any) -> None:
        self.add("memories", f"const_tensor of {type(tensor.dtype).__name__}")

    def memory(self, tracer: Tracer, tensor: Any, *kind: Any) -> None:
        self.add("memories", f"alloc of {type(tensor.dtype).__name__} {'in' if tracer.stage else 'before'} a stage")


def _type(e: ex.Expr) -> str:
    if isinstance(e, ex.Const):
        return "const"
    return "Index" if isinstance(e.dtype, Index) else type(e.dtype).__name__


def _subscripts(indices: tuple[ex.Expr, ...]) -> str:
    return "affine" if all(ex.linear(index) is not None for index in indices) else "by data"


@contextmanager
def census() -> Iterator[Census]:
    """Counts what is traced within."""
    found = Census()
    with pytest.MonkeyPatch.context() as patch:

        def before(owner: Any, name: str, note: Callable[..., None]) -> None:
            original = getattr(owner, name)

            def noting(*args: Any, **kwargs: Any) -> Any:
                note(*args, **kwargs)
                return original(*args, **kwargs)

            patch.setattr(owner, name, noting)

        def after(kind: type[Any]) -> None:
            original = kind.__post_init__

            def noting(self: Any) -> None:
                original(self)
                found.expression(self)

            patch.setattr(kind, "__post_init__", noting)

        for kind in (ex.Binary, ex.Compare, ex.LogicalAnd, ex.Select, ex.Cast, ex.Load, ex.Negate, ex.BitSlice):
            after(kind)
        for name in CALLS:
            before(language, name, partial(found.call, "calls", name))
        for owner, names in PRIMITIVES.items():
            for name in names:
                before(owner, name, partial(found.primitive, name))
        before(Tracer, "store", found.store)
        before(Tracer, "loop", found.loop)
        before(Tracer, "alloc", found.memory)
        before(Tracer, "scalar", found.scalar)
        before(Tracer, "constant", found.constant)
        yield found
