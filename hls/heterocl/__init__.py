"""HeteroCL, the language of the layer generators: the real package where it is installed, else this one's subset.

```python
from hls.heterocl import hcl, alloc, dataflow_regions, note
```

Programs that import this run unchanged under HeteroCL v0.5 and under `language.py`, with equal results. Their two
extensions are `alloc` (an uninitialised memory) and `dataflow_regions` (all stream links, then one function a stage);
`note` puts a comment into the code that this implementation prints.
"""

from importlib.util import find_spec

if find_spec("heterocl") is not None:
    import heterocl as hcl

    from .real import alloc, dataflow_regions, note
else:
    from . import language as hcl
    from .extensions import alloc, dataflow_regions, note

__all__ = ["alloc", "dataflow_regions", "hcl", "note"]
