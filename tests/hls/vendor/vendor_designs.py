"""Vendor projects of small regions, and what a block design's calls say: cells, pins, drivers, addresses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from vendor_tools import Call, configs, of, option

from hetero_compile.board import load_board
from hls.layers.stage import Wire
from hls.program import Design, Port
from hls.vendor.project import SYSTEM, accelerator_of, project_files, system_files
from ir.graph import Graph, Node
from ir.ops import Concat
from ir.types import DType, TensorType

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
        (package / f"regions/{name}/vendor/build/{name}_hls/solution/impl/ip").mkdir(parents=True)
    (package / SYSTEM / "build").mkdir(parents=True)
    for name, text in files.items():
        (package / name).write_text(text)
    return package


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


def assert_interfaces_are_connected(blocks: list[Call]) -> None:
    made = cells(blocks)
    links = of(blocks, "connect_bd_intf_net")
    assert sorted(master for master, _ in links) == pins(made, "masters")
    assert sorted(slave for _, slave in links) == pins(made, "slaves")


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
