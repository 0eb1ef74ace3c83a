"""Layers -> the texts that existing HLS templates read: ``config.h``, ``weights.hpp`` and a folding file.

The layout is DeepBurning-MixQ's (ICCAD 2023), whose templates compute the shift as ``W_BIT - 1 + IN_BIT + L_SHIFT``,
add ``2**(shift - 1)`` themselves, and clip to as many bits as the next layer reads.

* ``config.h``: per layer n the macros ``CONV_n_...`` of `MACROS`.
* ``weights.hpp``: ``conv_n_w[PE][K][OFM_CH/PE * K*IFM_CH/SIMD]``: from (O, I, row, column) to (O, column, row, I), and
  SIMD neighbours of the flattened (row, I) in one word, the first in its low bits. ``conv_n_inc`` and ``conv_n_bias``
  are ``[PE][OFM_CH/PE]``: output channel c is at ``[c % PE][c / PE]``. Every entry is a hexadecimal string.
* ``folding.txt``: the line ``simd pe``, then one line a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.export.layers import ConvLayer
from ir.types import Ints

CONFIG, WEIGHTS, FOLDING = "config.h", "weights.hpp", "folding.txt"
FOLDING_HEADER = "simd pe"

MACROS: Mapping[str, Callable[[ConvLayer], int | None]] = {
    "K": lambda layer: layer.kernel,
    "IFM_CH": lambda layer: layer.source[0],
    "IFM_ROW": lambda layer: layer.source[1],
    "IFM_COL": lambda layer: layer.source[2],
    "OFM_CH": lambda layer: layer.target[0],
    "OFM_ROW": lambda layer: layer.target[1],
    "OFM_COL": lambda layer: layer.target[2],
    "IN_BIT": lambda layer: layer.in_bits,
    "W_BIT": lambda layer: layer.weight_bits,
    "INC_BIT": lambda layer: None if layer.inc is None else value_bits(layer.inc),
    "BIAS_BIT": lambda layer: None if layer.bias is None else value_bits(layer.bias),
    "SIMD": lambda layer: layer.simd,
    "PE": lambda layer: layer.pe,
    "L_SHIFT": lambda layer: None if layer.shift is None else layer.shift - (layer.weight_bits - 1) - layer.in_bits,
}
"""The macros of a layer in their order; None where a layer has none: the last one is not requantised."""


def params_files(layers: Sequence[ConvLayer]) -> dict[str, str]:
    """File names and texts."""
    return {CONFIG: _config(layers), WEIGHTS: _weights(layers), FOLDING: _folding(layers)}


def value_bits(values: Ints) -> int:
    """The layout's width of ``inc`` and ``bias``: a sign and the bits of the largest magnitude."""
    return 1 + max(abs(int(value)) for value in values).bit_length()


def _config(layers: Sequence[ConvLayer]) -> str:
    lines = []
    for n, layer in enumerate(layers):
        values = {name: value(layer) for name, value in MACROS.items()}
        lines += [f"// conv_{n}", *(f"#define CONV_{n}_{name} {v}" for name, v in values.items() if v is not None), ""]
    return _guarded("_CONFIG_H_", lines)


def _weights(layers: Sequence[ConvLayer]) -> str:
    lines = ["#include <ap_int.h>", ""]
    for n, layer in enumerate(layers):
        words = weight_words(layer)
        pe, kernel, count = words.shape
        lines.append(f"// conv_{n}: PE {layer.pe}, SIMD {layer.simd}, {layer.weight_bits}-bit weights")
        lines += _array(f"const ap_uint<{layer.weight_bits * layer.simd}> conv_{n}_w[{pe}][{kernel}][{count}]", words)
        for name, values in (("inc", layer.inc), ("bias", layer.bias)):
            if values is not None:
                table = values.reshape(-1, pe).T
                lines += _array(f"const ap_int<{value_bits(values)}> conv_{n}_{name}[{pe}][{table.shape[1]}]", table)
        lines.append("")
    return _guarded("_WEIGHTS_HPP_", lines)


def weight_words(layer: ConvLayer) -> npt.NDArray[Any]:
    """(PE, K, OFM_CH/PE * K*IFM_CH/SIMD) Python integers of ``SIMD * W_BIT`` bits, which may be more than 64."""
    o, i, k, _ = layer.weights.shape
    lanes = layer.weights.transpose(0, 3, 2, 1).reshape(o // layer.pe, layer.pe, k, k * i // layer.simd, layer.simd)
    lanes = lanes.transpose(1, 2, 0, 3, 4).reshape(layer.pe, k, -1, layer.simd)
    fields = (lanes & ((1 << layer.weight_bits) - 1)).astype(object)
    return np.asarray(sum(fields[..., lane] << (lane * layer.weight_bits) for lane in range(layer.simd)), object)


def _array(declaration: str, values: npt.NDArray[Any]) -> list[str]:
    """A definition with one innermost row a line."""
    return [f"{declaration} = {_braced(values)};"]


def _braced(values: npt.NDArray[Any]) -> str:
    if values.ndim == 1:
        return "{" + ", ".join(f'"{int(value):#x}"' for value in values) + "}"
    return "{" + ",\n".join(_braced(part) for part in values) + "}"


def _folding(layers: Sequence[ConvLayer]) -> str:
    return "\n".join([FOLDING_HEADER, *(f"{layer.simd} {layer.pe}" for layer in layers), ""])


def _guarded(name: str, lines: Sequence[str]) -> str:
    return "\n".join([f"#ifndef {name}", f"#define {name}", "", *lines, "#endif", ""])
