"""What the runtime costs and hides: ``python -m benchmarks.runtime [--json]``.

* Overlap: an accelerator stage that waits and a CPU stage that is busy for so many milliseconds, as one package; the
  frame rate as a share of the slower stage's. The best of several runs, since a busy machine can only make it worse.
* Overhead: time per frame and per further region, of regions that do nothing, on either side.
* Memory: what the process holds after 10,000 and after 100,000 frames.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from host.build import Toolchain
from host.manifest import Board, Manifest, Region, Side, Tensor
from host.package import Package, write_package
from host.session import Session
from ir.engine import Port
from ir.layouts import Plain
from ir.types import DType

CASES = ((2, 2), (5, 5), (20, 20), (5, 2), (20, 5), (20, 2), (2, 5), (5, 20), (2, 20))
"""Milliseconds of the accelerator's and of the CPU's stage."""
SECONDS = 1.0
"""Of every run of a case."""
SHAPE = (8, 1, 1)

SOURCE = """
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "hc_region.h"

static int64_t now(void) {{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}}

/* Element {place} says for how many milliseconds. */
static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {{
    const int64_t end = now() + (int64_t)((const uint8_t *)inputs[0])[{place}] * 1000000;
    (void)arena;
    while (now() < end) {{
        {wait}
    }}
    memcpy(outputs[0], inputs[0], 8);
    return 0;
}}

static const uint32_t bytes[] = {{8}};
const hc_region hc_region_{name} = {{"{name}", HC_REGION_ABI, 1, 1, bytes, bytes, 0, run}};
"""
SLEEP = """
        struct timespec t = {0, (long)(end - now()) - 200000}; /* sleeps end late: the rest is waited for */
        if (t.tv_nsec > 0) {
            nanosleep(&t, NULL);
        }"""
SIDES: dict[Side, tuple[int, str]] = {"device": (0, SLEEP), "cpu": (1, ";")}
"""Which element of the frame a stage reads, and how it waits: an accelerator takes none of the CPU's time."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.runtime", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=3, help="of every case; the best counts (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=100_000, help="for the memory (default: %(default)s)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        both = package(root / "both", ["device", "cpu"])
        found = {
            "overlap": [overlap(both, case, options.runs) for case in CASES],
            "overhead_us": overheads(root, options.runs),
            "memory_kib": memory(package(root / "one", ["cpu"]), options.frames),
        }
    print(json.dumps(found) if options.json else text(found))
    return 0


def package(folder: Path, sides: Sequence[Side]) -> Package:
    """A chain of stages, one on each of ``sides``."""
    kind = DType("uint", 8)
    tensors = tuple(Tensor(f"t{i}", SHAPE, kind, 0, 255) for i in range(len(sides) + 1))
    regions, files = [], {}
    for i, side in enumerate(sides):
        place, wait = SIDES[side]
        path = f"regions/stage{i}/stage{i}.c"
        files[path] = SOURCE.format(name=f"stage{i}", place=place, wait=wait)
        regions.append(Region(f"stage{i}", side, (Port(f"t{i}", Plain()),), (Port(f"t{i + 1}", Plain()),), (path,)))
    board = Board("benchmark", "rv64gc", 0, "host", False, 64, 1 << 20)
    manifest = Manifest("stages", board, tensors, ("t0",), (tensors[-1].name,), tuple(regions))
    return write_package(folder, manifest, files, Toolchain().build)


def frame(device_ms: int, cpu_ms: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    values = np.zeros(SHAPE, np.uint8)
    values[0], values[1] = device_ms, cpu_ms
    return values


def overlap(built: Package, case: tuple[int, int], runs: int) -> dict[str, float]:
    """The share of the slower stage's rate that frames come at, after the pipeline has filled."""
    slowest = max(case) / 1000
    count = max(20, round(SECONDS / slowest))
    best = 0.0
    with Session(built) as session:
        for _ in range(runs):
            answers = session.run_all([frame(*case)] * (count + 1))
            next(answers)
            start = time.perf_counter()
            assert sum(1 for _ in answers) == count
            best = max(best, count * slowest / (time.perf_counter() - start))
    return {"device_ms": case[0], "cpu_ms": case[1], "share": round(best, 4)}


def overheads(root: Path, runs: int) -> dict[str, float]:
    """Microseconds per frame of one region, and of every further one."""
    further = 8
    one, many, device = (
        per_frame(package(root / name, sides), runs)
        for name, sides in (
            ("cpu1", ["cpu"]),
            ("cpu9", ["cpu"] * (1 + further)),
            ("device", ["cpu", "device"]),
        )
    )
    return {
        "frame with one CPU region": round(one, 2),
        "further CPU region": round((many - one) / further, 2),
        "further simulated device region": round(device - one, 2),
    }


def per_frame(built: Package, runs: int, count: int = 5000) -> float:
    best = float("inf")
    with Session(built) as session:
        for _ in range(runs):
            start = time.perf_counter()
            for _ in session.run_all([frame(0, 0)] * count):
                pass
            best = min(best, time.perf_counter() - start)
    return best / count * 1e6


def memory(built: Package, count: int) -> dict[str, int]:
    """Resident KiB of this process after a tenth of the frames and after all."""
    early = count // 10
    with Session(built) as session:
        for _ in session.run_all(frame(0, 0) for _ in range(early)):
            pass
        before = resident()
        for _ in session.run_all(frame(0, 0) for _ in range(count - early)):
            pass
        return {f"after {early} frames": before, f"after {count} frames": resident()}


def resident() -> int:
    """KiB that this process holds in memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def text(found: dict[str, object]) -> str:
    lines = ["accelerator  CPU     share of the slower stage's rate"]
    overlap_rows, overhead, held = found["overlap"], found["overhead_us"], found["memory_kib"]
    assert isinstance(overlap_rows, list) and isinstance(overhead, dict) and isinstance(held, dict)
    lines += [f"{row['device_ms']:6d} ms {row['cpu_ms']:6d} ms   {row['share']:.3f}" for row in overlap_rows]
    lines += [f"{name}: {value:.1f} us" for name, value in overhead.items()]
    lines += [f"{name}: {value} KiB" for name, value in held.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
