"""PokeBNN: a ResNet-50 of binary convolutions with residuals around each, two-sloped activations and gates.

Zhang, Zhang and Lew, PokeBNN: A Binary Pursuit of Lightweight Accuracy, CVPR 2022 (arXiv:2112.00133). Its code is JAX,
without a file of weights that others share, so the layout is this project's own:

    stem.conv.weight (G, 3, 4, 4), stem.bn.*, stem.dprelu.*          8-bit weights, stride 4
    stem.bound                                                       8-bit activations lie in +-bound
    stem.group.weight (C, 1, 3, 3), stem.group_<bn|dprelu>.*         8-bit weights, G groups
    block.<B>.<1|2|3>.conv.weight (O, I, K, K), .bn.*, .dprelu.*     signs count; K is 1, 3, 1
    block.<B>.<1|2|3>.se.<1|2>.{weight (O, I), bias, bound}          4-bit weights; 4-bit inputs in +-bound, 0..bound
    block.<B>.<1|2|3>.out.*                                          the batch norm behind the gate
    fc.{weight, bias}
    picture (2,)                                                     height and width, 224 where it is missing

with ``bn.*`` a batch norm's weight, bias, running_mean and running_var, and ``dprelu.*`` bias_x, bias_y, neg_slope and
pos_slope: ``slope * (x - bias_x) - bias_y``, the slope by the sign of ``x - bias_x``. Scales of binary weights and
activations belong to the batch norms. A block whose first convolution is wider than that of the block before has stride
2. The number of blocks and all widths are read off the shapes.

A PokeConv, with x its input and r the block's, which the third one adds:

    t = bn(conv(sign(x), sign(w))) + fit(x) [+ fit(r)]
    y = out(dprelu(t) * gate(x))        gate(x) = relu6(fc2(relu(fc1(mean(x)))) + 3) / 6

``fit`` averages neighbouring channels, or adds channels of zeros (x) or copies (r), and averages 3x3 pixels at stride
2, the zeros around the picture counted.

**Integers.** x, t and y are fixed-point on `STREAM` and saturate in `STREAM_BITS` bits, gates have `GATE`; sums are
exact.
"""

from __future__ import annotations

import re

import numpy as np

from frontend.errors import ModelError
from frontend.zoo.fixed_point import Affine, Grid, bent, mean, scaled, signed
from frontend.zoo.fracbnn import classifier
from frontend.zoo.integers import Arrays, Builder, IntegerFamily, Integers
from frontend.zoo.state import State
from ir.ops import Add, Clip, Concat, Conv2d, Multiply, Sign, SumPool2d
from ir.records import ClassifierHead, Picture
from ir.types import Array, DType, Ints, TensorType

SIDE, LEAST_SIDE = 224, 8
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of pictures; std divides the stem's weights before they are quantised."""
BYTES = Grid(255.0)

STREAM = Grid(2.0**14, 0.5)
STREAM_BITS = 20
"""+-32. With the gate's 8 bits products keep to 28."""
GATE, GATE_ENDS = Grid(255.0), (0, 255)
STEM_BITS, SE_BITS = 8, 4
KERNELS = (1, 3, 1)


def matches(state: Arrays) -> bool:
    """A stem, PokeConvs with gates and a linear layer."""
    names = {name.removeprefix("module.") for name in state}
    return {"stem.group.weight", "block.0.1.se.1.weight", "block.0.3.out.weight", "fc.weight"} <= names


def build(state: Arrays) -> Integers:
    """The integer graph of a PokeBNN. ModelError names the tensor that does not fit the family."""
    named = {name.removeprefix("module."): value for name, value in state.items()}
    tensors = State({name: value for name, value in named.items() if not name.endswith("num_batches_tracked")})
    height, width = _extent(tensors)
    b = Builder({"input": TensorType.of_dtype((3, height, width), DType("uint", 8))})
    x = _stem(b, tensors)
    count, narrow = _blocks(tensors), 0
    for number in range(count):
        module, r = f"block.{number}", x
        features = len(tensors.bits(f"{module}.1.conv", KERNELS[0]))
        strides = (1, 2 if 0 < narrow < features else 1, 1)
        for n, (kernel, stride) in enumerate(zip(KERNELS, strides, strict=True), 1):
            x = _poke_conv(b, tensors, f"{module}.{n}", x, r if n == 3 else None, kernel, stride)
        narrow = features
    weights, bias = tensors.linear(b.types[x].shape[0], "fc")
    tensors.require_all_used()
    x, dequantise = classifier(b, x, STREAM, weights, bias)
    head = ClassifierHead(tuple(f"class {n}" for n in range(len(bias))))
    description = f"PokeBNN, {3 * count} binary convolutions"
    return Integers(b.graph("pokebnn", x), {x: dequantise}, Picture(width, height, "rgb"), head, description)


def _extent(tensors: State) -> tuple[int, int]:
    """Height and width of the pictures."""
    if "picture" not in tensors.tensors:
        return SIDE, SIDE
    height, width = (int(v) for v in tensors.vector(2, "picture"))
    if min(height, width) < LEAST_SIDE:
        raise ModelError(f"'picture' is {height}x{width}, needs at least {LEAST_SIDE}x{LEAST_SIDE}")
    return height, width


def _blocks(tensors: State) -> int:
    """How many there are; ModelError where one is left out."""
    found = {re.match(r"block\.(\d+)\.", name) for name in tensors.tensors}
    numbers = sorted({int(m[1]) for m in found if m})
    if numbers != list(range(len(numbers))):
        raise ModelError(f"blocks are left out before 'block.{numbers[-1]}'")
    return len(numbers)


def _stem(b: Builder, tensors: State) -> str:
    """No byte is read twice: 4x4 convolution at stride 4, then a grouped 3x3 one, both of 8-bit weights."""
    real = tensors.tensor("stem.conv.weight")
    if real.ndim != 4 or real.shape[1:] != (3, 4, 4):
        raise ModelError(f"'stem.conv.weight' has shape {real.shape}, needs (O, 3, 4, 4)")
    weights, steps = _quantised(real / np.array(STD)[:, None, None], STEM_BITS)
    sums = b.add("stem_conv", Conv2d((4, 4)), "input", weights=weights)
    norm = tensors.norm("stem.bn", len(weights))
    centre = (weights * np.array(MEAN)[:, None, None]).sum((1, 2, 3))
    norm = Affine(norm.gain / steps, norm.offset - norm.gain / steps * centre)
    y = _dprelu(b, "stem", sums, tensors, "stem.dprelu", norm, (BYTES, STREAM))
    most = signed(STEM_BITS)[1]
    grid = Grid(most / _bound(tensors, "stem.bound"))
    same = Affine(np.ones(len(weights)), np.zeros(len(weights)))
    y = scaled(b, "stem_quantised", y, same, (STREAM, grid), (-most, most))
    groups, real = len(weights), tensors.tensor("stem.group.weight")
    if real.ndim != 4 or real.shape[1:] != (1, 3, 3) or len(real) % groups:
        raise ModelError(f"'stem.group.weight' has shape {real.shape}, needs (O, 1, 3, 3), O a multiple of {groups}")
    weights, steps = _quantised(real, STEM_BITS)
    sums = b.add("stem_group", Conv2d(padding=(1, 1, 1, 1), groups=groups), y, weights=weights)
    norm = tensors.norm("stem.group_bn", len(weights))
    norm = Affine(norm.gain / steps, norm.offset)
    return _dprelu(b, "stem_out", sums, tensors, "stem.group_dprelu", norm, (grid, STREAM))


def _poke_conv(b: Builder, tensors: State, module: str, x: str, r: str | None, kernel: int, stride: int) -> str:
    """A PokeConv by its module's name; ``r``: the block's input, where it is added."""
    name, inputs = module.replace(".", "_"), b.types[x].shape[0]
    weights = tensors.bits(f"{module}.conv", kernel)
    if weights.shape[1] != inputs:
        raise ModelError(f"'{module}.conv.weight' has shape {weights.shape}, needs {inputs} inputs")
    outputs = len(weights)
    ones = np.ones(inputs, np.int64)
    bits = b.add(f"{name}_sign", Sign(), x, threshold=0 * ones, rising=ones)
    padding = _same(b.types[x].shape[1:], kernel, stride)
    sums = b.add(f"{name}_conv", Conv2d((stride, stride), padding), bits, weights=weights)
    norm, ends = tensors.norm(f"{module}.bn", outputs), signed(STREAM_BITS)
    t = scaled(b, f"{name}_norm", sums, norm, (Grid(), Grid(STREAM.steps)), ends)
    grid, extent = Grid(STREAM.steps), b.types[sums].shape[1:]
    for key, residual in (("local", x), ("block", r)):
        if residual is not None:
            fitted = _fitted(b, f"{name}_{key}", residual, outputs, extent, copies=key == "block")
            t = b.add(f"{name}_{key}_add", Add(), t, fitted)
            grid = Grid(grid.steps, grid.origin + STREAM.origin)
    same = Affine(np.ones(outputs), np.zeros(outputs))
    y = _dprelu(b, name, t, tensors, f"{module}.dprelu", same, (grid, Grid(STREAM.steps)))
    product = b.add(f"{name}_gated", Multiply(), y, _gate(b, tensors, module, x, outputs))
    after = tensors.norm(f"{module}.out", outputs)
    return scaled(b, f"{name}_out", product, after, (Grid(STREAM.steps * GATE.steps), STREAM), ends)


def _fitted(b: Builder, name: str, x: str, outputs: int, extent: tuple[int, ...], copies: bool) -> str:
    """``x`` with other channels and, where ``extent`` is another one, pooled; on `STREAM` again."""
    inputs, here = b.types[x].shape[0], b.types[x].shape[1:]
    count = 1
    if inputs > outputs:
        if inputs % outputs:
            raise ModelError(f"'{name}' averages {inputs} channels to {outputs}, which does not divide them")
        count = inputs // outputs
        x = b.add(f"{name}_channels", Conv2d(groups=outputs), x, weights=np.ones((outputs, count, 1, 1), np.int64))
    elif inputs < outputs:
        if outputs % inputs:
            raise ModelError(f"'{name}' widens {inputs} channels to {outputs}, which is no multiple of them")
        more = x
        if not copies:  # a tensor of zeros, which both engines can make
            nought = np.zeros(inputs, np.int64)
            more = scaled(
                b, f"{name}_zeros", x, Affine(nought, nought + STREAM.origin / STREAM.steps), (STREAM, STREAM), (0, 1)
            )
        x = b.add(f"{name}_channels", Concat(), x, *[more] * (outputs // inputs - 1))
    if extent != here:
        count *= 9
        x = b.add(f"{name}_pool", SumPool2d((3, 3), (2, 2), _same(here, 3, 2)), x)
    if count == 1:
        return x
    same = Affine(np.ones(outputs), np.zeros(outputs))
    return scaled(b, f"{name}_mean", x, same, (STREAM.of_sum(count), STREAM), signed(STREAM_BITS))


def _dprelu(b: Builder, name: str, x: str, tensors: State, module: str, norm: Affine, grids: tuple[Grid, Grid]) -> str:
    """DPReLU of a batch norm of x, saturated."""
    keys = ("bias_x", "bias_y", "neg_slope", "pos_slope")
    bias_x, bias_y, below, above = (tensors.vector(len(norm.gain), module, key) for key in keys)
    map_ = Affine(norm.gain, norm.offset - bias_x)
    y = bent(b, f"{name}_dprelu", x, map_, (below, above), -bias_y, grids)
    return b.add(f"{name}_act", Clip(*signed(STREAM_BITS)), y)


def _gate(b: Builder, tensors: State, module: str, x: str, outputs: int) -> str:
    """Squeeze and excitation of 4 bits: a gate 0..255 for each of ``outputs`` channels."""
    name, inputs = module.replace(".", "_"), b.types[x].shape[0]
    most = signed(SE_BITS)[1]
    grid = Grid(most / _bound(tensors, f"{module}.se.1.bound"))
    x = mean(b, f"{name}_squeezed", x, (STREAM, grid), (-most, most))
    weights, bias, steps = _dense(tensors, f"{module}.se.1", inputs)
    hidden = Grid((2**SE_BITS - 1) / _bound(tensors, f"{module}.se.2.bound"))
    x = b.add(f"{name}_se1", Conv2d(), x, weights=weights)
    x = scaled(b, f"{name}_hidden", x, Affine(1 / steps, bias), (grid, hidden), (0, 2**SE_BITS - 1))
    weights, bias, steps = _dense(tensors, f"{module}.se.2", len(weights), outputs)
    x = b.add(f"{name}_se2", Conv2d(), x, weights=weights)
    return scaled(b, f"{name}_gate", x, Affine(1 / (6 * steps), (bias + 3) / 6), (hidden, GATE), GATE_ENDS)


def _dense(tensors: State, module: str, inputs: int, outputs: int | None = None) -> tuple[Ints, Array, Array]:
    """4-bit weights (O, I, 1, 1), bias and steps of a layer of the gate."""
    real, bias = tensors.linear(inputs, module)
    if outputs is not None and len(real) != outputs:
        raise ModelError(f"'{module}.weight' has shape {real.shape}, needs {outputs} outputs")
    weights, steps = _quantised(real[:, :, None, None], SE_BITS)
    return weights, bias, steps


def _quantised(real: Array, bits: int) -> tuple[Ints, Array]:
    """Symmetric integers, and their steps per unit: one scale per output channel."""
    largest = np.abs(real).max(axis=(1, 2, 3))
    steps = signed(bits)[1] / np.where(largest > 0, largest, 1)
    return np.rint(real * steps[:, None, None, None]).astype(np.int64), steps


def _bound(tensors: State, name: str) -> float:
    bound = tensors.tensor(name)
    if bound.size != 1 or not bound.item() > 0:
        raise ModelError(f"'{name}' has to be one number above 0")
    return float(bound.item())


def _same(extent: tuple[int, ...], kernel: int, stride: int) -> tuple[int, int, int, int]:
    """The padding at which an extent is divided by the stride, rounded up; what is odd goes behind, as in JAX."""
    total = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in extent]
    return total[0] // 2, total[1] // 2, -(-total[0] // 2), -(-total[1] // 2)


FAMILY = IntegerFamily("pokebnn", matches, build, "stem.group, block.0.1 to .3 with se, dprelu and out, ..., fc")
