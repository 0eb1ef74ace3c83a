"""What both C++ printers share: statements, names, loops, expressions. A target adds its types and its arithmetic."""

from __future__ import annotations

import io
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import singledispatchmethod
from typing import ClassVar

from xdsl.dialects.affine import ApplyOp
from xdsl.dialects.affine import LoadOp as AffineLoadOp
from xdsl.dialects.affine import StoreOp as AffineStoreOp
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.dialects.memref import GetGlobalOp, GlobalOp
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.dialects.memref import StoreOp as MemrefStoreOp
from xdsl.ir import Block, Operation, SSAValue

from .. import dialect as ir
from ..accesses import WRITES
from ..errors import BuildError
from ..passes.common import top
from ..ranges import Ranges
from ..rom import rom_of, rom_values
from ..types import DType
from .code import Code, folded, linear, literals
from .names import Names
from .placement import inlined

LINE = 120
ROM_LINE = 110


@dataclass(eq=False, repr=False)
class CppPrinter(ABC):
    """Prints a stage module; one `print` method per statement, one `expression` method per operation with a value."""

    stream: io.StringIO
    module: ModuleOp
    names: Names = field(default_factory=Names, init=False)
    ranges: Ranges = field(default_factory=Ranges, init=False)
    _inline: set[Operation] = field(default_factory=set, init=False)
    _kinds: dict[SSAValue, str] = field(default_factory=dict, init=False)
    _depth: int = field(default=0, init=False)

    INT: ClassVar[str] = "int"

    # -- what a target decides ----------------------------------------------------------------------------------

    @abstractmethod
    def element_type(self, dtype: DType) -> str:
        """C++ type of the elements of a memory, a stream or a register."""

    @abstractmethod
    def element_kind(self, memory: SSAValue) -> str:
        """Kind of the expression that reads an element."""

    @abstractmethod
    def local_type(self, value: SSAValue, code: Code) -> str:
        """C++ type of a named intermediate value."""

    @abstractmethod
    def scalar_type(self, dtype: DType) -> str:
        """C++ type of a register."""

    @abstractmethod
    def binary(self, op: ir.BinaryOp, lhs: Code, rhs: Code) -> Code:
        """An arithmetic operation, wrapped into its type where it must be."""

    @abstractmethod
    def compare(self, op: ir.CompareOp, lhs: Code, rhs: Code) -> Code:
        """A comparison of mathematical values."""

    @abstractmethod
    def choose(self, op: ir.SelectOp, condition: Code, on_true: Code, on_false: Code) -> Code:
        """A conditional expression."""

    @abstractmethod
    def cast(self, op: ir.CastOp, source: Code) -> Code:
        """A conversion, wrapped where it must be."""

    @abstractmethod
    def prologue(self) -> None:
        """Includes and whatever stands before the constants."""

    @abstractmethod
    def declare_memory(self, op: ir.AllocOp, name: str) -> None:
        """The declaration of a memory."""

    @abstractmethod
    def declare_stream(self, op: ir.StreamOp, name: str) -> None:
        """The declaration of a stream."""

    @abstractmethod
    def constant(self, op: ir.ConstantOp) -> Code:
        """A constant."""

    @abstractmethod
    def local_kind(self, value: SSAValue, code: Code) -> str:
        """Kind of the expression that names an intermediate value."""

    # -- layout -------------------------------------------------------------------------------------------------

    def line(self, text: str = "") -> None:
        """One line of output."""
        margin = "    " * self._depth
        for part in folded(text, LINE - len(margin)):
            self.stream.write(f"{margin}{part}\n" if part else "\n")

    @contextmanager
    def block(self, head: str, tail: str = "}") -> Iterator[None]:
        """A head, its block one level deeper, a tail, and a new scope of names."""
        if head:
            self.line(head)
        self._depth += 1
        self.names.open()
        yield
        self.names.close()
        self._depth -= 1
        self.line(tail)

    def declaration(self, memory: MemRefType, name: str, element: str) -> str:
        """`element name[8][12]`."""
        return f"{element} {name}" + "".join(f"[{extent}]" for extent in memory.get_shape())

    # -- module, functions, constants -----------------------------------------------------------------------------

    def print_module(self) -> None:
        """The whole translation unit."""
        self.prologue()
        for op in self.module.ops:
            self.names.fresh(op.sym_name.data if isinstance(op, FuncOp | GlobalOp) else "")
        for op in self.module.ops:
            self.print(op)

    @singledispatchmethod
    def print(self, op: Operation) -> None:
        """Prints one statement."""
        raise BuildError(f"{type(self).__name__} has no rule for the statement {op.name}")

    @print.register
    def _(self, op: GlobalOp) -> None:
        memory = op.type
        dtype = ir.to_dtype(memory.element_type)
        head = f"static const {self.declaration(memory, op.sym_name.data, self.element_type(dtype))} = "
        self.line(head + "{")
        values = literals(rom_values(op))
        for text in _nested(values, memory.get_shape()):
            self.line(f"    {text}")
        self.line("};")
        self.line()

    @print.register
    def _(self, op: FuncOp) -> None:
        with self.function(op, op is top(self.module)):
            self.statements(op.body.block)
        self.line()

    @abstractmethod
    def function(self, op: FuncOp, is_top: bool) -> AbstractContextManager[None]:
        """The head of a function, its arguments named, and whatever opens its body."""

    def statements(self, block: Block) -> None:
        """The statements of a block; values that need a line of their own get one."""
        self._inline |= inlined(block)
        for op in block.ops:
            if op in self._inline:
                continue
            if op.results and not isinstance(op, MEMORIES):
                self._local(op)
            else:
                self.print(op)

    def _local(self, op: Operation) -> None:
        value = op.results[0]
        code = self.expression(op)
        if not value.uses:
            self.line(f"{code.text};")  # an element of a stream that is taken and dropped
            return
        read = op.operands[0] if isinstance(op, (AffineLoadOp, MemrefLoadOp, ir.ReadOp)) else None
        wish = value.name_hint or (f"{self.name(read)}_value" if read is not None else _WISHES.get(type(op), "value"))
        self.line(f"const {self.local_type(value, code)} {self.names.bind(value, wish)} = {code.text};")
        self._kinds[value] = self.local_kind(value, code)

    # -- statements -----------------------------------------------------------------------------------------------

    @print.register  # noqa: B027
    def _(self, op: ReturnOp) -> None:
        pass

    @print.register
    def _(self, op: ir.CommentOp) -> None:
        for text in op.text.data.splitlines():
            self.line(f"// {text}")

    @print.register
    def _(self, op: ir.AllocOp) -> None:
        self.declare_memory(op, self.names.bind(op.memory, op.label.data))

    @print.register
    def _(self, op: ir.StreamOp) -> None:
        self.declare_stream(op, self.names.bind(op.stream, op.label.data, "stream"))

    @print.register
    def _(self, op: ir.ScalarOp) -> None:
        init = self.code(op.init)
        written = any(isinstance(use.operation, WRITES) for use in op.memory.uses)
        element = self.scalar_type(ir.to_dtype(op.init.type))
        name = self.names.bind(op.memory, op.label.data)
        self.line(f"{'' if written else 'const '}{element} {name} = {init.text};")

    @print.register
    def _(self, op: AffineStoreOp) -> None:
        self.store(op)

    def store(self, op: AffineStoreOp) -> None:
        """An assignment to an element."""
        value = self.code(op.value)
        self.line(f"{self.element(op).text} = {value.text};")

    @print.register
    def _(self, op: MemrefStoreOp) -> None:
        value = self.code(op.value)
        self.line(f"{self.element(op).text} = {value.text};")

    @print.register
    def _(self, op: ir.WriteOp) -> None:
        self.line(f"{self.name(op.stream)}.write({self.code(op.value).text});")

    @print.register
    def _(self, op: CallOp) -> None:
        arguments = ", ".join(self.name(v) for v in op.arguments)
        self.line(f"{op.callee.root_reference.data}({arguments});")

    @print.register
    def _(self, op: ir.ForOp) -> None:
        with self.loop(op):
            self.statements(op.body.block)

    @contextmanager
    def loop(self, op: ir.ForOp) -> Iterator[None]:
        """The head of a loop and its annotations."""
        domain = op.domain
        self.before_loop(op)
        self.names.open()
        name = self.names.bind(op.variable, op.label.data)
        by = domain.step * self.iterations(op)
        step = f"++{name}" if by == 1 else f"{name} += {by}"
        with self.block(f"{self.loop_label(op)}for (int {name} = {domain.start}; {name} < {domain.stop}; {step}) {{"):
            self.in_loop(op)
            yield
        self.names.close()

    def before_loop(self, op: ir.ForOp) -> None:  # noqa: B027
        """Lines before the head of a loop."""

    def iterations(self, op: ir.ForOp) -> int:
        """How many iterations of the loop one of the printed loop is."""
        return 1

    def loop_label(self, op: ir.ForOp) -> str:
        """A label in front of the loop."""
        return ""

    def in_loop(self, op: ir.ForOp) -> None:  # noqa: B027
        """Lines at the start of a loop's body."""

    @print.register
    def _(self, op: ir.IfOp) -> None:
        otherwise = op.else_body.block
        with self.block(f"if ({self.code(op.condition).text}) {{", tail="} else {" if otherwise.ops else "}"):
            self.statements(op.then_body.block)
        if otherwise.ops:
            with self.block(""):
                self.statements(otherwise)

    # -- expressions --------------------------------------------------------------------------------------------

    def name(self, memory: SSAValue) -> str:
        """Name of a memory or stream."""
        constant = rom_of(memory)
        return self.names[memory] if constant is None else constant.sym_name.data

    def code(self, value: SSAValue) -> Code:
        """The expression for a value: its name, or its operation where that is written in place."""
        if value in self.names:
            return Code(self.names[value], self._kinds.get(value, self.INT))
        assert isinstance(value.owner, Operation)
        return self.expression(value.owner)

    @singledispatchmethod
    def expression(self, op: Operation) -> Code:
        """The expression of an operation with a value."""
        raise BuildError(f"{type(self).__name__} has no rule for the expression {op.name}")

    @expression.register
    def _(self, op: ir.ConstantOp) -> Code:
        return self.constant(op)

    @expression.register
    def _(self, op: ApplyOp) -> Code:
        return linear(op.map.data, 0, [self.names[v] for v in op.mapOperands], self.INT)

    @expression.register
    def _(self, op: AffineLoadOp) -> Code:
        return self.element(op)

    @expression.register
    def _(self, op: MemrefLoadOp) -> Code:
        return self.element(op)

    @expression.register
    def _(self, op: ir.ReadOp) -> Code:
        return Code(f"{self.name(op.stream)}.read()", self.element_kind(op.stream))

    @expression.register
    def _(self, op: ir.BinaryOp) -> Code:
        return self.binary(op, self.code(op.lhs), self.code(op.rhs))

    @expression.register
    def _(self, op: ir.CompareOp) -> Code:
        return self.compare(op, self.code(op.lhs), self.code(op.rhs))

    @expression.register
    def _(self, op: ir.SelectOp) -> Code:
        return self.choose(op, self.code(op.condition), self.code(op.on_true), self.code(op.on_false))

    @expression.register
    def _(self, op: ir.CastOp) -> Code:
        return self.cast(op, self.code(op.source))

    def element(self, op: AffineLoadOp | AffineStoreOp | MemrefLoadOp | MemrefStoreOp) -> Code:
        """One element of a memory."""
        if isinstance(op, AffineLoadOp | AffineStoreOp):
            names = [self.names[v] for v in op.indices]
            indices = [linear(op.map.data, d, names, self.INT) for d in range(len(op.map.data.results))]
        else:
            indices = [self.code(index) for index in op.indices]
        subscripts = "".join(f"[{index.text}]" for index in indices)
        return Code(f"{self.name(op.memref)}{subscripts}", self.element_kind(op.memref))


MEMORIES = (ir.AllocOp, ir.StreamOp, ir.ScalarOp, GetGlobalOp)
_WISHES: dict[type[Operation], str] = {
    ir.AddOp: "total",
    ir.SubOp: "difference",
    ir.MulOp: "product",
    ir.ShlOp: "shifted",
    ir.ShrOp: "shifted",
    ir.CompareOp: "test",
    ir.SelectOp: "choice",
}


def _nested(values: Sequence[str], shape: tuple[int, ...]) -> list[str]:
    """Lines of a nested initialiser, without the outermost braces; what fits a line is on one."""
    if len(shape) == 1:
        text = ", ".join(values)
        return [text] if len(text) <= ROM_LINE else textwrap.wrap(text, ROM_LINE, break_long_words=False)
    size = len(values) // shape[0]
    lines: list[str] = []
    for i in range(shape[0]):
        inner = _nested(values[i * size : (i + 1) * size], shape[1:])
        if len(inner) > 1:
            lines.extend(["{", *(f"    {text}" for text in inner), "},"])
        elif lines and lines[-1] != "}," and len(lines[-1]) + len(inner[0]) + 4 <= ROM_LINE:
            lines[-1] += f" {{{inner[0]}}},"
        else:
            lines.append(f"{{{inner[0]}}},")
    return lines if len(lines) > 1 else [lines[0].removesuffix(",")]


def print_with(printer: type[CppPrinter], module: ModuleOp) -> str:
    """The text a printer class makes of a module."""
    out = io.StringIO()
    printer(out, module).print_module()
    return out.getvalue().rstrip("\n") + "\n"
