"""The flow's own speed: python -m benchmarks.flow MODEL PHOTO... [--json]

Compiles MODEL for zu3eg-rvv, runs one photo and then all photos on the simulator and under the emulator.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = "import sys; from {module} import main; sys.exit(main())"


def timed(module: str, *arguments: object) -> tuple[float, str]:
    """Seconds of wall time and standard output of a command line of ours; its error ends the benchmark."""
    command = [sys.executable, "-c", RUN.format(module=module), *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"benchmarks.flow: {done.stderr.strip()}")
    return time.perf_counter() - start, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package, drawn = Path(folder, "package"), Path(folder, "drawn.png")
        results = {
            "compile_s": timed("hetero_compile.cli", options.model, "--board", "zu3eg-rvv", "-o", package, "-q")[0]
        }
        results["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        for place in ("sim", "qemu"):
            results[f"one_photo_{place}_s"] = timed("host.cli", package, options.photos[0], "--on", place, "-o", drawn)[
                0
            ]
            drawn.unlink()
            _, text = timed(
                "host.cli", package, *options.photos, *options.photos[:1], "--on", place, "-o", Path(folder, place)
            )
            found = re.search(r"([\d.]+) frames/s", text)
            results[f"{place}_frames_per_s"] = float(found[1]) if found else float("nan")
    if options.json:
        print(json.dumps(results))
    else:
        for name, value in results.items():
            print(f"{name:22} {value:10.2f}")


if __name__ == "__main__":
    main()
