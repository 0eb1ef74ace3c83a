"""Tracing: statements append IR to the function being built, in v0.5's order of evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from xdsl.dialects.affine import StoreOp as AffineStoreOp
from xdsl.dialects.builtin import AffineMapAttr, MemRefType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.dialects.memref import GetGlobalOp
from xdsl.dialects.memref import StoreOp as MemrefStoreOp
from xdsl.ir import Block, SSAValue
from xdsl.rewriter import Rewriter

from . import dialect as ir
from . import expr as ex
from .builder import ExpressionBuilder
from .errors import APIError
from .identifiers import Kind, UniqueNames, check_name
from .passes.common import set_type
from .rom import rom
from .tensor import Loop, Stage, Tensor
from .types import DType, Int, UInt

_ACTIVE: ContextVar[Tracer | None] = ContextVar("hls.heterocl.trace", default=None)


def current() -> Tracer:
    """The trace that statements go to.

    Raises:
        APIError: no function is being traced.
    """
    tracer = _ACTIVE.get()
    if tracer is None:
        raise APIError("statements belong into the function given to create_schedule")
    return tracer


class Tracer(ExpressionBuilder):
    """Builds the module of one program: one function, its stages in order, its constants."""

    def __init__(self, name: str, inputs: Sequence[Tensor]) -> None:
        self.module = ModuleOp([])
        self.inputs = list(inputs)
        self.outputs: list[Tensor] = []
        self.stages: dict[str, Stage] = {}
        types = [MemRefType(ir.to_ir(t.dtype), t.shape) for t in inputs]
        self.function = FuncOp(name, (types, []))
        self.module.body.block.add_op(self.function)
        super().__init__(self.function.body.block)
        self.stage: Stage | None = None
        self.names: set[str] = set()
        self.heterocl = UniqueNames()
        self._scalars: set[str] = set()
        for tensor, argument in zip(inputs, self.blocks[0].args, strict=True):
            tensor.value = argument
            argument.name_hint = self.unique(tensor.name)
            self.heterocl.get(tensor.name, "tensor")

    # -- running ------------------------------------------------------------------------------------------------

    def run(self, program: Callable[..., Any]) -> None:
        """Traces `program(*inputs)`; the tensors it returns become further arguments of the function."""
        token = _ACTIVE.set(self)
        try:
            result = program(*self.inputs)
        except RecursionError:
            raise APIError("an expression is nested too deeply: accumulate in an hcl.scalar") from None
        finally:
            _ACTIVE.reset(token)
        outputs = result if isinstance(result, tuple | list) else [] if result is None else [result]
        for tensor in outputs:
            self._return(tensor)
        self.heterocl.check()
        for name in self._scalars & self.stages.keys():
            raise APIError(f"scalar {name} hides the stage of that name in HeteroCL: call one of them otherwise")
        block = self.function.body.block
        block.add_op(ReturnOp())
        set_type(self.function)

    def _return(self, tensor: Any) -> None:
        if not isinstance(tensor, Tensor) or tensor.value is None or not isinstance(tensor.value.owner, ir.AllocOp):
            raise APIError(f"{tensor!r} is returned: only tensors that the function computes can be")
        alloc, block = tensor.value.owner, self.function.body.block
        if alloc.parent is not block:
            raise APIError(f"{tensor.name} is returned but allocated inside a stage")
        argument = block.insert_arg(tensor.value.type, len(block.args))
        argument.name_hint = tensor.name
        tensor.value.replace_all_uses_with(argument)
        Rewriter.erase_op(alloc)
        tensor.value = argument
        self.outputs.append(tensor)

    # -- names, blocks ------------------------------------------------------------------------------------------

    def unique(self, name: str) -> str:
        """`name`, or `name_1`, `name_2`, ... where it is taken."""
        check_name(name, "a tensor")
        candidate, count = name, 0
        while candidate in self.names:
            count += 1
            candidate = f"{name}_{count}"
        self.names.add(candidate)
        return candidate

    @contextmanager
    def _inside(self, block: Block) -> Iterator[None]:
        self.blocks.append(block)
        try:
            yield
        finally:
            self.blocks.pop()

    def require_stage(self, what: str) -> None:
        """Raises APIError unless a stage is open."""
        if self.stage is None:
            raise APIError(f"{what} stands outside of every stage: put it into a tagged for_, a compute or a mutate")

    # -- memories -----------------------------------------------------------------------------------------------

    def alloc(self, tensor: Tensor, kind: Kind = "scalar") -> Tensor:
        self.heterocl.memory(tensor.name, kind)
        tensor.name = tensor.stage_name = self.unique(tensor.name)
        op = ir.AllocOp(tensor.name, tensor.dtype, tensor.shape)
        self.emit(op)
        tensor.value = op.memory
        return tensor

    def constant(self, tensor: Tensor, values: Sequence[int]) -> Tensor:
        self.heterocl.constant(tensor.name)
        tensor.name = tensor.stage_name = self.unique(tensor.name)
        global_op = rom(tensor.name, tensor.dtype, tensor.shape, values)
        self.module.body.block.insert_op_before(global_op, self.function)
        get = GetGlobalOp(tensor.name, global_op.type)
        get.memref.name_hint = tensor.name
        self.emit(get)
        tensor.value, tensor.constant = get.memref, True
        return tensor

    def scalar(self, tensor: Tensor, init: Any) -> Tensor:
        self.require_stage(f"scalar {tensor.name}")
        self._scalars.add(self.heterocl.memory(check_name(tensor.name, "a scalar"), "scalar"))
        return self._register(tensor, init)

    def _register(self, tensor: Tensor, init: Any) -> Tensor:
        value = self.convert(self._store_value(init, tensor.dtype), tensor.dtype)
        op = ir.ScalarOp(tensor.name, value)
        self.emit(op)
        tensor.value, tensor.rank0 = op.memory, True
        self.count_statement(tensor)
        assert self.stage is not None
        self.stage.has_scalars = True
        return tensor

    def store(self, tensor: Tensor, indices: tuple[ex.Expr, ...], value: Any) -> None:
        self.require_stage(f"the store to {tensor.name}")
        if tensor.constant:
            raise APIError(f"{tensor.name} is constant: stores go to an alloc or a compute")
        converted = self.convert(self._store_value(value, tensor.dtype), tensor.dtype)
        memory, subscripts, affine_map = self.access(tensor, indices)
        if affine_map is not None:
            self.emit(AffineStoreOp(converted, memory, subscripts, AffineMapAttr(affine_map)))
        else:
            self.emit(MemrefStoreOp(operands=[converted, memory, subscripts]))
        self.count_statement(tensor)

    def _store_value(self, value: Any, dtype: DType) -> ex.Expr:
        if isinstance(value, int) and not isinstance(value, bool) and value in dtype and value in Int(32):
            return ex.Const(value, dtype)
        return ex.as_expr(value)

    # -- control ------------------------------------------------------------------------------------------------

    @contextmanager
    def open_stage(self, name: str, stage: Stage) -> Iterator[None]:
        """Statements belong to `stage` until the end of the block."""
        if self.stage is not None:
            raise APIError(f"stage {name} starts inside stage {self.stage.stage_name}: stages do not nest")
        if name in self.stages:
            raise APIError(f"two stages are called {name}")
        self.stage = self.stages[name] = stage
        try:
            yield
        finally:
            self.stage = None
            self.heterocl.stages.append(set())

    @contextmanager
    def nest(self, axes: Sequence[ex.LoopVar]) -> Iterator[None]:
        """A perfect nest of loops over `axes`."""
        if not axes:
            yield
            return
        with self.loop(axes[0]), self.nest(axes[1:]):
            yield

    @contextmanager
    def loop(self, variable: ex.LoopVar) -> Iterator[None]:
        self.require_stage(f"loop {variable.name}")
        stage = self.stage
        assert stage is not None
        domain, root = variable.domain, stage.root is None
        op = ir.ForOp(variable.name, domain.start, domain.stop, domain.step, stage.stage_name if root else None)
        self.emit(op)
        if root:
            stage.root = op
        elif len(self.blocks) == 1:
            raise APIError(f"stage {stage.stage_name} has two outermost loops")
        unique = self.heterocl.loop(check_name(variable.name, "a loop"), "loop" if variable.counted else "axis")
        name = unique if variable.counted else variable.name
        stage.loops.append(Loop(name, op, stage.stage_name, self._obstacle(variable, stage)))
        self._variables[id(variable)] = (variable, op.variable)
        with self._inside(op.body.block):
            yield

    def _obstacle(self, variable: ex.LoopVar, stage: Stage) -> str:
        if any(isinstance(block.parent_op(), ir.IfOp) for block in self.blocks):
            return "stands under an if_: compute always and guard only the store"
        if variable.counted and not stage.tagged:
            return "is a for_ in a compute or mutate, of which HeteroCL has no handle: write the stage as a tagged for_"
        return ""

    @contextmanager
    def branch(self, condition: ex.Expr) -> Iterator[None]:
        self.require_stage("if_")
        if condition.dtype != UInt(1):
            raise APIError(f"if_ takes a comparison, not a value of type {condition.dtype}: compare it with 0")
        self.forget(condition)
        op = ir.IfOp(self.value(condition))
        self.emit(op)
        with self._inside(op.then_body.block):
            yield

    @contextmanager
    def otherwise(self) -> Iterator[None]:
        last = self.block.last_op
        if not isinstance(last, ir.IfOp) or last.else_body.block.ops:
            raise APIError("else_ follows directly after an if_")
        with self._inside(last.else_body.block):
            yield

    def build_reduce(self, expr: ex.Reduce) -> SSAValue:
        self.require_stage(f"the sum {expr.name}")
        self.heterocl.memory(check_name(expr.name, "a sum"), "op")
        total = self._register(Tensor(self.unique(expr.name), (1,), expr.dtype), 0)
        with self.nest(expr.axes):
            total.v = expr.term + total.v
        return self.value(total.v)
