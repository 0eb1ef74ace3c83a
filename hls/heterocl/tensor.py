"""Tensors and stages as the program sees them."""

from __future__ import annotations

from typing import Any

from xdsl.ir import SSAValue

from .dialect import ForOp
from .errors import APIError, DTypeError, ScheduleError
from .expr import Expr, Load, as_expr
from .types import DType


class Loop:
    """A loop of a stage, as schedule primitives take it. `name` is unique in the program, as HeteroCL makes it."""

    def __init__(self, name: str, op: ForOp, stage: str, obstacle: str = "") -> None:
        self.name, self.op, self.stage = name, op, stage
        self.obstacle = obstacle
        """Why HeteroCL gives no handle to it; empty where it does."""

    @property
    def label(self) -> str:
        """The name the program gave it."""
        return self.op.label.data

    def __repr__(self) -> str:
        return f"loop {self.name} of stage {self.stage}"


class Stage:
    """A top-level loop nest: `stage.axis[i]` are its loops; those of a tagged `for_` also `stage.co` by name."""

    tagged = False

    def __init__(self, name: str) -> None:
        self.stage_name = name
        self.root: ForOp | None = None
        self.loops: list[Loop] = []
        self.has_scalars = False

    @property
    def axis(self) -> list[Loop]:
        """The loops that HeteroCL knows, in program order: all nested `for_` of a tagged one, else domain and sums."""
        return [loop for loop in self.loops if not loop.obstacle]

    def loop(self, key: Any) -> Loop:
        """The loop that a handle or a position in the domain of a compute stands for.

        Raises:
            ScheduleError: no such loop, or no way to name it in HeteroCL.
        """
        if isinstance(key, Loop):
            if key not in self.loops:
                raise ScheduleError(f"{key} does not belong to stage {self.stage_name}")
            return key
        if isinstance(key, int) and isinstance(self, Tensor):
            if not 0 <= key < len(self.axis):
                raise ScheduleError(f"stage {self.stage_name} has {len(self.axis)} loops; no number {key}")
            return self.axis[key]
        raise ScheduleError(
            f"{key!r} is no loop: pass an element of .axis, or for a tagged for_ the attribute of its name"
        )

    def __getattr__(self, name: str) -> Loop:
        if name.startswith("_") or "loops" not in self.__dict__:
            raise AttributeError(name)
        if not self.tagged:
            raise AttributeError(
                f"{self.stage_name} has no attribute {name}: loops of a compute or mutate are .axis[i]"
            )
        found = {loop.name: loop for loop in self.loops}
        if name in found:
            return found[name]
        renamed = [loop.name for loop in self.loops if loop.label == name]
        hint = f"; the name was taken, it is called {renamed[0]}" if renamed else f"; its loops are {', '.join(found)}"
        raise AttributeError(f"stage {self.stage_name} has no loop {name}{hint}")


class TaggedStage(Stage):
    """The stage of a tagged `for_`."""

    tagged = True


class Tensor(Stage):
    """A placeholder, a memory, a constant, a scalar, or the result of a compute (then also its stage)."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: DType) -> None:
        super().__init__(name)
        if not shape or not all(isinstance(extent, int) and extent > 0 for extent in shape):
            raise APIError(f"the shape of {name} is {shape}: a tuple of positive integers is needed")
        if not isinstance(dtype, DType):
            raise DTypeError(f"the type of {name} is {dtype!r}: Int(n) or UInt(n) is needed")
        self.name, self.shape, self.dtype = name, shape, dtype
        self.constant = False
        self.value: SSAValue | None = None
        self.rank0 = False

    def __repr__(self) -> str:
        return f"tensor {self.name}{list(self.shape)} of {self.dtype}"

    def _indices(self, key: Any) -> tuple[Expr, ...]:
        keys = key if isinstance(key, tuple) else (key,)
        if any(isinstance(k, slice) for k in keys):
            raise APIError(f"{self.name} is indexed with a slice: write the loop")
        if len(keys) != len(self.shape):
            raise APIError(f"{self.name} has {len(self.shape)} dimensions and is indexed with {len(keys)}")
        return tuple(as_expr(k) for k in keys)

    def __getitem__(self, key: Any) -> Expr:
        return Load(self, self._indices(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        from .trace import current

        current().store(self, self._indices(key), value)

    @property
    def v(self) -> Expr:
        """The value of a scalar."""
        self._check_scalar()
        return self[0]

    @v.setter
    def v(self, value: Any) -> None:
        self._check_scalar()
        self[0] = value

    def _check_scalar(self) -> None:
        if self.shape != (1,):
            raise APIError(f".v is for scalars: {self.name} has shape {self.shape}")
