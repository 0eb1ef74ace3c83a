"""Vitis HLS C++: `ap_int`, `hls::stream`, pragmas.

`ap_int` computes sums and products exactly, so that a conversion is written only where the program casts or its typing
rules wrap. In a dataflow function every stage is a function, every link and every argument an `hls::stream`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from xdsl.dialects.affine import LoadOp as AffineLoadOp
from xdsl.dialects.affine import StoreOp as AffineStoreOp
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.dialects.memref import StoreOp as MemrefStoreOp
from xdsl.ir import SSAValue

from .. import dialect as ir
from ..accesses import WRITES
from ..passes.common import is_written
from ..passes.streams import DATAFLOW
from ..ranges import fits, type_range
from ..rom import rom_of
from ..types import DType, Int, integer
from .code import Code, call, infix, literal, ternary
from .core import CppPrinter, print_with
from .names import Names

_INT = Int(32)
_STORES = (*WRITES, ir.WriteOp, ir.ScalarOp)


def ap_type(dtype: DType) -> str:
    """`ap_int<n>` or `ap_uint<n>`."""
    return f"ap_{'int' if dtype.signed else 'uint'}<{dtype.bits}>"


def _natural(symbol: str, lhs: str, rhs: str) -> str:
    """C++ type of `lhs symbol rhs`: `ap_int` keeps every bit, and makes every difference signed."""
    if lhs == rhs == VitisPrinter.INT:
        return VitisPrinter.INT
    a, b = (_dtype(kind) for kind in (lhs, rhs))
    signed = a.signed or b.signed
    if symbol == "*":
        return ap_type(integer(signed, a.bits + b.bits))
    bits = max(t.bits + (signed and not t.signed) for t in (a, b))
    return ap_type(integer(signed or symbol == "-", bits + (symbol in ("+", "-"))))


def _dtype(kind: str) -> DType:
    if kind == VitisPrinter.INT:
        return _INT
    return integer(kind.startswith("ap_int"), int(kind[kind.index("<") + 1 : -1]))


@dataclass(eq=False, repr=False)
class VitisPrinter(CppPrinter):
    """See the module's text. The kind of an expression is its C++ type: `int` or `ap_...<n>`."""

    labels: Names = field(default_factory=Names, init=False)
    _stage: str = field(default="", init=False)

    # -- types ----------------------------------------------------------------------------------------------------

    def element_type(self, dtype: DType) -> str:
        # A constant of class type is initialised by code, which host compilers take minutes to translate; the cast in
        # `element` tells synthesis the true width.
        return (
            "int"
            if fits((dtype.lo, dtype.hi), (_INT.lo, _INT.hi))
            else "long long"
            if dtype.signed
            else "unsigned long long"
        )

    def element(self, op: AffineLoadOp | AffineStoreOp | MemrefLoadOp | MemrefStoreOp) -> Code:
        code = super().element(op)
        return code if rom_of(op.memref) is None else call(code.kind, code, code.kind)

    def scalar_type(self, dtype: DType) -> str:
        return ap_type(dtype)

    def element_kind(self, memory: SSAValue) -> str:
        return ap_type(ir.to_dtype(ir.element_of(memory)))

    def local_type(self, value: SSAValue, code: Code) -> str:
        return self.local_kind(value, code)

    def local_kind(self, value: SSAValue, code: Code) -> str:
        if isinstance(value.type, ir.IndexType) or (code.kind == self.INT and value.type == ir.UI1):
            return code.kind
        return ap_type(ir.to_dtype(value.type))

    # -- arithmetic -----------------------------------------------------------------------------------------------

    def constant(self, op: ir.ConstantOp) -> Code:
        value = op.value.data
        dtype = ir.to_dtype(op.result.type)
        return literal(value, self.INT) if value in _INT else call(ap_type(dtype), literal(value, ""), ap_type(dtype))

    def _as(self, dtype: DType, code: Code) -> Code:
        kind = ap_type(dtype)
        return code if code.kind == kind else call(kind, code, kind)

    def binary(self, op: ir.BinaryOp, lhs: Code, rhs: Code) -> Code:
        dtype, left = ir.to_dtype(op.result.type), ir.to_dtype(op.lhs.type)
        if isinstance(op, ir.ShlOp | ir.ShrOp):
            return self._shift(op, self._as(left, lhs), rhs, dtype)
        if isinstance(op, ir.AndOp) and op.lhs.type == op.rhs.type == ir.UI1:
            return infix("&&", lhs, rhs, self.INT)
        result, whole = self.ranges.exact(op), type_range(op.result)
        if lhs.kind == rhs.kind == self.INT and not fits(result, (_INT.lo, _INT.hi)):
            lhs = self._as(left, lhs)
        exact = infix(op.SYMBOL, lhs, rhs, _natural(op.SYMBOL, lhs.kind, rhs.kind))
        return exact if fits(result, whole) else call(ap_type(dtype), exact, ap_type(dtype))

    def _shift(self, op: ir.BinaryOp, lhs: Code, amount: Code, dtype: DType) -> Code:
        code = infix(op.SYMBOL, lhs, amount, ap_type(dtype))
        if self.ranges.of(op.rhs)[1] < dtype.bits:
            return code
        inside = infix("<", amount, literal(dtype.bits, self.INT), self.INT)
        return ternary(inside, self._made(code, dtype), self._as(dtype, literal(0, self.INT)), ap_type(dtype))

    def _made(self, code: Code, dtype: DType) -> Code:
        return call(ap_type(dtype), code, ap_type(dtype))

    def compare(self, op: ir.CompareOp, lhs: Code, rhs: Code) -> Code:
        return infix(op.predicate.data, self._signed(op.rhs, lhs, rhs), self._signed(op.lhs, rhs, lhs), self.INT)

    def _signed(self, other: SSAValue, code: Code, beside: Code) -> Code:
        """`code`, made signed where `ap_int` would else compare a negative number beside it as a large unsigned one."""
        mine, its = _dtype(code.kind), _dtype(beside.kind)
        if mine.signed or not its.signed or mine.bits < its.bits or self.ranges.of(other)[0] >= 0:
            return code
        return self._made(code, Int(mine.bits + 1))

    def choose(self, op: ir.SelectOp, condition: Code, on_true: Code, on_false: Code) -> Code:
        dtype, whole = ir.to_dtype(op.result.type), type_range(op.result)
        arms = (on_true, on_false)
        inside = all(fits(self.ranges.of(v), whole) for v in (op.on_true, op.on_false))
        if inside and on_true.kind == on_false.kind:
            return ternary(condition, *arms, on_true.kind)
        made = [self._made(code, dtype) for code in arms]
        return ternary(condition, made[0], made[1], ap_type(dtype))

    def cast(self, op: ir.CastOp, source: Code) -> Code:
        if isinstance(op.result.type, ir.IndexType):
            return Code(f"{source.in_('.')}.to_int()", self.INT)
        if isinstance(op.source.type, ir.IndexType):
            return (
                source if fits(self.ranges.of(op.source), type_range(op.result)) else self._made(source, self._of(op))
            )
        stored = all(isinstance(use.operation, _STORES) for use in op.result.uses)
        if stored and op.explicit is None:
            return source
        return source if source.kind == ap_type(self._of(op)) else self._made(source, self._of(op))

    def _of(self, op: ir.CastOp) -> DType:
        return ir.to_dtype(op.result.type)

    # -- declarations ---------------------------------------------------------------------------------------------

    def prologue(self) -> None:
        for header in ("ap_int.h", "hls_stream.h"):
            self.line(f"#include <{header}>")
        self.line()

    @contextmanager
    def function(self, op: FuncOp, is_top: bool) -> Iterator[None]:
        self.names.open()
        arguments = [self._argument(value, is_top) for value in op.body.block.args]
        with self.block(f"{'' if is_top else 'static '}void {op.sym_name.data}({', '.join(arguments)}) {{"):
            if is_top and DATAFLOW in op.attributes:
                self.line("#pragma HLS dataflow")
            yield
        self.names.close()

    def _argument(self, value: SSAValue, is_top: bool) -> str:
        element = ap_type(ir.to_dtype(ir.element_of(value)))
        if isinstance(value.type, ir.StreamType):
            return f"hls::stream<{element}> &{self.names.bind(value, value.name_hint or 'arg', 'stream')}"
        assert isinstance(value.type, MemRefType)
        name = self.names.bind(value, value.name_hint or "arg", "data")
        return f"{'' if is_written(value) else 'const '}{self.declaration(value.type, name, element)}"

    def declare_memory(self, op: ir.AllocOp, name: str) -> None:
        self.line(f"{self.declaration(op.memory.type, name, self.element_kind(op.memory))};")
        for partition in op.partition or ():
            kind, factor = partition.kind.data, partition.factor.data
            parts = [kind, *([f"factor={factor}"] if kind != "complete" else []), f"dim={partition.dim.data}"]
            self.line(f"#pragma HLS array_partition variable={name} {' '.join(parts)}")

    def declare_stream(self, op: ir.StreamOp, name: str) -> None:
        self.line(f'hls::stream<{self.element_kind(op.stream)}> {name}("{op.label.data}");')
        self.line(f"#pragma HLS stream variable={name} depth={op.depth.data}")

    def loop_label(self, op: ir.ForOp) -> str:
        if op.stage is not None:
            self._stage = op.stage.data
        return f"{self.labels.fresh(f'{self._stage}_{op.label.data}')}: "

    def in_loop(self, op: ir.ForOp) -> None:
        if op.ii is not None:
            self.line(f"#pragma HLS pipeline II={op.ii.data}")
        if op.unroll is not None:
            self.line("#pragma HLS unroll" + (f" factor={op.unroll.data}" if op.unroll.data else ""))


def print_vitis(module: ModuleOp) -> str:
    """Vitis HLS C++ of a lowered module; it includes `ap_int.h` and `hls_stream.h`.

    The top function takes an `hls::stream` an argument where it is a dataflow function, else arrays.
    """
    return print_with(VitisPrinter, module)
