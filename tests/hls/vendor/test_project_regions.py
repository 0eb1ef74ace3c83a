"""Several regions in one block design, and those that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_designs import (
    assert_clock_domains,
    assert_interfaces_are_connected,
    drivers_of,
    project,
    spans_of,
    written,
)
from vendor_tools import configs, of, option, run_tcl

from hetero_compile.board import load_board
from hls.vendor.project import SYSTEM, missing_project, system_files
from hls.vendor.project_ultra96 import Accelerator, StreamPort
from host.bitstream import read_hardware

MANY = ("fpga0", "fpga1", "fpga2")


@pytest.mark.parametrize("count", [2, 3])
def test_several_regions_are_one_design(tmp_path: Path, count: int) -> None:
    """Every region's streams, clocks, interrupts and windows are there; no SmartConnect has more than 16 ports."""
    names = MANY[:count]
    root = written(tmp_path, project(regions=names), names)
    calls = run_tcl(root / SYSTEM / "block_design.tcl", root / SYSTEM / "build")
    settings = {call[0]: call[1] for call in of(calls, "set_property") if call[0] != "-dict"}
    ips = [f"{root}/regions/{name}/vendor/build/{name}_hls/solution/impl/ip" for name in names]
    assert settings["ip_repo_paths"].split() == ips
    made = {option(call, "-vlnv"): call[-1] for call in of(calls, "create_bd_cell")}
    assert [made[f"hetero:accelerator:{name}:1.0"] for name in names] == list(names)
    assert_interfaces_are_connected(calls)
    assert_clock_domains(calls)
    links = dict(of(calls, "connect_bd_intf_net"))
    for name in names:
        assert links[f"{name}_read1/M_AXIS_MM2S"] == f"{name}/skip"
        assert links[f"{name}/y_port"] == f"{name}_mark0/S_AXIS"
    switches = [found for found in configs(calls).values() if "NUM_SI" in found]
    assert max(int(found[key]) for found in switches for key in ("NUM_SI", "NUM_MI")) <= 16
    assert len(switches) == (3 if count == 2 else 3 + count)  # three regions have one each on the control side

    drivers, spans = drivers_of(calls), spans_of(calls)
    parts = [(f"{name}{part}", pin) for name in names for part, pin in PARTS]
    lines = [drivers[f"lines/In{i}"] for i in range(4 * count)]
    assert lines == [f"{cell}/{pin}" for cell, pin in parts]
    hardware = read_hardware(root / SYSTEM / "hardware.json")
    in_order = [window.name for window in hardware.registers]
    first = in_order.index("interrupts") + 1
    assert in_order[first : first + len(parts)] == [cell for cell, _ in parts]  # line n is the n-th window's
    stated = {(w.name, w.address, w.address + w.bytes) for w in hardware.registers}
    for space in ("ps/Data", "cpu/Data"):
        assert stated <= {(segment.split("/")[0], begin, end) for begin, end, segment in spans[space]}
    for cell, pin in parts:
        if pin != "interrupt":
            way = pin.split("_")[0].upper()
            assert [span[2] for span in spans[f"{cell}/Data_{way}"]] == ["ps/SAXIGP2/HP0_DDR_LOW"]


PARTS = (("", "interrupt"), ("_read0", "mm2s_introut"), ("_read1", "mm2s_introut"), ("_write0", "s2mm_introut"))
"""What each region of `net` has of its own, and its interrupt."""


def streams(count: int) -> tuple[StreamPort, ...]:
    return tuple(StreamPort(f"x{i}", 32, 9) for i in range(count))


def test_regions_that_do_not_fit_are_said_and_have_no_system() -> None:
    target = load_board("ultra96-v2")
    for regions, reason in (
        ([(12, 3)], None),
        ([(13, 3)], "region 'fpga0' has 16 streams; a SmartConnect joins 15 of them"),
        ([(8, 2), (8, 1), (9, 1)], "3 regions need 32 interrupts; an interrupt controller has 32"),
        ([(8, 2), (8, 1), (9, 2)], "3 regions need 33 interrupts; an interrupt controller has 32"),
    ):
        blocks = [
            Accelerator(f"fpga{i}", f"hetero:accelerator:fpga{i}:1.0", streams(read), streams(written))
            for i, (read, written) in enumerate(regions)
        ]
        fits = reason is None or "need 32" in reason
        assert missing_project(target, blocks) == (None if fits else f"no block design for these regions: {reason}")
        assert bool(system_files(blocks, target)) == fits
