"""From the names of the HeteroCL program to the places in a printed text.

This project's printer calls a stage's function and its loops ``conv`` and ``conv_cg``; v0.5 calls them ``Stage_conv``,
``l_conv_y`` (outermost) and ``l_cg``, with a number behind a name that occurs again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .errors import VendorError
from .source import parse
from .symbols import Symbols
from .syntax import Call, Declaration, Evaluate, Expression, Function, Loop, Name, Unit, expressions
from .widths import Widths


@dataclass(frozen=True)
class Text:
    """A parsed text and what is known of its names."""

    unit: Unit
    symbols: Symbols
    widths: Widths

    @staticmethod
    def of(text: str) -> Text:
        unit = parse(text)
        symbols = Symbols.of(unit)
        return Text(unit, symbols, Widths(symbols))

    def source(self, expression: Expression) -> str:
        return self.unit.text[expression.start : expression.end]

    @property
    def top(self) -> Function:
        """The function that no other calls.

        Raises:
            VendorError: there are several.
        """
        called = {
            s.expression.function
            for f in self.unit.functions
            for s in f.walk()
            if isinstance(s, Evaluate) and isinstance(s.expression, Call) and not s.expression.receiver
        }
        tops = [f for f in self.unit.functions if f.name not in called]
        if len(tops) != 1:
            raise VendorError(f"one function that no other calls is the accelerator; here are {_listed(tops)}")
        return tops[0]

    def function(self, name: str) -> Function:
        """The function of a stage, or one of exactly this name."""
        for wanted in (name, f"Stage_{name}"):
            for function in self.unit.functions:
                if function.name == wanted:
                    return function
        raise VendorError(f"there is no function {name} (there are: {_listed(self.unit.functions)})")

    def port(self, name: str, names: Sequence[str]) -> Declaration:
        """An argument of the top function: by its place where ``names`` tells all of them, else by its name."""
        parameters = self.top.parameters
        if name in names and len(names) == len(parameters):
            return parameters[names.index(name)]
        for parameter in parameters:
            if parameter.name == name and not names:
                return parameter
        have = ", ".join(p.name for p in parameters)
        raise VendorError(f"the top function {self.top.name} has no argument {name} (its arguments: {have or 'none'})")

    def loop(self, function: Function, name: str) -> Loop:
        """A loop by the name of its variable in the program."""
        stage = function.name.removeprefix("Stage_")
        wanted = (f"{stage}_{name}", f"l_{stage}_{name}", f"l_{name}")
        exact = [loop for loop in function.loops if loop.label in wanted]
        found = exact or [loop for loop in function.loops if _unnumbered(loop.label) in wanted]
        if len(found) == 1:
            return found[0]
        labels = ", ".join(loop.label or f"for {loop.variable}" for loop in function.loops)
        raise VendorError(f"function {function.name} has no loop {name} (its loops: {labels or 'none'})")

    def array(self, function: Function, name: str) -> Declaration:
        """The declaration of an array that the function declares, takes, or uses from outside."""
        arrays = {d.name: d for d in self.arrays(function)}
        if name not in arrays:
            have = ", ".join(arrays) or "none"
            raise VendorError(f"function {function.name} has no array {name} (its arrays: {have})")
        return arrays[name]

    def arrays(self, function: Function) -> list[Declaration]:
        """Arrays that a function declares or takes, then those that it uses from outside."""
        return self._arrays[function.name]

    @cached_property
    def _arrays(self) -> dict[str, list[Declaration]]:
        found = {}
        for function in self.unit.functions:
            own = [v.declaration for v in self.symbols.declared[function.name] if v.declaration and v.declaration.shape]
            inner = (e for s in function.walk() for expression in expressions(s) for e in expression.walk())
            used = {id(self.symbols.variable(e)) for e in inner if isinstance(e, Name)}
            outside = [v.declaration for v in self.symbols.outside if id(v) in used and v.declaration]
            found[function.name] = [*own, *outside]
        return found

    def is_outside(self, declaration: Declaration) -> bool:
        return declaration in self.unit.globals


def _unnumbered(label: str) -> str:
    """``l_cg_0`` and ``l_cg1`` -> ``l_cg``: names that occur again are numbered, by program and by printer."""
    base = label.rstrip("0123456789")
    return base.removesuffix("_") if base != label else label


def _listed(functions: Sequence[Function]) -> str:
    return ", ".join(f.name for f in functions) or "none"
