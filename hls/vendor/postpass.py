"""The vendor post-pass: what HeteroCL cannot express is added to the C++ text it printed, from either implementation.

Everything that the plan does not name stays byte for byte as it was.
"""

from __future__ import annotations

from math import prod

from .edits import Edits
from .errors import VendorError
from .lookup import Text
from .plan import PAGE, Axis, Control, Interface, Interval, MemoryMaster, Partition, Plan, Storage
from .products import bind_products
from .syntax import Declaration, Function, Pragma

_OURS = ("interface", "bind_op", "bind_storage")
"""Pragmas that no printer emits: a text that has them has been here before."""


def post_pass(text: str, plan: Plan) -> str:
    """The text with the pragmas of a plan.

    Args:
        text: C++ as `build(s, target="vhls")` returns it, from this project's HeteroCL or from v0.5.
        plan: what is wanted; names are the HeteroCL program's.

    Raises:
        VendorError: the text is not of this kind, has been through the post-pass already, or does not allow what the
            plan wants.
    """
    return applied(Text.of(text), plan)


def applied(known: Text, plan: Plan) -> str:
    """`post_pass` of a text that has been parsed."""
    for function in known.unit.functions:
        for statement in function.walk():
            if isinstance(statement, Pragma) and statement.directive in _OURS:
                line = known.unit.line(statement.start)
                raise VendorError(
                    f"line {line} has a {statement.directive} pragma: the text has been through the post-pass"
                )
    return _PostPass(known, Edits(known.unit), plan).result()


class _PostPass:
    """One method per kind of wish."""

    def __init__(self, text: Text, edits: Edits, plan: Plan) -> None:
        self.text, self.edits, self.plan = text, edits, plan

    def result(self) -> str:
        interfaces = [line for wish in self.plan.interfaces for line in self.interface(wish)]
        self.edits.lines_within(self.text.top.body, interfaces)
        for partition in self.plan.partitions:
            self.partition(partition)
        for storage in self.plan.storage:
            self.storage(storage)
        for interval in self.plan.intervals:
            self.interval(interval)
        bind_products(self.text, self.edits, self.plan.multiplications)
        return self.edits.result()

    # -- interfaces ---------------------------------------------------------------------------------------------

    def interface(self, wish: Interface) -> list[str]:
        if isinstance(wish, Control) and wish.port == "return":
            return [f"#pragma HLS interface mode=s_axilite port=return bundle={wish.bundle}"]
        port = self.text.port(wish.port, self.plan.ports)
        if isinstance(wish, Axis):
            if not (port.type.stream or port.shape):
                raise VendorError(f"port {wish.port} is a scalar, which is no stream (allowed: Control)")
            return [f"#pragma HLS interface mode=axis port={port.name}"]
        if isinstance(wish, Control):
            if port.type.stream or port.shape:
                raise VendorError(f"port {wish.port} is no scalar: a register holds one (allowed: Axis, MemoryMaster)")
            return [f"#pragma HLS interface mode=s_axilite port={port.name} bundle={wish.bundle}"]
        return self.master(wish, port)

    def master(self, wish: MemoryMaster, port: Declaration) -> list[str]:
        if port.type.stream:
            raise VendorError(f"port {wish.port} is an hls::stream: a memory master needs an array (allowed: Axis)")
        if not port.shape or port.type.element is None:
            raise VendorError(f"port {wish.port} is no array of integers, which a master moves (allowed: Control)")
        words, bits = prod(port.shape), port.type.element.bits
        if bits not in (8, 16, 32, 64, 128, 256, 512, 1024):
            raise VendorError(f"port {wish.port} has words of {bits} bits; AXI4 moves 8, 16, 32, ... 1024")
        if wish.burst * bits // 8 > PAGE:
            raise VendorError(
                f"port {wish.port}: {wish.burst} words of {bits} bits exceed an AXI4 burst's {PAGE} bytes"
            )
        if wish.depth is not None and wish.depth < words:
            raise VendorError(f"port {wish.port}: depth {wish.depth} of an array of {words} words")
        lengths = " ".join(
            f"max_{way}_burst_length={wish.burst} num_{way}_outstanding={wish.outstanding}" for way in ("read", "write")
        )
        return [
            f"#pragma HLS interface mode=m_axi port={port.name} bundle={wish.bundle} depth={wish.depth or words} "
            f"offset=slave {lengths}",
            f"#pragma HLS interface mode=s_axilite port={port.name} bundle={wish.control}",
        ]

    # -- arrays -------------------------------------------------------------------------------------------------

    def partition(self, wish: Partition) -> None:
        function = self.text.function(wish.function)
        array = self.text.array(function, wish.array)
        if not 0 <= wish.dimension <= len(array.shape):
            raise VendorError(
                f"array {wish.array} of {function.name} has {len(array.shape)} dimensions, not {wish.dimension}"
            )
        for pragma in self.pragmas(function, array.name):
            if pragma.directive == "array_partition" and self.overlap(pragma, wish):
                raise VendorError(
                    f"line {self.text.unit.line(pragma.start)}: {wish.array} is already partitioned along dimension "
                    f"{pragma.options.get('dim', '1')}"
                )
        factor = "" if wish.factor is None else f" factor={wish.factor}"
        directive = "array_reshape" if wish.reshape else "array_partition"
        line = f"#pragma HLS {directive} variable={array.name} type={wish.kind}{factor} dim={wish.dimension}"
        self.at_array(function, array, line)

    def overlap(self, pragma: Pragma, wish: Partition) -> bool:
        """Whether a pragma of the text and a wish concern the same dimension; dimension 0 is all of them."""
        dimension = int(pragma.options.get("dim", "1"))
        return dimension == wish.dimension or 0 in (dimension, wish.dimension)

    def storage(self, wish: Storage) -> None:
        function = self.text.function(wish.function)
        array = self.text.array(function, wish.array)
        if array in function.parameters:
            raise VendorError(f"array {wish.array} of {function.name} is an argument: bind it where it is declared")
        if wish.type.startswith("rom") != (array.values is not None and array.constant):
            kind = "a constant array" if array.constant else "written"
            raise VendorError(f"array {wish.array} of {function.name} is {kind}: it cannot be a {wish.type}")
        latency = "" if wish.latency is None else f" latency={wish.latency}"
        implementation = "" if wish.implementation == "auto" else f" impl={wish.implementation}"
        line = f"#pragma HLS bind_storage variable={array.name} type={wish.type}{implementation}{latency}"
        self.at_array(function, array, line)

    def pragmas(self, function: Function, array: str) -> list[Pragma]:
        return [s for s in function.walk() if isinstance(s, Pragma) and s.options.get("variable") == array]

    def at_array(self, function: Function, array: Declaration, line: str) -> None:
        """After the declaration of a function's own array, else first in the function that uses it."""
        if array in function.parameters or self.text.is_outside(array):
            self.edits.lines_within(function.body, [line])
        else:
            self.edits.lines_after(array, [line])

    # -- intervals ----------------------------------------------------------------------------------------------

    def interval(self, wish: Interval) -> None:
        function = self.text.function(wish.function)
        block = function.body if wish.loop is None else self.text.loop(function, wish.loop).body
        if wish.loop is None and block.pragma("dataflow"):
            raise VendorError(f"function {function.name} is a dataflow region: its slowest stage sets the interval")
        style = f" style={wish.style}" if wish.style else ""
        line = f"#pragma HLS pipeline II={wish.cycles}{style}"
        present = block.pragma("pipeline")
        if present is None:
            self.edits.lines_within(block, [line])
        elif present.options.get("ii") != str(wish.cycles) or (
            wish.style and present.options.get("style") != wish.style
        ):
            self.edits.replace(present, line)
