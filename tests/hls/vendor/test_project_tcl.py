"""The vendor project's Tcl, read by a Tcl interpreter with AMD's commands stubbed: every pin, clock, reset, address."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from vendor_designs import (
    PLAIN,
    assert_clock_domains,
    assert_interfaces_are_connected,
    drivers_of,
    project,
    spans_of,
    windows,
    written,
)
from vendor_tools import Call, configs, of, option, run_tcl

from hetero_compile.board import load_board
from hls.vendor.project import SYSTEM, missing_project
from host.bitstream import read_hardware

ROOT = Path(__file__).parents[3]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return written(tmp_path / "package", project())


@pytest.fixture
def vendor(package: Path) -> Path:
    """The region's own project."""
    return package / "regions/net/vendor"


@pytest.fixture
def system(package: Path) -> Path:
    """The project of the whole fabric."""
    return package / SYSTEM


@pytest.fixture
def blocks(system: Path) -> list[Call]:
    return run_tcl(system / "block_design.tcl", system / "build")


# -- high-level synthesis ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "steps"),
    [
        ("run_hls.tcl", ["csynth_design", "export_design"]),
        ("csim.tcl", ["csim_design"]),
        ("cosim.tcl", ["csynth_design", "cosim_design"]),
    ],
)
def test_synthesis_script(vendor: Path, script: str, steps: list[str]) -> None:
    calls = run_tcl(vendor / script, vendor / "build")
    assert of(calls, "set_top") == [("net",)]
    sources = [
        ("add_files", f"{vendor.parent}/accelerator.cpp"),
        ("add_files", "-tb", f"{vendor.parent}/testbench.cpp"),
    ]
    assert [call for call in calls if call[0] == "add_files"] == sources
    assert of(calls, "set_part") == [("xczu3eg-sbva484-1-e",)]
    assert option(of(calls, "create_clock")[0], "-period") == "4.000"  # 250 MHz
    assert [call[0] for call in calls if call[0].endswith("_design")] == steps
    order = [call[0] for call in calls]
    assert order.index("open_project") < order.index("set_top") < order.index("open_solution") < order.index("set_part")
    assert order[-1] == "exit"
    for call in of(calls, "csim_design") + of(calls, "cosim_design"):
        vectors = [f"{vendor}/build/vectors/{name}.bin" for name in ("input0", "input1", "output0")]
        assert option(call, "-argv").split() == vectors
    for call in of(calls, "export_design"):
        assert (option(call, "-format"), option(call, "-vendor")) == ("ip_catalog", "hetero")


def test_interfaces_are_set_where_the_text_has_none(tmp_path: Path) -> None:
    pragmas = "#pragma HLS interface axis port=input\n"
    for text, expected in ((PLAIN, 4), (PLAIN + pragmas, 0)):
        folder = written(tmp_path / str(expected), project(text=text)) / "regions/net/vendor"
        calls = of(run_tcl(folder / "run_hls.tcl", folder / "build"), "set_directive_interface")
        assert len(calls) == expected
    folder = tmp_path / "4/regions/net/vendor"
    calls = of(run_tcl(folder / "run_hls.tcl", tmp_path), "set_directive_interface")
    assert [call[-1] for call in calls if "axis" in call] == ["input", "skip", "y_port"]
    assert calls[-1] == ("-mode", "s_axilite", "-bundle", "control", "net")


# -- the block design -------------------------------------------------------------------------------------------------


def test_project_part_and_board(blocks: list[Call], vendor: Path, system: Path) -> None:
    (created,) = of(blocks, "create_project")
    assert option(created, "-part") == "xczu3eg-sbva484-1-e"
    settings = {call[0]: call[1] for call in of(blocks, "set_property") if call[0] != "-dict"}
    assert settings["board_part"] == "avnet.com:ultra96v2:part0:1.2"
    assert settings["ip_repo_paths"] == f"{vendor}/build/net_hls/solution/impl/ip"
    assert settings["top"] == "system_wrapper"
    assert "hetero:accelerator:net:1.0" in [option(call, "-vlnv") for call in of(blocks, "create_bd_cell")]
    order = [call[0] for call in blocks]
    assert order.index("apply_bd_automation") < order.index("connect_bd_net") < order.index("validate_bd_design")


def test_every_interface_is_connected_once_from_master_to_slave(blocks: list[Call]) -> None:
    assert_interfaces_are_connected(blocks)


def test_every_clock_reset_and_input_has_one_driver(blocks: list[Call]) -> None:
    drivers = drivers_of(blocks)
    assert drivers["reset_core/aux_reset_in"] == "hold/gpio_io_o"
    assert drivers["ps/pl_ps_irq0"] == "notify/gpio_io_o"
    assert drivers["interrupts/intr"] == "lines/dout"
    interrupts = {drivers[f"lines/In{i}"] for i in range(4)}
    engines = {"net_read0/mm2s_introut", "net_read1/mm2s_introut", "net_write0/s2mm_introut"}
    assert interrupts == {"net/interrupt", *engines}


def test_resets_and_interfaces_keep_to_their_clock(blocks: list[Call]) -> None:
    assert_clock_domains(blocks)


def test_streams_meet_engines_of_their_width_and_frames_end(blocks: list[Call]) -> None:
    links, found = dict(of(blocks, "connect_bd_intf_net")), configs(blocks)
    assert (links["net_read0/M_AXIS_MM2S"], links["net_read1/M_AXIS_MM2S"]) == ("net/input", "net/skip")
    assert (links["net/y_port"], links["net_mark0/M_AXIS"]) == ("net_mark0/S_AXIS", "net_write0/S_AXIS_S2MM")
    assert [found[f"net_read{i}"]["c_m_axis_mm2s_tdata_width"] for i in range(2)] == ["32", "8"]
    assert [found[f"net_read{i}"]["c_m_axi_mm2s_data_width"] for i in range(2)] == ["32", "32"]
    assert found["net_write0"]["c_s_axis_s2mm_tdata_width"] == "64"
    assert (found["net_mark0"]["DEFAULT_TLAST"], found["net_mark0"]["M_TDATA_NUM_BYTES"]) == (str(5 * 7), "8")
    assert all(int(found[f"net_{name}"]["c_sg_length_width"]) >= 26 for name in ("read0", "read1", "write0"))


def test_clocks_are_the_boards(blocks: list[Call]) -> None:
    found = configs(blocks)["ps"]
    assert found["PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"] == "250"
    assert found["PSU__CRL_APB__PL1_REF_CTRL__FREQMHZ"] == "150"
    core = configs(blocks)["cpu"]
    assert (core["C_USE_MULDIV"], core["C_USE_COMPRESSION"], core["C_USE_ATOMIC"]) == ("1", "0", "0")  # rv32im


def test_addresses_do_not_overlap_and_every_slave_is_reached(blocks: list[Call]) -> None:
    by_space = spans_of(blocks)
    assert set(by_space) == {
        "ps/Data", "cpu/Data", "cpu/Instruction", "net_read0/Data_MM2S", "net_read1/Data_MM2S", "net_write0/Data_S2MM"
    }  # fmt: skip
    (vectors,) = (base for base, _, segment in by_space["cpu/Instruction"] if segment == "local_ctrl/SLMB1/Mem")
    assert int(configs(blocks)["cpu"]["C_BASE_VECTORS"], 16) == vectors


def test_the_register_page_is_that_of_the_runtime_and_of_hardware_json(blocks: list[Call], system: Path) -> None:
    text = (ROOT / "host/runtime/hc_regs.h").read_text()
    page = int(re.search(r"HC_REGS_BYTES = (0x\w+)", text)[1], 16)  # type: ignore[index]
    hardware = read_hardware(system / "hardware.json")
    assert f"HC_PROTOCOL_VERSION {hardware.protocol}u" in text
    assert (hardware.board, hardware.part, hardware.bitstream) == ("ultra96-v2", "xczu3eg-sbva484-1-e", "system.bit")
    stated = {(w.name, w.address, w.bytes) for w in hardware.registers}
    assert stated == {
        (seg.split("/")[0], base, size) for space, seg, base, size in windows(blocks) if space == "ps/Data"
    }
    assert ("registers", 0xA0000000, page) in stated


def test_ports_that_synthesis_renamed_are_found(system: Path) -> None:
    calls = run_tcl(system / "block_design.tcl", system / "build", absent="net/input")
    assert dict(of(calls, "connect_bd_intf_net"))["net_read0/M_AXIS_MM2S"] == "net/input_r"
    with pytest.raises(RuntimeError, match="net/skip: the block design has no such interface"):
        run_tcl(system / "block_design.tcl", system / "build", absent="net/skip net/skip_r")


def test_what_is_missing_is_said(system: Path, vendor: Path) -> None:
    script = system / "block_design.tcl"
    with pytest.raises(RuntimeError, match=r"Vivado 2023\.1 has no MicroBlaze V: 2024\.1 or later is needed"):
        run_tcl(script, system / "build", tool="2023.1")
    with pytest.raises(RuntimeError, match=r"does not know board avnet\.com:ultra96v2:part0: install its files"):
        run_tcl(script, system / "build", boards="")
    assert run_tcl(script, system / "build", tool="2024.1_AR000001", boards="avnet.com:ultra96v2:part0:1.1")
    (vendor / "build/net_hls/solution/impl/ip").rmdir()
    with pytest.raises(RuntimeError, match="net_hls/solution/impl/ip: is missing: run make hls first"):
        run_tcl(script, system / "build")


# -- the bitstream ----------------------------------------------------------------------------------------------------


def test_the_bitstream_is_left_with_its_hand_off(system: Path) -> None:
    run, handoff = system / "build/runs", system / "build/project/system.gen/sources_1/bd/system/hw_handoff"
    for folder in (run, handoff):
        folder.mkdir(parents=True)
    (run / "system_wrapper.bit").write_text("bits")
    (handoff / "system.hwh").write_text("<xml/>")
    good = f"PROGRESS 100% STATS.WNS 0.1 STATUS done DIRECTORY {run}"
    calls = run_tcl(system / "bitstream.tcl", system / "build", properties=good)
    assert of(calls, "open_project") == [("project/system.xpr",)]
    assert option(of(calls, "launch_runs")[0], "-to_step") == "write_bitstream"
    assert (system / "out/system.bit").read_text() == "bits" and (system / "out/system.hwh").is_file()
    with pytest.raises(RuntimeError, match=r"timing is not met at 250 MHz: slack -0\.2 ns; lower clock_mhz"):
        run_tcl(system / "bitstream.tcl", system / "build", properties=good.replace("WNS 0.1", "WNS -0.2"))
    with pytest.raises(RuntimeError, match="implementation failed: done"):
        run_tcl(system / "bitstream.tcl", system / "build", properties=good.replace("100%", "60%"))


# -- boards -----------------------------------------------------------------------------------------------------------


def test_what_each_board_gets() -> None:
    own = {"Makefile", "run_hls.tcl", "csim.tcl", "cosim.tcl", "vectors.cpp"}
    of_region = {f"regions/net/vendor/{name}" for name in own}
    system = {f"hardware/{name}" for name in ("Makefile", "block_design.tcl", "bitstream.tcl", "hardware.json")}
    assert set(project()) == of_region | system
    assert set(project("zu3eg-rvv")) == of_region
    assert project("polarfire-icicle") == {}
    said = {board: missing_project(load_board(board)) for board in ("ultra96-v2", "bananapi-f3", "polarfire-icicle")}
    assert said["ultra96-v2"] is said["bananapi-f3"] is None
    assert said["polarfire-icicle"] == (
        "no vendor project for MPFS250T-FCVG484EES: scripts exist for AMD parts; the accelerator's C++ and its "
        "simulator are in the package"
    )
    reason = missing_project(load_board("zu3eg-rvv"))
    assert reason == "no block design for board zu3eg-rvv (there is one for ultra96-v2): HLS scripts only"


def test_equal_designs_give_equal_files() -> None:
    assert project() == project()
    assert json.loads(project()["hardware/hardware.json"])["registers"][0]["base"] == "0xa0000000"
