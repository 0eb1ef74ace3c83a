"""What compiling takes: python -m benchmarks.compile_time [NETWORK...] [--board NAME] [--float] [--json]

Compiles networks of the zoo with seeded weights (`benchmarks.seeded`), or files of models, for a board; networks of
floats are quantised to 8 bits, by noise or by --calibration PHOTOS, unless told --float. Prints seconds of wall time,
seconds of processor time of hetero-compile and the compilers that it runs, the peak memory of the largest of these
programs, and what was placed where.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.flow import RUN
from benchmarks.seeded import seeded_state
from frontend.zoo import ENTRIES

NETWORKS = ("resnet50", "densenet121")
INPUTS = 32
"""Of noise, where no photos are given: as many as hetero-compile looks at."""


def compiled(model: Path, options: list[str], package: Path) -> dict[str, Any]:
    """Compiles in a process of its own; its error ends the benchmark."""
    command = [
        sys.executable, "-c", RUN.format(module="hetero_compile.cli"), str(model), *options, "-o", str(package), "-q"
    ]  # fmt: skip
    start = time.perf_counter()
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert child.stderr
    message = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"benchmarks.compile_time: {message.strip()}")
    placement = json.loads((package / "placement.json").read_text())
    files = [file.stat().st_size for file in package.rglob("*") if file.is_file()]
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_memory_mib": used.ru_maxrss >> 10,
        "package_mib": sum(files) >> 20,
        "placement": placed(placement),
    }


def placed(placement: dict[str, Any]) -> str:
    counts = Counter(node["engine"] for node in placement["decisions"])
    return ", ".join(f"{count} nodes on {engine}" for engine, count in sorted(counts.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", metavar="NETWORK", nargs="*", help="names of the zoo, or files of models")
    parser.add_argument("--board", default="zu3eg-rvv")
    parser.add_argument("--float", action="store_true", dest="real", help="float32 on the CPU instead of 8 bits")
    parser.add_argument("--calibration", type=Path, metavar="PHOTOS", help="by which to quantise; noise by default")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for network in options.networks or NETWORKS:
            arguments = ["--board", options.board]
            model = Path(network)
            if network in ENTRIES:
                model = Path(folder, f"{network}.pt")
                torch.save(seeded_state(network), model)
                arguments += ["--arch", network]
                if not options.real:
                    inputs = options.calibration or noise(Path(folder, f"{network}.npy"), ENTRIES[network].input_shape)
                    arguments += ["--quantise", "w8a8", "--calibration", str(inputs)]
            results[network] = compiled(model, arguments, Path(folder, f"{model.stem}_package"))
            if not options.json:
                print(f"{network}: " + ", ".join(f"{key} {value}" for key, value in results[network].items()))
    if options.json:
        print(json.dumps(results))


def noise(path: Path, shape: tuple[int, ...]) -> Path:
    """Pictures of seeded bytes."""
    np.save(path, np.random.default_rng(0).integers(0, 256, (INPUTS, *shape[1:]), np.uint8))
    return path


if __name__ == "__main__":
    main()
