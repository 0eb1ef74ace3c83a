"""IREE: linalg's operators by its llvm-cpu back end; the dumped object is run by the steps of the command buffer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.build import FOREIGN, Parts, PeerError, ask
from benchmarks.peers.case import TYPES, Case
from cpu_backend import toolchain

WHEEL = "iree-base-compiler"
SHIM = FOREIGN / "iree_shim.c"
COMPILER = ("-m", "iree.compiler.tools.scripts.iree_compile")
OPTIONS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-triple=riscv64-unknown-linux-gnu",
    "--iree-llvmcpu-target-cpu=generic-rv64",
    "--iree-llvmcpu-target-abi=lp64d",
    "--iree-opt-level=O3",
    "--compile-to=hal",
)
NAMES = {"int8": "i8", "int32": "i32", "float32": "f32"}
NUMBER = re.compile(r"%c(\d+)$")


def version(python: str) -> str | None:
    """None where the interpreter has no such wheel. PeerError."""
    return ask(python, "iree.compiler.version", "iree.compiler.version.VERSION")


def build(python: str, case: Case, vlen: int, folder: Path) -> Parts:
    """The layer for this vector length. ToolError, PeerError."""
    source, program, dump = folder / "layer.mlir", folder / "hal.mlir", folder / "dump"
    source.write_text(program_text(case))
    features = f"--iree-llvmcpu-target-cpu-features=+m,+a,+f,+d,+c,+v,+zvl{vlen}b"
    options = [*OPTIONS, features, f"--iree-hal-dump-executable-files-to={dump.absolute()}"]
    command: list[str | Path] = [python, *COMPILER, source.absolute(), *options, "-o", program.absolute()]
    toolchain.run(command, what=f"IREE on {case.shape.name}", folder=folder)
    objects = sorted(dump.glob("*.o"))
    if len(objects) != 1:
        raise PeerError(f"IREE dumped {len(objects)} objects for {case.shape.name}, not 1")
    (folder / "peer_schedule.h").write_text(read_schedule(program.read_text()).header())
    return Parts(objects[0], SHIM, ())


def program_text(case: Case) -> str:
    """The layer as a function of x and w."""
    kind, element, result = case.kind, NAMES[case.type], NAMES[TYPES[case.type]]
    zero = {"int8": "0", "float32": "0.0"}[case.type]
    x, w, y = (_tensor(shape, element) for shape in (case.x_shape, case.w_shape, case.y_shape))
    y = _tensor(case.y_shape, result)
    pad, operand, padded, padding = case.shape.kernel // 2, "%x", x, ""
    if pad:
        _, height, width, channels = case.x_shape
        grown = (1, height + 2 * pad, width + 2 * pad, channels)
        operand, padded = "%padded", _tensor(grown, element)
        padding = f"""%padded = tensor.pad %x low[0, {pad}, {pad}, 0] high[0, {pad}, {pad}, 0] {{
  ^bb0(%a: index, %b: index, %c: index, %d: index):
    tensor.yield %zero : {element}
  }} : {x} to {padded}"""
    attributes = f"{{dilations = dense<1> : vector<2xi64>, strides = dense<{case.shape.stride}> : vector<2xi64>}}"
    operator = {
        "dense": "linalg.matmul",
        "conv": f"linalg.conv_2d_nhwc_hwcf {attributes}",
        "depthwise": f"linalg.depthwise_conv_2d_nhwc_hwc {attributes}",
    }[kind]
    return f"""func.func @layer(%x: {x}, %w: {w}) -> {y} {{
  %zero = arith.constant {zero} : {element}
  %start = arith.constant {zero} : {result}
  {padding}
  %empty = tensor.empty() : {y}
  %zeros = linalg.fill ins(%start : {result}) outs(%empty : {y}) -> {y}
  %y = {operator} ins({operand}, %w : {padded}, {w}) outs(%zeros : {y}) -> {y}
  return %y : {y}
}}
"""


def _tensor(shape: tuple[int, ...], element: str) -> str:
    return f"tensor<{'x'.join(map(str, shape))}x{element}>"


@dataclass(frozen=True)
class Step:
    """A dispatch, or where ``name`` is None a fill of the first binding; bindings are (buffer, offset, length)."""

    name: str | None
    count: tuple[int, ...]
    bindings: tuple[tuple[int, int, int], ...]
    pattern: int = 0

    def initialiser(self) -> str:
        name = f'"{self.name}"' if self.name else "0"
        count, bindings = _braces(self.count), _braces(_braces(b) for b in self.bindings)
        return f"{{{name}, {count}, {len(self.bindings)}, {bindings}, {self.pattern}, 0, {{0}}}}"


@dataclass(frozen=True)
class Schedule:
    """``buffers`` has C expressions: the operands, the result or memory of a size in bytes."""

    buffers: tuple[str | int, ...]
    steps: tuple[Step, ...]

    def header(self) -> str:
        memory, names = [], []
        for i, buffer in enumerate(self.buffers):
            if isinstance(buffer, int):
                memory.append(f"static uint8_t memory{i}[{buffer}] __attribute__((aligned(64)));")
            names.append(f"memory{i}" if isinstance(buffer, int) else buffer)
        steps = ",\n    ".join(step.initialiser() for step in self.steps)
        listed = f"#define HC_BUFFERS {', '.join(names)}"
        return "\n".join([*memory, listed, f"static const step steps[] = {{\n    {steps},\n}};", ""])


def read_schedule(text: str) -> Schedule:
    """From the module after the phase `hal`: the commands of its only buffer and what that is bound to. PeerError."""
    names = {}
    for match in re.finditer(r"(%\S+) = hal\.buffer_view\.buffer<%arg(\d)", text):
        names[match[1]] = ("(uint8_t *)(uintptr_t)x", "(uint8_t *)(uintptr_t)w")[int(match[2])]
    sizes = {m[1]: _number(m[2]) for m in re.finditer(r"(%\S+) = hal\.device\.queue\.alloca<.*\{(%\S+)\}", text)}
    results = re.findall(r"hal\.buffer_view\.create buffer\((%\S+) ", text)
    bound = re.findall(r"execute\.indirect<.*bindings\(\[\n((?:.*\n)*?) *\]\)", text)
    if len(results) != 1 or len(bound) != 1:
        raise PeerError(f"IREE's program has {len(results)} results and {len(bound)} command buffers, not 1 of each")
    buffers: list[str | int] = []
    for name, offset in re.findall(r"\((%\S+) : !hal\.buffer\)\[(%\S+),", bound[0]):
        if _number(offset):
            raise PeerError(f"IREE bound the buffer {name} with an offset")
        buffers.append("(uint8_t *)y" if name == results[0] else names.get(name) or sizes[name])
    return Schedule(tuple(buffers), tuple(_steps(text)))


COMMAND = re.compile(r"hal\.command_buffer\.(\w+)<.*(?:\n +\(.*)*(?:\n +\]\).*)?")
IGNORED = ("execution_barrier", "finalize", "create", "begin_debug_group", "end_debug_group")


def _steps(text: str) -> list[Step]:
    functions = dict(re.findall(r"(%\S+) = hal\.executable\.lookup\.function .*@(\w+)\) : i64", text))
    steps = []
    for command in COMMAND.finditer(text):
        words = command[0]
        if command[1] == "fill_buffer":
            fill = re.search(r"target\((%\S+) : index\)\[(%\S+), (%\S+)\] pattern\(%c(\d+)_i8 : i8\)", words)
            if not fill:
                raise PeerError(f"IREE's command is not known: {words}")
            steps.append(Step(None, (1, 1, 1), ((_number(fill[1]), _number(fill[2]), _number(fill[3])),), int(fill[4])))
        elif command[1] == "dispatch" and " constants(" not in words:
            function, *count = re.findall(r"\)\[(%\S+)\] workgroups\(\[(%\S+), (%\S+), (%\S+)\]\)", words)[0]
            found = re.findall(r"\((%\S+) : index\)\[(%\S+), (%\S+)\]", words)
            bindings = tuple((_number(b), _number(offset), _number(length)) for b, offset, length in found)
            steps.append(Step(functions[function], tuple(_number(n) for n in count), bindings))
        elif command[1] not in IGNORED:
            raise PeerError(f"IREE's command is not known: {words}")
    return steps


def _number(name: str) -> int:
    """Constants of index type are named after their value."""
    found = NUMBER.match(name)
    if not found:
        raise PeerError(f"IREE's program computes {name}, where a constant was expected")
    return int(found[1])


def _braces(items: Iterable[object]) -> str:
    return "{" + ", ".join(str(item) for item in items) + "}"
