"""The HeteroCL program of a packed convolution (see `hls.layers.convolution`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from math import prod
from typing import TYPE_CHECKING, Any

from hls.heterocl import alloc, hcl, note
from hls.layers.stage import Banks, Tensor, in_lane, lane, nest, signed_type, word_type
from hls.layers.weights import FedRegisters

if TYPE_CHECKING:
    from hls.layers.convolution import Convolution


def trace(stage: Convolution, sources: Sequence[Tensor], target: Tensor) -> Sequence[Banks]:
    """Write the stage's statements; the memories to split into registers."""
    return _Program(stage, sources, target).run()


class _Program:
    """The memories of one stage and its statements, in the order of the data."""

    def __init__(self, stage: Convolution, sources: Sequence[Tensor], target: Tensor) -> None:
        self.stage, self.target = stage, target
        self.sources, self.fed = sources[: len(stage.windows)], sources[len(stage.windows) :]
        n, m, steps = stage.name, stage.multiply, stage.steps
        for line in m.explain():
            note(f"{n}: {line}")
        self.wire, self.out = stage.sources[0], stage.targets[0]
        self.bits = stage.accumulator_bits
        places = (stage.groups, stage.output_groups)
        outputs = (stage.lane_groups, stage.blocks, m.channels)
        self.starts, bits = m.starts(stage.arranged), m.start_bits(stage.arranged)
        self.start_rom = hcl.const_tensor(self.starts, f"{n}_start", signed_type(bits)) if bits else None
        self.levels = stage.rule.constants(n, stage.groups * stage.output_groups)
        self.banks: list[Banks] = []
        self.roms = (self.weights(), *m.roms(stage.arranged, n))
        word, sums = word_type(self.wire), signed_type(self.bits)
        self.kept = self.memory((len(self.sources), stage.reductions), "kept", word, [1], stage.output_groups > 1)
        self.activations = self.memory(
            (stage.lane_groups * stage.lanes, m.pixels), "a", signed_type(m.activation.signed_bits), [0]
        )
        self.sums = self.memory((*outputs, m.sums), "sums", sums, [0], stage.reductions > 1)
        split = [3, 4, 5, 6]
        self.carry = self.memory((*places, *outputs, m.taps - 1), "carry", sums, split, m.taps > 1)
        self.late = self.memory((*places, *outputs, m.taps - 1 - m.pixels), "late", sums, split, self.long_wrap)
        level = hcl.Int(self.out.bits + 1)
        self.held = self.memory((*places, *outputs, steps.held), "held", level, split, steps.held > 0)
        self.column = self.memory((2,), "column", hcl.Int(32), [0], self.wrapped)

    @property
    def wrapped(self) -> bool:
        """Rows follow each other without a gap, and something is carried along them."""
        return self.stage.steps.wraps and self.stage.multiply.taps > 1

    @property
    def long_wrap(self) -> bool:
        """Outputs of a row leave in more than one step of the next."""
        return self.wrapped and self.stage.steps.delay > 1

    def memory(self, shape: tuple[int, ...], name: str, dtype: Any, split: list[int], wanted: bool = True) -> Tensor:
        if not wanted:
            return None
        tensor = alloc(shape, f"{self.stage.name}_{name}", dtype)
        self.banks += [(tensor, dim) for dim in split]
        return tensor

    def weights(self) -> Any:
        """A ROM, or the registers that hold an iteration's weights."""
        m, name = self.stage.multiply, f"{self.stage.name}_w"
        if not m.memory_bits:
            return None
        values, dtype = m.memory(self.stage.arranged), signed_type(m.memory_bits)
        if not self.fed:
            return hcl.const_tensor(values, name, dtype)
        shape = values.shape[3:]
        self.registers = self.memory((max(prod(shape), 2),), "w", dtype, [0])
        return FedRegisters(self.registers, shape)

    def run(self) -> Sequence[Banks]:
        stage, steps = self.stage, self.stage.steps
        inner = {"b": stage.groups, "og": stage.output_groups, "s": stage.reductions}
        outer = {"p": steps.positions} if steps.wraps else {"y": steps.rows, "j": steps.steps}
        with nest(stage.name, **outer, **inner) as (*place, b, og, s):
            self.at, self.last = (b, og), s == stage.reductions - 1
            self.begin(place, b, og, s)
            self.take(place, b, og, s)
            self.take_weights(place, b, og, s)
            operands, banks = stage.multiply.operands(self.activations, stage.lane_groups, stage.lanes, stage.name)
            self.banks += banks
            self.word = hcl.scalar(0, "out", dtype=word_type(self.out))
            with each("lg", stage.lane_groups) as lg, each("q", stage.blocks) as q:
                start = lg * stage.lanes
                parts = stage.multiply.row(self.roms, (b, og, s, lg, q), operands, start, stage.lanes, self.bits)
                for channel, sums in enumerate(parts):
                    self.finish(s, (lg, q, channel), sums, (lg * stage.blocks + q) * stage.multiply.channels + channel)
            self.emit(place, b * stage.output_groups + og)
        return self.banks

    def begin(self, place: list[Any], b: Any, og: Any, s: Any) -> None:
        """Where in a row this step is: `first`, the step's number, counted where rows wrap."""
        stage, steps = self.stage, self.stage.steps
        if not self.wrapped:
            self.first = place[-1]
            return
        with hcl.if_(hcl.and_(place[0] == 0, b == 0, og == 0, s == 0)):
            self.column[0] = 0
        first = hcl.scalar(self.column[0], "first", dtype=hcl.Int(32))
        with hcl.if_(hcl.and_(b == stage.groups - 1, og == stage.output_groups - 1, self.last)):
            self.column[0] = hcl.select(first.v == steps.steps - 1, 0, first.v + 1)
        self.first = first.v

    def take(self, place: list[Any], b: Any, og: Any, s: Any) -> None:
        """The step's words, read once and kept for the other output groups; their lanes as activations."""
        stage, steps, position = self.stage, self.stage.steps, self.position(place)
        inside = [position < steps.rows * steps.steps] if steps.positions > steps.rows * steps.steps else []
        pixels, channels, lane_groups = stage.multiply.pixels, stage.channels, stage.lane_groups
        for w, source in enumerate(self.sources):
            word = hcl.scalar(0, f"word{w}", dtype=word_type(self.wire))
            conditions = [*inside, *([og == 0] if self.kept is not None else [])]
            with hcl.if_(hcl.and_(*conditions)) if conditions else nullcontext():
                word.v = source[0, position, b * stage.reductions + s]
                if self.kept is not None:
                    self.kept[w, s] = word.v
            if self.kept is not None:
                with hcl.else_():
                    word.v = self.kept[w, s]
            with each("g", lane_groups) as g, each("c", channels) as c:
                for i in range(pixels):
                    value = lane(word.v, (i * lane_groups + g) * channels + c, self.wire.bits, self.wire.signed)
                    self.activations[(g * len(self.sources) + w) * channels + c, i] = value

    def position(self, place: list[Any]) -> Any:
        """The step's number in the frame: rows lie one behind the other."""
        return place[0] if self.stage.steps.wraps else place[0] * self.stage.steps.steps + place[1]

    def take_weights(self, place: list[Any], b: Any, og: Any, s: Any) -> None:
        """The iteration's weights from their streams into registers."""
        stage, elements = self.stage, self.roms[0].size if self.fed else 0
        for way, source in enumerate(self.fed):
            wire, first = stage.sources[len(self.sources) + way], way * stage.sources[-1].lanes
            iteration = (b * stage.output_groups + og) * stage.reductions + s
            word = hcl.scalar(source[0, self.position(place), iteration], f"fed{way}", dtype=word_type(wire))
            with each("e", min(wire.lanes, elements - first)) as e:
                self.registers[first + e] = lane(word.v, e, wire.bits, signed=True)

    def finish(self, s: Any, place: tuple[Any, ...], parts: Sequence[Any], index: Any) -> None:
        """From the products of an iteration to output lanes, and to what is carried to the next step."""
        stage, m, steps = self.stage, self.stage.multiply, self.stage.steps
        at, group = (*self.at, *place), self.at[0] * stage.output_groups + self.at[1]
        full = self.row_sums(s, place, parts)
        carried = [self.scalar(f"carried{t}", self.carry[(*at, t)]) for t in range(m.taps - 1)]
        fresh = [self.scalar(f"row{t}", full[t].v + hcl.select(self.first > 0, c.v, 0)) for t, c in enumerate(carried)]
        fresh += full[len(carried) :]
        for t in range(m.pixels):
            slot = t - (m.pixels - steps.held)
            if slot >= 0:
                self.put(self.held[(*at, slot)], slot * stage.output_lanes + index)
            value = self.leaving(at, t, carried, fresh, steps.delay - (slot >= 0))
            level = stage.rule.apply(self.scalar("done", value), group, index, self.levels)
            if slot >= 0:
                with hcl.if_(self.last):
                    self.held[(*at, slot)] = level
            else:
                self.put(level, (t + steps.held) * stage.output_lanes + index)
        with hcl.if_(self.last):
            for t in range(m.taps - 1 - m.pixels) if self.long_wrap else ():
                later = self.late[(*at, t + m.pixels)] if t + m.pixels < m.taps - 1 - m.pixels else 0
                self.late[(*at, t)] = hcl.select(self.first == 0, carried[t + m.pixels].v, later)
            for t in range(len(carried)):
                self.carry[(*at, t)] = fresh[m.pixels + t].v

    def row_sums(self, s: Any, place: tuple[Any, ...], parts: Sequence[Any]) -> list[Any]:
        """The products of all iterations of a step so far."""
        stage, sums = self.stage, []
        for number, part in enumerate(parts):
            begun: Any = int(self.starts.reshape(-1, len(parts))[0, number])
            if self.start_rom is not None:
                begun = self.start_rom[(*self.at, *place, number)]
            if stage.reductions > 1:
                begun = hcl.select(s == 0, begun, self.sums[(*place, number)])
            sums.append(self.scalar(f"full{number}", part.v + begun))
            if stage.reductions > 1:
                self.sums[(*place, number)] = sums[-1].v
        return sums

    def leaving(self, at: tuple[Any, ...], t: int, carried: Sequence[Any], fresh: Sequence[Any], until: int) -> Any:
        """Output t of this step; in the steps before ``until`` of a row that wraps, what the row before left."""
        value = fresh[t].v
        if self.wrapped and until > 1:
            late = self.late[(*at, t)] if t < len(carried) - self.stage.multiply.pixels else 0
            value = hcl.select(self.first < until, late, value)
        if self.wrapped and until > 0:
            value = hcl.select(self.first == 0, carried[t].v if t < len(carried) else 0, value)
        return value

    def scalar(self, name: str, value: Any) -> Any:
        return hcl.scalar(value, name, dtype=signed_type(self.bits))

    def put(self, value: Any, index: Any) -> None:
        self.word.v = self.word.v | in_lane(value, index, self.out.bits, word_type(self.out))

    def emit(self, place: Sequence[Any], group: Any) -> None:
        steps = self.stage.steps
        if steps.wraps:
            at, ready = (0, place[0] - steps.delay), [place[0] >= steps.delay]
        else:
            at = (place[0], place[1] - steps.delay)
            ready = [place[1] >= steps.delay, place[1] < steps.delay + steps.outputs]
        with hcl.if_(hcl.and_(self.last, *ready)):
            self.target[(*at, group)] = self.word.v


@contextmanager
def each(name: str, extent: int) -> Iterator[Any]:
    """A loop where there is more than one iteration."""
    if extent == 1:
        yield 0
    else:
        with hcl.for_(0, extent, name=name) as variable:
            yield variable
