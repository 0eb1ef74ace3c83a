"""The vendor project's Tcl, read by a Tcl interpreter with AMD's commands stubbed: every pin, clock, reset, address."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from vendor_tools import Call, configs, of, option, run_tcl

from hetero_compile.board import load_board
from hls.layers.stage import Wire
from hls.program import Design, Port
from hls.vendor.project import missing_project, project_files
from host.bitstream import read_hardware
from ir.graph import Graph, Node
from ir.ops import Concat
from ir.types import DType, TensorType

ROOT = Path(__file__).parents[3]
PLAIN = "void net(...) {\n"


def tensor(channels: int, bits: int) -> TensorType:
    return TensorType.of_dtype((channels, 5, 7), DType("uint", bits))


def net() -> tuple[Design, Graph]:
    """Two inputs of 32- and 8-bit words, one output of 64-bit words; the first is called as a word of Verilog."""
    region = Graph(
        "net", {"input": tensor(4, 8), "skip": tensor(2, 4)}, (Node("y", Concat(), ("input", "skip")),), ("y",)
    )
    inputs = (
        Port(Wire("input", 5, 7, 1, 4, 8, False), 32),
        Port(Wire("skip", 5, 7, 1, 2, 4, False), 8),
    )
    return Design("net", (), inputs, (Port(Wire("y_port", 5, 7, 1, 6, 8, False), 64),)), region


@pytest.fixture
def files() -> dict[str, str]:
    return {Path(path).name: text for path, text in project(text=PLAIN).items()}


def project(board: str = "ultra96-v2", text: str = PLAIN) -> dict[str, str]:
    design, region = net()
    return project_files(design, region, load_board(board), "regions/net", text)


def written(folder: Path, files: Mapping[str, str]) -> Path:
    """The vendor folder, with a work folder in which synthesis has left an IP."""
    (folder / "work/net_hls/solution/impl/ip").mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def vendor(tmp_path: Path, files: dict[str, str]) -> Path:
    return written(tmp_path / "vendor", files)


@pytest.fixture
def blocks(vendor: Path) -> list[Call]:
    return run_tcl(vendor / "block_design.tcl", vendor / "work")


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
    calls = run_tcl(vendor / script, vendor / "work")
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
        vectors = [f"{vendor}/work/vectors/{name}.bin" for name in ("input0", "input1", "output0")]
        assert option(call, "-argv").split() == vectors
    for call in of(calls, "export_design"):
        assert (option(call, "-format"), option(call, "-vendor")) == ("ip_catalog", "hetero")


def test_interfaces_are_set_where_the_text_has_none(tmp_path: Path) -> None:
    pragmas = "#pragma HLS interface axis port=input\n"
    for text, expected in ((PLAIN, 4), (PLAIN + pragmas, 0)):
        files = {Path(path).name: content for path, content in project(text=text).items()}
        folder = written(tmp_path / str(expected), files)
        calls = of(run_tcl(folder / "run_hls.tcl", folder / "work"), "set_directive_interface")
        assert len(calls) == expected
    files = {Path(path).name: content for path, content in project().items()}
    calls = of(run_tcl(written(tmp_path / "again", files) / "run_hls.tcl", tmp_path), "set_directive_interface")
    assert [call[-1] for call in calls if "axis" in call] == ["input", "skip", "y_port"]
    assert calls[-1] == ("-mode", "s_axilite", "-bundle", "control", "net")


# -- the block design -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ip:
    """Pins of an IP as its product guide names them. What is not named here may stay open."""

    clocks: tuple[str, ...] = ()
    resets: tuple[str, ...] = ()
    masters: tuple[str, ...] = ()
    slaves: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


def catalogue(name: str, config: Mapping[str, str]) -> Ip:
    """The pins of a cell, from the product guides: PG201 (Zynq MPSoC), PG164, UG1629, PG113, PG112, PG058, PG078,
    PG144, PG099, PG247 (SmartConnect), PG021 (DMA), PG085 (stream infrastructure), UG1399 (exported accelerator)."""
    way = "mm2s" if config.get("c_include_mm2s") == "1" else "s2mm"
    count = {key: range(int(config.get(f"NUM_{key}", 0))) for key in ("SI", "MI", "CLKS", "PORTS")}
    axi = Ip(("s_axi_aclk",), ("s_axi_aresetn",), slaves=("S_AXI",))
    second = ("BRAM_PORTB",) if config.get("Memory_Type") == "True_Dual_Port_RAM" else ()
    stream = ("M_AXI_MM2S", "M_AXIS_MM2S") if way == "mm2s" else ("M_AXI_S2MM",)
    return {
        "zynq_ultra_ps_e": Ip(
            ("maxihpm0_fpd_aclk", "saxihp0_fpd_aclk"),
            masters=("M_AXI_HPM0_FPD",),
            slaves=("S_AXI_HP0_FPD",),
            inputs=("pl_ps_irq0",),
        ),
        "proc_sys_reset": Ip(("slowest_sync_clk",), ("ext_reset_in",)),
        "microblaze_riscv": Ip(("Clk",), ("Reset",), ("DLMB", "ILMB", "M_AXI_DP"), ("INTERRUPT",)),
        "lmb_v10": Ip(("LMB_Clk",), ("SYS_Rst",), ("LMB_Sl_0",), ("LMB_M",)),
        "lmb_bram_if_cntlr": Ip(("LMB_Clk",), ("LMB_Rst",), ("BRAM_PORT",), ("SLMB", "SLMB1")),
        "blk_mem_gen": Ip(slaves=("BRAM_PORTA", *second)),
        "axi_bram_ctrl": replace(axi, masters=("BRAM_PORTA",)),
        "axi_gpio": axi,
        "axi_intc": replace(axi, slaves=("s_axi",), masters=("interrupt",), inputs=("intr",)),
        "xlconcat": Ip(inputs=tuple(f"In{i}" for i in count["PORTS"])),
        "smartconnect": Ip(
            tuple(f"aclk{i or ''}" for i in count["CLKS"]),
            ("aresetn",),
            tuple(f"M{i:02}_AXI" for i in count["MI"]),
            tuple(f"S{i:02}_AXI" for i in count["SI"]),
        ),
        "axi_dma": Ip(
            ("s_axi_lite_aclk", f"m_axi_{way}_aclk"),
            ("axi_resetn",),
            stream,
            ("S_AXI_LITE", *(("S_AXIS_S2MM",) if way == "s2mm" else ())),
        ),
        "axis_subset_converter": Ip(("aclk",), ("aresetn",), ("M_AXIS",), ("S_AXIS",)),
        "net": Ip(("ap_clk",), ("ap_rst_n",), ("y_port",), ("s_axi_control", "input", "skip")),
    }[name]


CLOCK_OUTPUTS = {"ps/pl_clk0": "fabric", "ps/pl_clk1": "cpu"}


def cells(calls: Sequence[Call]) -> dict[str, Ip]:
    found = configs(calls)
    made = [(call[-1], option(call, "-vlnv").split(":")[2]) for call in of(calls, "create_bd_cell")]
    assert len(dict(made)) == len(made)
    return {name: catalogue(ip, found.get(name, {})) for name, ip in made}


def pins(made: Mapping[str, Ip], *kinds: str) -> list[str]:
    return sorted(f"{name}/{pin}" for name, ip in made.items() for kind in kinds for pin in getattr(ip, kind))


def test_project_part_and_board(blocks: list[Call], vendor: Path) -> None:
    (created,) = of(blocks, "create_project")
    assert option(created, "-part") == "xczu3eg-sbva484-1-e"
    settings = {call[0]: call[1] for call in of(blocks, "set_property") if call[0] != "-dict"}
    assert settings["board_part"] == "avnet.com:ultra96v2:part0:1.2"
    assert settings["ip_repo_paths"] == f"{vendor}/work/net_hls/solution/impl/ip"
    assert settings["top"] == "net_wrapper"
    assert "hetero:accelerator:net:1.0" in [option(call, "-vlnv") for call in of(blocks, "create_bd_cell")]
    order = [call[0] for call in blocks]
    assert order.index("apply_bd_automation") < order.index("connect_bd_net") < order.index("validate_bd_design")


def test_every_interface_is_connected_once_from_master_to_slave(blocks: list[Call]) -> None:
    made = cells(blocks)
    links = of(blocks, "connect_bd_intf_net")
    assert sorted(master for master, _ in links) == pins(made, "masters")
    assert sorted(slave for _, slave in links) == pins(made, "slaves")


def test_every_clock_reset_and_input_has_one_driver(blocks: list[Call]) -> None:
    made = cells(blocks)
    loads = Counter(load for _, load in of(blocks, "connect_bd_net"))
    assert max(loads.values()) == 1
    needed = pins(made, "clocks", "resets", "inputs")
    assert set(needed) <= set(loads)
    assert set(loads) - set(needed) == {"reset_core/aux_reset_in"}  # the host's hold on the core
    drivers = {load: driver for driver, load in of(blocks, "connect_bd_net")}
    for pin in pins(made, "clocks"):
        assert drivers[pin] in CLOCK_OUTPUTS, pin
    assert drivers["reset_core/aux_reset_in"] == "hold/gpio_io_o"
    assert drivers["ps/pl_ps_irq0"] == "notify/gpio_io_o"
    assert drivers["interrupts/intr"] == "lines/dout"
    interrupts = {drivers[f"lines/In{i}"] for i in range(4)}
    assert interrupts == {"accelerator/interrupt", "read0/mm2s_introut", "read1/mm2s_introut", "write0/s2mm_introut"}


def test_resets_and_interfaces_keep_to_their_clock(blocks: list[Call]) -> None:
    """A reset comes from the reset block of its cell's first clock; only SmartConnect joins two clocks."""
    made = cells(blocks)
    drivers = {load: driver for driver, load in of(blocks, "connect_bd_net")}
    domains = {n: [CLOCK_OUTPUTS[drivers[f"{n}/{pin}"]] for pin in ip.clocks] for n, ip in made.items() if ip.clocks}
    for name, ip in made.items():
        for pin in ip.resets:
            source = drivers[f"{name}/{pin}"]
            if name.startswith("reset_"):
                assert source == "ps/pl_resetn0"
                continue
            block, output = source.split("/")
            assert domains[block] == domains[name][:1], (name, source)
            active_high = output in ("mb_reset", "bus_struct_reset")
            assert active_high == (pin in ("Reset", "SYS_Rst", "LMB_Rst")), (name, source)
    crossing = {name for name, of_cell in domains.items() if len(set(of_cell)) > 1}
    assert crossing == {"ps", "control", "data"}
    for master, slave in of(blocks, "connect_bd_intf_net"):
        ends = [end.split("/")[0] for end in (master, slave)]
        if all(end in domains and end not in crossing for end in ends):
            assert domains[ends[0]][0] == domains[ends[1]][0], (master, slave)


def test_streams_meet_engines_of_their_width_and_frames_end(blocks: list[Call]) -> None:
    links, found = dict(of(blocks, "connect_bd_intf_net")), configs(blocks)
    assert (links["read0/M_AXIS_MM2S"], links["read1/M_AXIS_MM2S"]) == ("accelerator/input", "accelerator/skip")
    assert (links["accelerator/y_port"], links["mark0/M_AXIS"]) == ("mark0/S_AXIS", "write0/S_AXIS_S2MM")
    assert [found[f"read{i}"]["c_m_axis_mm2s_tdata_width"] for i in range(2)] == ["32", "8"]
    assert [found[f"read{i}"]["c_m_axi_mm2s_data_width"] for i in range(2)] == ["32", "32"]
    assert found["write0"]["c_s_axis_s2mm_tdata_width"] == "64"
    assert (found["mark0"]["DEFAULT_TLAST"], found["mark0"]["M_TDATA_NUM_BYTES"]) == (str(5 * 7), "8")
    assert all(int(found[name]["c_sg_length_width"]) >= 26 for name in ("read0", "read1", "write0"))


def test_clocks_are_the_boards(blocks: list[Call]) -> None:
    found = configs(blocks)["ps"]
    assert found["PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"] == "250"
    assert found["PSU__CRL_APB__PL1_REF_CTRL__FREQMHZ"] == "150"
    core = configs(blocks)["cpu"]
    assert (core["C_USE_MULDIV"], core["C_USE_COMPRESSION"], core["C_USE_ATOMIC"]) == ("1", "0", "0")  # rv32im


def windows(calls: Sequence[Call]) -> list[tuple[str, str, int, int]]:
    return [
        (option(c, "-target_address_space"), c[-1], int(option(c, "-offset"), 16), int(option(c, "-range"), 16))
        for c in of(calls, "assign_bd_address")
    ]


def test_addresses_do_not_overlap_and_every_slave_is_reached(blocks: list[Call]) -> None:
    by_space: dict[str, list[tuple[int, int, str]]] = {}
    for space, segment, base, size in windows(blocks):
        assert size & (size - 1) == 0 and base % size == 0, segment
        by_space.setdefault(space, []).append((base, base + size, segment))
    assert set(by_space) == {
        "ps/Data", "cpu/Data", "cpu/Instruction", "read0/Data_MM2S", "read1/Data_MM2S", "write0/Data_S2MM"
    }  # fmt: skip
    for space, spans in by_space.items():
        for low, high in pairwise(sorted(spans)):
            assert low[1] <= high[0], (space, low, high)
    slaves = {slave for slave in pins(cells(blocks), "slaves") if re.search(r"(?i)/s_axi(_lite|_control)?$", slave)}
    for space in ("ps/Data", "cpu/Data"):
        reached = {segment.rsplit("/", 1)[0].lower() for _, _, segment in by_space[space]}
        assert {slave.lower() for slave in slaves} <= reached
    for space in set(by_space) - {"ps/Data", "cpu/Instruction"}:
        ddr = [span for span in by_space[space] if span[2] == "ps/SAXIGP2/HP0_DDR_LOW"]
        assert [span[:2] for span in ddr] == [(0, 2 << 30)]
    (vectors,) = (base for base, _, segment in by_space["cpu/Instruction"] if segment == "local_ctrl/SLMB1/Mem")
    assert int(configs(blocks)["cpu"]["C_BASE_VECTORS"], 16) == vectors
    assert all(0xA0000000 <= base < 0xB0000000 for base, _, _ in by_space["ps/Data"])  # M_AXI_HPM0_FPD's window


def test_the_register_page_is_that_of_the_runtime_and_of_hardware_json(blocks: list[Call], vendor: Path) -> None:
    text = (ROOT / "host/runtime/hc_regs.h").read_text()
    page = int(re.search(r"HC_REGS_BYTES = (0x\w+)", text)[1], 16)  # type: ignore[index]
    hardware = read_hardware(vendor / "hardware.json")
    assert f"HC_PROTOCOL_VERSION {hardware.protocol}u" in text
    assert (hardware.board, hardware.part, hardware.bitstream) == ("ultra96-v2", "xczu3eg-sbva484-1-e", "net.bit")
    stated = {(w.name, w.address, w.bytes) for w in hardware.registers}
    assert stated == {
        (seg.split("/")[0], base, size) for space, seg, base, size in windows(blocks) if space == "ps/Data"
    }
    assert ("registers", 0xA0000000, page) in stated


def test_ports_that_synthesis_renamed_are_found(vendor: Path) -> None:
    calls = run_tcl(vendor / "block_design.tcl", vendor / "work", absent="accelerator/input")
    assert dict(of(calls, "connect_bd_intf_net"))["read0/M_AXIS_MM2S"] == "accelerator/input_r"
    with pytest.raises(RuntimeError, match="accelerator/skip: the block design has no such interface"):
        run_tcl(vendor / "block_design.tcl", vendor / "work", absent="accelerator/skip accelerator/skip_r")


def test_what_is_missing_is_said(vendor: Path) -> None:
    script = vendor / "block_design.tcl"
    with pytest.raises(RuntimeError, match=r"Vivado 2023\.1 has no MicroBlaze V: 2024\.1 or later is needed"):
        run_tcl(script, vendor / "work", tool="2023.1")
    with pytest.raises(RuntimeError, match=r"does not know board avnet\.com:ultra96v2:part0: install its files"):
        run_tcl(script, vendor / "work", boards="")
    assert run_tcl(script, vendor / "work", tool="2024.1_AR000001", boards="avnet.com:ultra96v2:part0:1.1")
    with pytest.raises(RuntimeError, match="is missing: run make hls first"):
        run_tcl(script, vendor)


# -- the bitstream ----------------------------------------------------------------------------------------------------


def test_the_bitstream_is_left_with_its_hand_off(vendor: Path) -> None:
    run, handoff = vendor / "work/runs", vendor / "work/project/net.gen/sources_1/bd/net/hw_handoff"
    for folder in (run, handoff):
        folder.mkdir(parents=True)
    (run / "net_wrapper.bit").write_text("bits")
    (handoff / "net.hwh").write_text("<xml/>")
    good = f"PROGRESS 100% STATS.WNS 0.1 STATUS done DIRECTORY {run}"
    calls = run_tcl(vendor / "bitstream.tcl", vendor / "work", properties=good)
    assert of(calls, "open_project") == [("project/net.xpr",)]
    assert option(of(calls, "launch_runs")[0], "-to_step") == "write_bitstream"
    assert (vendor / "out/net.bit").read_text() == "bits" and (vendor / "out/net.hwh").is_file()
    with pytest.raises(RuntimeError, match=r"timing is not met at 250 MHz: slack -0\.2 ns; lower clock_mhz"):
        run_tcl(vendor / "bitstream.tcl", vendor / "work", properties=good.replace("WNS 0.1", "WNS -0.2"))
    with pytest.raises(RuntimeError, match="implementation failed: done"):
        run_tcl(vendor / "bitstream.tcl", vendor / "work", properties=good.replace("100%", "60%"))


# -- boards -----------------------------------------------------------------------------------------------------------


def test_what_each_board_gets() -> None:
    assert {name.removeprefix("regions/net/vendor/") for name in project()} == {
        "Makefile", "block_design.tcl", "bitstream.tcl", "hardware.json",
        "run_hls.tcl", "csim.tcl", "cosim.tcl", "vectors.cpp",
    }  # fmt: skip
    hypothetical = project("zu3eg-rvv")
    assert not [name for name in hypothetical if "block_design" in name or "hardware" in name]
    assert project("polarfire-icicle") == {}
    said = {board: missing_project(load_board(board)) for board in ("ultra96-v2", "bananapi-f3", "polarfire-icicle")}
    assert said["ultra96-v2"] is said["bananapi-f3"] is None
    assert said["polarfire-icicle"] == (
        "no vendor project for MPFS250T-FCVG484EES: scripts exist for AMD parts; the accelerator's C++ and its "
        "simulator are in the package"
    )
    reason = missing_project(load_board("zu3eg-rvv"))
    assert reason == "no block design for board zu3eg-rvv (there is one for ultra96-v2): HLS scripts only"
    assert f'@echo "{reason}"' in hypothetical["regions/net/vendor/Makefile"]


def test_equal_designs_give_equal_files() -> None:
    assert project() == project()
    assert json.loads(project()["regions/net/vendor/hardware.json"])["registers"][0]["base"] == "0xa0000000"
    assert np.unique(list(project())).size == 8
