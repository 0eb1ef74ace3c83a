"""The zoo case by case, each in a process of its own, and a record of it:

``python -m tests.flow.zoo_record [NETWORK...] [--board BOARD] [--limit SECONDS] [--again]`` compiles, compares or
writes the placement, executes one frame on `sim` and `qemu`, and puts down what happened (`zoo_record.json`), with
processor time and peak memory; cases on record that went well are passed over unless told ``--again``.
``python -m tests.flow.zoo_record --table`` prints what docs/zoo.md shows.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from zoo_cases import BOARDS, PLACEMENTS, PLACES, Frame, first_difference, placement
from zoo_networks import NAMES, REDUCED, SIDE, model_file

from hetero_compile.board import load_board
from hetero_compile.flow import compile_model, package

RECORD = Path(__file__).parent / "zoo_record.json"
LIMIT = 480.0
"""Seconds of wall time for a case."""

KEPT = "as on record"

Case = dict[str, Any]


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def run_case(name: str, board: str, place_only: bool) -> None:
    """In the case's own process: prints one object a step."""
    taken, told = 0.0, list[str]()

    def progress(text: str) -> None:
        told.append(text)
        print(text, file=sys.stderr, flush=True)

    def spent() -> float:
        """Processor seconds since the last step, of programs that ended as well."""
        nonlocal taken
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        before, taken = taken, sum(used.ru_utime + used.ru_stime for used in both)
        return round(taken - before, 1)

    with tempfile.TemporaryDirectory() as folder:
        file, options = model_file(name, Path(folder))
        spent()
        compiled = compile_model(file, load_board(BOARDS[board]), options, progress)
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        on = {r.engine.side: 0 for r in compiled.plan.regions}
        for r in compiled.plan.regions:
            on[r.engine.side] += len(r.graph.nodes)
        say(compile_s=spent(), peak_mib=peak >> 10, nodes=len(compiled.graph.nodes), device=on.get("device", 0))
        say(plans=sum(text.startswith("partitioning") for text in told))
        known, found = PLACEMENTS / f"{name}-{board}.txt", placement(compiled)
        if not known.is_file():
            known.write_text(found)
        say(placement=first_difference(known.read_text(), found) or KEPT)
        if place_only:
            return
        frame = Frame.of(compiled)
        spent()
        built = package(compiled, Path(folder, "package"), {}, lambda _: None)
        say(package_s=spent())
        for place in PLACES:
            say(**{place: frame.wrong(built, place) or "exact", f"{place}_s": spent()})


def recorded(name: str, board: str, limit: float, place_only: bool) -> Case:
    """What a case in its own process came to; where it took too long or failed, in which step, and why."""
    arguments = [sys.executable, "-m", "tests.flow.zoo_record", "--case", name, board]
    if place_only:
        arguments.append("--place-only")
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
        try:
            output, _ = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            output, _ = child.communicate()
        errors.seek(0)
        last = [line.strip() for line in errors if line.strip()][-1:]
    case: Case = {}
    for line in output.splitlines():
        case.update(json.loads(line))
    if child.returncode and PLACES[-1] not in case:
        what = f"stopped after {limit:.0f} s" if child.returncode == -signal.SIGKILL else "failed"
        case["outcome"] = f"{what}: {last[0] if last else 'nothing said'}"
    return case


def read() -> dict[str, Case]:
    """By "NETWORK BOARD"."""
    return dict(json.loads(RECORD.read_text())) if RECORD.is_file() else {}


def went_well(case: Case) -> bool:
    exact = all(case.get(place) == "exact" for place in PLACES)
    return exact and "outcome" not in case and case.get("placement") == KEPT


def is_quick(case: Case) -> bool:
    """Whether all of it went well within a minute of processor time."""
    return went_well(case) and sum(value for step, value in case.items() if step.endswith("_s")) < 60


def table(record: dict[str, Case]) -> str:
    """A row for each network that ran: on each board the nodes on the accelerator, processor time and memory of
    compiling, and where it ran exactly. Then the cases that are left."""
    head = ("network", *(f"{board}: accelerator | compile | exact on" for board in BOARDS))
    lines = [" | ".join(("", *head, "")).strip(), "|--" * (1 + 3 * len(BOARDS)) + "|"]
    left: dict[str, list[str]] = {board: [] for board in BOARDS}
    for name in NAMES:
        cells = [f"`{name}`" + (f", {SIDE}x{SIDE}" if name in REDUCED else "")]
        for board in BOARDS:
            case = record.get(f"{name} {board}", {})
            exact = [f"`{place}`" for place in PLACES if case.get(place) == "exact"]
            if not exact:
                left[board].append(f"`{name}`")
                cells += ["", "", ""]
                continue
            cells += [
                f"{case['device']} of {case['nodes']}",
                f"{case['compile_s']:.0f} s, {case['peak_mib'] / 1024:.1f} GiB",
                ", ".join(exact),
            ]
        if any(cells[1:]):
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(f"Not run on `{board}`: {', '.join(names) or 'none'}.\n" for board, names in left.items())]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", metavar="NETWORK", nargs="*", default=[], help="all of the zoo by default")
    parser.add_argument("--board", choices=BOARDS, help="both by default")
    parser.add_argument("--limit", type=float, default=LIMIT, metavar="SECONDS", help="of wall time for a case")
    parser.add_argument("--again", action="store_true", help="also cases that went well before")
    parser.add_argument("--place-only", action="store_true", help="do not execute")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        run_case(*options.case, options.place_only)
        return
    record = read()
    if options.table:
        print(table(record), end="")
        return
    for name, board in itertools.product(options.networks or NAMES, [options.board] if options.board else BOARDS):
        if went_well(record.get(f"{name} {board}", {})) and not options.again:
            continue
        case = recorded(name, board, options.limit, options.place_only)
        print(f"{name} {board}: {json.dumps(case)}", flush=True)
        record = read()  # another board's may run meanwhile
        record[f"{name} {board}"] = case
        RECORD.write_text(json.dumps(dict(sorted(record.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
