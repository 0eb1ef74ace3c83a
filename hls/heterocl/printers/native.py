"""Native C++17: exact and fast, on machine integers.

Every expression has the machine type that holds its value range (`ranges.py`), so that sums and products need neither
wide types nor wraps except where the program's own widths demand one: `sint<n>(x)` and `uint<n>(x)` of `hls_native.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod

from xdsl.context import Context
from xdsl.dialects.affine import StoreOp as AffineStoreOp
from xdsl.dialects.builtin import IntAttr, MemRefType, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.ir import Operation, SSAValue

from .. import dialect as ir
from ..accesses import Access
from ..errors import BuildError
from ..passes.common import is_written
from ..passes.lanes import LANE_BITS, LANES, LaneSums
from ..passes.streams import DATAFLOW
from ..ranges import Range, fits, type_range
from ..types import DType
from .code import SHIFT, UNARY, Code, call, infix, literal, ternary
from .core import CppPrinter, print_with

I32, I64, U64, I128 = "int32_t", "int64_t", "uint64_t", "__int128"
_KINDS: dict[str, Range] = {
    I32: (-(1 << 31), (1 << 31) - 1),
    I64: (-(1 << 63), (1 << 63) - 1),
    U64: (0, (1 << 64) - 1),
    I128: (-(1 << 127), (1 << 127) - 1),
}
_STORAGE: dict[str, Range] = {
    "uint8_t": (0, 255),
    "int8_t": (-128, 127),
    "uint16_t": (0, 65535),
    "int16_t": (-32768, 32767),
    **_KINDS,
}
_WIDTH = {I32: 32, I64: 64, U64: 64, I128: 128}
_STACK = 32 * 1024  # bytes; a larger memory is allocated


def kind_of(*ranges: Range) -> str:
    """The narrowest arithmetic type that holds all the values.

    Raises:
        BuildError: more than 128 bits are needed.
    """
    for kind, whole in _KINDS.items():
        if all(fits(r, whole) for r in ranges):
            return kind
    raise BuildError(
        f"values of {max(max(abs(lo), abs(hi)) for lo, hi in ranges).bit_length() + 1} bits: the native "
        "simulation stops at 128; split the word"
    )


def storage_of(dtype: DType) -> str:
    """The narrowest type that stores `dtype`; its numpy namesake is what the compiled function takes."""
    for name, whole in _STORAGE.items():
        if fits((dtype.lo, dtype.hi), whole):
            return name
    raise BuildError(f"elements of type {dtype}: the native simulation stops at 128 bits; split the word")


@dataclass(frozen=True)
class Lanes:
    """A loop of which `count` iterations are one of the printed loop (see `passes/lanes.py`)."""

    count: int
    element: str
    sums: tuple[SSAValue, ...]
    names: dict[SSAValue, str]

    @property
    def type(self) -> str:
        return f"hls_native::lanes<{self.element}, {self.count}>"

    @staticmethod
    def of(op: ir.ForOp) -> Lanes | None:
        """None for a loop that is printed as it is."""
        count, bits = op.attributes.get(LANES), op.attributes.get(LANE_BITS)
        if not isinstance(count, IntAttr) or not isinstance(bits, IntAttr):
            return None
        sums = dict.fromkeys(store.memref for store in op.body.block.ops if isinstance(store, AffineStoreOp))
        return Lanes(count.data, f"int{bits.data}_t", tuple(sums), {})


@dataclass(eq=False, repr=False)
class NativePrinter(CppPrinter):
    """See the module's text."""

    INT = I32
    _lanes: Lanes | None = field(default=None, init=False)

    # -- types ----------------------------------------------------------------------------------------------------

    def element_type(self, dtype: DType) -> str:
        return storage_of(dtype)

    def scalar_type(self, dtype: DType) -> str:
        return kind_of((dtype.lo, dtype.hi))

    def element_kind(self, memory: SSAValue) -> str:
        dtype = ir.to_dtype(ir.element_of(memory))
        return kind_of((dtype.lo, dtype.hi))

    def local_type(self, value: SSAValue, code: Code) -> str:
        return self._lanes.type if self._lanes else kind_of(self.ranges.of(value))

    def local_kind(self, value: SSAValue, code: Code) -> str:
        return kind_of(self.ranges.of(value))

    # -- arithmetic -----------------------------------------------------------------------------------------------

    def constant(self, op: ir.ConstantOp) -> Code:
        value = op.value.data
        if kind_of((value, value)) == I128:
            raise BuildError(f"the constant {value} has more than 64 bits: build it from shifts")
        return literal(value, kind_of((value, value)))

    def _to(self, kind: str, code: Code) -> Code:
        return code if code.kind == kind else call(kind, code, kind)

    def _meet(self, kind: str, lhs: Code, rhs: Code) -> tuple[Code, Code]:
        """Operands such that C++ computes in `kind`: at most one conversion is written out."""
        if lhs.kind == kind and self._converts(rhs.kind, kind):
            return lhs, rhs
        if rhs.kind == kind and self._converts(lhs.kind, kind):
            return lhs, rhs
        if self._converts(rhs.kind, kind):
            return self._to(kind, lhs), rhs
        return self._to(kind, lhs), self._to(kind, rhs)

    def _same(self, kind: str, lhs: Code, rhs: Code) -> tuple[Code, Code]:
        """As `_meet`, with a mix of signed and unsigned written out: comparisons and `?:` may not hide it."""
        if kind != U64:
            return self._meet(kind, lhs, rhs)
        left, right = (c if c.text.isdigit() else self._to(kind, c) for c in (lhs, rhs))
        return (self._to(kind, lhs), right) if lhs.text.isdigit() and rhs.text.isdigit() else (left, right)

    def _converts(self, source: str, kind: str) -> bool:
        return source == kind or _WIDTH[source] < _WIDTH[kind] or (source == I64 and kind == U64)

    def _wrap(self, code: Code, dtype: DType) -> Code:
        return call(f"{'sint' if dtype.signed else 'uint'}<{dtype.bits}>", code, kind_of((dtype.lo, dtype.hi)))

    def binary(self, op: ir.BinaryOp, lhs: Code, rhs: Code) -> Code:
        if self._lanes:
            return infix(op.SYMBOL, lhs, rhs, I32)
        if isinstance(op, ir.ShlOp | ir.ShrOp):
            return self._shift(op, lhs, rhs)
        result = self.ranges.exact(op)
        symbol = "&&" if isinstance(op, ir.AndOp) and op.lhs.type == op.rhs.type == ir.UI1 else op.SYMBOL
        kind = kind_of(self.ranges.of(op.lhs), self.ranges.of(op.rhs), result)
        code = infix(symbol, *self._meet(kind, lhs, rhs), kind)
        return code if fits(result, type_range(op.result)) else self._wrap(code, ir.to_dtype(op.result.type))

    def _shift(self, op: ir.ShlOp | ir.ShrOp, lhs: Code, amount: Code) -> Code:
        dtype, (_, most) = ir.to_dtype(op.result.type), self.ranges.of(op.rhs)
        whole, within = type_range(op.result), self.ranges.exact(op)
        most = min(most, dtype.bits - 1)
        negative = lhs.level == UNARY  # a literal: C++ warns of its shift
        if isinstance(op, ir.ShrOp) or (fits(within, whole) and not negative):
            kind = kind_of(self.ranges.of(op.lhs), within)
            if _WIDTH[kind] <= most:
                kind = I64 if most < 64 else I128
            code = infix(op.SYMBOL, self._to(kind, lhs), amount, kind)
        else:
            wide = U64 if dtype.bits <= 64 else "uint128_t"
            shifted = Code(f"{wide}({lhs.text}) << {amount.in_('<<', right=True)}", wide, SHIFT)
            code = self._wrap(shifted, dtype)
        if self.ranges.of(op.rhs)[1] < dtype.bits:
            return code
        return ternary(infix("<", amount, literal(dtype.bits, I32), I32), code, literal(0, I32), code.kind)

    def compare(self, op: ir.CompareOp, lhs: Code, rhs: Code) -> Code:
        kind = kind_of(self.ranges.of(op.lhs), self.ranges.of(op.rhs))
        return infix(op.predicate.data, *self._same(kind, lhs, rhs), I32)

    def choose(self, op: ir.SelectOp, condition: Code, on_true: Code, on_false: Code) -> Code:
        whole, dtype = type_range(op.result), ir.to_dtype(op.result.type)
        arms, ranges = [], []
        for value, code in ((op.on_true, on_true), (op.on_false, on_false)):
            inside = fits(self.ranges.of(value), whole)
            arms.append(code if inside else self._wrap(code, dtype))
            ranges.append(self.ranges.of(value) if inside else whole)
        kind = kind_of(*ranges)
        if arms[1].text == "0" and not isinstance(op.on_true.owner, ir.ConstantOp) and not _looks_up(op.on_true):
            return Code(f"hls_native::when({condition.text}, {arms[0].text})", arms[0].kind)  # no branch to mispredict
        return ternary(condition, *self._same(kind, arms[0], arms[1]), kind)

    def cast(self, op: ir.CastOp, source: Code) -> Code:
        if self._lanes:
            return source
        if isinstance(op.result.type, ir.IndexType) or fits(self.ranges.of(op.source), type_range(op.result)):
            return source
        return self._wrap(source, ir.to_dtype(op.result.type))

    # -- declarations ---------------------------------------------------------------------------------------------

    def prologue(self) -> None:
        self.line('#include "hls_native.h"')
        self.line()

    @contextmanager
    def function(self, op: FuncOp, is_top: bool) -> Iterator[None]:
        self.names.open()
        arguments = [self._argument(value, is_top) for value in op.body.block.args]
        linkage = 'extern "C"' if is_top else "static"
        with self.block(f"{linkage} void {op.sym_name.data}({', '.join(arguments)}) {{"):
            if is_top and DATAFLOW in op.attributes:
                for value in op.body.block.args:
                    if isinstance(value.type, ir.StreamType):
                        data = self.names[value]
                        element = storage_of(ir.to_dtype(ir.element_of(value)))
                        self.line(f"Fifo<{element}> {self.names.bind(value, f'{data}_stream')}({data});")
            yield
        self.names.close()

    def _argument(self, value: SSAValue, is_top: bool) -> str:
        is_stream = isinstance(value.type, ir.StreamType)
        name = self.names.bind(value, value.name_hint or "arg", "stream" if is_stream and not is_top else "data")
        element = storage_of(ir.to_dtype(ir.element_of(value)))
        if is_stream and not is_top:
            return f"Fifo<{element}> &{name}"
        constness = "" if is_written(value) else "const " if value.uses else "[[maybe_unused]] const "
        if is_stream:
            return f"{constness}{element} *{name}"
        assert isinstance(value.type, MemRefType)
        return f"{constness}{self.declaration(value.type, name, element)}"

    def declare_memory(self, op: ir.AllocOp, name: str) -> None:
        shape, element = op.memory.type.get_shape(), storage_of(ir.to_dtype(ir.element_of(op.memory)))
        if prod(shape) * 8 <= _STACK or not isinstance(op.parent_op(), FuncOp):
            self.line(f"{self.declaration(op.memory.type, name, element)} = {{}};")
            return
        rest = "".join(f"[{extent}]" for extent in shape[1:])
        owner = self.names.fresh(f"{name}_memory")
        self.line(f"const auto {owner} = std::make_unique<{element}[]{rest}>({shape[0]});")
        self.line(f"auto *const {name} = {owner}.get();")

    def declare_stream(self, op: ir.StreamOp, name: str) -> None:
        element = storage_of(ir.to_dtype(ir.element_of(op.stream)))
        self.line(f"Fifo<{element}> {name}({op.tokens.data});")

    # -- loops in machine vectors ---------------------------------------------------------------------------------

    @contextmanager
    def loop(self, op: ir.ForOp) -> Iterator[None]:
        lanes = Lanes.of(op)
        if lanes is None:
            with super().loop(op):
                yield
            return
        for register in lanes.sums:
            lanes.names[register] = self.names.fresh(f"{self.names[register]}_lanes")
            self.line(f"{lanes.type} {lanes.names[register]} = {{}};")
        self._lanes = lanes
        with super().loop(op):
            yield
        self._lanes = None
        for register, name in lanes.names.items():
            self.line(f"{self.names[register]} += hls_native::sum({name});")

    def iterations(self, op: ir.ForOp) -> int:
        lanes = Lanes.of(op)
        return lanes.count if lanes else 1

    def element(self, op: Access) -> Code:
        element = super().element(op)
        return Code(f"hls_native::load<{self._lanes.count}>(&{element.text})", I32) if self._lanes else element

    def store(self, op: AffineStoreOp) -> None:
        if self._lanes is None:
            super().store(op)
            return
        combined = op.value.owner.operands[0].owner if isinstance(op.value.owner, ir.CastOp) else None
        assert isinstance(combined, ir.AddOp | ir.SubOp), "in lanes nothing is stored but sums"
        name = self._lanes.names[op.memref]
        self.line(f"{name} {combined.SYMBOL}= {self.code(combined.rhs).text};")

    def before_loop(self, op: ir.ForOp) -> None:
        if op.unroll is not None and len(op.domain) <= 64:
            self.line(f"#pragma GCC unroll {op.unroll.data or len(op.domain)}")


def _looks_up(value: SSAValue) -> bool:
    """Whether a value reads at an index that depends on data: it may be read only where it is chosen."""
    owner = value.owner
    if not isinstance(owner, Operation):
        return False
    return isinstance(owner, MemrefLoadOp) or any(_looks_up(operand) for operand in owner.operands)


def print_native(module: ModuleOp, last: bool = False) -> str:
    """Native C++17 of a lowered module; it includes `hls_native.h` of this package.

    The top function is `extern "C"`, takes one pointer an argument (row-major, elements of `storage_of`), and runs the
    stages one after another. ``last``: nothing else is done with the module, which is changed.

    Raises:
        BuildError: a width above 128 bits.
    """
    vectorised = module if last else module.clone()
    LaneSums().apply(Context(), vectorised)
    return print_with(NativePrinter, vectorised)
