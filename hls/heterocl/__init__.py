"""HeteroCL, the language of the layer generators: the real package where it is installed, else this one's subset.

```python
from hls.heterocl import hcl, alloc, dataflow_regions, note
```

Programs that import this run unchanged under HeteroCL v0.5 and under `language.py`, with equal results. Their two
extensions are `alloc` (an uninitialised memory) and `dataflow_regions` (all stream links, then one function a stage);
`loop_of` finds a loop under the name that HeteroCL gave it; `note` puts a comment into the code that this
implementation prints.

| module | what it holds |
|--|--|
| `types`, `expr`, `tensor`, `language` | the language: typing rules, expressions, tensors, HeteroCL's names |
| `builder`, `trace`, `schedule` | a program becomes a function of the stage dialect; primitives annotate it |
| `dialect`, `rom`, `ranges`, `accesses` | the stage IR on xDSL; what is known of its values and accesses |
| `passes`, `lower` | checks, streams, outlining: from a schedule to the module that all executors take |
| `identifiers`, `passes/limits`, `passes/signs` | what HeteroCL v0.5 loses or prints wrong, refused here |
| `printers`, `build` | Vitis HLS C++ and native C++17; a program compiled and called |
| `simulate` | the exact reference at any width, with bounded streams and deadlocks |

```python
a = hcl.placeholder((8, 8), "A", hcl.UInt(4))

def top(a):
    return hcl.compute((8, 8), lambda y, x: a[y, x] * 3, "B", dtype=hcl.Int(6))

s = hcl.create_schedule([a], top)
s[top.B].pipeline(top.B.axis[1])
program = hcl.build(s)                      # program(hcl.asarray(frame, hcl.UInt(4)), result)
text = hcl.build(s, target="vhls")          # the C++ that Vitis HLS takes
```
"""

from importlib.util import find_spec

if find_spec("heterocl") is not None:
    import heterocl as hcl

    from .real import alloc, dataflow_regions, loop_of, note
else:
    from . import language as hcl
    from .extensions import alloc, dataflow_regions, loop_of, note

__all__ = ["alloc", "dataflow_regions", "hcl", "loop_of", "note"]
