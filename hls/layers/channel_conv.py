"""Convolution by channel packing: one activation against the weights of several output channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hls.heterocl import alloc, hcl, note
from hls.layers.convolution import Convolution, accumulate, multiply_chains
from hls.layers.stage import Banks, Tensor, in_lane, lane, nest, signed_type, word_type


@dataclass(frozen=True)
class ChannelConv(Convolution):
    """Reads and writes raster wires; any K. Segment m of a product belongs to output channel ``q * weights + m``."""

    @property
    def products(self) -> int:
        return self.kernel * self.simd * self.pe // self.packing.weights

    @property
    def results(self) -> int:
        return self.pe

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        wire, out_wire, k, p = self.sources[0], self.targets[0], self.kernel, self.packing
        og_count, cg_count, n, acc = self.output_groups, self.input_groups, self.name, self.accumulator_bits
        word, out_word, operand = word_type(wire), word_type(out_wire), signed_type(p.activation_bits)
        blocks = self.pe // p.weights
        shaped = self.weights.reshape(og_count, blocks, p.weights, cg_count, self.simd, k, k)
        shaped = shaped.transpose(0, 5, 3, 1, 6, 4, 2).reshape(og_count, k, cg_count, blocks, k * self.simd, p.weights)
        note(f"{n}: W holds the weights of {p.weights} output channels at a pitch of {p.pitch} bits, A one activation:")
        note(f"one product gives {p.multiplies} multiplications, segment m belongs to channel {p.weights} * q + m")
        rom = hcl.const_tensor(p.pack_weights(shaped), f"{n}_w", signed_type(p.weight_bits))
        roms = self.rule.constants(n, og_count)
        lines = alloc((max(k - 1, 1), wire.columns, cg_count), f"{n}_lines", word)
        window = alloc((k, k, cg_count), f"{n}_window", word)
        columns = alloc((k * self.simd,), f"{n}_a", operand)
        sums = alloc((blocks, max(p.weights, 2)), f"{n}_sums", signed_type(acc))
        with nest(n, y=wire.rows, x=wire.columns, og=og_count, r=k, cg=cg_count) as (y, x, og, r, cg):
            with hcl.if_(og == 0):
                new = hcl.scalar(0, "new", dtype=word)
                with hcl.if_(r == k - 1):
                    new.v = sources[0][y, x, cg]
                if k > 1:
                    with hcl.else_():
                        new.v = lines[r, x, cg]
                    with hcl.if_(r > 0):
                        lines[r - 1, x, cg] = new.v
                for column in range(k - 1):
                    window[r, column, cg] = window[r, column + 1, cg]
                window[r, k - 1, cg] = new.v
            for column in range(k):
                held = hcl.scalar(window[r, column, cg], "held", dtype=word)
                with hcl.for_(0, self.simd, name="c") as c:
                    columns[column * self.simd + c] = lane(held.v, c, wire.bits, wire.signed)
            out = hcl.scalar(0, "out", dtype=out_word)
            first = hcl.scalar(hcl.select(hcl.and_(r == 0, cg == 0), 1, 0), "first", dtype=hcl.UInt(1))
            with hcl.for_(0, blocks, name="q") as q:
                chains = multiply_chains(rom, (og, r, cg, q), columns, k * self.simd, p)
                for m in range(p.weights):
                    total = accumulate(sums, (q, m), [chain[m] for chain in chains], first.v, acc)
                    level = self.rule.apply(total, og, q * p.weights + m, roms)
                    out.v = out.v | in_lane(level, q * p.weights + m, out_wire.bits, out_word)
            with hcl.if_(hcl.and_(r == k - 1, cg == cg_count - 1, y >= k - 1, x >= k - 1)):
                targets[0][y - (k - 1), x - (k - 1), og] = out.v
        return [(columns, 0), (sums, 0), (window, 2), (lines, 1)]
