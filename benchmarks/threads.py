"""A CPU region on several cores of this machine: python -m benchmarks.threads MODEL [--threads N] [--frames N] [--json]

Makes the whole network a region for a board with N cores (2 by default), and runs frames with one thread and with N in
turns, in one process: milliseconds of the best and of the median frame, and how many times as fast N are. Whatever else
runs on the machine takes cores from the threads: the load average says how much that was.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from benchmarks.region import Region
from cpu_backend import runner, toolchain
from cpu_backend.emit import identifier
from cpu_backend.engine import CpuEngine
from frontend.load import load_model
from frontend.lower.freeze import freeze
from ir.graph import Graph
from ir.layouts import Plain
from ir.target import Cpu, SharedMemory, Target

SEED = 1
Bytes = npt.NDArray[np.uint8]


class Loaded:
    """The network as a region with the runtime's threads; ``run`` gives seconds of a frame."""

    def __init__(self, graph: Graph, threads: int, folder: Path) -> None:
        cpu = Cpu("rv64gcv", 256, threads, 1600.0, "host")
        artifact = CpuEngine().lower(graph, {}, Target("here", cpu, SharedMemory(1 << 28, 4.0, 64, True)))
        sources = [*runner.write_files(artifact, folder), toolchain.RUNTIME / "hc_threads.c"]
        flags = ["-O3", "-march=native", *runner.THREADS]
        library = ctypes.CDLL(str(toolchain.build_shared(sources, folder / "r.so", [toolchain.RUNTIME], flags)))
        self._region = Region.in_dll(library, f"hc_region_{identifier(graph.name)}")
        self._library = library
        rng = np.random.default_rng(SEED)
        frames = [rng.integers(t.lo, t.hi + 1, t.shape) for t in graph.inputs.values()]
        packed = zip(frames, graph.inputs.values(), strict=True)
        self._inputs = [np.frombuffer(Plain().pack(f, t), np.uint8) for f, t in packed]
        region = self._region
        self.outputs = [np.zeros(region.output_bytes[i], np.uint8) for i in range(region.output_count)]
        self._arena = np.zeros(region.arena_bytes + 64, np.uint8)

    def run(self, threads: int) -> float:
        """The frame once to start the threads and fill the caches, then once for the clock."""
        if self._library.hc_threads_open(threads):
            sys.exit(f"benchmarks.threads: the system gave no {threads} threads")
        given, made = (addresses(arrays) for arrays in (self._inputs, self.outputs))
        arena = self._arena.ctypes.data + -self._arena.ctypes.data % 64
        for _ in range(2):
            start = time.perf_counter()
            self._region.run(given, made, arena)
            seconds = time.perf_counter() - start
        self._library.hc_threads_close()
        return seconds


def addresses(arrays: Sequence[Bytes]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


def measure(graph: Graph, threads: int, frames: int) -> dict[str, float]:
    """Milliseconds and ratios; exits where the results differ."""
    with TemporaryDirectory() as folder:
        loaded = Loaded(graph, threads, Path(folder))
        seconds: dict[int, list[float]] = {1: [], threads: []}
        results = set()
        for _ in range(frames):
            for count, taken in seconds.items():
                taken.append(loaded.run(count))
                results.add(b"".join(output.tobytes() for output in loaded.outputs))
    if len(results) != 1:
        sys.exit("benchmarks.threads: results depend on the number of threads")
    one, many = seconds[1], seconds[threads]
    return {
        "threads": threads,
        "one_best_ms": 1000 * min(one),
        "many_best_ms": 1000 * min(many),
        "ratio_of_best": min(one) / min(many),
        "ratio_of_medians": statistics.median(one) / statistics.median(many),
        "load_average": os.getloadavg()[0],
        "cores": os.cpu_count() or 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.threads < 2 or options.frames < 1:
        parser.error("--threads is at least 2 and --frames at least 1")
    found = measure(freeze(load_model(options.model).graph).graph, options.threads, options.frames)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:18} {value:10.2f}")


if __name__ == "__main__":
    main()
