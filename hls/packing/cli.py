"""``hetero-pack``: choose a packing, or multiply with one.

Operands of ``--simulate`` are JSON lines ``{"weights": ..., "activations": ...}``: weights as lists (O, C, R, K),
(C, R, K), (R, K) or (K,), activations as (C, Y, X), (Y, X) or (X,); depthwise weights are (C, R, K). Each answer is a
line ``{"sums": ...}``, the convolution of `hls.packing.recipe`: (O, Y', X'), without leading dimensions that neither
operand had.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from hls.packing.choose import LeastLuts, MostMultiplies, Objective, solve
from hls.packing.describe import draw, summary
from hls.packing.geometry import GEOMETRIES, find_geometry
from hls.packing.luts import product_luts, range_bits
from hls.packing.proof import prove
from hls.packing.ranges import PackingError, Range
from hls.packing.recipe import Recipe, recipe_from_json, recipe_to_json
from hls.packing.solver import Freedom, Problem

MAX_BITS = 8
RECIPE = "recipe"


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 2 after one line about what was wrong."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.simulate:
            simulate(arguments.simulate, sys.stdin, sys.stdout)
        else:
            print(_choose(arguments))
    except PackingError as error:
        print(f"hetero-pack: {error}", file=sys.stderr)
        return 2
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("hetero-pack", description="The densest exact packing of a convolution's multiplications.")
    add = parser.add_argument
    add("--weight", type=int, metavar="BITS", help="signed weights, 1 to 8 bits (or --weight-range)")
    add("--activation", type=int, metavar="BITS", help="unsigned activations, 1 to 8 bits (or --activation-range)")
    add("--weight-range", metavar="LO:HI", help="true range of the weights instead of the type's")
    add("--activation-range", metavar="LO:HI", help="true range of the activations instead of the type's")
    add("--symmetric", action="store_true", help="weights without -2^(bits-1); one bit: -1 and +1")
    add("--signed-activations", action="store_true", help="activations have a sign")
    add("--kernel", type=int, default=1, metavar="K", help="columns of the kernel (default: %(default)s)")
    add("--kernel-rows", type=int, metavar="K", help="rows of the kernel (default: as many as columns)")
    add("--stride", type=int, default=1, metavar="N", help="of the convolution (default: %(default)s)")
    add("--depthwise", action="store_true", help="each channel has a kernel of its own")
    blocks = ", ".join(GEOMETRIES)
    add("--dsp", default="dsp48e2", metavar="BLOCK", help=f"{blocks}, or lut: no block (default: %(default)s)")
    goals = "most multiplies per block, or fewest LUTs at a --rate (default: %(default)s)"
    add("--objective", choices=("multiplies", "luts"), default="multiplies", help=goals)
    rate = "multiplies per block, at least, with --objective luts (default: %(default)s)"
    add("--rate", type=Fraction, default=Fraction(1), metavar="N", help=rate)
    overlap = "most bits that neighbouring fields may share (default: %(default)s)"
    add("--overlap", type=int, default=1, metavar="BITS", help=overlap)
    add("--no-split", action="store_true", help="no operand is cut into parts for several passes")
    add("--json", action="store_true", help="print figures, recipe and proof as JSON")
    add("--simulate", type=Path, metavar="FILE", help="multiply operands from standard input by the --json in FILE")
    return parser


def _choose(arguments: argparse.Namespace) -> str:
    problem = Problem(
        _operand("weight", arguments.weight, arguments.weight_range, arguments.symmetric),
        _operand("activation", arguments.activation, arguments.activation_range, arguments.signed_activations),
        (arguments.kernel_rows or arguments.kernel, arguments.kernel),
        arguments.stride,
        arguments.depthwise,
    )
    if arguments.dsp == "lut":
        return _in_luts(problem, arguments.json)
    geometry = find_geometry(arguments.dsp)
    if arguments.overlap < 0:
        raise PackingError(f"overlap {arguments.overlap} (allowed: 0 and more)")
    objective: Objective = LeastLuts(arguments.rate) if arguments.objective == "luts" else MostMultiplies()
    recipe = solve(problem, geometry, objective, Freedom(arguments.overlap, not arguments.no_split))
    proof = prove(recipe)
    if arguments.json:
        return json.dumps(summary(recipe) | {"proof": asdict(proof), RECIPE: recipe_to_json(recipe)}, indent=1)
    return f"{draw(recipe)}\n\nproof: {proof.kind}, {proof.cases} multiplications tried"


def _operand(name: str, bits: int | None, true_range: str | None, variant: bool) -> Range:
    if true_range:
        low, _, high = true_range.partition(":")
        try:
            return Range(int(low), int(high))
        except ValueError:
            raise PackingError(f"--{name}-range {true_range} (allowed: LO:HI)") from None
    if bits is None:
        raise PackingError(f"--{name} is missing (allowed: 1 to {MAX_BITS} bits)")
    if not 1 <= bits <= MAX_BITS:
        raise PackingError(f"--{name} {bits} (allowed: 1 to {MAX_BITS} bits)")
    return Range.weights(bits, variant) if name == "weight" else Range.activations(bits, variant)


def _in_luts(problem: Problem, as_json: bool) -> str:
    """Multiplication without a multiplier block: a cost per product, no packing."""
    luts = round(product_luts(range_bits(problem.weight), range_bits(problem.activation)), 1)
    figures = {"scheme": "lut", "multiplies_per_dsp": None, "luts_per_multiply": luts}
    return json.dumps(figures, indent=1) if as_json else f"about {luts:g} LUTs per multiply-accumulate, no DSP"


def simulate(path: Path, operands: IO[str], answers: IO[str]) -> None:
    """Answer every line of operands by the recipe in ``path``. PackingError names file or line and what is allowed."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        recipe = recipe_from_json(data[RECIPE])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackingError(f"{path.name} is no packing: {error}") from None
    prove(recipe, limit=0)
    for number, line in enumerate(operands, 1):
        if line.strip():
            try:
                answers.write(json.dumps({"sums": _answer(recipe, json.loads(line))}) + "\n")
            except (PackingError, ValueError, KeyError, TypeError) as error:
                raise PackingError(f"line {number}: {error}") from None


def _answer(recipe: Recipe, data: dict[str, Any]) -> Any:
    weights, activations = _integers("weights", data["weights"], 4), _integers("activations", data["activations"], 3)
    rank = max(min(weights.ndim, 3), activations.ndim)
    if recipe.depthwise and weights.ndim == 3:
        weights = weights[:, None]
    weights = weights.reshape((1,) * (4 - weights.ndim) + weights.shape)
    activations = activations.reshape((1,) * (3 - activations.ndim) + activations.shape)
    sums = recipe.convolve(weights, activations)
    keep = sums if rank == 3 else sums[0] if rank == 2 else sums[0, 0]
    return keep.tolist()


def _integers(name: str, values: Any, rank: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or not 1 <= array.ndim <= rank or not array.size:
        raise PackingError(f"{name} are no integers in 1 to {rank} dimensions")
    return array.astype(np.int64)


if __name__ == "__main__":
    sys.exit(main())
