"""A Vivado block design as data: cells, connections and address windows, in the words of IP Integrator (AMD UG835)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """An instance of an IP; ``config`` are its parameters without the prefix ``CONFIG.``."""

    name: str
    vlnv: str
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Window:
    """Some bytes of an address space through which a master reaches a slave's segment."""

    space: str
    segment: str
    base: int
    bytes: int


@dataclass(frozen=True)
class BlockDesign:
    """``links`` join two interface pins; ``nets`` a driving pin and its loads; ``excluded`` are (space, segment)."""

    cells: tuple[Cell, ...]
    links: tuple[tuple[str, str], ...]
    nets: Mapping[str, tuple[str, ...]]
    windows: tuple[Window, ...]
    excluded: tuple[tuple[str, str], ...]


@dataclass
class Sketch:
    """A block design in the making."""

    cells: list[Cell] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    nets: dict[str, list[str]] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    excluded: list[tuple[str, str]] = field(default_factory=list)

    def cell(self, name: str, vlnv: str, **config: object) -> None:
        self.cells.append(Cell(name, vlnv, {key: str(value) for key, value in config.items()}))

    def link(self, source: str, target: str) -> None:
        """Join a master's interface pin to a slave's."""
        self.links.append((source, target))

    def net(self, driver: str, *loads: str) -> None:
        self.nets.setdefault(driver, []).extend(loads)

    def window(self, spaces: tuple[str, ...], segment: str, base: int, bytes_: int) -> None:
        """The same addresses in every space."""
        self.windows += [Window(space, segment, base, bytes_) for space in spaces]

    def design(self) -> BlockDesign:
        nets = {driver: tuple(loads) for driver, loads in self.nets.items()}
        return BlockDesign(tuple(self.cells), tuple(self.links), nets, tuple(self.windows), tuple(self.excluded))
