"""Legal networks drawn by hypothesis: branches, sums, joins, depthwise layers, strides, 1 to 8 bits, odd sizes.

Structure and shapes are drawn, so that hypothesis makes them smaller; values of constants come from a drawn seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from kept_networks import to_json
from layer_graphs import multiply_shift, thresholds, weights

from ir.graph import Graph, Node
from ir.ops import (
    Add,
    Clip,
    Concat,
    Conv2d,
    DepthToSpace,
    GatedConv2d,
    MaxPool2d,
    Multiply,
    Op,
    Operand,
    Pad,
    PRelu,
    RPRelu,
    Sign,
    Slice,
    SpaceToDepth,
    SumPool2d,
    Upsample,
)
from ir.types import Array, DType, TensorType

KERNELS = ((1, 1), (3, 3), (3, 3), (2, 2), (5, 5), (1, 3), (3, 2))
MOST_CHANNELS, MOST_ELEMENTS = 24, 1500


@dataclass
class Drawn:
    """A network in the making. ``x`` is the tensor that the next layer reads."""

    draw: st.DrawFn
    rng: np.random.Generator
    inputs: Mapping[str, TensorType]
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.types = dict(self.inputs)
        self.x = next(iter(self.inputs))

    def below(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def chance(self) -> bool:
        return self.draw(st.booleans())

    def add(self, op: Op, *sources: str, **constants: Array) -> str:
        """A node, which the next one reads."""
        name = f"n{len(self.nodes)}"
        named = {f"{name}.{key}": value for key, value in constants.items()}
        operands = [*(Operand(self.types[s]) for s in sources)]
        operands += [Operand(TensorType.of_values(value), value) for value in constants.values()]
        self.types[name] = op.infer(operands)
        self.constants |= named
        self.nodes.append(Node(name, op, (*sources, *named)))
        self.x = name
        return name

    def alike(self, fits: Callable[[TensorType], bool]) -> list[str]:
        return [name for name, type_ in self.types.items() if fits(type_)]

    def requantise(self, sure: bool = False) -> None:
        """To 1 to 8 bits in one of the three ways, or not at all."""
        way = self.draw(st.sampled_from(("scale", "compare", "sign", "no")[: 3 if sure else 4]))
        type_, channels = self.types[self.x], self.types[self.x].shape[0]
        if way == "scale":
            op, mul, add = multiply_shift(self.rng, type_, self.below(1, 8), self.chance())
            self.add(op, self.x, mul=mul, add=add)
        elif way == "compare":
            compare, table, rising = thresholds(self.rng, type_, self.below(1, 20))
            self.add(compare, self.x, table=table, rising=rising)
        elif way == "sign":
            t = self.rng.integers(type_.lo - 1, type_.hi + 2, channels)
            self.add(Sign(), self.x, t=t, rising=self.rng.integers(0, 2, channels))

    def narrow(self) -> TensorType:
        """The type of ``x``, which has at most 8 bits afterwards."""
        if self.types[self.x].dtype.bits > 8:
            op, mul, add = multiply_shift(self.rng, self.types[self.x], self.below(1, 8), self.chance())
            self.add(op, self.x, mul=mul, add=add)
        return self.types[self.x]


def geometry(net: Drawn, kernel: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """Stride and a padding with which the kernel fits."""
    _, h, w = net.types[net.x].shape
    short = [max(0, k - extent) for k, extent in zip(kernel, (h, w), strict=True)]
    least = [min(-(-s // 2), k - 1) for s, k in zip(short, kernel, strict=True)]
    sides = [net.below(low, k - 1) for low, k in zip((*least, *least), (*kernel, *kernel), strict=True)]
    return (net.below(1, 2), net.below(1, 2)), (sides[0], sides[1], sides[2], sides[3])


def conv(net: Drawn) -> None:
    """Any kernel, stride and number of groups; weights of 1 to 8 bits, of signs for signs."""
    type_ = net.narrow()
    kernel = net.draw(st.sampled_from(KERNELS))
    stride, padding = geometry(net, kernel)
    groups = net.draw(st.sampled_from([g for g in (1, 2, 3) if type_.shape[0] % g == 0]))
    shape = (groups * net.below(1, 6), type_.shape[0] // groups, *kernel)
    signs = type_.dtype.kind == "bipolar" or net.below(0, 7) == 7
    w = net.rng.choice([-1, 1], shape) if signs else weights(net.rng, shape, net.below(1, 8))
    net.add(Conv2d(stride, padding, groups), net.x, w=w)
    net.requantise()


def depthwise(net: Drawn) -> None:
    type_ = net.narrow()
    channels = type_.shape[0]
    stride, padding = geometry(net, (3, 3))
    shape = (channels * net.below(1, 2), 1, 3, 3)
    signs = type_.dtype.kind == "bipolar"
    w = net.rng.choice([-1, 1], shape) if signs else weights(net.rng, shape, net.below(1, 8))
    net.add(Conv2d(stride, padding, channels), net.x, w=w)
    net.requantise()


def dense(net: Drawn) -> None:
    type_ = net.narrow()
    shape = (net.below(1, 9), *type_.shape)
    signs = type_.dtype.kind == "bipolar"
    net.add(Conv2d(), net.x, w=net.rng.choice([-1, 1], shape) if signs else weights(net.rng, shape, net.below(1, 8)))
    net.requantise()


def gated(net: Drawn) -> None:
    """FracBNN's convolution, behind levels 0 to 3."""
    type_ = net.types[net.x]
    if not (type_.lo >= 0 and type_.hi <= 3):
        op, mul, add = multiply_shift(net.rng, type_, 2)
        net.add(op, net.x, mul=mul, add=add)
    channels, kernel = type_.shape[0], net.draw(st.sampled_from(((3, 3), (1, 1), (5, 5))))
    stride, padding = geometry(net, kernel)
    outputs, terms = net.below(1, 8), channels * kernel[0] * kernel[1]
    t = net.rng.integers(-2 * terms - 2, 2 * terms + 3, outputs)
    net.add(GatedConv2d(stride, padding), net.x, w=net.rng.choice([-1, 1], (outputs, channels, *kernel)), t=t)
    net.requantise()


def residual(net: Drawn) -> None:
    """A block of one or two convolutions and the sum with its input."""
    type_ = net.narrow()
    start, channels = net.x, type_.shape[0]
    for _ in range(net.below(1, 2)):
        x = net.types[net.x]
        shape = (channels, channels, 3, 3)
        signs = x.dtype.kind == "bipolar"
        w = net.rng.choice([-1, 1], shape) if signs else weights(net.rng, shape, net.below(1, 8))
        net.add(Conv2d((1, 1), (1, 1, 1, 1)), net.x, w=w)
        net.requantise(sure=True)
    net.add(Add(), net.x, start)
    if net.chance():
        net.requantise(sure=True)


def join(net: Drawn) -> None:
    """With one or two others of its extent, itself among them."""
    type_ = net.types[net.x]
    near = net.alike(lambda t: t.shape[1:] == type_.shape[1:] and t.shape[0] + type_.shape[0] <= MOST_CHANNELS)
    others = net.draw(st.lists(st.sampled_from(near or [net.x]), min_size=1, max_size=2))
    net.add(Concat(), *net.draw(st.permutations([net.x, *others])))


def add(net: Drawn) -> None:
    """Of two tensors of one shape, or of a constant per channel."""
    type_ = net.types[net.x]
    if net.below(0, 3) == 3:
        net.add(Add(), net.x, y=net.rng.integers(-300, 300, type_.shape[0]))
        return
    net.add(Add(), net.x, net.draw(st.sampled_from(net.alike(lambda t: t.shape == type_.shape))))


def multiply(net: Drawn) -> None:
    """By a tensor of the shape, or by a gate for each channel or pixel."""
    c, h, w = net.narrow().shape
    shapes = ((c, h, w), (c, 1, 1), (1, h, w))
    net.add(Multiply(), net.x, net.draw(st.sampled_from(net.alike(lambda t: t.shape in shapes and t.dtype.bits <= 8))))


def pool(net: Drawn) -> None:
    _, h, w = net.types[net.x].shape
    kernel = (min(net.below(1, 3), h), min(net.below(1, 3), w))
    if net.below(0, 4) == 4:
        kernel = (h, w)
    stride = (net.below(1, 3), net.below(1, 3))
    sides = [net.below(0, min(1, k - 1)) for k in (*kernel, *kernel)]
    padding = (sides[0], sides[1], sides[2], sides[3])
    if net.chance():
        net.add(MaxPool2d(kernel, stride, padding), net.x)
    else:
        net.add(SumPool2d(kernel, stride, padding), net.x)
        net.requantise()


def activation(net: Drawn) -> None:
    """ReLU, clip, PReLU, RPReLU."""
    type_ = net.types[net.x]
    c = type_.shape[0]
    kind = net.draw(st.sampled_from(("relu", "clip", "prelu", "rprelu")))
    if kind == "relu" or type_.dtype.kind == "bipolar":
        net.add(Clip(0, max(type_.hi, 1)), net.x)
    elif kind == "clip":
        low, high = sorted(net.rng.integers(type_.lo - 2, type_.hi + 3, 2).tolist())
        net.add(Clip(low, high + (low == high)), net.x)
    elif kind == "prelu":
        net.add(PRelu(net.below(0, 4)), net.x, slope=weights(net.rng, (c,), net.below(1, 6)))
    else:
        before, slope, after = (weights(net.rng, (c,), bits) for bits in (7, 6, 8))
        net.add(RPRelu(net.below(0, 4)), net.x, before=before, slope=slope, after=after)


def movement(net: Drawn) -> None:
    """What rearranges, enlarges or cuts a picture."""
    type_ = net.types[net.x]
    c, h, w = type_.shape
    ways: list[Op] = [Slice((0, h // 2, 0), (1, 1, 1), (c, h - h // 2, w))]
    if type_.elements * 4 <= MOST_ELEMENTS:
        ways.append(Upsample(2))
    if h % 2 == 0 and w % 2 == 0 and 4 * c <= MOST_CHANNELS:
        ways.append(SpaceToDepth(2))
    if c % 4 == 0:
        ways += [DepthToSpace(2, "dcr"), DepthToSpace(2, "crd")]
    if type_.dtype.kind != "bipolar":
        ways += [Pad((net.below(0, 1), net.below(0, 2), 1, 0)), Pad(channels=(net.below(0, 2), net.below(0, 2)))]
    net.add(net.draw(st.sampled_from(ways)), net.x)


LAYERS = (conv, conv, residual, depthwise, pool, join, add, activation, gated, multiply, movement, dense)
WIDEST = 24
"""Bits beyond which a tensor is requantised before anything else."""


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """A network of one or two inputs and two to seven blocks; every tensor that nothing reads is an output."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    shape = (draw(st.integers(1, 8)), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    inputs = {"x": input_type(draw, shape)}
    if draw(st.integers(0, 3)) == 3:
        inputs["y"] = input_type(draw, (draw(st.integers(1, 4)), *shape[1:]))
    net = Drawn(draw, rng, inputs)
    if "y" in inputs:
        net.add(Concat(), "x", "y")
    for _ in range(draw(st.integers(2, 7))):
        if draw(st.integers(0, 3)) == 3:  # a branch
            net.x = draw(st.sampled_from([*net.types][-4:]))
        if net.types[net.x].dtype.bits > WIDEST:
            net.requantise(sure=True)
        draw(st.sampled_from(LAYERS))(net)
    used = {i for node in net.nodes for i in node.inputs}
    ends = [node.name for node in net.nodes if node.name not in used]
    return Graph("drawn", inputs, tuple(net.nodes), tuple(ends), net.constants).verify()


def input_type(draw: st.DrawFn, shape: tuple[int, int, int]) -> TensorType:
    """Integers of 1 to 8 bits or signs; sometimes of a range that does not fill the type."""
    kind = draw(st.sampled_from(("uint", "int", "bipolar")))
    dtype = DType("bipolar", 1) if kind == "bipolar" else DType(kind, draw(st.integers(1, 8)))  # type: ignore[arg-type]
    type_ = TensorType.of_dtype(shape, dtype)
    if kind != "bipolar" and draw(st.integers(0, 3)) == 3:
        low, high = sorted((draw(st.integers(dtype.lo, dtype.hi)), draw(st.integers(dtype.lo, dtype.hi))))
        return TensorType(shape, dtype, low, high)
    return type_


COUNT = 20
"""Networks of a seed."""
TRIES = 150
"""Smaller networks that are tried where one fails."""


def drawn(number: int) -> list[Graph]:
    """The networks of a seed, all different."""
    found: dict[str, Graph] = {}

    def collect(graph: Graph) -> None:
        if len(found) < COUNT:
            found.setdefault(to_json(graph), graph)

    _run(number, collect, (Phase.generate,))
    return list(found.values())


def shrunk(number: int, good: Set[str], bad: Graph, fails: Callable[[Graph], bool]) -> Graph:
    """The smallest network that hypothesis finds to fail, from the first of the seed's that is not ``good`` (as JSON);
    ``bad`` itself where it meets none."""
    seen = dict.fromkeys(good, False) | {to_json(bad): True}
    smallest, tries = bad, 0

    def attempt(graph: Graph) -> None:
        nonlocal smallest, tries
        key = to_json(graph)
        if key not in seen and tries < TRIES:
            tries += 1
            seen[key] = fails(graph)
        if seen.get(key):
            smallest = graph
            raise AssertionError

    with suppress(AssertionError):
        _run(number, attempt, (Phase.generate, Phase.shrink))
    return smallest


def _run(number: int, test: Callable[[Graph], None], phases: tuple[Phase, ...]) -> None:
    """The same networks in the same order for a number, as long as the test passes."""
    checks = list(HealthCheck)
    chosen = settings(
        max_examples=3 * COUNT, database=None, deadline=None, phases=phases, suppress_health_check=checks,
        report_multiple_bugs=False,
    )  # fmt: skip
    seed(number)(chosen(given(networks())(lambda graph: test(graph))))()
