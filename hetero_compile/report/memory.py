"""Where buffers lie in a frame's share of the memories, and from which step to which they are needed."""

from __future__ import annotations

from hetero_compile.report.svg import Svg
from host.plan import Buffer, Plan

LEFT, WIDTH, HEIGHT = 74.0, 760.0, 190.0


def draw_memory(plan: Plan, in_pool: bool) -> str:
    """Offsets upwards, steps to the right; of the DMA pool or of the CPU's arena. Empty where there is none."""
    total = plan.pool_bytes if in_pool else plan.arena_bytes
    if not total:
        return ""
    steps = max(len(plan.steps), 1)
    svg = Svg(LEFT + WIDTH + 4, HEIGHT + 26, "DMA pool" if in_pool else "CPU arena")
    column = WIDTH / steps
    for index, buffer in enumerate(plan.buffers):
        if buffer.in_pool != in_pool:
            continue
        first, last = _life(plan, index)
        height = HEIGHT * buffer.bytes / total
        y = HEIGHT - HEIGHT * (buffer.offset + buffer.bytes) / total
        x, width = LEFT + first * column, (last - first + 1) * column
        svg.rect(x, y, width, height, "buffer", _title(buffer))
        if height > 11:
            svg.text(
                x + 5, y + min(height, 20) - 5, f"{buffer.tensor}, {buffer.bytes:,} bytes"[: int(width / 6)], "small"
            )
    for share in (0.0, 0.5, 1.0):
        y = HEIGHT - HEIGHT * share
        svg.text(LEFT - 6, max(y, 9) if share else y, f"{total * share / 1024:,.0f} KiB", "small", "end")
    svg.line([(LEFT, 0), (LEFT, HEIGHT), (LEFT + WIDTH, HEIGHT)], "axis")
    for number, step in enumerate(plan.steps):
        svg.text(LEFT + (number + 0.5) * column, HEIGHT + 16, step.name[: max(int(column / 7), 1)], "small", "middle")
    return str(svg)


def _life(plan: Plan, index: int) -> tuple[int, int]:
    """The first and the last step for which a buffer holds its place."""
    touching = [n for n, step in enumerate(plan.steps) if index in (*step.reads, *step.writes)]
    first = 0 if index in plan.inputs else min(touching, default=0)
    last = len(plan.steps) - 1 if index in plan.outputs else max(touching, default=0)
    return first, last


def _title(buffer: Buffer) -> str:
    return f"{buffer.tensor}: {buffer.bytes} bytes from {buffer.offset}, {buffer.layout}"
