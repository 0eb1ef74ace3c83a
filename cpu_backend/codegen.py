"""Region -> C99: one readable file per region, its constants in a header, and the kernels it calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cpu_backend.emit import CALL, ELEMENT_BYTES, Destination, LayerCode, emit, identifier
from cpu_backend.emit.constants import Constant, Written, assembled, external, text
from cpu_backend.layers import Layer, layers_of
from cpu_backend.memory import Lifetime, Plan, plan
from cpu_backend.requantise import kernel_type
from ir.graph import Graph, GraphError
from ir.layouts import Plain
from ir.ops import Concat, OperatorError

KERNELS = Path(__file__).with_name("kernels")
ALWAYS = ("hck.h", "hck_element.h")
SHARED = ("hck_rows.h", "hck_f32.h", "hck_sparse.h")
"""What regions with layers in tiles need besides."""
INCLUDED = {
    "hck_conv_rvv.c": (
        "hck_rvv.h",
        "hck_conv_rvv8.inc",
        "hck_conv_rvv8_long.inc",
        "hck_conv_rvv16_all.inc",
        "hck_conv_rvv16.inc",
        "hck_conv_rvv32_all.inc",
        "hck_conv_rvv32.inc",
    ),
    "hck_bits.c": ("hck_bits.h",),
    "hck_bits_rvv.c": ("hck_bits.h", "hck_rvv.h", "hck_bits_rvv.inc"),
    "hck_block.c": ("hck_scalar.h",),
    "hck_depthwise3_rvv.c": ("hck_narrow.h", "hck_rvv.h", "hck_depthwise3_parts.inc"),
    "hck_depthwise_rvv.c": ("hck_rvv.h", "hck_depthwise_rvv_all.inc", "hck_depthwise_rvv.inc"),
    "hck_f32_conv.c": ("hck_f32.h",),
    "hck_f32_conv_rvv.c": ("hck_f32.h", "hck_f32_rvv.h", "hck_f32_conv_rvv_all.inc", "hck_f32_conv_rvv.inc"),
    "hck_f32_elementwise.c": ("hck_f32.h", "hck_f32_rvv.h"),
    "hck_f32_pool.c": ("hck_f32.h", "hck_pool.h"),
    "hck_few_rvv.c": (
        "hck_rvv.h",
        "hck_few_rvv_pixels.inc",
        "hck_few_rvv_all.inc",
        "hck_few_rvv16.inc",
        "hck_few_rvv32.inc",
        "hck_few_rvv_wide.inc",
    ),
    "hck_full.c": ("hck_full.h", "hck_full_groups.inc"),
    "hck_pool.c": ("hck_pool.h",),
    "hck_real.c": ("hck_real.h",),
    "hck_requantise.c": ("hck_narrow.h", "hck_requantise_rvv.inc"),
    "hck_sparse.c": ("hck_sparse.h",),
    "hck_sparse_rvv.c": ("hck_sparse_rvv_all.inc", "hck_sparse_rvv.inc"),
    "hck_winograd.c": ("hck_winograd.h",),
    "hck_winograd_planes_rvv.c": ("hck_winograd.h", "hck_rvv.h"),
    "hck_winograd_rvv.c": ("hck_winograd.h", "hck_rvv.h", "hck_winograd_rvv_all.inc", "hck_winograd_rvv.inc"),
    "hck_swar32.c": ("hck_scalar.h", "hck_swar.inc"),
    "hck_swar64.c": ("hck_scalar.h", "hck_swar.inc"),
    "hck_xnor32.c": ("hck_scalar.h", "hck_xnor.inc"),
    "hck_xnor64.c": ("hck_scalar.h", "hck_xnor.inc"),
}
"""Files that a kernel source includes beside the headers of all; regions include those among them that are headers."""
SCRATCH = "scratch of "
"""With a layer's name behind it, what its scratch memory is called in the plan."""
MARKS = """/* Each layer's call, with its number; -DHC_METER adds the meter's marks (cpu_backend/meter). */
#ifdef HC_METER
#include "hc_meter.h"
#else
#define HC_LAYER(number, call) call
#endif
"""


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: a buffer (a tensor's name), its first channel there, elements from pixel to pixel."""

    buffer: str
    channel: int
    stride: int


@dataclass(frozen=True)
class RegionCode:
    """Files by relative path, those to compile, and what the arena needs."""

    files: Mapping[str, str | bytes]
    sources: tuple[str, ...]
    layers: tuple[Layer, ...]
    notes: Mapping[str, str]
    memory: Plan


def generate(region: Graph, folder: str = "cpu", layers: Sequence[Layer] = (), word: int = 0) -> RegionCode:
    """C for a region, in these layers (`layers_of` it by default); ``word`` as in `Destination`.

    GraphError names the node that the kernels cannot execute, and why.
    """
    both = next((tensor for tensor in region.outputs if tensor in region.inputs), None)
    if both:
        raise GraphError(f"{region.name}: '{both}' is an input and an output of the region, which nothing computes")
    layers = tuple(layers) or layers_of(region)
    places = _places(region, layers)
    names = _names(layers)
    codes = {layer.name: _emit(region, layer, names, places, word) for layer in layers}
    memory = _plan(region, layers, places, codes)
    kernels = sorted({kernel for code in codes.values() for kernel in code.kernels})
    name = identifier(region.name)
    constants = [constant for code in codes.values() for constant in code.arrays]
    files: dict[str, str | bytes] = {
        f"{folder}/{name}.c": _source(region, layers, names, places, codes, memory),
        f"{folder}/{name}_weights.h": _header(region, name, constants),
    }
    large = [constant for constant in constants if isinstance(constant, Constant) and not constant.is_text]
    if large:
        files[f"{folder}/{name}_weights.S"], files[f"{folder}/{name}_weights.bin"] = assembled(large, name)
    headers = (*ALWAYS, *(SHARED if any(code.tiles for code in codes.values()) else ()))
    for kernel in (*headers, *kernels, *(i for k in kernels for i in INCLUDED.get(k, ()))):
        files[f"{folder}/kernels/{kernel}"] = (KERNELS / kernel).read_text(encoding="utf-8")
    own = (f"{folder}/{name}.c", *([f"{folder}/{name}_weights.S"] if large else []))
    sources = (*own, *(f"{folder}/kernels/{kernel}" for kernel in kernels))
    return RegionCode(files, sources, layers, {key: _note(code) for key, code in codes.items()}, memory)


def _emit(region: Graph, layer: Layer, names: Mapping[str, str], places: Mapping[str, Place], word: int) -> LayerCode:
    copied: list[tuple[int, int]] = []
    if isinstance(layer.first.op, Concat):
        first = 0
        for i, (tensor, operand) in enumerate(zip(layer.first.node.inputs, layer.first.operands, strict=True)):
            if places[tensor] != Place(layer.name, first, places[layer.name].stride):
                copied.append((i, first))
            first += operand.type.shape[0]
    try:
        return emit(layer, names[layer.name], Destination(places[layer.name].stride, tuple(copied), word))
    except OperatorError as error:
        raise GraphError(f"{region.name}: '{layer.first.name}' on the CPU: {error}") from error


def _note(code: LayerCode) -> str:
    if code.tiles is None:
        return code.note
    shared = f"{code.tiles.count} tiles" + (f" for {code.tiles.threads} threads" if code.tiles.threads > 1 else "")
    return f"{code.note}, {shared}" if code.note else shared


def _names(layers: Sequence[Layer]) -> dict[str, str]:
    """A function name per layer, after its first node; numbered where two would be the same."""
    names: dict[str, str] = {}
    for layer in layers:
        base = f"layer_{identifier(layer.first.name)}"
        name, number = base, 1
        while name in names.values():
            number += 1
            name = f"{base}_{number}"
        names[layer.name] = name
    return names


def _places(region: Graph, layers: Sequence[Layer]) -> dict[str, Place]:
    """Every layer's result has a buffer of its own, except where a Concat alone reads it: then it is written there."""
    movable = {layer.name for layer in layers if not isinstance(layer.first.op, Concat)} - set(region.outputs)
    places = {name: Place(name, 0, type_.shape[0]) for name, type_ in region.inputs.items()}
    places |= {layer.name: Place(layer.name, 0, layer.y.shape[0]) for layer in layers}
    for layer in layers:
        if not isinstance(layer.first.op, Concat):
            continue
        first, inputs = 0, layer.first.node.inputs
        for tensor, operand in zip(inputs, layer.first.operands, strict=True):
            sole = region.consumers[tensor] == (layer.name,) and inputs.count(tensor) == 1
            same = ELEMENT_BYTES[kernel_type(operand.type)] == ELEMENT_BYTES[kernel_type(layer.y)]
            if tensor in movable and sole and same:
                places[tensor] = Place(layer.name, first, layer.y.shape[0])
            first += operand.type.shape[0]
    return places


def _plan(region: Graph, layers: Sequence[Layer], places: Mapping[str, Place], codes: Mapping[str, LayerCode]) -> Plan:
    """Intermediate buffers and scratch share the arena; inputs and outputs are the caller's."""
    written: dict[str, int] = {}
    read: dict[str, int] = {}
    for step, layer in enumerate(layers):
        written.setdefault(places[layer.name].buffer, step)
        for tensor in layer.inputs:
            read[places[tensor].buffer] = step
        read.setdefault(layer.name, step)
    external = {*region.inputs, *region.outputs}
    buffers = [
        Lifetime(name, Plain().bytes_of(region.types[name]), step, max(read.get(name, step), step))
        for name, step in written.items()
        if name not in external
    ]
    buffers += [
        Lifetime(f"{SCRATCH}{layer.name}", code.scratch * (code.tiles.threads if code.tiles else 1), step, step)
        for step, layer in enumerate(layers)
        if (code := codes[layer.name]).scratch
    ]
    return plan(buffers)


def _header(region: Graph, name: str, constants: Sequence[Constant | Written]) -> str:
    guard = f"HC_{name.upper()}_WEIGHTS_H"
    arrays = [text(c) if isinstance(c, Written) or c.is_text else external(c, name) for c in constants]
    return (
        f"/* Constants of region {region.name}, read by {name}.c.\n"
        f" * Weights lie as [groups][kernel_h][kernel_w][in][out], depthwise ones as [kernel_h][kernel_w][in];\n"
        " * packed for words as hck_scalar.h says, in bits as hck_bits.h says,\n"
        " * transformed as hck_winograd.h says. */\n"
        f"#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n" + "\n".join(arrays) + "\n#endif\n"
    )


def _source(
    region: Graph,
    layers: Sequence[Layer],
    names: Mapping[str, str],
    places: Mapping[str, Place],
    codes: Mapping[str, LayerCode],
    memory: Plan,
) -> str:
    name = identifier(region.name)
    zeros = max(code.zeros for code in codes.values())
    included = {file for code in codes.values() for kernel in code.kernels for file in INCLUDED.get(kernel, ())}
    shared = [layer for layer in layers if codes[layer.name].tiles]
    headers = sorted({"hck.h", *(SHARED if shared else ()), *(file for file in included if file.endswith(".h"))})
    includes = "\n".join(f'#include "kernels/{header}"' for header in headers)
    runtime = ("hc_parallel.h", "hc_region.h") if shared else ("hc_region.h",)
    parts = [
        f"/*\n * Region {region.name}: {len(layers)} layers, {memory.size} bytes of arena "
        f"(no plan needs fewer than {memory.lower_bound}).\n"
        " * Tensors are (H, W, C), channels innermost, one element per native integer.\n */\n"
        + "".join(f'#include "{header}"\n' for header in runtime)
        + f'#include "{name}_weights.h"\n{includes}\n'
        f"\n{MARKS}"
    ]
    if zeros:
        parts.append(f"/* What lies beside a picture. */\nstatic const int32_t zeros[{-(-zeros // 4)}];\n")
    if shared:
        parts.append(CALL.format(operands=max(len(layer.inputs) for layer in shared)))
    for layer in layers:
        code = codes[layer.name]
        parts.append("\n".join([*code.checks, code.function]))
    calls = [
        f"    HC_LAYER({number}, {_call(region, layer, names, places, codes, memory)});"
        for number, layer in enumerate(layers)
        if codes[layer.name].called
    ]
    unused = "" if memory.size else "    (void)arena;\n"
    parts.append(
        f"{_arena(region, memory)}static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {{\n"
        + (unused or "    uint8_t *const memory = (uint8_t *)arena;\n\n")
        + "\n".join(calls)
        + "\n    return 0;\n}\n"
    )
    sizes = {
        side: ", ".join(str(Plain().bytes_of(region.types[tensor])) for tensor in tensors)
        for side, tensors in (("input", region.inputs), ("output", region.outputs))
    }
    parts.append(
        "".join(f"static const uint32_t {side}_bytes[] = {{{text}}};\n" for side, text in sizes.items())
        + f"\nconst hc_region hc_region_{name} = {{\n"
        + f'    "{region.name}", HC_REGION_ABI, {len(region.inputs)}, {len(region.outputs)}, '
        + f"input_bytes, output_bytes, {memory.size}, run,\n}};\n"
    )
    return "\n".join(parts)


def _arena(region: Graph, memory: Plan) -> str:
    """Where tensors lie, as a comment; nothing if all of them are the caller's."""
    held = {name: at for name, at in memory.offsets.items() if not name.startswith(SCRATCH)}
    lines = [f" *   {name} at {at}, {Plain().bytes_of(region.types[name])} bytes\n" for name, at in held.items()]
    title = " * The tensors in the arena; later ones lie where earlier ones are read no more:\n"
    return f"/*\n{title}{''.join(lines)} */\n" if held else ""


def _call(
    region: Graph,
    layer: Layer,
    names: Mapping[str, str],
    places: Mapping[str, Place],
    codes: Mapping[str, LayerCode],
    memory: Plan,
) -> str:
    def address(tensor: str) -> str:
        place = places[tensor]
        if place.buffer in region.inputs:
            text = f"inputs[{list(region.inputs).index(place.buffer)}]"
        elif place.buffer in region.outputs:
            text = f"outputs[{region.outputs.index(place.buffer)}]"
        else:
            return f"memory + {memory.offsets[place.buffer] + offset(place)}"
        return f"(uint8_t *){text} + {offset(place)}" if offset(place) else text

    def offset(place: Place) -> int:
        return place.channel * ELEMENT_BYTES[kernel_type(region.types[place.buffer])]

    reads = layer.inputs
    if isinstance(layer.first.op, Concat):
        reads = tuple(t for t in layer.inputs if places[t].buffer != layer.name)
    code, name = codes[layer.name], names[layer.name]
    operands, result = [*map(address, reads)], address(layer.name)
    scratch = [f"memory + {memory.offsets[f'{SCRATCH}{layer.name}']}"] if code.scratch else []
    if code.tiles is None:
        return f"{name}({', '.join([*operands, result, *scratch])})"
    call = f"{{{', '.join(operands)}}}, {result}, {scratch[0] if scratch else '0'}"
    return f"hc_parallel({name}_tile, &(const layer_call){{{call}}}, {code.tiles.count}, {code.tiles.threads})"
