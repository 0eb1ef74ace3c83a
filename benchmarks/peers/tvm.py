"""TVM: topi's operators by its LLVM back end into an object, as lowered by default."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.peers.build import FOREIGN, Parts, ask
from benchmarks.peers.case import TYPES, Case
from cpu_backend import toolchain

WHEEL = "apache-tvm"
SCRIPT = FOREIGN / "tvm_compile.py"
SHIM = FOREIGN / "tvm_shim.c"
CODES = {"int8": 0, "float32": 2}
"""DLPack's."""


def version(python: str) -> str | None:
    """None where the interpreter has no such wheel. PeerError."""
    return ask(python, "tvm", "tvm.__version__")


def build(python: str, case: Case, vlen: int, folder: Path) -> Parts:
    """The layer for this vector length. ToolError."""
    target = folder.absolute() / "tvm.o"
    shapes = {"x": case.x_shape, "w": case.w_shape, "y": case.y_shape}
    if case.kind == "depthwise":
        shapes["w"] = (*case.w_shape, 1)  # a filter per channel
    request = {f"{name}_shape": shape for name, shape in shapes.items()} | {
        "kind": case.kind,
        "kernel": case.shape.kernel,
        "stride": case.shape.stride,
        "type": case.type,
        "result": TYPES[case.type],
        "vlen": vlen,
        "object": str(target),
    }
    toolchain.run([python, SCRIPT, json.dumps(request)], what=f"TVM on {case.shape.name}", folder=folder)
    flags = [f"-DHC_{name.upper()}_SHAPE={','.join(map(str, shape))}" for name, shape in shapes.items()]
    flags += [f"-DHC_CODE={CODES[case.type]}", f"-DHC_BITS={8 * np.dtype(case.type).itemsize}"]
    flags.append(f"-DHC_WORKSPACE={1 << 24}")
    return Parts(target, SHIM, tuple(flags))
