"""What an operator is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from ir.types import Array, TensorType


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


def need(condition: bool, message: str) -> None:
    """Raise OperatorError(message) unless ``condition`` holds."""
    if not condition:
        raise OperatorError(message)


def per_channel(values: Array, rank: int) -> Array:
    """Reshape a per-channel vector so that it broadcasts over (channels, ...) tensors of the given rank."""
    return values.reshape(-1, *([1] * (rank - 1)))
