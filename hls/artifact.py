"""The files of an accelerator: Vitis HLS C++ with its testbench, and the simulator behind the runtime's C ABI."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill

from jinja2 import Environment, PackageLoader, StrictUndefined
from xdsl.dialects.builtin import ModuleOp

from hls.heterocl.build import INCLUDE
from hls.heterocl.printers import print_native, print_vitis
from hls.packing import Geometry
from hls.program import Constants, Design, Port
from hls.vendor.defaults import vendor_text

MEMORY = ("memory.h", "weights.c")
"""What an accelerator that reads weights from memory has beside it: the words, and the runtime's table of them."""


@dataclass(frozen=True)
class _PortFacts:
    """What the templates need of a port."""

    name: str
    bits: int
    words: int

    @property
    def bytes(self) -> int:
        return self.words * self.bits // 8


@dataclass(frozen=True)
class _ConstantFacts:
    """What the templates need of a port for weights."""

    name: str
    bits: int
    words: int
    repeats: int
    text: str

    @property
    def times(self) -> str:
        return "once" if self.repeats == 1 else f"{self.repeats} times"

    @staticmethod
    def of(constants: Constants) -> _ConstantFacts:
        port, lowest = constants.port, -(1 << 63)
        words = [f"{word}" if word != lowest else "INT64_MIN" for word in constants.words.tolist()]
        text = fill(", ".join(words), 116, initial_indent="    ", subsequent_indent="    ")
        return _ConstantFacts(port.wire.name, port.bits, len(words), constants.repeats, text)


def accelerator_files(design: Design, module: ModuleOp, folder: str, dsp: Geometry) -> dict[str, str]:
    """Paths under ``folder`` and contents: accelerator.cpp, testbench.cpp, simulator.cpp and its header; memory.h and
    weights.c where weights are kept outside the accelerator.

    ``module`` is the design lowered, and is used up; ``dsp`` the multiplier to which accelerator.cpp binds packed
    products.
    """
    facts = {
        "name": design.name,
        "inputs": _facts(design.inputs),
        "constants": [_ConstantFacts.of(constants) for constants in design.constants],
        "outputs": _facts(design.outputs),
    }
    templates = Environment(
        loader=PackageLoader("hls"), undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    accelerator = _contents(design) + vendor_text(print_vitis(module), design, dsp)
    simulator = templates.get_template("simulator.cpp.j2").render(**facts, native=print_native(module, last=True))
    memory = {name: templates.get_template(f"{name}.j2").render(**facts) for name in MEMORY if design.constants}
    return {f"{folder}/{name}": text for name, text in memory.items()} | {
        f"{folder}/accelerator.cpp": accelerator,
        f"{folder}/testbench.cpp": templates.get_template("testbench.cpp.j2").render(**facts),
        f"{folder}/simulator.cpp": simulator,
        f"{folder}/hls_native.h": (INCLUDE / "hls_native.h").read_text(),
    }


def _contents(design: Design) -> str:
    """What a reader finds in accelerator.cpp, as lines of comment: constants are long and stand in front."""
    width = max(len(stage.name) for stage in design.stages)
    stages = [f"//   {s.name:{width}}  {s.cycles:9,}  {s.note}".rstrip() for s in design.stages]
    lines = (
        f"// Accelerator {design.name}: constants, then {len(stages)} stages, then {design.name}(), which joins them",
        "// by streams; all run at once. The stages, with the cycles that each takes for a frame:",
        *stages,
    )
    return "\n".join(lines) + "\n"


def _facts(ports: tuple[Port, ...]) -> list[_PortFacts]:
    return [_PortFacts(port.wire.name, port.bits, port.wire.words) for port in ports]
