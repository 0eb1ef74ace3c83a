"""A recipe in figures and as a drawing of its bit fields."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hls.packing.digits import Digit
from hls.packing.layout import Layout
from hls.packing.luts import operand_luts, product_luts, range_bits
from hls.packing.recipe import Pass, Recipe
from hls.packing.refine import Built


def scheme(built: Built) -> str:
    """The name of a layout's scheme: single, kernel, filter, filter-2d, mixed; of lanes: native-..."""
    (m, ky, kx), (ny, nx) = built.layout.weights, built.layout.activations
    rows, columns = ky > 1 and ny > 1, kx > 1 and nx > 1
    outer = m > 1 or (ky == 1 and ny > 1) or (kx == 1 and nx > 1)
    if rows or columns:
        name = "mixed" if outer else "filter-2d" if rows and columns else "filter"
    else:
        name = "kernel" if outer or kx * ky > 1 else "single"
    return f"native-{name}" if built.multiplier.lanes > 1 else name


def recipe_scheme(recipe: Recipe) -> str:
    """Schemes of the passes, the ones with most uses first, and whether operands are split."""
    by_cost = sorted(recipe.passes, key=lambda p: -p.cost)
    names = list(dict.fromkeys(scheme(one.built) for one in by_cost))
    split = len({(one.weight_digit, one.activation_digit) for one in recipe.passes}) > 1
    return "+".join([*names, *(["split"] if split else [])])


def summary(recipe: Recipe) -> dict[str, Any]:
    """The figures of a recipe; bit positions are those of the pass with most uses, so are the packed widths."""
    main = max(recipe.passes, key=lambda p: p.cost)
    layout, offset = main.built.layout, main.built.offset
    product = range_bits(layout.weight) + range_bits(layout.activation + offset)
    layouts = [one.built.layout for one in recipe.passes]
    per_multiply = recipe.luts / float(recipe.multiplies)
    return {
        "multiplies_per_dsp": round(float(recipe.multiplies), 6),
        "multiplies_exact": str(recipe.multiplies),
        "scheme": recipe_scheme(recipe),
        "pitch": layout.pitch,
        "guard_bits": layout.pitch - product,
        "overlap_bits": max(max(one.overlaps) for one in layouts),
        "cascade_depth": layout.depth,
        "weight_bits": layout.packed_weight.signed_bits,
        "activation_bits": layout.packed_activation.signed_bits,
        "pre_adder": any(_uses_pre_adder(one.built) for one in recipe.passes),
        "lut_estimate": round(recipe.luts, 2),
        "luts_per_multiply": round(per_multiply, 3),
        "luts_per_multiply_without_dsp": round(
            product_luts(range_bits(recipe.weight), range_bits(recipe.activation)), 1
        ),
    }


def _uses_pre_adder(built: Built) -> bool:
    bits = built.layout.packed_activation.signed_bits
    if bits > built.multiplier.pre_adder:
        return False
    return operand_luts(built.layout, replace(built.multiplier, pre_adder=0), built.offset) > 0


def draw(recipe: Recipe) -> str:
    """All passes with their operand and product fields, most significant bit on the left."""
    figures = summary(recipe)
    kernel = f"{recipe.kernel[0]}x{recipe.kernel[1]}"
    kind = "depthwise " if recipe.depthwise else ""
    lines = [
        f"{recipe.dsp}: weights {recipe.weight.lo}..{recipe.weight.hi}, activations {recipe.activation.lo}.."
        f"{recipe.activation.hi}, {kind}kernel {kernel}, stride {recipe.stride}",
        f"{float(recipe.multiplies):g} multiplies per DSP and cycle, {figures['scheme']}, "
        f"about {figures['lut_estimate']:g} LUTs beside each",
    ]
    for index, one in enumerate(recipe.passes):
        lines += ["", *_draw_pass(recipe, index, one)]
    return "\n".join(lines)


def _draw_pass(recipe: Recipe, index: int, one: Pass) -> list[str]:
    share = float(one.cost / recipe.cost)
    head = f"pass {index + 1} of {len(recipe.passes)} ({share:.0%} of uses): {_shape(one.built)}"
    return [head, *_operands(one.built, _digit_text("w", one.weight_digit), _digit_text("a", one.activation_digit))]


def draw_built(built: Built) -> tuple[str, ...]:
    """One multiplication: what it holds, and its operand and product fields, most significant bit on the left."""
    return (_shape(built), *_operands(built, "w", "a"))


def _shape(built: Built) -> str:
    (m, ky, kx), (ny, nx) = built.layout.weights, built.layout.activations
    taps = f"{kx} taps" if ky == 1 else f"{ky}x{kx} taps"
    chains = f"chains of {built.layout.depth}"
    return f"{scheme(built)} on {built.multiplier.name}, {m} channels of {taps} by {ny}x{nx} pixels, {chains}"


def _operands(built: Built, weights: str, activations: str) -> list[str]:
    layout, ports = built.layout, built.multiplier.ports
    w_bits, a_bits = layout.packed_weight.signed_bits, layout.packed_activation.signed_bits
    lines = [
        f"  weights     {weights} {layout.weight.lo}..{layout.weight.hi}, "
        f"{w_bits} bits of {ports[built.weight_port].signed}",
        "    " + _fields(_weight_fields(layout)),
        f"  activations {activations}{f' - {built.offset}' if built.offset else ''} "
        f"{layout.activation.lo}..{layout.activation.hi}, {a_bits} bits of {ports[1 - built.weight_port].signed}",
        "    " + _fields(_activation_fields(layout)),
        f"  product, {layout.window} windows, at most {max(layout.overlaps)} bits shared",
        "    "
        + _fields([(s.offset, f"s{_index(layout.outputs, (s.channel, s.row, s.column))}") for s in layout.segments]),
    ]
    if built.offset:
        lines.append(f"  each sum is corrected by {built.offset} times its weights, a constant of the layer")
    return lines


def _digit_text(name: str, digit: Digit) -> str:
    if digit == Digit():
        return name
    return f"digit of {name}, worth {digit.coefficient},"


def _weight_fields(layout: Layout) -> list[tuple[int, str]]:
    m, ky, kx = layout.weights
    return [
        (int(layout.weight_offsets[c, i, j]), f"w{_index(layout.weights, (c, i, j))}")
        for c in range(m)
        for i in range(ky)
        for j in range(kx)
    ]


def _activation_fields(layout: Layout) -> list[tuple[int, str]]:
    ny, nx = layout.activations
    return [
        (int(layout.activation_offsets[i, j]), f"a{_index(layout.activations, (i, j))}")
        for i in range(ny)
        for j in range(nx)
    ]


def _index(extents: tuple[int, ...], at: tuple[int, ...]) -> str:
    """Indices of the dimensions that are more than one wide."""
    return "".join(str(i) for n, i in zip(extents, at, strict=True) if n > 1)


def _fields(fields: list[tuple[int, str]]) -> str:
    """``|name@bit ...|`` from the top, every field as wide as its bits where the name fits."""
    ordered = sorted(fields)
    ends = [offset for offset, _ in ordered[1:]] + [ordered[-1][0] + 4]
    boxes = [
        f"{name}@{offset}".ljust(2 * (end - offset) - 1) for (offset, name), end in zip(ordered, ends, strict=True)
    ]
    return "|" + "|".join(reversed(boxes)) + "|"
