"""What an operator is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ir.types import Array, DType, TensorType


class OperatorError(ValueError):
    """An operator applied to operands it is not defined on."""


@dataclass(frozen=True, eq=False, slots=True)
class Operand:
    """One input of a node: its type, and its values where it is a constant."""

    type: TensorType
    value: Array | None = None

    @property
    def constant(self) -> Array:
        """The values; OperatorError where the operand is computed at run time."""
        if self.value is None:
            raise OperatorError("operand must be a constant")
        return self.value


class Op(ABC):
    """A frozen dataclass of attributes. Operands come in the order the subclass documents."""

    @abstractmethod
    def infer(self, operands: Sequence[Operand]) -> TensorType:
        """The result's type, with the exact range that follows from the operands; OperatorError if there is none."""

    @abstractmethod
    def evaluate(self, values: Sequence[Array]) -> Array:
        """The result on concrete values: int64 for integers, float64 for floats. The definition all others meet."""


def are_floats(operands: Sequence[Operand]) -> bool:
    """True where all operands are floats, False where all are integers; OperatorError for a mixture."""
    kinds = {operand.type.dtype.is_integer for operand in operands}
    need(len(kinds) == 1, f"mixes integers and floats: {', '.join(str(operand.type) for operand in operands)}")
    return kinds == {False}


def float_type(shape: tuple[int, ...], operands: Sequence[Operand]) -> TensorType:
    """A float tensor of this shape, as wide as the widest float among the operands."""
    return TensorType(shape, DType("float", max(o.type.dtype.bits for o in operands if not o.type.dtype.is_integer)))


def wide(values: Array) -> Array:
    """What is computed with: float64 for floats, int64 for integers."""
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def need(condition: bool, message: str) -> None:
    """Raise OperatorError(message) unless ``condition`` holds."""
    if not condition:
        raise OperatorError(message)


def per_channel(values: Array, rank: int) -> Array:
    """Reshape a per-channel vector so that it broadcasts over (channels, ...) tensors of the given rank."""
    return values.reshape(-1, *([1] * (rank - 1)))
