"""The export layout: against the published integers of UltraNet, a literal example, and read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from export_networks import Chain, random_network, uint

from hls.export.layers import ConvLayer, ExportError, conv_layers
from hls.export.params import params_files
from hls.export.read import read_params
from ir.graph import Node
from ir.ops import Concat, Conv2d, MaxPool2d, MultiplyShift, Thresholds
from ir.records import Dequantise
from ir.types import TensorType


def assert_same(got: tuple[ConvLayer, ...], expected: tuple[ConvLayer, ...]) -> None:
    assert len(got) == len(expected)
    for mine, theirs in zip(got, expected, strict=True):
        for field in fields(ConvLayer):
            np.testing.assert_array_equal(getattr(mine, field.name), getattr(theirs, field.name), err_msg=field.name)


def test_ultranet_reads_back_as_its_published_integers(shared_data: Path) -> None:
    from frontend.load import load_model
    from frontend.lower.freeze import freeze

    frozen = freeze(load_model(shared_data / "detectors/ultranet_4w4a.pt").graph)
    names = [node.name for node in frozen.graph.nodes if isinstance(node.op, Conv2d)]
    foldings = dict(zip(names, [(3, 16), (16, 8), (8, 8), (8, 4), *[(8, 2)] * 4, (4, 6)], strict=True))
    layers = read_params(params_files(conv_layers(frozen.graph, foldings, frozen.dequantise)))
    golden = np.load(shared_data / "golden/ultranet_integers.npz")
    last_bias = np.load(shared_data / "golden/ultranet_first8.npz")["last_bias"]
    assert len(layers) == 9
    for n, layer in enumerate(layers):
        np.testing.assert_array_equal(layer.weights, golden[f"w{n}"])
        assert (layer.simd, layer.pe) == foldings[names[n]]
        if n < 8:
            np.testing.assert_array_equal(layer.inc, golden[f"inc{n}"])
            np.testing.assert_array_equal(layer.bias, golden[f"bias{n}"])
            assert layer.shift == int(golden[f"shift{n}"])
    np.testing.assert_array_equal(layers[8].bias, np.rint(last_bias.astype(np.float64) * 7 * 15))
    assert layers[8].inc is layers[8].shift is None
    assert [layer.source for layer in layers[:3]] == [(3, 160, 320), (16, 80, 160), (32, 40, 80)]


@pytest.mark.parametrize("seed", range(25))
def test_random_networks_read_back(seed: int) -> None:
    graph, foldings = random_network(seed)
    layers = conv_layers(graph, foldings)
    convolutions = [view for view in graph.views() if isinstance(view.op, Conv2d)]
    got = read_params(params_files(layers))
    assert_same(got, layers)
    for layer, view in zip(got, convolutions, strict=True):  # against the graph itself, not what was extracted from it
        np.testing.assert_array_equal(layer.weights, graph.constants[f"{view.name}.w"])
        user = view.sole_user
        if user:
            np.testing.assert_array_equal(layer.inc, graph.constants[f"{user.name}.mul"])
            np.testing.assert_array_equal(layer.bias, graph.constants[f"{user.name}.add"])
            assert isinstance(user.op, MultiplyShift) and layer.shift == user.op.shift


def test_a_literal_example() -> None:
    """Two output channels on one PE, SIMD 2 over two input channels, kernel 2: every word written out by hand."""
    weights = [
        [[[1, 2], [3, 4]], [[-1, -2], [-3, -4]]],  # output 0: channel 0, channel 1, each (row, column)
        [[[5, 6], [7, 0]], [[-5, -6], [-7, -8]]],
    ]
    chain = Chain(uint(3, 2, 4, 5)).conv("a", np.array(weights), simd=2, pe=1)
    chain.add("act", MultiplyShift(9, 0, 3), mul=np.array([5, -6]), add=np.array([-255, 256]))
    chain.conv("b", np.array([[[[1]], [[-2]]]]), simd=1, pe=1)
    files = params_files(conv_layers(chain.graph(), chain.foldings))
    assert files["folding.txt"] == "simd pe\n2 1\n1 1\n"
    assert files["config.h"].split("\n\n")[1:3] == [
        "// conv_0\n" + "".join(
            f"#define CONV_0_{name} {value}\n"
            for name, value in [
                ("K", 2), ("IFM_CH", 2), ("IFM_ROW", 4), ("IFM_COL", 5), ("OFM_CH", 2), ("OFM_ROW", 3), ("OFM_COL", 4),
                ("IN_BIT", 3), ("W_BIT", 4), ("INC_BIT", 4), ("BIAS_BIT", 10), ("SIMD", 2), ("PE", 1), ("L_SHIFT", 3),
            ]
        ).rstrip(),
        "// conv_1\n" + "".join(
            f"#define CONV_1_{name} {value}\n"
            for name, value in [
                ("K", 1), ("IFM_CH", 2), ("IFM_ROW", 3), ("IFM_COL", 4), ("OFM_CH", 1), ("OFM_ROW", 3), ("OFM_COL", 4),
                ("IN_BIT", 2), ("W_BIT", 2), ("SIMD", 1), ("PE", 1),
            ]
        ).rstrip(),
    ]  # fmt: skip
    # [pe][column][output, row]: channel 0 in the low nibble, channel 1 in the high one.
    expected = """const ap_uint<8> conv_0_w[1][2][4] = {{{"0xf1", "0xd3", "0xb5", "0x97"},
{"0xe2", "0xc4", "0xa6", "0x80"}}};
const ap_int<4> conv_0_inc[1][2] = {{"0x5", "-0x6"}};
const ap_int<10> conv_0_bias[1][2] = {{"-0xff", "0x100"}};
"""
    assert expected in files["weights.hpp"]
    assert 'const ap_uint<2> conv_1_w[1][1][2] = {{{"0x1", "0x2"}}};' in files["weights.hpp"]
    assert files["weights.hpp"].count("const ") == 4


def small(**attributes: object) -> Chain:
    return Chain(uint(4, 2, 6, 6)).conv("first", np.ones((2, 2, 3, 3), int), 1, 1, **attributes)


def act(chain: Chain, shift: int = 12, lo: int = 0, hi: int = 15) -> Chain:
    return chain.add("act", MultiplyShift(shift, lo, hi), mul=np.array([9, 9]), add=np.array([1, 2]))


def last(chain: Chain) -> Chain:
    return chain.conv("last", np.ones((1, 2, 1, 1), int), 1, 1)


def branched() -> Chain:
    chain = act(small(padding=(1, 1, 1, 1)))
    chain.nodes.append(Node("join", Concat(), ("act", "x")))
    chain.last = "join"
    return chain


def unfolded() -> Chain:
    chain = last(act(small()))
    del chain.foldings["last"]
    return chain


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small(stride=(2, 2)), "layer 'first' (Conv2d) has no place in params: stride 2x2 (allowed: 1x1)"),
        (
            lambda: Chain(uint(4, 2, 6, 6)).conv("first", np.ones((2, 1, 3, 3), int), 1, 1, groups=2),
            "layer 'first' (Conv2d) has no place in params: 2 groups (allowed: 1)",
        ),
        (
            lambda: Chain(uint(4, 2, 6, 6)).conv("first", np.ones((2, 2, 1, 3), int), 1, 1),
            "layer 'first' (Conv2d) has no place in params: kernel 1x3 (allowed: square)",
        ),
        (
            lambda: small(padding=(1, 1, 0, 0)),
            "layer 'first' (Conv2d) has no place in params: padding (1, 1, 0, 0) (allowed: the same on all four sides)",
        ),
        (
            lambda: Chain(TensorType.of_range((2, 6, 6), -3, 3)).conv("first", np.ones((1, 2, 1, 1), int), 1, 1),
            "layer 'first' (Conv2d) has no place in params: activations of type int3 (allowed: unsigned)",
        ),
        (
            lambda: small().add("act", Thresholds(), table=np.array([[1, 2], [3, 4]]), rising=np.array([1, 1])),
            "layer 'act' (Thresholds) has no place in params: thresholds (compile without --thresholds)",
        ),
        (
            branched,
            "layer 'join' (Concat) has no place in params: the layout knows Conv2d, MultiplyShift and MaxPool2d",
        ),
        (
            lambda: last(act(small(), lo=-8, hi=7)),
            "layer 'act' (MultiplyShift) has no place in params: clips to -8..7 (allowed: 0 to 2**bits - 1)",
        ),
        (
            lambda: last(act(small(), hi=12)),
            "layer 'act' (MultiplyShift) has no place in params: clips to 0..12 (allowed: 0 to 2**bits - 1)",
        ),
        (
            lambda: last(act(small(), shift=4)),
            "layer 'act' (MultiplyShift) has no place in params: shift 4 (allowed: 5 or more, "
            "as L_SHIFT must not be negative)",
        ),
        (
            lambda: act(small()),
            "layer 'act' (MultiplyShift) has no place in params: before the end (allowed: before MaxPool2d or Conv2d)",
        ),
        (
            lambda: last(small()),
            "layer 'first' (Conv2d) has no place in params: before Conv2d (allowed: before MultiplyShift or the "
            "network's end)",
        ),
        (
            lambda: last(act(small()).add("pool", MaxPool2d((3, 3), (3, 3)))),
            "layer 'pool' (MaxPool2d) has no place in params: kernel (3, 3) at stride (3, 3) "
            "(allowed: 2x2 at stride 2)",
        ),
        (
            unfolded,
            "layer 'last' (Conv2d) has no place in params: it is not in the accelerator, so that nothing says its SIMD "
            "and PE",
        ),
    ],
)
def test_what_the_layout_cannot_carry(make: Callable[[], Chain], message: str) -> None:
    chain = make()
    with pytest.raises(ExportError) as raised:
        conv_layers(chain.graph(), chain.foldings)
    assert str(raised.value) == message


def test_a_bypass_is_a_branch() -> None:
    chain = act(small(padding=(1, 1, 1, 1)))
    chain.nodes.append(Node("again", Conv2d(), ("x", "first.w")))
    chain.last = "again"
    with pytest.raises(
        ExportError, match=r"^layer 'again' \(Conv2d\) .*: reads x, params are a chain without branches"
    ):
        conv_layers(chain.graph(), chain.foldings)


def test_a_bias_of_the_head_is_in_units_of_its_accumulators() -> None:
    chain = last(act(small()))
    layers = conv_layers(chain.graph(), chain.foldings, {"last": Dequantise(1 / 105, (0.1,))})
    (bias,) = read_params(params_files(layers))[-1].bias  # type: ignore[misc]
    assert bias == 10  # rint(10.5) to even


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config.h", "#define CONV_0_K 3", "#define CONV_0_K 3\n#define CONV_0_K 3", "CONV_0_K is defined twice"),
        ("config.h", "#define CONV_0_K 3\n", "", "CONV_0_K is missing"),
        ("config.h", "#define CONV_0_K 3", "#define CONV_0_S 1", "'#define CONV_0_S 1' is no macro of the layout"),
        ("config.h", "#define CONV_0_L_SHIFT", "#define CONV_7_L_SHIFT", "CONV_0_L_SHIFT is missing"),
        ("config.h", "#endif", "#endif // end", "the include guard _CONFIG_H_ is missing"),
        ("config.h", "CONV_0_W_BIT 2", "CONV_0_W_BIT 3", "conv_0_w is of 2 bits, 1x3x12; config.h says 3 bits, 1x3x12"),
        ("weights.hpp", "conv_0_inc", "conv_9_inc", "conv_0_inc is missing"),
        ("weights.hpp", '"0x1"', '"0x5"', "a word of conv_0_w has more than 2 bits"),
        ("weights.hpp", '"0x9"', '"0x29"', "an entry of conv_0_inc has more than 5 bits"),
        ("weights.hpp", '"0x1", ', "", "the entries of conv_0_w are not 1x3x12"),
        ("weights.hpp", '"0x1"', "1", "the entries of conv_0_w are not 1x3x12"),
        ("weights.hpp", "const ap_int<5> conv_0_inc", "static ap_int<5> conv_0_inc", "'static' is outside every array"),
        ("folding.txt", "simd pe", "pe simd", "the first line is 'pe simd' instead of 'simd pe'"),
        ("folding.txt", "1 1", "2 1", "does not say the SIMD and PE of config.h"),
        ("folding.txt", "1 1", "1 x", "'1 x' is not two numbers"),
    ],
)
def test_damaged_files(file: str, old: str, new: str, message: str) -> None:
    chain = last(act(small()))
    files = params_files(conv_layers(chain.graph(), chain.foldings))
    assert old in files[file]
    with pytest.raises(ExportError) as raised:
        read_params(files | {file: files[file].replace(old, new, 1)})
    assert str(raised.value) == f"{file}: {message}" or message in str(raised.value)


def test_a_missing_file() -> None:
    chain = last(act(small()))
    files = params_files(conv_layers(chain.graph(), chain.foldings))
    del files["folding.txt"]
    with pytest.raises(ExportError, match=r"^folding\.txt is missing$"):
        read_params(files)
