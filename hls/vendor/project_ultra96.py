"""The block design of the Ultra96-V2: accelerators, their DMA engines, and a soft RISC-V core that serves the rings.

::

    ps (Arm, Linux, hetero-run)                 cpu (MicroBlaze V, rv32im, firmware in local memory)
      M_AXI_HPM0 ----+                              M_AXI_DP
                     |                                 |
                  control <------------------------- router
                     |                                 |
      registers, loader, hold, notify,               data ----> ps/S_AXI_HP0 (DDR: rings, pool)
      interrupts; per region an accelerator            |
      and its DMA engines                         DMA engines == streams == accelerators

The host loads firmware through ``loader`` and lets the core go with ``hold``; from then on they meet in ``registers``
(host/runtime/hc_regs.h) and in the rings and buffers in DDR, which the core sees at the addresses the host uses. The
core starts the DMA engines and the accelerator of the region that a command names, and raises ``notify`` when a
completion is in its ring. Where a SmartConnect has too few ports for all regions, each region has one of its own.
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

SWITCH_PORTS = 16
"""On either side of a SmartConnect (AMD PG247)."""
INTERRUPTS = 32
"""Of an AXI interrupt controller (AMD PG099)."""
PERIPHERALS = ("registers", "loader", "hold", "notify", "interrupts")

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
    """A region's exported IP, the cell ``name`` of the design, and its streams in the order of the top function's
    arguments."""

    name: str
    vlnv: str
    inputs: tuple[StreamPort, ...]
    outputs: tuple[StreamPort, ...]

    @property
    def streams(self) -> int:
        return len(self.inputs) + len(self.outputs)


def ultra96_limits(accelerators: Sequence[Accelerator]) -> str | None:
    """What `ultra96_design` has no room for, as one line; None where everything fits."""
    for accelerator in accelerators:
        if accelerator.streams >= SWITCH_PORTS:
            return (
                f"region '{accelerator.name}' has {accelerator.streams} streams; "
                f"a SmartConnect joins {SWITCH_PORTS - 1} of them"
            )
    lines = sum(1 + accelerator.streams for accelerator in accelerators)
    if lines > INTERRUPTS:
        return f"{len(accelerators)} regions need {lines} interrupts; an interrupt controller has {INTERRUPTS}"
    return None


def ultra96_design(accelerators: Sequence[Accelerator], fabric_mhz: float, cpu_mhz: float) -> BlockDesign:
    """All that is in the fabric: accelerators and streams at ``fabric_mhz``, core and periphery at ``cpu_mhz``. The
    windows and interrupts of the regions are in their order: of each, the accelerator's, then its engines'."""
    sketch = Sketch()
    _processing_system(sketch, fabric_mhz, cpu_mhz)
    _core(sketch)
    _peripherals(sketch)
    regions = [_region(sketch, accelerator) for accelerator in accelerators]
    _interconnect(sketch, regions)
    _interrupts(sketch, [line for region in regions for line in region.interrupts])
    _addresses(sketch, regions)
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
    for name in PERIPHERALS:
        _clock(sketch, "cpu", f"{name}/s_axi_aclk")
        _reset(sketch, "cpu", f"{name}/s_axi_aresetn")


@dataclass(frozen=True)
class _Engine:
    """A DMA engine of one channel: the pin and address space of its memory side, and its interrupt."""

    name: str
    master: str
    space: str
    interrupt: str


@dataclass(frozen=True)
class _Region:
    """An accelerator with its engines, as the rest of the design sees them."""

    name: str
    engines: tuple[_Engine, ...]

    @property
    def interrupts(self) -> tuple[str, ...]:
        return (f"{self.name}/interrupt", *(engine.interrupt for engine in self.engines))

    @property
    def slaves(self) -> tuple[str, ...]:
        """Control pins."""
        return (f"{self.name}/s_axi_control", *(f"{engine.name}/S_AXI_LITE" for engine in self.engines))

    @property
    def masters(self) -> tuple[str, ...]:
        """Pins towards memory."""
        return tuple(engine.master for engine in self.engines)

    @property
    def segments(self) -> tuple[str, ...]:
        return (f"{self.name}/s_axi_control/Reg", *(f"{engine.name}/S_AXI_LITE/Reg" for engine in self.engines))


def _region(sketch: Sketch, accelerator: Accelerator) -> _Region:
    sketch.cell(accelerator.name, accelerator.vlnv)
    _clock(sketch, "fabric", f"{accelerator.name}/ap_clk")
    _reset(sketch, "fabric", f"{accelerator.name}/ap_rst_n")
    return _Region(accelerator.name, tuple(_engines(sketch, accelerator)))


def _engines(sketch: Sketch, accelerator: Accelerator) -> Iterator[_Engine]:
    """One a stream. Outputs get the end-of-frame mark that the receiving engine waits for."""
    cell = accelerator.name
    for i, port in enumerate(accelerator.inputs):
        engine = _engine(sketch, f"{cell}_read{i}", "mm2s", port)
        sketch.link(f"{engine.name}/M_AXIS_MM2S", f"{cell}/{port.pin}")
        yield engine
    for i, port in enumerate(accelerator.outputs):
        engine, mark = _engine(sketch, f"{cell}_write{i}", "s2mm", port), f"{cell}_mark{i}"
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
        sketch.link(f"{cell}/{port.pin}", f"{mark}/S_AXIS")
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


def _interconnect(sketch: Sketch, regions: Sequence[_Region]) -> None:
    """``router`` sends the core's accesses to the control side or to memory, as it alone reaches both."""
    slaves = [f"{name}/{'s_axi' if name == 'interrupts' else 'S_AXI'}" for name in PERIPHERALS]
    masters = [""]
    own_control = len(slaves) + sum(len(region.slaves) for region in regions) > SWITCH_PORTS
    own_data = len(masters) + sum(len(region.masters) for region in regions) > SWITCH_PORTS
    for region in regions:
        if own_control:
            slaves.append(f"{region.name}_control/S00_AXI")
            _switch(sketch, f"{region.name}_control", [""], region.slaves, ("fabric",))
        else:
            slaves += region.slaves
        if own_data:
            masters.append("")
            _switch(sketch, f"{region.name}_data", region.masters, [f"data/S{len(masters) - 1:02}_AXI"], ("fabric",))
        else:
            masters += region.masters
    _switch(sketch, "router", ["cpu/M_AXI_DP"], ["control/S01_AXI", "data/S00_AXI"], ("cpu",))
    _switch(sketch, "control", ["ps/M_AXI_HPM0_FPD", ""], slaves, ("cpu", "fabric"))
    _switch(sketch, "data", masters, ["ps/S_AXI_HP0_FPD"], ("fabric", "cpu"))


def _switch(
    sketch: Sketch, name: str, sources: Sequence[str], targets: Sequence[str], domains: tuple[str, ...]
) -> None:
    """A SmartConnect. Empty sources are other switches, which name it among their targets."""
    sketch.cell(name, "xilinx.com:ip:smartconnect:1.0", NUM_SI=len(sources), NUM_MI=len(targets), NUM_CLKS=len(domains))
    for i, source in enumerate(sources):
        if source:
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


def _addresses(sketch: Sketch, regions: Sequence[_Region]) -> None:
    """Control windows at the same addresses for host and core; DDR at its own for the core and the engines."""
    both = (HOST, CORE)
    sketch.window(both, "registers/S_AXI/Mem0", CONTROL_BASE, PAGE)
    segments = [f"{name}/S_AXI/Reg" for name in ("hold", "notify", "interrupts")]
    segments += [segment for region in regions for segment in region.segments]
    for i, segment in enumerate(segments, 1):
        sketch.window(both, segment, CONTROL_BASE + i * WINDOW, WINDOW)
    loader = CONTROL_BASE + (len(segments) + 1) * WINDOW
    sketch.window(both, "loader/S_AXI/Mem0", loader, LOCAL_MEMORY)
    sketch.window((CORE,), "local_ctrl/SLMB/Mem", LOCAL_BASE, LOCAL_MEMORY)
    sketch.window(("cpu/Instruction",), "local_ctrl/SLMB1/Mem", LOCAL_BASE, LOCAL_MEMORY)
    for space in (CORE, *(engine.space for region in regions for engine in region.engines)):
        sketch.window((space,), f"{HP0}/HP0_DDR_LOW", 0, DDR)
        sketch.excluded += [(space, f"{HP0}/{segment}") for segment in ("HP0_LPS_OCM", "HP0_QSPI")]
