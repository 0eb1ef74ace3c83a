"""The adapter of the real HeteroCL, against a stand-in with the parts of v0.5's interface that it uses.

The stand-in follows v0.5's sources: `ast.ForOp` has name, low, high, step and body; a stage has an attribute per nested
`for_`, under its unique name; `UniqueName` counts scalars and tensors apart; `outline` takes lists; primitives make
their operations `with get_context(), get_location()` (primitives/partition.py).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hls.heterocl.errors import ScheduleError


class ForOp:
    def __init__(self, name: str, extent: int, *body: Any) -> None:
        self.name, self.low, self.high, self.step, self.body = name, 0, extent, 1, list(body)


class UniqueName:
    taken: dict[tuple[str, str], int]

    @classmethod
    def get(cls, name: str, case: str) -> str:
        count = cls.taken.get((case, name))
        cls.taken[case, name] = 0 if count is None else count + 1
        return name if count is None else f"{name}_{count}"


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Any:
    UniqueName.taken = {}
    scope: list[Any] = []
    primitives: dict[str, Any] = {}
    ast = SimpleNamespace(
        ForOp=ForOp,
        scope=SimpleNamespace(get=lambda: scope, __len__=lambda: 2),
        Location=lambda file, line: (file, line),
        InterKernelToOp=lambda tensor, stage, depth, loc: SimpleNamespace(tensor=tensor, stage=stage, depth=depth),
    )
    ast.scope = type("Scope", (), {"get": lambda self: scope, "__len__": lambda self: 2})()

    def register() -> Any:
        return lambda cls: primitives.setdefault(cls.name, cls)

    def placeholder(shape: Any, name: str, dtype: Any) -> Any:
        unique = UniqueName.get(name, "tensor")
        return SimpleNamespace(shape=shape, name=unique, dtype=dtype, result="memref")

    made: list[Any] = []
    open_now: list[str] = []

    @contextmanager
    def opened(name: str) -> Iterator[None]:
        open_now.append(name)
        yield
        open_now.remove(name)

    def inside(value: Any) -> Any:
        """What MLIR's bindings make only within a context."""
        assert "context" in open_now, "An MLIR function requires a Context but none was provided"
        return value

    def link(tensor: Any, stage: Any, fifo_depth: int, ip: Any) -> Any:
        assert open_now == ["context", "location"]
        made.append((tensor, stage, fifo_depth))
        return made[-1]

    mlir = {
        "InsertionPoint": SimpleNamespace(at_block_terminator=lambda block: f"end of {block}"),
        "IntegerAttr": SimpleNamespace(get=lambda kind, value: value),
        "IntegerType": SimpleNamespace(get_signless=inside),
        "UnitAttr": SimpleNamespace(get=lambda: inside("unit")),
    }

    class IRBuilder:
        def __init__(self, tree: Any) -> None:
            pass

        def build_visitor(self, op: Any, ip: Any) -> None:
            op.result = f"handle of {op.name}"

    modules: dict[str, dict[str, Any]] = {
        "heterocl": {"placeholder": placeholder, "register_primitive": register, "Primitive": object},
        "heterocl.ast": {"ast": ast},
        "heterocl.ast.ir_builder": {"IRBuilder": IRBuilder},
        "heterocl.context": {
            "UniqueName": UniqueName,
            "get_context": lambda: opened("context"),
            "get_location": lambda: opened("location"),
        },
        "hcl_mlir": {},
        "hcl_mlir.dialects": {"hcl": SimpleNamespace(InterKernelToOp=link)},
        "hcl_mlir.ir": mlir,
    }
    for name, members in modules.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "hls.heterocl.real", raising=False)
    adapter = importlib.import_module("hls.heterocl.real")
    yield SimpleNamespace(adapter=adapter, scope=scope, primitives=primitives, made=made)
    sys.modules.pop("hls.heterocl.real", None)


def _stage(loops: ForOp, names: str) -> Any:
    return SimpleNamespace(name="t", _ast_op=loops, **{name: f"handle of {name}" for name in names.split()})


def test_loops_by_the_name_the_program_gave_them(real: Any) -> None:
    stage = _stage(ForOp("y_3", 4, ForOp("g_11", 2), SimpleNamespace(name="scalar", body=[])), "y_3 g_11")
    assert real.adapter.loop_of(stage, "g") == "handle of g_11"
    assert real.adapter.loop_of(stage, "y") == "handle of y_3"
    with pytest.raises(ScheduleError, match="stage t has 0 loops that are called k"):
        real.adapter.loop_of(stage, "k")


def test_a_loop_of_one_iteration_gives_its_pragma_to_the_one_around_it(real: Any) -> None:
    stage = _stage(ForOp("y", 4, ForOp("col", 3, ForOp("g", 1))), "y col g")
    assert real.adapter.loop_of(stage, "g") == "handle of col"
    alone = _stage(ForOp("y", 1, ForOp("g", 1)), "y g")
    assert real.adapter.loop_of(alone, "g") == "handle of g"


def test_a_memory_does_not_take_the_name_of_a_scalar(real: Any) -> None:
    assert UniqueName.get("out", "scalar") == "out"
    memory = real.adapter.alloc([2, 3], "out", "type", doc="not carried")
    assert (memory.name, memory.shape, memory.level) == ("out_0", (2, 3), 2)
    assert real.scope == [memory]
    assert UniqueName.get("out", "scalar") != memory.name


def test_streams_are_declared_before_stages_are_outlined(real: Any) -> None:
    events: list[Any] = []
    top_func = SimpleNamespace(ir_op=SimpleNamespace(attributes={}), body=[])
    tree = SimpleNamespace(top_func=top_func)
    schedule = SimpleNamespace(
        _ast=tree,
        ast=tree,
        top_func=SimpleNamespace(entry_block="top"),
        outline=lambda group: events.append((len(real.made), group)),
    )
    first, second = (SimpleNamespace(stage_handle=SimpleNamespace(name=name)) for name in ("t", "u"))
    tensor = SimpleNamespace(result=None, prev_result="memref of M")
    real.primitives["dataflow_regions"].apply(schedule, [(tensor, second, 5)], ((first,), (second,)))
    assert real.made == [("memref of M", "handle of u", 5)]
    assert events == [(1, [first]), (1, [second])]
    assert top_func.ir_op.attributes == {"dataflow": "unit"}
