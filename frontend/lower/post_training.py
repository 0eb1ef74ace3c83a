"""Post-training quantisation: a float32 network and some of its inputs -> the graph of fake-quantised values.

Ranges come from running the network on the inputs: per tensor the one with the least squared error (or a percentile,
or the extremes); weights per output channel. Then the quantised network runs beside the exact one, node by node, and
every convolution's bias takes up the mean error of its channels (Nagel et al., "Data-Free Quantization Through Weight
Equalization and Bias Correction", ICCV 2019, section 4.2, with inputs in place of batch norm's statistics).

Freezing turns the result into integers, as it does with networks that were trained with quantisers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, log2
from typing import Literal

import numpy as np

from frontend.errors import ModelError
from frontend.lower.evaluation import BATCH, evaluate, single
from frontend.lower.grids import Grid, closest, quantised_weights
from ir.graph import Graph, Node
from ir.ops import (
    Add,
    Affine,
    Arithmetic,
    AveragePool2d,
    Clip,
    Concat,
    Conv2d,
    Curve,
    DepthToSpace,
    Dequantize,
    FakeQuantize,
    Interpolate,
    MaxPool2d,
    Multiply,
    Pad,
    PRelu,
    Quantize,
    Reduce,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
    SpaceToDepth,
    Transpose,
    Upsample,
)
from ir.ops.quantise import FALLING_CURVES
from ir.types import Array

CARRYING = (MaxPool2d, Reshape, Pad, Slice, SpaceToDepth, DepthToSpace, Transpose, Upsample, Concat)
"""Operators whose results are values of their operands, or zeros: they stay on the operands' grid."""

COMPUTING = (Conv2d, Add, AveragePool2d, Multiply)
"""Operators that compute with integers, and whose results do not lie on a grid yet."""

BENDING = (Clip, PRelu, Affine, Curve, Sigmoid)
"""Operators that are applied to results before these are quantised."""

REAL = (Arithmetic, Interpolate, Reduce, Softmax)
"""Operators without an integer form: what stands between two quantisers is computed in reals if the user asks for it
(`frontend.lower.fallback`), and what ends a network always is."""

SCORING = (*REAL, Curve, Sigmoid)
"""Operators that may end a network: they stay real behind the integers that they read."""

FOLLOWING = (Affine, Clip, Concat, PRelu, Reshape, Slice, Transpose)
"""Operators that do so behind one of these."""

INPUT_BITS = 8
"""Of what the network reads, however few its activations have."""

KEPT = 1 << 14
"""Values of a tensor that are kept of each input to choose its range by."""


@dataclass(frozen=True)
class Recipe:
    """``sum_bits``: of what is added to something else before it is bent, and of the network's outputs."""

    weight_bits: int = 8
    activation_bits: int = 8
    sum_bits: int = 12
    ranges: Literal["mse", "percentile", "max"] = "mse"
    percentile: float = 99.99
    correct_bias: bool = True

    def __post_init__(self) -> None:
        for name in ("weight_bits", "activation_bits"):
            if not 2 <= getattr(self, name) <= 8:
                raise ModelError(f"{name.replace('_', ' ')} must be 2 to 8, is {getattr(self, name)}")


def post_training(graph: Graph, inputs: Sequence[Mapping[str, Array]], recipe: Recipe) -> Graph:
    """The fake-quantised form of a float32 graph whose batch norms are folded (`frontend.lower.single`).

    ``inputs`` are calibration frames, by the graph's input names. ModelError names a node that has no quantised form.
    """
    if not inputs:
        raise ModelError(f"{graph.name}: quantisation needs at least one calibration input")
    for node in graph.nodes:
        if not isinstance(node.op, CARRYING + COMPUTING + BENDING + REAL):
            raise ModelError(f"{graph.name}: node '{node.name}': {type(node.op).__name__} has no quantised form")
    grids = _grids(graph, _observed(graph, inputs), recipe)
    return _Sweep(graph, grids, recipe, inputs).graph_of_quantised()


def _observed(graph: Graph, inputs: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Of each tensor some values, the extremes of every input among them."""
    rng = np.random.default_rng(0)
    sizes = {name: type_.elements for name, type_ in graph.types.items() if name not in graph.constants}
    kept: dict[str, list[Array]] = {}
    for at in range(0, len(inputs), BATCH):
        frames = inputs[at : at + BATCH]
        some = [{name: rng.integers(0, n, KEPT) for name, n in sizes.items() if n > KEPT} for _ in frames]
        for name, values in _run(graph, frames):
            for value, places in zip(values, some, strict=True):
                flat = value.ravel()
                chosen = flat[places[name]] if name in places else flat
                kept.setdefault(name, []).append(np.concatenate([chosen, [flat.min(), flat.max()]]))
    return {name: np.concatenate(parts) for name, parts in kept.items()}


def _run(graph: Graph, frames: Sequence[Mapping[str, Array]]) -> Iterator[tuple[str, list[Array]]]:
    """The values of inputs and nodes in order, frame by frame; each is forgotten when nothing more reads it."""
    pool = {name: [frame[name] for frame in frames] for name in graph.inputs}
    yield from pool.items()
    last = {name: users[-1] for name, users in graph.consumers.items()}
    for node in graph.nodes:
        pool[node.name] = _values(node, pool, graph.constants, len(frames))
        yield node.name, pool[node.name]
        for name in node.inputs:
            if last[name] == node.name:
                pool.pop(name, None)


def _values(node: Node, pool: Mapping[str, list[Array]], constants: Mapping[str, Array], frames: int) -> list[Array]:
    """The node's result in each frame, of operands in a pool or constant."""
    return evaluate(node.op, [[pool[i][n] if i in pool else constants[i] for i in node.inputs] for n in range(frames)])


def _grids(graph: Graph, observed: Mapping[str, Array], recipe: Recipe) -> dict[str, Grid]:
    """A grid for every tensor that is quantised; what carrying operators tie together shares one."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.get(name, name) != name:
            name = leader[name]
        return name

    ends = _ends(graph)
    for node in graph.nodes:
        if isinstance(node.op, CARRYING) and node.name not in ends:
            for name in node.inputs:
                leader[find(name)] = find(node.name)
    tied: dict[str, list[str]] = {}
    for name in _quantised(graph):
        tied.setdefault(find(name), []).append(name)
    grids: dict[str, Grid] = {}
    for names in tied.values():
        values = np.concatenate([observed[name] for name in names])
        bits = max(_bits(graph, name, recipe) for name in names)
        grids |= dict.fromkeys(names, _grid(values, bits, recipe))
    for node in graph.nodes:
        if isinstance(node.op, Add):
            grids |= _aligned(graph, node, grids, recipe)
        alone = tied.get(find(node.name), []) == [node.name]
        if alone and (exact := _picture_grid(graph, node)):
            grids[node.name] = exact
    return grids


def _picture_grid(graph: Graph, node: Node) -> Grid | None:
    """The grid on which the bytes of a picture lie, where real values are a multiple of them."""
    if not isinstance(node.op, Affine) or node.inputs[0] not in graph.inputs:
        return None
    type_, (scale, offset) = graph.inputs[node.inputs[0]], (graph.constants[i] for i in node.inputs[1:])
    lies = type_.dtype.is_integer and scale[0] > 0 and (scale == scale[0]).all() and not offset.any()
    return Grid(float(scale[0]), type_.lo, type_.hi) if lies else None


def _aligned(graph: Graph, node: Node, grids: Mapping[str, Grid], recipe: Recipe) -> dict[str, Grid]:
    """The operands' grids with steps that divide each other by powers of two, so that integers are added after a shift
    at most. Only finer grids move, which are those of sums that nothing but additions read."""
    fine = [name for name in node.inputs if name in grids and _is_sum(graph, name)]
    coarse = [grids[name] for name in node.inputs if name in grids and name not in fine]
    if len(fine) == 2:
        scale = max(grids[name].scale for name in fine)
        return {name: replace(grids[name], scale=scale) for name in fine}
    if not fine or not coarse:
        return {}
    (name,), (other,) = fine, coarse
    finer = ceil(log2(grids[name].scale / other.scale))
    return {name: replace(grids[name], scale=other.scale * 2.0**finer)}


def _ends(graph: Graph) -> set[str]:
    """The nodes that end the network in reals: nothing behind them is computed with integers."""
    last: set[str] = set()
    for node in reversed(graph.nodes):
        if isinstance(node.op, SCORING + FOLLOWING) and set(graph.consumers.get(node.name, ())) <= last:
            last.add(node.name)
    found: set[str] = set()
    for node in graph.nodes:
        if node.name in last and (isinstance(node.op, SCORING) or not found.isdisjoint(node.inputs)):
            found.add(node.name)
    return found


def _quantised(graph: Graph) -> list[str]:
    """The tensors that are rounded to a grid: what integer operators read and the graph returns, unless carried."""
    ends = _ends(graph)
    read = {
        name
        for node in graph.nodes
        if isinstance(node.op, CARRYING + COMPUTING) or node.name in ends or _turns(node)
        for name in node.inputs
        if name not in ends
    }
    made = [node.name for node in graph.nodes if not isinstance(node.op, CARRYING) and node.name not in ends]
    reals = [name for name, type_ in graph.inputs.items() if not type_.dtype.is_integer]
    return [name for name in (*reals, *made) if name in read or name in graph.outputs]


def _turns(node: Node) -> bool:
    """Whether a function rises and falls: integers are looked up in its table."""
    return isinstance(node.op, Curve) and node.op.name in FALLING_CURVES


def _bits(graph: Graph, name: str, recipe: Recipe) -> int:
    """Sums that go into another sum, and outputs, are kept finer than what is multiplied; inputs have 8 bits."""
    node = graph.by_name.get(name)
    if node is None or (isinstance(node.op, Affine) and node.inputs[0] in graph.inputs):
        return INPUT_BITS
    return recipe.sum_bits if _is_sum(graph, name) else recipe.activation_bits


def _is_sum(graph: Graph, name: str) -> bool:
    """Whether a result that is not clipped is only added to something else, or returned."""
    users = [graph.by_name[user].op for user in graph.consumers.get(name, ())]
    bare = name in graph.by_name and not isinstance(graph.by_name[name].op, Clip)
    return bare and all(isinstance(op, (Add, *SCORING)) for op in users)


def _grid(values: Array, bits: int, recipe: Recipe) -> Grid:
    signed = bool(values.min() < 0)
    lo, hi = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    end = float(np.abs(values).max())
    if end == 0.0:
        return Grid(1.0, lo, hi)
    if recipe.ranges == "percentile":
        end = float(np.percentile(np.abs(values), recipe.percentile)) or end
    elif recipe.ranges == "mse" and bits <= 8:
        return closest(values, end, lo, hi)
    return Grid(end / hi, lo, hi)


@dataclass
class _Sweep:
    """Both networks side by side: per tensor its values for every input, exact and rounded. ``real`` are the present
    convolution's weights, rounded."""

    graph: Graph
    grids: Mapping[str, Grid]
    recipe: Recipe
    inputs: Sequence[Mapping[str, Array]]
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    raw: set[str] = field(default_factory=set)
    real: Mapping[str, Array] = field(default_factory=dict)
    exact: dict[str, list[Array]] = field(default_factory=dict)
    rounded: dict[str, list[Array]] = field(default_factory=dict)

    def graph_of_quantised(self) -> Graph:
        for name, type_ in self.graph.inputs.items():
            self.exact[name] = self.rounded[name] = [frame[name] for frame in self.inputs]
            if not type_.dtype.is_integer:
                self.raw.add(name)
            if name in self.grids:
                self._quantise(name, name, self.grids[name])
        last = {name: users[-1] for name, users in self.graph.consumers.items()}
        for node in self.graph.nodes:
            self._add(node)
            for name in node.inputs:
                if last[name] == node.name:
                    self.exact.pop(name, None)
                    self.rounded.pop(name, None)
        outputs = tuple(self.names.get(name, name) for name in self.graph.outputs)
        made = Graph(self.graph.name, self.graph.inputs, tuple(self.nodes), outputs, self.constants)
        return made.with_nodes(made.nodes).verify()

    def _add(self, node: Node) -> None:
        """The node on rounded operands, and the quantiser of its result."""
        frames = len(self.inputs)
        self.exact[node.name] = _values(node, self.exact, self.graph.constants, frames)
        constants = {name: self.graph.constants[name] for name in node.inputs if name in self.graph.constants}
        self.constants |= constants
        if isinstance(node.op, Conv2d):
            node = self._convolution(node)
        self.rounded[node.name] = _values(node, self.rounded, {**self.constants, **self.real}, frames)
        if isinstance(node.op, Conv2d) and self.recipe.correct_bias:
            self._correct(node)
        operands = tuple(self.names.get(name, name) for name in node.inputs)
        if isinstance(node.op, Affine) and node.inputs[0] in self.raw:
            self.raw.add(node.name)
        grid = self.grids.get(node.name)
        if grid and isinstance(node.op, Clip):  # the quantiser clips
            self._quantise(node.name, operands[0], grid.within(node.op.lo, node.op.hi))
            return
        bent = isinstance(node.op, Sigmoid) and bool(grid)  # which freezing knows as a function of integers
        self.nodes.append(Node(node.name, Curve("sigmoid") if bent else node.op, operands))
        if grid:
            self._quantise(node.name, node.name, grid)

    def _convolution(self, node: Node) -> Node:
        """With quantised weights, and a bias of its own that may be corrected."""
        weights = self.graph.constants[node.inputs[1]].astype(np.float64)
        integers, scale = quantised_weights(weights, self.recipe.weight_bits)
        names = {key: f"{node.name}.{key}" for key in ("integers", "scale", "rounded", "bias")}
        self.nodes.append(Node(names["rounded"], Dequantize(), (names["integers"], names["scale"])))
        self.real = {names["rounded"]: Dequantize().evaluate([integers, scale])}
        given = self.graph.constants[node.inputs[2]] if len(node.inputs) == 3 else np.zeros(len(weights))
        self.constants |= {
            names["integers"]: integers, names["scale"]: scale, names["bias"]: given.astype(np.float64)
        }  # fmt: skip
        return Node(node.name, node.op, (node.inputs[0], names["rounded"], names["bias"]))

    def _correct(self, node: Node) -> None:
        """The bias takes up the mean difference between exact and rounded results of each channel."""
        axes = (1, 2)
        error = np.mean(
            [
                (e - r).mean(axis=axes, dtype=np.float64)
                for e, r in zip(self.exact[node.name], self.rounded[node.name], strict=True)
            ],
            axis=0,
        )
        self.constants[node.inputs[2]] = self.constants[node.inputs[2]] + error
        shift = single(error.reshape(-1, 1, 1))
        self.rounded[node.name] = [value + shift for value in self.rounded[node.name]]

    def _quantise(self, name: str, source: str, grid: Grid) -> None:
        """The quantiser of the tensor ``name``, reading ``source``. What is still the input's reals becomes integers on
        the host, which asks for a `Quantize`."""
        made = f"{name}_q"
        if source in self.raw:
            self.constants[f"{made}.scale"] = np.array([grid.scale])
            self.nodes.append(Node(made, Quantize(grid.lo, grid.hi), (source, f"{made}.scale")))
        else:
            self.nodes.append(Node(made, FakeQuantize(1 / grid.scale, grid.lo, grid.hi), (source,)))
        self.names[name] = made
        self.rounded[name] = [grid.rounded(value) for value in self.rounded[name]]
