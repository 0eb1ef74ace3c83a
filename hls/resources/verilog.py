"""Writing small Verilog modules: wires, registers, carry chains, counters of ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hls.resources.compress import compression


@dataclass
class Module:
    """A module ``top`` under construction: ``clk``, the input ports, one output ``y``."""

    inputs: Mapping[str, int]
    lines: list[str] = field(default_factory=list)
    names: int = 0

    def name(self, stem: str) -> str:
        self.names += 1
        return f"{stem}{self.names}"

    def wire(self, bits: int, value: str, stem: str = "w") -> str:
        name = self.name(stem)
        self.lines.append(f"  wire [{bits - 1}:0] {name} = {value};")
        return name

    def register(self, bits: int, value: str, stem: str = "q", enable: str = "") -> str:
        name = self.name(stem)
        self.lines.append(f"  reg [{bits - 1}:0] {name};")
        self.lines.append(f"  always @(posedge clk) {f'if ({enable}) ' if enable else ''}{name} <= {value};")
        return name

    def carry(self, bits: int, direct: str, function: str, carry_in: str = "1'b0") -> str:
        """``direct + function + carry_in``, one bit wider.

        The carry chain is explicit, so that each bit is one LUT: ``function`` of up to five signals and ``direct``,
        which must be a signal by itself.
        """
        name, blocks = self.name("c"), -(-bits // 4)
        padded = 4 * blocks
        self.lines += [
            f"  wire [{bits - 1}:0] {name}_d = {direct};",
            f"  wire [{padded - 1}:0] {name}_di = {name}_d, {name}_s = {name}_d ^ {function};",
            f"  wire [{padded - 1}:0] {name}_o, {name}_co;",
        ]
        for block in range(blocks):
            part = f"[{4 * block + 3}:{4 * block}]"
            before = carry_in if block == 0 else f"{name}_co[{4 * block - 1}]"
            self.lines.append(
                f"  CARRY4 {name}_k{block} (.CI({before}), .CYINIT(1'b0), .DI({name}_di{part}), .S({name}_s{part}), "
                f".O({name}_o{part}), .CO({name}_co{part}));"
            )
        return self.wire(bits + 1, f"{{{name}_co[{bits - 1}], {name}_o[{bits - 1}:0]}}", "s")

    def count(self, columns: Mapping[int, Sequence[str]], bits: int) -> str:
        """The sum of single-bit signals, per weight exponent, as one number of ``bits`` bits."""
        live = {column: list(signals) for column, signals in columns.items() if signals}
        plan = compression({column: len(signals) for column, signals in live.items()})
        for round_ in plan.rounds:
            taken = [(c, [live[c.column].pop(0) for _ in range(c.inputs)]) for c in round_]
            for counter, signals in taken:
                ones = self.wire(counter.outputs, " + ".join(signals), "n")
                for up in range(counter.outputs):
                    live.setdefault(counter.column + up, []).append(f"{ones}[{up}]")
        rows = [[live.get(column, [])[k : k + 1] for column in range(bits)] for k in range(2)]
        words = ["{" + ", ".join(signal[0] if signal else "1'b0" for signal in reversed(row)) + "}" for row in rows]
        return self.wire(bits, " + ".join(words) if plan.adder else words[0], "count")

    def text(self, bits: int, result: str) -> str:
        """The module; ``result`` is a signal of ``bits`` bits."""
        ports = ["input clk", *(f"input [{n - 1}:0] {name}" for name, n in self.inputs.items())]
        head = f"module top ({', '.join(ports)}, output [{bits - 1}:0] y);"
        return "\n".join([head, *self.lines, f"  assign y = {result};", "endmodule", ""])
