"""Runs in the peers' interpreter: a layer (JSON in argument 1) to a RISC-V object by TVM; prints its version.

TVM's default lowering: loops as topi wrote them, LLVM's vectoriser on them. Its tuner needs a board to measure on.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import tvm
from tvm import te, topi


def layer(case: dict[str, Any]) -> Any:
    x = te.placeholder(case["x_shape"], case["type"], "x")
    w = te.placeholder(case["w_shape"], case["type"], "w")
    pad = case["kernel"] // 2
    stride = case["stride"]
    if case["kind"] == "dense":
        y = topi.nn.matmul(x, w, out_dtype=case["result"])
    elif case["kind"] == "depthwise":
        y = topi.nn.depthwise_conv2d_nhwc(x, w, stride, pad, 1, out_dtype=case["result"])
    else:
        y = topi.nn.conv2d_nhwc(x, w, stride, pad, 1, out_dtype=case["result"])
    return te.create_prim_func([x, w, y]).with_attr("global_symbol", "layer")


def main() -> None:
    case = json.loads(sys.argv[1])
    module = tvm.IRModule({"layer": layer(case)})
    features = ["+m", "+a", "+f", "+d", "+c", "+v", f"+zvl{case['vlen']}b"]
    machine = {"kind": "llvm", "mtriple": "riscv64-unknown-linux-gnu", "mcpu": "generic-rv64"}
    library = tvm.compile(module, target=tvm.target.Target({**machine, "mattr": features, "mabi": "lp64d"}))
    library.mod.write_to_file(case["object"], "o")
    print(tvm.__version__)


if __name__ == "__main__":
    main()
