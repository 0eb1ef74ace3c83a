"""Convolution by filter packing: a kernel row against two neighbouring pixels in one multiplication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hls.heterocl import alloc, hcl, note
from hls.layers.convolution import Convolution, accumulate, multiply_chains
from hls.layers.stage import Banks, Tensor, in_lane, lane, nest, signed_type, word_type


@dataclass(frozen=True)
class FilterConv(Convolution):
    """Reads and writes pair wires. K odd, at least 3.

    One product of a kernel row (taps in reverse) and the pixels 2j, 2j+1 has K+1 segments. Segments 0 and 1 complete
    the row sums that end at these pixels; the others are the beginning of the next ones and are carried to step j+1.
    """

    @property
    def products(self) -> int:
        return self.simd * self.pe

    @property
    def results(self) -> int:
        return 2 * self.pe

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        wire, out_wire, k, p = self.sources[0], self.targets[0], self.kernel, self.packing
        og_count, cg_count, n, acc = self.output_groups, self.input_groups, self.name, self.accumulator_bits
        word, out_word, operand = word_type(wire), word_type(out_wire), signed_type(p.activation_bits)
        taps = self.weights.reshape(og_count, self.pe, cg_count, self.simd, k, k).transpose(0, 4, 2, 1, 3, 5)
        note(f"{n}: W holds {k} taps of a kernel row at a pitch of {p.pitch} bits, last tap in the low bits;")
        note(
            f"A holds two pixels at the same pitch: one product gives {p.multiplies} multiplications, {p.segments} sums"
        )
        rom = hcl.const_tensor(p.pack_weights(taps[..., ::-1]), f"{n}_w", signed_type(p.weight_bits))
        roms = self.rule.constants(n, og_count)
        lines = alloc((k - 1, wire.columns, cg_count), f"{n}_lines", word)
        window = alloc((k, cg_count), f"{n}_window", word)
        packed = alloc((self.simd,), f"{n}_a", operand)
        sums = alloc((self.pe, p.segments), f"{n}_sums", signed_type(acc))
        carry = alloc((og_count, self.pe, k - 1), f"{n}_carry", signed_type(acc))
        with nest(n, y=wire.rows, j=wire.columns, og=og_count, r=k, cg=cg_count) as (y, j, og, r, cg):
            pair = hcl.scalar(0, "pair", dtype=word)
            with hcl.if_(og == 0):
                with hcl.if_(r == k - 1):
                    pair.v = sources[0][y, j, cg]
                with hcl.else_():
                    pair.v = lines[r, j, cg]
                with hcl.if_(r > 0):
                    lines[r - 1, j, cg] = pair.v
                window[r, cg] = pair.v
            with hcl.else_():
                pair.v = window[r, cg]
            with hcl.for_(0, self.simd, name="c") as c:
                left = hcl.scalar(lane(pair.v, c, wire.bits, wire.signed), "left", dtype=operand)
                right = hcl.scalar(lane(pair.v, c + self.simd, wire.bits, wire.signed), "right", dtype=operand)
                packed[c] = left.v + right.v * (1 << p.pitch)
            out = hcl.scalar(0, "out", dtype=out_word)
            first = hcl.scalar(hcl.select(hcl.and_(r == 0, cg == 0), 1, 0), "first", dtype=hcl.UInt(1))
            with hcl.for_(0, self.pe, name="q") as q:
                chains = multiply_chains(rom, (og, r, cg, q), packed, self.simd, p)
                row = [
                    accumulate(sums, (q, m), [chain[m] for chain in chains], first.v, acc) for m in range(p.segments)
                ]
                for m in range(k - 1):
                    with hcl.if_(j > 0):
                        row[m].v = row[m].v + carry[og, q, m]
                for m in range(2):
                    level = self.rule.apply(row[m], og, q, roms)
                    out.v = out.v | in_lane(level, q + m * self.pe, out_wire.bits, out_word)
                with hcl.if_(hcl.and_(r == k - 1, cg == cg_count - 1)):
                    for m in range(k - 1):
                        carry[og, q, m] = row[m + 2].v
            with hcl.if_(hcl.and_(r == k - 1, cg == cg_count - 1, y >= k - 1, j >= (k - 1) // 2)):
                targets[0][y - (k - 1), j - (k - 1) // 2, og] = out.v
        return [(packed, 0), (sums, 0), (carry, 2), (carry, 3), (lines, 1)]
