"""A layer whose tiles several threads share: its function for some rows, or one for each part of its channels, and the
task that `hc_parallel` (host/runtime/hc_parallel.h) calls for every tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cpu_backend.emit.base import ELEMENT_BYTES, Destination, LayerCode
from cpu_backend.layers import Layer
from cpu_backend.requantise import kernel_type
from cpu_backend.tiles import Tiles, channel_parts, channel_tiles, row_tiles

Emit = Callable[[Layer, str, Destination], LayerCode]
CALL = """/* What the tiles of a layer share: its operands, its result, and scratch memory for every thread. */
typedef struct {{
    const void *x[{operands}];
    uint8_t *y, *scratch;
}} layer_call;
"""


def spread(layer: Layer, name: str, to: Destination, emit: Emit) -> LayerCode:
    """The layer's code by ``emit``, with the task ``<name>_tile`` where it has tiles."""
    if tiles := row_tiles(layer):
        code = emit(layer, name, to)
        if not code.called:  # nothing is left to share
            return code
        return replace(code, function=code.function + "\n" + _rows(layer, name, to, code, tiles), tiles=tiles)
    if tiles := channel_tiles(layer):
        parts = [emit(part, _part(name, i), to) for i, part in enumerate(channel_parts(layer, tiles))]
        code = LayerCode(
            "\n".join(part.function for part in parts),
            tuple(array for part in parts for array in part.arrays),
            tuple(sorted({kernel for part in parts for kernel in part.kernels})),
            max(part.scratch for part in parts),
            max(part.zeros for part in parts),
            parts[0].note,
            tuple(check for part in parts for check in part.checks),
        )
        return replace(code, function=code.function + "\n" + _channels(layer, name, code, tiles), tiles=tiles)
    return emit(layer, name, to)


def _part(name: str, number: int) -> str:
    """The function of a part, called like no layer's."""
    return f"part{number}_of_{name}"


def _rows(layer: Layer, name: str, to: Destination, code: LayerCode, tiles: Tiles) -> str:
    height, width = layer.y.shape[1:]
    row_bytes = height // tiles.units * width * to.stride * ELEMENT_BYTES[kernel_type(layer.y)]
    operands = len(to.copied) or len(layer.inputs)
    arguments = [*(f"call->x[{i}]" for i in range(operands)), f"call->y + first * {row_bytes}u", *_scratch(code)]
    return _task(
        name,
        f"rows a tile: {tiles.each}",
        [
            f"const uint32_t first = tile * {tiles.each}u, rows = HCK_MIN({tiles.units}u - first, {tiles.each}u);",
            f"{name}({', '.join(arguments)}, first, rows);",
        ],
        bool(code.scratch),
    )


def _channels(layer: Layer, name: str, code: LayerCode, tiles: Tiles) -> str:
    tile_bytes = tiles.each * ELEMENT_BYTES[kernel_type(layer.y)]
    cases = []
    for i in range(tiles.count):
        label = f"case {i}" if i < tiles.count - 1 else "default"
        arguments = ["call->x[0]", f"call->y + {i * tile_bytes}", *_scratch(code)]
        cases.append(f"    {label}: {_part(name, i)}({', '.join(arguments)}); break;")
    return _task(name, f"channels a tile: {tiles.each}", ["switch (tile) {", *cases, "}"], bool(code.scratch))


def _scratch(code: LayerCode) -> list[str]:
    return [f"call->scratch + worker * {code.scratch}u"] if code.scratch else []


def _task(name: str, what: str, body: list[str], uses_worker: bool) -> str:
    unused = [] if uses_worker else ["(void)worker;"]
    lines = ["const layer_call *const call = (const layer_call *)context;", *unused, *body]
    code = "\n".join(f"    {line}" for line in lines)
    return (
        f"/* {name}: {what} */\n"
        f"static void {name}_tile(const void *context, uint32_t tile, uint32_t worker) {{\n{code}\n}}\n"
    )
