"""``python -m cpu_backend.warm``: builds the compiler wheel's riscv64 C library, once per machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from cpu_backend import toolchain

PROGRAM = '#include <stdio.h>\n\nint main(void) {\n    puts("ready");\n    return 0;\n}\n'


def warm() -> float:
    """Compiles, links and runs a program for riscv64; the seconds it took. ToolError where a tool is missing."""
    start = time.monotonic()
    with TemporaryDirectory() as folder:
        source = Path(folder, "warm.c")
        source.write_text(PROGRAM, encoding="utf-8")
        program = toolchain.build_riscv([source], Path(folder, "warm"), toolchain.SCALAR)
        toolchain.run_riscv(program)
    return time.monotonic() - start


def _progress(done: Event) -> None:
    start = time.monotonic()
    terminal = sys.stdout.isatty()
    while not done.wait(1.0 if terminal else 20.0):
        seconds = time.monotonic() - start
        text = f"Preparing the RISC-V compiler (once, one to three minutes): {seconds:3.0f} s"
        print(f"\r{text}" if terminal else text, end="" if terminal else "\n", flush=True)


def main() -> int:
    done = Event()
    line = Thread(target=_progress, args=(done,), daemon=True)
    line.start()
    try:
        seconds = warm()
    except toolchain.ToolError as error:
        done.set()
        line.join()
        print(f"\n{error}", file=sys.stderr)
        return 1
    done.set()
    line.join()
    print(f"\rThe RISC-V compiler and emulator are ready ({seconds:.1f} s)." + " " * 40)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
