"""Entry points: hetero-compile (from a model file and a board to a package that runs), hetero-profile, hetero-tune."""

from __future__ import annotations

import gc
import sys

MISSING = (
    "{program}: the compiler's packages are not installed ({name}): pip install 'hetero-compile[compile]' "
    "(this installation can run finished packages with hetero-run)"
)


def main() -> int:
    """Exit status: 0, 1 if a check found a difference, 2 after any error (one line on standard error)."""
    try:
        from hetero_compile.command import run
    except ModuleNotFoundError as error:
        print(MISSING.format(program="hetero-compile", name=error.name), file=sys.stderr)
        return 2
    collect_less()
    return run(sys.argv[1:])


def collect_less() -> None:
    """Most of what a compilation makes lives to its end: looking for garbage in it every 700 objects, as Python does,
    takes a quarter of the time."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def profile() -> int:
    """Exit status: 0, or 2 after any error (one line on standard error)."""
    try:
        from hetero_compile.profile_command import run
    except ModuleNotFoundError as error:
        print(MISSING.format(program="hetero-profile", name=error.name), file=sys.stderr)
        return 2
    return run(sys.argv[1:])


def tune() -> int:
    """Exit status: 0, 1 if an entry of the database does not hold, 2 after any error (one line on standard error)."""
    try:
        from hetero_compile.tune_command import run
    except ModuleNotFoundError as error:
        print(MISSING.format(program="hetero-tune", name=error.name), file=sys.stderr)
        return 2
    return run(sys.argv[1:])
