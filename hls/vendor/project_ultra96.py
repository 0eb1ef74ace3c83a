"""The block design of the Ultra96-V2: accelerator, its DMA engines, and a soft RISC-V core that serves the rings.

::

    ps (Arm, Linux, hetero-run)                 cpu (MicroBlaze V, rv32im, firmware in local memory)
      M_AXI_HPM0 ----+                              M_AXI_DP
                     |                                 |
                  control <------------------------- router
                     |                                 |
      registers, loader, hold, notify,               data ----> ps/S_AXI_HP0 (DDR: rings, pool)
      interrupts, accelerator, DMA engines             |
                                                  DMA engines == streams == accelerator

The host loads firmware through ``loader`` and lets the core go with ``hold``; from then on they meet in ``registers``
(host/runtime/hc_regs.h) and in the rings and buffers in DDR, which the core sees at the addresses the host uses. The
core starts the DMA engines and the accelerator, and raises ``notify`` when a completion is in its ring.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .project_design import BlockDesign, Sketch

CONTROL_BASE = 0xA000_0000
"""Where the Arm's M_AXI_HPM0_FPD port begins (AMD UG1085, system address map)."""
PAGE = 0x1000
WINDOW = 0x1_0000
LOCAL_MEMORY = 0x1_0000
LOCAL_BASE = 0x8000_0000
"""Above the 2 GiB of DDR, so that all of it lies where the host sees it."""
DDR = 0x8000_0000
LENGTH_BITS = 26
"""Of a DMA transfer's length in bytes: more than the DMA pool of any board."""

CELL = "accelerator"
HP0 = "ps/SAXIGP2"
HOST, CORE = "ps/Data", "cpu/Data"


@dataclass(frozen=True)
class StreamPort:
    """A stream of the accelerator: ``words`` of ``bits`` bits a frame, through the top function's argument ``pin``."""

    pin: str
    bits: int
    words: int


@dataclass(frozen=True)
class Accelerator:
    """An exported IP, `CELL` of the design, and its streams in the order of the top function's arguments."""

    vlnv: str
    inputs: tuple[StreamPort, ...]
    outputs: tuple[StreamPort, ...]


def ultra96_design(accelerator: Accelerator, fabric_mhz: float, cpu_mhz: float) -> BlockDesign:
    """All that is in the fabric: accelerator and streams at ``fabric_mhz``, core and periphery at ``cpu_mhz``."""
    sketch = Sketch()
    _processing_system(sketch, fabric_mhz, cpu_mhz)
    _core(sketch)
    peripherals = ["registers", "loader", "hold", "notify", "interrupts"]
    _peripherals(sketch)
    _accelerator(sketch, accelerator)
    engines = list(_engines(sketch, accelerator))
    lines = [f"{CELL}/interrupt", *(engine.interrupt for engine in engines)]
    slaves = [
        *(f"{name}/{'s_axi' if name == 'interrupts' else 'S_AXI'}" for name in peripherals),
        f"{CELL}/s_axi_control",
        *(f"{engine.name}/S_AXI_LITE" for engine in engines),
    ]
    _interconnect(sketch, slaves, [engine.master for engine in engines])
    _interrupts(sketch, lines)
    _addresses(sketch, engines)
    return sketch.design()


def _clock(sketch: Sketch, domain: str, *pins: str) -> None:
    sketch.net({"fabric": "ps/pl_clk0", "cpu": "ps/pl_clk1"}[domain], *pins)


def _reset(sketch: Sketch, domain: str, *pins: str) -> None:
    """Active-low reset of everything on AXI."""
    sketch.net(f"reset_{domain}/peripheral_aresetn", *pins)


def _processing_system(sketch: Sketch, fabric_mhz: float, cpu_mhz: float) -> None:
    sketch.cell(
        "ps",
        "xilinx.com:ip:zynq_ultra_ps_e",
        PSU__USE__M_AXI_GP0=1,
        PSU__MAXIGP0__DATA_WIDTH=32,
        PSU__USE__M_AXI_GP1=0,
        PSU__USE__M_AXI_GP2=0,
        PSU__USE__S_AXI_GP2=1,
        PSU__SAXIGP2__DATA_WIDTH=128,
        PSU__USE__IRQ0=1,
        PSU__FPGA_PL0_ENABLE=1,
        PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ=f"{fabric_mhz:g}",
        PSU__FPGA_PL1_ENABLE=1,
        PSU__CRL_APB__PL1_REF_CTRL__FREQMHZ=f"{cpu_mhz:g}",
    )
    _clock(sketch, "cpu", "ps/maxihpm0_fpd_aclk")
    _clock(sketch, "fabric", "ps/saxihp0_fpd_aclk")
    for domain in ("fabric", "cpu", "core"):
        sketch.cell(f"reset_{domain}", "xilinx.com:ip:proc_sys_reset:5.0", C_AUX_RESET_HIGH=0)
        _clock(sketch, "fabric" if domain == "fabric" else "cpu", f"reset_{domain}/slowest_sync_clk")
        sketch.net("ps/pl_resetn0", f"reset_{domain}/ext_reset_in")


def _core(sketch: Sketch) -> None:
    """The soft RISC-V core with its local memory, whose second port is the host's."""
    sketch.cell(
        "cpu",
        "xilinx.com:ip:microblaze_riscv:1.0",
        C_BASE_VECTORS=f"{LOCAL_BASE:#018x}",
        C_USE_MULDIV=1,
        C_USE_COMPRESSION=0,
        C_USE_ATOMIC=0,
        C_USE_ICACHE=0,
        C_USE_DCACHE=0,
        C_USE_INTERRUPT=1,
        C_DEBUG_ENABLED=0,
        C_I_LMB=1,
        C_D_LMB=1,
        C_D_AXI=1,
    )
    _clock(sketch, "cpu", "cpu/Clk")
    sketch.net("reset_core/mb_reset", "cpu/Reset")
    sketch.cell("local_ctrl", "xilinx.com:ip:lmb_bram_if_cntlr:4.0", C_ECC=0, C_NUM_LMB=2)
    sketch.cell(
        "local_memory",
        "xilinx.com:ip:blk_mem_gen:8.4",
        Memory_Type="True_Dual_Port_RAM",
        use_bram_block="BRAM_Controller",
    )
    for bus, master, slave in (("dlmb", "cpu/DLMB", "local_ctrl/SLMB"), ("ilmb", "cpu/ILMB", "local_ctrl/SLMB1")):
        sketch.cell(bus, "xilinx.com:ip:lmb_v10:3.0")
        sketch.link(master, f"{bus}/LMB_M")
        sketch.link(f"{bus}/LMB_Sl_0", slave)
        _clock(sketch, "cpu", f"{bus}/LMB_Clk")
        sketch.net("reset_core/bus_struct_reset", f"{bus}/SYS_Rst")
    _clock(sketch, "cpu", "local_ctrl/LMB_Clk")
    sketch.net("reset_core/bus_struct_reset", "local_ctrl/LMB_Rst")
    sketch.link("local_ctrl/BRAM_PORT", "local_memory/BRAM_PORTA")


def _peripherals(sketch: Sketch) -> None:
    """What host and core share. At power-up the register page reads zero (no device) and the core is held in reset."""
    for name in ("registers", "loader"):
        sketch.cell(name, "xilinx.com:ip:axi_bram_ctrl:4.1", SINGLE_PORT_BRAM=1, DATA_WIDTH=32)
    sketch.cell(
        "page", "xilinx.com:ip:blk_mem_gen:8.4", Memory_Type="Single_Port_RAM", use_bram_block="BRAM_Controller"
    )
    sketch.link("registers/BRAM_PORTA", "page/BRAM_PORTA")
    sketch.link("loader/BRAM_PORTA", "local_memory/BRAM_PORTB")
    for name in ("hold", "notify"):
        sketch.cell(name, "xilinx.com:ip:axi_gpio:2.0", C_GPIO_WIDTH=1, C_ALL_OUTPUTS=1, C_DOUT_DEFAULT="0x00000000")
    sketch.net("hold/gpio_io_o", "reset_core/aux_reset_in")
    sketch.net("notify/gpio_io_o", "ps/pl_ps_irq0")
    sketch.cell("interrupts", "xilinx.com:ip:axi_intc:4.1")
    sketch.link("interrupts/interrupt", "cpu/INTERRUPT")
    for name in ("registers", "loader", "hold", "notify", "interrupts"):
        _clock(sketch, "cpu", f"{name}/s_axi_aclk")
        _reset(sketch, "cpu", f"{name}/s_axi_aresetn")


def _accelerator(sketch: Sketch, accelerator: Accelerator) -> None:
    sketch.cell(CELL, accelerator.vlnv)
    _clock(sketch, "fabric", f"{CELL}/ap_clk")
    _reset(sketch, "fabric", f"{CELL}/ap_rst_n")


@dataclass(frozen=True)
class _Engine:
    """A DMA engine of one channel: the pin and address space of its memory side, and its interrupt."""

    name: str
    master: str
    space: str
    interrupt: str


def _engines(sketch: Sketch, accelerator: Accelerator) -> Iterator[_Engine]:
    """One a stream. Outputs get the end-of-frame mark that the receiving engine waits for."""
    for i, port in enumerate(accelerator.inputs):
        engine = _engine(sketch, f"read{i}", "mm2s", port)
        sketch.link(f"{engine.name}/M_AXIS_MM2S", f"{CELL}/{port.pin}")
        yield engine
    for i, port in enumerate(accelerator.outputs):
        engine, mark = _engine(sketch, f"write{i}", "s2mm", port), f"mark{i}"
        sketch.cell(
            mark,
            "xilinx.com:ip:axis_subset_converter:1.1",
            S_TDATA_NUM_BYTES=port.bits // 8,
            M_TDATA_NUM_BYTES=port.bits // 8,
            S_HAS_TLAST=0,
            M_HAS_TLAST=1,
            DEFAULT_TLAST=port.words,
        )
        _clock(sketch, "fabric", f"{mark}/aclk")
        _reset(sketch, "fabric", f"{mark}/aresetn")
        sketch.link(f"{CELL}/{port.pin}", f"{mark}/S_AXIS")
        sketch.link(f"{mark}/M_AXIS", f"{engine.name}/S_AXIS_S2MM")
        yield engine


def _engine(sketch: Sketch, name: str, way: str, port: StreamPort) -> _Engine:
    stream = "m_axis_mm2s" if way == "mm2s" else "s_axis_s2mm"
    config = {
        "c_include_sg": 0,
        "c_sg_length_width": LENGTH_BITS,
        "c_include_mm2s": int(way == "mm2s"),
        "c_include_s2mm": int(way == "s2mm"),
        f"c_m_axi_{way}_data_width": max(32, port.bits),
        f"c_{stream}_tdata_width": port.bits,
        f"c_{way}_burst_size": 64,
    }
    sketch.cell(name, "xilinx.com:ip:axi_dma:7.1", **config)
    _clock(sketch, "fabric", f"{name}/s_axi_lite_aclk", f"{name}/m_axi_{way}_aclk")
    _reset(sketch, "fabric", f"{name}/axi_resetn")
    return _Engine(name, f"{name}/M_AXI_{way.upper()}", f"{name}/Data_{way.upper()}", f"{name}/{way}_introut")


def _interconnect(sketch: Sketch, slaves: Sequence[str], masters: Sequence[str]) -> None:
    """``router`` sends the core's accesses to the control side or to memory, as it alone reaches both."""
    connects = {
        "router": (("cpu/M_AXI_DP",), ("control/S01_AXI", "data/S00_AXI"), ("cpu",)),
        "control": (("ps/M_AXI_HPM0_FPD", ""), tuple(slaves), ("cpu", "fabric")),
        "data": (("", *masters), ("ps/S_AXI_HP0_FPD",), ("fabric", "cpu")),
    }
    for name, (sources, targets, domains) in connects.items():
        sketch.cell(
            name, "xilinx.com:ip:smartconnect:1.0", NUM_SI=len(sources), NUM_MI=len(targets), NUM_CLKS=len(domains)
        )
        for i, source in enumerate(sources):
            if source:  # the empty ones come from router
                sketch.link(source, f"{name}/S{i:02}_AXI")
        for i, target in enumerate(targets):
            sketch.link(f"{name}/M{i:02}_AXI", target)
        for i, domain in enumerate(domains):
            _clock(sketch, domain, f"{name}/aclk{i or ''}")
        _reset(sketch, domains[0], f"{name}/aresetn")


def _interrupts(sketch: Sketch, lines: Sequence[str]) -> None:
    sketch.cell("lines", "xilinx.com:ip:xlconcat:2.1", NUM_PORTS=len(lines))
    for i, line in enumerate(lines):
        sketch.net(line, f"lines/In{i}")
    sketch.net("lines/dout", "interrupts/intr")


def _addresses(sketch: Sketch, engines: Sequence[_Engine]) -> None:
    """Control windows at the same addresses for host and core; DDR at its own for the core and the engines."""
    both = (HOST, CORE)
    sketch.window(both, "registers/S_AXI/Mem0", CONTROL_BASE, PAGE)
    segments = [f"{name}/S_AXI/Reg" for name in ("hold", "notify", "interrupts")]
    segments += [f"{CELL}/s_axi_control/Reg", *(f"{engine.name}/S_AXI_LITE/Reg" for engine in engines)]
    for i, segment in enumerate(segments, 1):
        sketch.window(both, segment, CONTROL_BASE + i * WINDOW, WINDOW)
    loader = CONTROL_BASE + (len(segments) + 1) * WINDOW
    sketch.window(both, "loader/S_AXI/Mem0", loader, LOCAL_MEMORY)
    sketch.window((CORE,), "local_ctrl/SLMB/Mem", LOCAL_BASE, LOCAL_MEMORY)
    sketch.window(("cpu/Instruction",), "local_ctrl/SLMB1/Mem", LOCAL_BASE, LOCAL_MEMORY)
    for space in (CORE, *(engine.space for engine in engines)):
        sketch.window((space,), f"{HP0}/HP0_DDR_LOW", 0, DDR)
        sketch.excluded += [(space, f"{HP0}/{segment}") for segment in ("HP0_LPS_OCM", "HP0_QSPI")]
