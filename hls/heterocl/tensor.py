"""Tensors and stages as the program sees them."""

from __future__ import annotations

from typing import Any

from xdsl.ir import SSAValue

from .dialect import ForOp
from .errors import APIError, DTypeError, ScheduleError
from .expr import Expr, Load, as_expr
from .types import DType


class Loop:
    """A loop of a stage, as schedule primitives take it."""

    def __init__(self, name: str, op: ForOp, stage: str, conditional: bool) -> None:
        self.name, self.op, self.stage, self.conditional = name, op, stage, conditional

    def __repr__(self) -> str:
        return f"loop {self.name} of stage {self.stage}"


class Stage:
    """A top-level loop nest: `stage.axis[i]`, or a loop by its name, `stage.co`."""

    def __init__(self, name: str) -> None:
        self.stage_name = name
        self.root: ForOp | None = None
        self.loops: list[Loop] = []

    @property
    def axis(self) -> list[Loop]:
        """All loops of the stage in program order: the first ones are the domain of a compute or mutate."""
        return self.loops

    def loop(self, key: Any) -> Loop:
        """A loop from a handle, a position or a name.

        Raises:
            ScheduleError: no such loop, or more than one of that name.
        """
        if isinstance(key, Loop):
            if key not in self.loops:
                raise ScheduleError(f"{key} does not belong to stage {self.stage_name}")
            return key
        if isinstance(key, int):
            if not 0 <= key < len(self.loops):
                raise ScheduleError(f"stage {self.stage_name} has {len(self.loops)} loops; no number {key}")
            return self.loops[key]
        found = [loop for loop in self.loops if loop.name == key]
        if len(found) > 1:
            raise ScheduleError(f"stage {self.stage_name} has {len(found)} loops named {key}: name them apart")
        if not found:
            names = ", ".join(loop.name for loop in self.loops)
            raise ScheduleError(f"stage {self.stage_name} has no loop {key!r}; its loops are {names}")
        return found[0]

    def __getattr__(self, name: str) -> Loop:
        if name.startswith("_") or "loops" not in self.__dict__:
            raise AttributeError(name)
        try:
            return self.loop(name)
        except ScheduleError as error:
            raise AttributeError(str(error)) from None


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
