"""The vendor project's Tcl, read by a Tcl interpreter with AMD's commands stubbed: every pin, clock, reset, address."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from vendor_tools import Call, configs, of, option, run_tcl

from hetero_compile.board import load_board
from hls.layers.stage import Wire
from hls.program import Design, Port
from hls.vendor.project import SYSTEM, accelerator_of, missing_project, project_files, system_files
from hls.vendor.project_ultra96 import Accelerator, StreamPort
from host.bitstream import read_hardware
from ir.graph import Graph, Node
from ir.ops import Concat
from ir.types import DType, TensorType

ROOT = Path(__file__).parents[3]
PLAIN = "void net(...) {\n"


def tensor(channels: int, bits: int) -> TensorType:
    return TensorType.of_dtype((channels, 5, 7), DType("uint", bits))


def net(name: str = "net") -> tuple[Design, Graph]:
    """Two inputs of 32- and 8-bit words, one output of 64-bit words; the first is called as a word of Verilog."""
    region = Graph(
        name, {"input": tensor(4, 8), "skip": tensor(2, 4)}, (Node("y", Concat(), ("input", "skip")),), ("y",)
    )
    inputs = (
        Port(Wire("input", 5, 7, 1, 4, 8, False), 32),
        Port(Wire("skip", 5, 7, 1, 2, 4, False), 8),
    )
    return Design(name, (), inputs, (Port(Wire("y_port", 5, 7, 1, 6, 8, False), 64),)), region


def project(board: str = "ultra96-v2", text: str = PLAIN, regions: Sequence[str] = ("net",)) -> dict[str, str]:
    """What a package of such regions gets."""
    target, files, accelerators = load_board(board), dict[str, str](), []
    for name in regions:
        design, region = net(name)
        files |= project_files(design, region, target, f"regions/{name}", text)
        accelerators.append(accelerator_of(design))
    return files | system_files(accelerators, target)


def written(package: Path, files: Mapping[str, str], regions: Sequence[str] = ("net",)) -> Path:
    """The package's folder, in which synthesis has left the regions' IPs."""
    for name in regions:
        (package / f"regions/{name}/vendor/work/{name}_hls/solution/impl/ip").mkdir(parents=True)
    (package / SYSTEM / "work").mkdir(parents=True)
    for name, text in files.items():
        (package / name).write_text(text)
    return package


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
    return run_tcl(system / "block_design.tcl", system / "work")


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
        folder = written(tmp_path / str(expected), project(text=text)) / "regions/net/vendor"
        calls = of(run_tcl(folder / "run_hls.tcl", folder / "work"), "set_directive_interface")
        assert len(calls) == expected
    folder = tmp_path / "4/regions/net/vendor"
    calls = of(run_tcl(folder / "run_hls.tcl", tmp_path), "set_directive_interface")
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
    }.get(name, Ip(("ap_clk",), ("ap_rst_n",), ("y_port",), ("s_axi_control", "input", "skip")))


CLOCK_OUTPUTS = {"ps/pl_clk0": "fabric", "ps/pl_clk1": "cpu"}


def cells(calls: Sequence[Call]) -> dict[str, Ip]:
    found = configs(calls)
    made = [(call[-1], option(call, "-vlnv").split(":")[2]) for call in of(calls, "create_bd_cell")]
    assert len(dict(made)) == len(made)
    return {name: catalogue(ip, found.get(name, {})) for name, ip in made}


def pins(made: Mapping[str, Ip], *kinds: str) -> list[str]:
    return sorted(f"{name}/{pin}" for name, ip in made.items() for kind in kinds for pin in getattr(ip, kind))


def test_project_part_and_board(blocks: list[Call], vendor: Path, system: Path) -> None:
    (created,) = of(blocks, "create_project")
    assert option(created, "-part") == "xczu3eg-sbva484-1-e"
    settings = {call[0]: call[1] for call in of(blocks, "set_property") if call[0] != "-dict"}
    assert settings["board_part"] == "avnet.com:ultra96v2:part0:1.2"
    assert settings["ip_repo_paths"] == f"{vendor}/work/net_hls/solution/impl/ip"
    assert settings["top"] == "system_wrapper"
    assert "hetero:accelerator:net:1.0" in [option(call, "-vlnv") for call in of(blocks, "create_bd_cell")]
    order = [call[0] for call in blocks]
    assert order.index("apply_bd_automation") < order.index("connect_bd_net") < order.index("validate_bd_design")


def assert_interfaces_are_connected(blocks: list[Call]) -> None:
    made = cells(blocks)
    links = of(blocks, "connect_bd_intf_net")
    assert sorted(master for master, _ in links) == pins(made, "masters")
    assert sorted(slave for _, slave in links) == pins(made, "slaves")


def test_every_interface_is_connected_once_from_master_to_slave(blocks: list[Call]) -> None:
    assert_interfaces_are_connected(blocks)


def drivers_of(blocks: list[Call]) -> dict[str, str]:
    """By load; every clock, reset and input has exactly one."""
    made = cells(blocks)
    loads = Counter(load for _, load in of(blocks, "connect_bd_net"))
    assert max(loads.values()) == 1
    needed = pins(made, "clocks", "resets", "inputs")
    assert set(needed) <= set(loads)
    assert set(loads) - set(needed) == {"reset_core/aux_reset_in"}  # the host's hold on the core
    drivers = {load: driver for driver, load in of(blocks, "connect_bd_net")}
    for pin in pins(made, "clocks"):
        assert drivers[pin] in CLOCK_OUTPUTS, pin
    return drivers


def test_every_clock_reset_and_input_has_one_driver(blocks: list[Call]) -> None:
    drivers = drivers_of(blocks)
    assert drivers["reset_core/aux_reset_in"] == "hold/gpio_io_o"
    assert drivers["ps/pl_ps_irq0"] == "notify/gpio_io_o"
    assert drivers["interrupts/intr"] == "lines/dout"
    interrupts = {drivers[f"lines/In{i}"] for i in range(4)}
    engines = {"net_read0/mm2s_introut", "net_read1/mm2s_introut", "net_write0/s2mm_introut"}
    assert interrupts == {"net/interrupt", *engines}


def assert_clock_domains(blocks: list[Call]) -> None:
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


def windows(calls: Sequence[Call]) -> list[tuple[str, str, int, int]]:
    return [
        (option(c, "-target_address_space"), c[-1], int(option(c, "-offset"), 16), int(option(c, "-range"), 16))
        for c in of(calls, "assign_bd_address")
    ]


def spans_of(blocks: list[Call]) -> dict[str, list[tuple[int, int, str]]]:
    """By address space: begin, end and segment of each window; none overlap, and every slave is reached."""
    by_space: dict[str, list[tuple[int, int, str]]] = {}
    for space, segment, base, size in windows(blocks):
        assert size & (size - 1) == 0 and base % size == 0, segment
        by_space.setdefault(space, []).append((base, base + size, segment))
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
    assert all(0xA0000000 <= base < 0xB0000000 for base, _, _ in by_space["ps/Data"])  # M_AXI_HPM0_FPD's window
    return by_space


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
    calls = run_tcl(system / "block_design.tcl", system / "work", absent="net/input")
    assert dict(of(calls, "connect_bd_intf_net"))["net_read0/M_AXIS_MM2S"] == "net/input_r"
    with pytest.raises(RuntimeError, match="net/skip: the block design has no such interface"):
        run_tcl(system / "block_design.tcl", system / "work", absent="net/skip net/skip_r")


def test_what_is_missing_is_said(system: Path, vendor: Path) -> None:
    script = system / "block_design.tcl"
    with pytest.raises(RuntimeError, match=r"Vivado 2023\.1 has no MicroBlaze V: 2024\.1 or later is needed"):
        run_tcl(script, system / "work", tool="2023.1")
    with pytest.raises(RuntimeError, match=r"does not know board avnet\.com:ultra96v2:part0: install its files"):
        run_tcl(script, system / "work", boards="")
    assert run_tcl(script, system / "work", tool="2024.1_AR000001", boards="avnet.com:ultra96v2:part0:1.1")
    (vendor / "work/net_hls/solution/impl/ip").rmdir()
    with pytest.raises(RuntimeError, match="net_hls/solution/impl/ip: is missing: run make hls first"):
        run_tcl(script, system / "work")


# -- several regions --------------------------------------------------------------------------------------------------

MANY = ("fpga0", "fpga1", "fpga2")


@pytest.mark.parametrize("count", [2, 3])
def test_several_regions_are_one_design(tmp_path: Path, count: int) -> None:
    """Every region's streams, clocks, interrupts and windows are there; no SmartConnect has more than 16 ports."""
    names = MANY[:count]
    root = written(tmp_path, project(regions=names), names)
    calls = run_tcl(root / SYSTEM / "block_design.tcl", root / SYSTEM / "work")
    settings = {call[0]: call[1] for call in of(calls, "set_property") if call[0] != "-dict"}
    ips = [f"{root}/regions/{name}/vendor/work/{name}_hls/solution/impl/ip" for name in names]
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


# -- the bitstream ----------------------------------------------------------------------------------------------------


def test_the_bitstream_is_left_with_its_hand_off(system: Path) -> None:
    run, handoff = system / "work/runs", system / "work/project/system.gen/sources_1/bd/system/hw_handoff"
    for folder in (run, handoff):
        folder.mkdir(parents=True)
    (run / "system_wrapper.bit").write_text("bits")
    (handoff / "system.hwh").write_text("<xml/>")
    good = f"PROGRESS 100% STATS.WNS 0.1 STATUS done DIRECTORY {run}"
    calls = run_tcl(system / "bitstream.tcl", system / "work", properties=good)
    assert of(calls, "open_project") == [("project/system.xpr",)]
    assert option(of(calls, "launch_runs")[0], "-to_step") == "write_bitstream"
    assert (system / "out/system.bit").read_text() == "bits" and (system / "out/system.hwh").is_file()
    with pytest.raises(RuntimeError, match=r"timing is not met at 250 MHz: slack -0\.2 ns; lower clock_mhz"):
        run_tcl(system / "bitstream.tcl", system / "work", properties=good.replace("WNS 0.1", "WNS -0.2"))
    with pytest.raises(RuntimeError, match="implementation failed: done"):
        run_tcl(system / "bitstream.tcl", system / "work", properties=good.replace("100%", "60%"))


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
