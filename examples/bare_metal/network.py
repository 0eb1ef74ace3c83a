"""Writes the example's C: python examples/bare_metal/network.py ISA FOLDER

A small network of 8-bit, 4-bit, 2-bit and 1-bit layers with seeded weights, one frame for it, and what the reference
executor says the result has to be (`expected.txt`, as main.c prints it).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cpu_backend import codegen
from cpu_backend.engine import PASSES
from cpu_backend.scalar import word_of
from ir.executor import execute
from ir.graph import Graph, Node
from ir.layouts import Plain
from ir.ops import Conv2d, MaxPool2d, MultiplyShift
from ir.passes.base import run_passes
from ir.target import Cpu
from ir.types import Array, DType, TensorType

ISAS = {"rv32im": Cpu("rv32im", 0, 1, 100.0, "coprocessor"), "rv64gcv": Cpu("rv64gcv", 256, 1, 100.0, "host")}
PADDED = (1, 1, 1, 1)


@dataclass(frozen=True)
class Example:
    """The network, the frame for its input ``x``, and the bytes of its output ``y``."""

    graph: Graph
    frame: Array
    result: bytes


def example() -> Example:
    rng = np.random.default_rng(1)
    x = TensorType.of_dtype((3, 16, 16), DType("uint", 8))
    constants: dict[str, Array] = {
        "first.w": rng.integers(-127, 128, (16, 3, 3, 3)),
        "second.w": rng.integers(-7, 8, (32, 16, 3, 3)),
        "third.w": rng.integers(-1, 2, (32, 32, 3, 3)),
        "fourth.w": rng.choice([-1, 1], (32, 32, 3, 3)),
        "y.w": rng.integers(-127, 128, (10, 32, 4, 4)),
    }
    nodes: list[Node] = []

    def layer(name: str, source: str, most: int, mul: int, shift: int) -> str:
        """A convolution and its requantisation to 0..most."""
        channels = constants[f"{name}.w"].shape[0]
        constants[f"{name}.mul"] = rng.integers(mul, 2 * mul, channels)
        constants[f"{name}.add"] = rng.integers(0, 1 << shift, channels)
        nodes.append(Node(f"{name}.sums", Conv2d(padding=PADDED), (source, f"{name}.w")))
        map_ = MultiplyShift(shift, 0, most)
        nodes.append(Node(name, map_, (f"{name}.sums", f"{name}.mul", f"{name}.add")))
        return name

    first = layer("first", "x", 15, 40, 16)
    nodes.append(Node("half", MaxPool2d(), (first,)))
    second = layer("second", "half", 3, 700, 16)
    nodes.append(Node("quarter", MaxPool2d(), (second,)))
    third = layer("third", "quarter", 1, 3000, 16)
    fourth = layer("fourth", third, 15, 60000, 16)
    nodes.append(Node("y", Conv2d(), (fourth, "y.w")))
    graph = Graph("example", {"x": x}, tuple(nodes), ("y",), constants).verify()
    frame = rng.integers(0, 256, x.shape)
    return Example(graph, frame, Plain().pack(execute(graph, {"x": frame})["y"], graph.types["y"]))


def report(result: bytes) -> str:
    """What main.c prints of a result: its FNV-1a hash and its first integers."""
    code = 0x811C9DC5
    for byte in result:
        code = (code ^ byte) * 0x01000193 % (1 << 32)
    integers = np.frombuffer(result, np.int32)[:10]
    return f"checksum {code:08x}\ny {' '.join(str(int(v)) for v in integers)}\n"


def write(isa: str, folder: Path) -> Example:
    """The region's sources, frame.h and expected.txt into ``folder``."""
    made = example()
    code = codegen.generate(run_passes(made.graph, PASSES), word=word_of(ISAS[isa]))
    for path, content in code.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    x = made.graph.inputs["x"]
    numbers = [str(byte) for byte in Plain().pack(made.frame, x)]
    rows = "\n".join(f"    {', '.join(numbers[i : i + 16])}," for i in range(0, len(numbers), 16))
    (folder / "frame.h").write_text(
        f"/* One frame for region example, and the sizes of its memory. */\n#include <stdint.h>\n\n"
        f"#define ARENA_BYTES {max(code.memory.size, 1)}u\n#define OUTPUT_BYTES {len(made.result)}u\n\n"
        f"static const uint8_t frame[{len(numbers)}] __attribute__((aligned(64))) = {{\n{rows}\n}};\n",
        encoding="utf-8",
    )
    (folder / "sources.mk").write_text(f"REGION := {' '.join(code.sources)}\n", encoding="utf-8")
    (folder / "expected.txt").write_text(report(made.result), encoding="utf-8")
    return made


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] not in ISAS:
        print(f"usage: network.py {{{'|'.join(ISAS)}}} FOLDER", file=sys.stderr)
        return 2
    write(sys.argv[1], Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
