"""Plans a package at compile time: which buffers exist, where they lie, which conversions run, what waits for what.

A tensor lives in one *buffer* per form in which it is needed: the form its producer writes, and every other form a
consumer reads; between forms stands a *conversion*, a step of its own. Buffers that a device reads or writes lie in
the DMA pool, all others in the CPU's private arena. Offsets are those of one frame; the runtime keeps `frames` copies
of both memories, so that a region works on one frame while its neighbours work on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from host.errors import PackageError
from host.manifest import Manifest, Tensor
from ir.layouts import Layout, Plain, united

ALIGN = 64  # HC_ALIGN of runtime/hc_region.h
FRAMES = 3
"""One that the accelerator works on, one that the CPU works on, one between: neither waits for the other's steps."""

StepKind = Literal["cpu", "device", "pack", "unpack"]


@dataclass(frozen=True)
class Buffer:
    """One tensor in one form: ``offset`` within a frame's share of the pool or arena, ``bytes`` without padding."""

    tensor: str
    layout: Layout
    bytes: int
    in_pool: bool = False
    offset: int = 0


@dataclass(frozen=True)
class Step:
    """A region or a conversion; ``reads``, ``writes`` index buffers, ``after`` the steps that must be finished."""

    name: str
    kind: StepKind
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    after: tuple[int, ...]
    region: int = -1


@dataclass(frozen=True)
class Weights:
    """What a device region's port brings once a frame: ``bytes`` at ``offset`` behind all frames' shares of the pool;
    ``number`` counts the region's ports."""

    port: str
    region: int
    number: int
    offset: int
    bytes: int


@dataclass(frozen=True)
class Plan:
    """``inputs`` and ``outputs`` index the plain buffers that frames are copied into and results out of."""

    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    arena_bytes: int
    pool_bytes: int
    frames: int
    weights: tuple[Weights, ...] = ()
    weight_bytes: int = 0

    @property
    def dma_bytes(self) -> int:
        """The whole DMA pool: every frame's share, then the weights."""
        return self.frames * self.pool_bytes + self.weight_bytes


def make_plan(manifest: Manifest, frames: int = FRAMES) -> Plan:
    """The plan of a checked manifest; PackageError if the frames in flight do not fit the board's DMA pool."""
    builder = _Builder(manifest)
    buffers, steps = builder.buffers, builder.steps
    conflicts = _conflicts(buffers, steps, builder.inputs, builder.outputs)
    align = max(ALIGN, manifest.board.cache_line)
    device_steps = [step for step in steps if step.kind == "device"]
    pool = {index for step in device_steps for index in (*step.reads, *step.writes)}
    arena = set(range(len(buffers))) - pool
    sizes = [_round_up(buffer.bytes, align) for buffer in buffers]
    placed, arena_bytes = _place(sorted(arena), sizes, conflicts)
    pooled, pool_bytes = _place(sorted(pool), sizes, conflicts)
    offsets = placed | pooled
    final = tuple(replace(b, in_pool=i in pool, offset=offsets[i]) for i, b in enumerate(buffers))
    weights, weight_bytes = _weights(manifest, align)
    plan = Plan(
        tuple(steps), final, builder.inputs, builder.outputs, arena_bytes, pool_bytes, frames, weights, weight_bytes
    )
    if plan.dma_bytes > manifest.board.pool_bytes:
        raise PackageError(
            f"{frames} frames in flight{' and weights' if weights else ''} need {plan.dma_bytes} bytes of DMA memory; "
            f"board '{manifest.board.name}' has {manifest.board.pool_bytes}"
        )
    return plan


def _weights(manifest: Manifest, align: int) -> tuple[tuple[Weights, ...], int]:
    """One behind the other, and their total."""
    found, offset = [], 0
    for index, region in enumerate(manifest.regions):
        for number, port in enumerate(region.weights):
            found.append(Weights(port.name, index, number, offset, port.bytes))
            offset += _round_up(port.bytes, align)
    return tuple(found), offset


def same_bytes(layout: Layout, tensor: Tensor) -> Layout:
    """See `ir.layouts.united`."""
    return united(layout, tensor.type)


class _Builder:
    """Walks the regions in order and collects buffers and steps."""

    def __init__(self, manifest: Manifest) -> None:
        self.tensors = manifest.tensor_table
        self.buffers: list[Buffer] = []
        self.steps: list[Step] = []
        self._forms: dict[tuple[str, Layout], int] = {}
        self._writer: dict[int, int] = {}
        self.inputs = tuple(self._add(name, Plain()) for name in manifest.inputs)
        for index, region in enumerate(manifest.regions):
            reads = tuple(self._form(port.tensor, port.layout) for port in region.inputs)
            writes = tuple(self._add(port.tensor, port.layout) for port in region.outputs)
            self._step(region.name, region.side, reads, writes, index)
        self.outputs = tuple(self._form(name, Plain()) for name in manifest.outputs)

    def _add(self, tensor: str, layout: Layout) -> int:
        layout = same_bytes(layout, self.tensors[tensor])
        self.buffers.append(Buffer(tensor, layout, layout.bytes_of(self.tensors[tensor].type)))
        return self._forms.setdefault((tensor, layout), len(self.buffers) - 1)

    def _form(self, tensor: str, layout: Layout) -> int:
        """The buffer with the tensor in that layout, converted if need be (from words to words by way of plain)."""
        layout = same_bytes(layout, self.tensors[tensor])
        if (tensor, layout) in self._forms:
            return self._forms[tensor, layout]
        if layout == Plain():
            source = next(index for (name, _), index in self._forms.items() if name == tensor)
            kind: StepKind = "unpack"
        else:
            source = self._form(tensor, Plain())
            kind = "pack"
        target = self._add(tensor, layout)
        self._step(f"{kind} {tensor}", kind, (source,), (target,))
        return target

    def _step(
        self, name: str, kind: StepKind, reads: tuple[int, ...], writes: tuple[int, ...], region: int = -1
    ) -> None:
        after = sorted({self._writer[buffer] for buffer in reads if buffer in self._writer})
        self._writer.update(dict.fromkeys(writes, len(self.steps)))
        self.steps.append(Step(name, kind, reads, writes, tuple(after), region))


def _conflicts(
    buffers: Sequence[Buffer], steps: Sequence[Step], inputs: Sequence[int], outputs: Sequence[int]
) -> list[set[int]]:
    """For each buffer, those that may hold a value at the same time.

    Steps without a path between them run in any order or at once, so two buffers may share memory only if every step
    that touches one precedes, by dependencies, the step that writes the other.
    """
    before: list[set[int]] = []
    for step in steps:
        before.append({earlier for direct in step.after for earlier in (direct, *before[direct])})
    touches = [[i for i, s in enumerate(steps) if buffer in (*s.reads, *s.writes)] for buffer in range(len(buffers))]
    writer = {buffer: i for i, step in enumerate(steps) for buffer in step.writes}

    def precedes(first: int, second: int) -> bool:
        if first in outputs or second in inputs:
            return False
        return all(step in before[writer[second]] for step in touches[first])

    everything = range(len(buffers))
    return [{b for b in everything if b != a and not precedes(a, b) and not precedes(b, a)} for a in everything]


def _place(members: Sequence[int], sizes: Sequence[int], conflicts: Sequence[set[int]]) -> tuple[dict[int, int], int]:
    """Offsets and their total: largest first, each at the lowest place that is free of conflicting buffers."""
    offsets: dict[int, int] = {}
    for index in sorted(members, key=lambda i: (-sizes[i], i)):
        offset = 0
        for start, end in sorted((offsets[i], offsets[i] + sizes[i]) for i in conflicts[index] if i in offsets):
            if offset + sizes[index] <= start:
                break
            offset = max(offset, end)
        offsets[index] = offset
    return offsets, max((offsets[i] + sizes[i] for i in members), default=0)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
