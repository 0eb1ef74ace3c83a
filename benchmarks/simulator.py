"""The accelerator's native simulation: python -m benchmarks.simulator MODEL PACKAGE [PACKAGE...] [--frames N] [--json]

Compiles the simulators of the packages that hetero-compile made of MODEL, with the flags of a package's Makefile, and
runs frames of random words through them in one thread: processor seconds to compile and for a frame (the best of all),
and multiply-accumulates a second. Packages of several revisions take turns frame by frame; if they place the same
layers on the accelerator they have to give the same.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import resource
import subprocess
import sys
import tempfile
import time
from math import prod
from pathlib import Path

import numpy as np

from benchmarks.region import Region as LoadedRegion
from frontend.load import load_model
from frontend.lower.freeze import freeze
from host.manifest import Region
from host.package import load_package
from ir.graph import Graph
from ir.ops import Conv2d

FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared")


class Simulator:
    """The simulator of a package's accelerator region, compiled and loaded."""

    def __init__(self, package: Path, folder: Path) -> None:
        regions = [region for region in load_package(package).manifest.regions if region.side == "device"]
        if len(regions) != 1:
            sys.exit(f"benchmarks.simulator: {package} has {len(regions)} accelerator regions, one is needed")
        self.region, self.seconds = regions[0], list[float]()
        library = folder / "simulator.so"
        home, (source,) = package / "regions" / self.region.name, self.region.sources
        command = ["g++", *FLAGS, f"-I{package / 'runtime'}", f"-I{home}", str(package / source), "-o", str(library)]
        start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(command, check=True)
        self.compile_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start
        name = f"hc_region_{self.region.name}"
        self._region = LoadedRegion.in_dll(ctypes.CDLL(str(library)), name)

    def run(self, seed: int) -> list[bytes]:
        """The outputs of a random frame."""
        region, rng = self._region, np.random.default_rng(seed)
        inputs = [rng.integers(0, 256, region.input_bytes[i], np.uint8) for i in range(region.input_count)]
        outputs = [np.zeros(region.output_bytes[i], np.uint8) for i in range(region.output_count)]
        given, made = ((ctypes.c_void_p * len(a))(*(each.ctypes.data for each in a)) for a in (inputs, outputs))
        start = time.process_time()
        status = region.run(given, made, None)
        self.seconds.append(time.process_time() - start)
        if status:
            sys.exit(f"benchmarks.simulator: the simulator gave status {status}")
        return [each.tobytes() for each in outputs]


def macs(graph: Graph, region: Region) -> int:
    """Multiply-accumulates a frame, of the convolutions that have a stage in the region."""
    stages = {stage.name for stage in region.stages}
    found = [v for v in graph.views() if isinstance(v.op, Conv2d) and v.name in stages]
    return sum(v.type.elements * prod(v.operands[1].type.shape[1:]) for v in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("packages", type=Path, nargs="+", metavar="package")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    graph = freeze(load_model(options.model).graph).graph
    with tempfile.TemporaryDirectory() as folder:
        simulators = []
        for number, package in enumerate(options.packages):
            Path(folder, str(number)).mkdir()
            simulators.append(Simulator(package, Path(folder, str(number))))
        for frame in range(options.frames):
            outputs = [simulator.run(frame) for simulator in simulators]
            if any(simulator.region.outputs == simulators[0].region.outputs and made != outputs[0]
                   for simulator, made in zip(simulators, outputs, strict=True)):  # fmt: skip
                sys.exit(f"benchmarks.simulator: frame {frame}: the packages differ")
    results = [
        {
            "package": str(package),
            "compile_s": simulator.compile_s,
            "frame_s": min(simulator.seconds),
            "mac_per_s": macs(graph, simulator.region) / min(simulator.seconds),
        }
        for package, simulator in zip(options.packages, simulators, strict=True)
    ]
    if options.json:
        print(json.dumps(results))
        return
    for result in results:
        print(f"{result['package']}: compiled in {result['compile_s']:.1f} s; {result['frame_s']:.3f} s a frame, "
              f"{result['mac_per_s'] / 1e6:.0f} M MAC/s")  # fmt: skip


if __name__ == "__main__":
    main()
