"""docs/placement.png: one network on two boards, from the placements on record (tests/flow/placements).

Run as ``python -m benchmarks.placement_picture``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib

from hetero_compile.board import load_board
from ir.target import Target

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "tests" / "flow" / "placements"
NETWORK = "ultranet"
BOARDS = {
    "zu3eg-rvv": ("zu3eg-rvv", "a ZU3EG fabric, RISC-V with vectors"),
    "small-u54": (str(ROOT / "tests" / "flow" / "small-u54.yaml"), "a small fabric, RISC-V without vectors"),
}
COLOURS = {"FPGA": "#0b6e4f", "CPU": "#8a3b12"}
MICRO = 1e-3


@dataclass(frozen=True)
class Row:
    """A node that takes time: its name and operator, the side it runs on, milliseconds a frame."""

    label: str
    side: str
    ms: float


def rows(record: str, target: Target) -> list[Row]:
    """Of a placement's file: the nodes with cycles, in the order of the network."""
    assert target.fabric is not None
    clocks = {"FPGA": target.fabric.clock_mhz, "CPU": target.cpu.clock_mhz}
    found = re.findall(r"^(\S+) +(\S+) +(FPGA|CPU) +(\d+)", record, re.MULTILINE)
    return [
        Row(f"{name}  {operator}", side, int(cycles) / clocks[side] * MICRO)
        for name, operator, side, cycles in found
        if int(cycles)
    ]


def main() -> None:
    figure, axes = plt.subplots(1, len(BOARDS), figsize=(10, 4.1), layout="constrained")
    for axis, (name, (board, what)) in zip(axes, BOARDS.items(), strict=True):
        record = (RECORDS / f"{NETWORK}-{name}.txt").read_text()
        shown = rows(record, load_board(board))
        before = 0.0
        for place, row in enumerate(shown):
            axis.barh(place, row.ms, left=before if row.side == "CPU" else 0, color=COLOURS[row.side])
            before += row.ms if row.side == "CPU" else 0
        axis.set_yticks(range(len(shown)), [row.label for row in shown], fontsize=7)
        axis.invert_yaxis()
        axis.set_xlabel("ms a frame")
        axis.spines[["top", "right"]].set_visible(False)
        accelerator, cpu = re.findall(r"accelerator ([\d.]+) ms, CPU ([\d.]+) ms", record)[0]
        axis.set_title(
            f"{name}: {what}\naccelerator {float(accelerator):.2f} ms, CPU {float(cpu):.2f} ms", fontsize=9, loc="left"
        )
    sides = {"accelerator: stages work at once": "FPGA", "CPU: layers one after the other": "CPU"}
    patches = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[side]) for side in sides.values()]
    figure.legend(patches, list(sides), loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(ROOT / "docs" / "placement.png", dpi=110)


if __name__ == "__main__":
    main()
