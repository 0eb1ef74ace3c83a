"""The texts of `hls.export.params` -> layers, strictly: nothing missing, nothing unknown, nothing out of range."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from hls.export.layers import ConvLayer, ExportError
from hls.export.params import CONFIG, FOLDING, FOLDING_HEADER, MACROS, WEIGHTS
from ir.types import Ints

OPTIONAL = ("INC_BIT", "BIAS_BIT", "L_SHIFT")
"""Macros that the last layer may be without."""

DEFINE = re.compile(r"#define CONV_(\d+)_(\w+) (-?\d+)")
ARRAY = re.compile(r"const ap_(u?)int<(\d+)> conv_(\d+)_(w|inc|bias)((?:\[\d+\])+) = (\{.*?\});", re.DOTALL)
COMMENT = re.compile(r"//[^\n]*")
ENTRY = re.compile(r'"(-?0x[0-9a-f]+)"')

Macros = Mapping[str, int]


def read_params(files: Mapping[str, str]) -> tuple[ConvLayer, ...]:
    """The layers of the three texts; ExportError names the file and what is wrong with it."""
    for name in (CONFIG, WEIGHTS, FOLDING):
        if name not in files:
            raise ExportError(f"{name} is missing")
    macros = _read_config(files[CONFIG])
    arrays = _read_weights(files[WEIGHTS])
    foldings = _read_folding(files[FOLDING])
    if foldings != [(m["SIMD"], m["PE"]) for m in macros]:
        raise ExportError(f"{FOLDING}: does not say the SIMD and PE of {CONFIG}")
    layers = tuple(_layer(n, m, arrays) for n, m in enumerate(macros))
    if arrays:
        raise ExportError(f"{WEIGHTS}: '{next(iter(arrays))}' belongs to no layer of {CONFIG}")
    return layers


def _body(name: str, text: str, guard: str) -> str:
    """What is between the include guards."""
    start, end = f"#ifndef {guard}\n#define {guard}\n", "#endif\n"
    if not text.startswith(start) or not text.endswith(end):
        raise ExportError(f"{name}: the include guard {guard} is missing")
    return COMMENT.sub("", text[len(start) : -len(end)])


def _read_config(text: str) -> list[Macros]:
    found: dict[int, dict[str, int]] = {}
    for line in _body(CONFIG, text, "_CONFIG_H_").splitlines():
        if not line.strip():
            continue
        match = DEFINE.fullmatch(line)
        if not match or match[2] not in MACROS:
            raise ExportError(f"{CONFIG}: '{line}' is no macro of the layout")
        layer = found.setdefault(int(match[1]), {})
        if match[2] in layer:
            raise ExportError(f"{CONFIG}: CONV_{match[1]}_{match[2]} is defined twice")
        layer[match[2]] = int(match[3])
    for n in range(len(found)):
        if n not in found:
            raise ExportError(f"{CONFIG}: layer {n} is missing")
        for name in MACROS:
            if name not in found[n] and not (n == len(found) - 1 and name in OPTIONAL):
                raise ExportError(f"{CONFIG}: CONV_{n}_{name} is missing")
    return [found[n] for n in range(len(found))]


def _read_folding(text: str) -> list[tuple[int, int]]:
    header, *rows = text.splitlines() or [""]
    if header != FOLDING_HEADER:
        raise ExportError(f"{FOLDING}: the first line is '{header}' instead of '{FOLDING_HEADER}'")
    for row in rows:
        if not re.fullmatch(r"\d+ \d+", row):
            raise ExportError(f"{FOLDING}: '{row}' is not two numbers")
    return [(int(simd), int(pe)) for simd, pe in (row.split() for row in rows)]


def _read_weights(text: str) -> dict[str, tuple[int, list[int], list[int]]]:
    """Per array its width, its extents and its entries in order."""
    body = _body(WEIGHTS, text, "_WEIGHTS_HPP_").strip()
    if not body.startswith("#include <ap_int.h>"):
        raise ExportError(f"{WEIGHTS}: ap_int.h is not included")
    body = body.removeprefix("#include <ap_int.h>")
    arrays = {}
    for match in ARRAY.finditer(body):
        unsigned, bits, n, kind, extents, values = match.groups()
        name = f"conv_{n}_{kind}"
        if name in arrays or (unsigned == "u") != (kind == "w"):
            raise ExportError(f"{WEIGHTS}: {name} is defined twice, or is {unsigned}int")
        shape = [int(extent) for extent in re.findall(r"\d+", extents)]
        arrays[name] = (int(bits), shape, _entries(name, values, shape))
    rest = ARRAY.sub("", body).split()
    if rest:
        raise ExportError(f"{WEIGHTS}: '{rest[0]}' is outside every array")
    return arrays


def _entries(name: str, text: str, shape: list[int]) -> list[int]:
    """The entries, if their braces nest as the extents say."""
    form = ENTRY.sub("e", re.sub(r"\s", "", text))
    expected = "e"
    for extent in reversed(shape):
        expected = "{" + ",".join([expected] * extent) + "}"
    if form != expected:
        raise ExportError(f"{WEIGHTS}: the entries of {name} are not {'x'.join(map(str, shape))}")
    return [int(entry, 16) for entry in ENTRY.findall(text)]


def _layer(n: int, macros: Macros, arrays: dict[str, tuple[int, list[int], list[int]]]) -> ConvLayer:
    out, pe = macros["OFM_CH"], macros["PE"]
    kernel, channels, simd, bits = (macros[name] for name in ("K", "IFM_CH", "SIMD", "W_BIT"))
    if out % pe or kernel * channels % simd:
        raise ExportError(f"{CONFIG}: SIMD {simd} and PE {pe} of conv_{n} do not divide its channels")
    columns = kernel * channels // simd
    words = _take(arrays, f"conv_{n}_w", bits * simd, [pe, kernel, out // pe * columns])
    if min(words) < 0 or max(words) >> (bits * simd):
        raise ExportError(f"{WEIGHTS}: a word of conv_{n}_w has more than {bits * simd} bits")
    half, full = 1 << (bits - 1), 1 << bits
    lanes = [((word >> (lane * bits)) + half) % full - half for word in words for lane in range(simd)]
    # (PE, column, O/PE, row, I) back to (O/PE, PE, I, row, column)
    weights = np.array(lanes, np.int64).reshape(pe, kernel, out // pe, kernel, channels).transpose(2, 0, 4, 3, 1)
    requantised = "L_SHIFT" in macros
    if requantised != ("INC_BIT" in macros) or (requantised and "BIAS_BIT" not in macros):
        raise ExportError(f"{CONFIG}: conv_{n} has only some of {', '.join(OPTIONAL)}")
    return ConvLayer(
        kernel=kernel,
        source=(channels, macros["IFM_ROW"], macros["IFM_COL"]),
        target=(out, macros["OFM_ROW"], macros["OFM_COL"]),
        in_bits=macros["IN_BIT"],
        weight_bits=bits,
        simd=simd,
        pe=pe,
        weights=weights.reshape(out, channels, kernel, kernel),
        inc=_vector(n, "inc", macros, arrays),
        bias=_vector(n, "bias", macros, arrays),
        shift=bits - 1 + macros["IN_BIT"] + macros["L_SHIFT"] if requantised else None,
    )


def _vector(n: int, kind: str, macros: Macros, arrays: dict[str, tuple[int, list[int], list[int]]]) -> Ints | None:
    bits = macros.get(f"{kind.upper()}_BIT")
    if bits is None:
        return None
    pe, out = macros["PE"], macros["OFM_CH"]
    values = _take(arrays, f"conv_{n}_{kind}", bits, [pe, out // pe])
    if max(abs(value) for value in values).bit_length() >= bits:
        raise ExportError(f"{WEIGHTS}: an entry of conv_{n}_{kind} has more than {bits} bits")
    return np.array(values, np.int64).reshape(pe, -1).T.reshape(-1)


def _take(arrays: dict[str, tuple[int, list[int], list[int]]], name: str, bits: int, shape: list[int]) -> list[int]:
    if name not in arrays:
        raise ExportError(f"{WEIGHTS}: {name} is missing")
    stated_bits, stated_shape, entries = arrays.pop(name)
    if (stated_bits, stated_shape) != (bits, shape):
        stated, wanted = (f"{b} bits, {'x'.join(map(str, s))}" for b, s in ((stated_bits, stated_shape), (bits, shape)))
        raise ExportError(f"{WEIGHTS}: {name} is of {stated}; {CONFIG} says {wanted}")
    return entries
