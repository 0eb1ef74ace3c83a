"""Layers in tiles that threads share: the same integers for any number of threads, on this machine under sanitizers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cpu_cases
import cpu_filtering
import cpu_graphs
import cpu_networks
import float_graphs
import numpy as np
import pytest
from cpu_floats import FLOAT32
from cpu_graphs import Sketch
from cpu_objects import build_region

from cpu_backend import runner, tiles, toolchain
from cpu_backend.codegen import RegionCode, generate
from cpu_backend.cost import layer_cycles
from cpu_backend.forms import shared
from cpu_backend.layers import Form, Layer, layers_of
from cpu_backend.tiles import Tiles, channel_tiles, row_tiles, tiles_of
from frontend.training.columns import prune_columns
from ir.engine import Artifact, Port
from ir.executor import execute
from ir.graph import Graph, Node
from ir.layouts import Plain
from ir.ops import Clip, Conv2d, MaxPool2d, Thresholds
from ir.target import Cpu
from ir.tolerance import tolerances
from ir.types import DType, TensorType

THREADS = (1, 2, 3, 4, 7)
THREAD_SANITIZER = ("-g", "-O1", "-fsanitize=thread")
BOARD = Cpu("rv64gcv", 256, 4, 1600.0, "host")


def artifact_of(code: RegionCode, graph: Graph) -> Artifact:
    ports = [tuple(Port(tensor, Plain()) for tensor in tensors) for tensors in (graph.inputs, graph.outputs)]
    return Artifact(code.files, code.sources, *ports, ())


def in_tiles(graph: Graph, threads: int, word: int = 0, form: Form = "usual") -> Artifact:
    """Every layer that has tiles in them, however little there is to do."""
    layers = [replace(layer, form=form, threads=threads) for layer in layers_of(graph)]
    return artifact_of(generate(graph, layers=layers, word=word), graph)


def classifier(seed: int) -> Graph:
    """A pooled convolution, strides, and fully connected layers of several kinds of sums and maps."""
    s = Sketch(seed)
    x = TensorType.of_dtype((3, 15, 13), DType("uint", 8))
    pooled = s.node("pooled", MaxPool2d(), s.conv("conv", "x", 20, 3))
    first = s.scale("first", pooled, 20)
    strided = s.node("strided", Conv2d((2, 2), (2, 0, 1, 1)), first, w=s.integers(-127, 127, 33, 20, 4, 3))
    second = s.scale("second", strided, 33)
    full = s.node(
        "full", Conv2d(), second, w=s.integers(-7, 7, 100, 33, *s.graph("g", {"x": x}, second).types[second].shape[1:])
    )
    levels = np.sort(s.integers(-9000, 9000, 100, 5))
    stepped = s.node("stepped", Thresholds(-2), full, t=levels, r=s.integers(0, 1, 100))
    return s.graph(
        "classifier", {"x": x}, s.node("y", Conv2d(), stepped, w=s.integers(-127, 127, 70, 100, 1, 1)), stepped
    )


GRAPHS: dict[str, Callable[[int], Graph]] = {**cpu_graphs.NETWORKS, "classifier": classifier}


def check(program: Path, artifact: Artifact, graph: Graph, seed: int, vlen: int | None, *threads: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [{name: cpu_cases.values(rng, type_) for name, type_ in graph.inputs.items()} for _ in range(2)]
    references = [execute(graph, frame) for frame in frames]
    for count in threads:
        results = runner.run_region(program, artifact, graph, frames, vlen, count)
        for reference, result in zip(references, results, strict=True):
            for name in graph.outputs:
                assert np.array_equal(result[name], reference[name]), (count, name)


def bits_and_bytes(seed: int) -> Graph:
    """What the kernels of cores without vectors take: bits beside a padded edge, products that share a word, 8 bits."""
    s = Sketch(seed)
    x = TensorType.of_dtype((70, 9, 7), DType("bipolar", 1))
    one = s.scale("one", s.node("bits", Conv2d(padding=(1, 1, 1, 1)), "x", w=s.signs(18, 70, 3, 3)), 18)
    two = s.scale("two", s.node("halved", MaxPool2d(), s.conv("few", one, 24, 18)), 24)
    three = s.node("many", Conv2d((2, 1), (1, 1, 1, 1)), two, w=s.integers(-127, 127, 40, 24, 3, 3))
    last = s.node("last", Conv2d(), s.scale("three", three, 40), w=s.integers(-127, 127, 80, 40, 2, 3))
    return s.graph("bits_and_bytes", {"x": x}, last)


def pruned(seed: int) -> Graph:
    """Every other column pruned away, rows that tiles of equal size cut and a prime number of them, a pool."""
    s = Sketch(seed)
    x = TensorType.of_dtype((16, 18, 11), DType("uint", 4))
    half = np.arange(144).reshape(16, 3, 3) % 2
    conv = s.node("conv", Conv2d((1, 1), (2, 1, 0, 0)), "x", w=s.integers(1, 7, 14, 16, 3, 3) * half)
    act = s.scale("act", conv, 14)
    pool = s.node("pool", MaxPool2d(), s.node("again", Conv2d(), act, w=s.integers(1, 7, 14, 14, 3, 3) * half[:14]))
    return s.graph("pruned", {"x": x}, s.scale("y", pool, 14))


def streamed(seed: int) -> Graph:
    """Fully connected layers whose weights come from memory: 4 bits of an odd number of channels, rows of bytes that
    begin at lines, and 2 bits and bytes in one layer once its channels are cut."""
    s = Sketch(seed)
    x = TensorType.of_dtype((70, 2, 1), DType("uint", 8))
    one = s.scale("one", s.node("few", Conv2d(), "x", w=s.integers(-8, 7, 251, 70, 2, 1)), 251)
    two = s.scale("two", s.node("bytes", Conv2d(), one, w=s.integers(-127, 127, 250, 251, 1, 1)), 250)
    both = s.integers(-2, 1, 190, 250, 1, 1)
    both[128:] *= 16
    return s.graph("streamed", {"x": x}, s.scale("y", s.node("both", Conv2d(), two, w=both), 190))


@pytest.mark.parametrize("network", ["residual", "gated", "classifier"])
def test_no_races(network: str, tmp_path: Path) -> None:
    """The sanitizer reports tiles that write what others read or write, and scratch memory that is shared."""
    graph = GRAPHS[network](3)
    artifact = in_tiles(graph, max(THREADS))
    program = build_region(artifact, graph, tmp_path, None, THREAD_SANITIZER, threaded=True)
    check(program, artifact, graph, 3, None, *THREADS)


@pytest.mark.parametrize("network", ["prelu", "decoder", "volumes", "attention"])
def test_any_number_of_threads_gives_the_same_integers(network: str, tmp_path: Path) -> None:
    graph = GRAPHS[network](4)
    artifact = in_tiles(graph, max(THREADS))
    program = build_region(artifact, graph, tmp_path, None, toolchain.SANITIZE, threaded=True)
    check(program, artifact, graph, 4, None, *THREADS)


def pruned_floats(seed: int) -> Graph:
    """Three quarters of the columns pruned away, in tiles of seven channels; a bound and a pool."""
    rng = np.random.default_rng(seed)
    w = prune_columns(rng.standard_normal((28, 16, 3, 3)).astype(np.float32), 1, 4, 7).astype(np.float32)
    steps = (
        Node("conv", Conv2d(padding=(1, 1, 1, 1)), ("x", "w")),
        Node("relu", Clip(0.0, 6.0), ("conv",)),
        Node("pool", MaxPool2d(), ("relu",)),
    )
    return Graph("floats", {"x": TensorType((16, 20, 12), FLOAT32)}, steps, ("pool",), {"w": w}).verify()


FLOATS: dict[str, Callable[[int], Graph]] = {**float_graphs.NETWORKS, "pruned_floats": pruned_floats}


def check_floats(program: Path, artifact: Artifact, graph: Graph, vlen: int | None, *threads: int) -> None:
    """Within the tolerance of the reference, and the same bits whatever the number of threads."""
    rng = np.random.default_rng(6)
    frames = [float_graphs.frame_of(graph, rng) for _ in range(2)]
    references = [execute(graph, frame) for frame in frames]
    first = runner.run_region(program, artifact, graph, frames, vlen, threads[0])
    for reference, result in zip(references, first, strict=True):
        allowed = tolerances(graph, reference)
        for name in graph.outputs:
            assert (np.abs(result[name] - reference[name]) <= allowed[name]).all(), name
    for count in threads[1:]:
        for one, other in zip(first, runner.run_region(program, artifact, graph, frames, vlen, count), strict=True):
            for name in graph.outputs:
                assert one[name].tobytes() == other[name].tobytes(), (count, name)


@pytest.mark.parametrize("network", FLOATS)
@pytest.mark.parametrize("flags", [toolchain.SANITIZE, THREAD_SANITIZER], ids=["addresses", "races"])
def test_floats(network: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    graph = FLOATS[network](0)
    artifact = in_tiles(graph, max(THREADS), form="columns" if network == "pruned_floats" else "usual")
    text = artifact.files[artifact.sources[0]]
    shared = {kernel for kernel in SHARED_FLOATS[network] if f"{kernel}(&part" in text}
    assert shared == SHARED_FLOATS[network]
    assert ("part0_of_layer_excited" in text) == (network == "bypass")  # one row: tiles of channels
    program = build_region(artifact, graph, tmp_path, None, flags, threaded=True)
    check_floats(program, artifact, graph, None, *THREADS)


SHARED_FLOATS = {
    "residual": {"hck_f32_conv2d", "hck_f32_map_rows", "hck_f32_max_pool", "hck_f32_pad_zeros", "hck_f32_add"},
    "bypass": {"hck_f32_conv2d", "hck_f32_mean_pool", "hck_f32_max_pool", "hck_f32_multiply"},
    "curved": {"hck_f32_conv2d"},
    "pruned_floats": {"hck_sparse_conv2d_float"},
}
"""Kernels that are called for tiles of rows."""


@pytest.mark.parametrize("word", [32, pytest.param(64, marks=pytest.mark.full)])
def test_kernels_for_cores_without_vectors(word: int, tmp_path: Path) -> None:
    graph = bits_and_bytes(word)
    artifact = in_tiles(graph, 3, word)
    text = artifact.files[artifact.sources[0]]
    assert f"hck_conv2d_xnor{word}(&part" in text and "hck_conv2d_tile(&part" in text and "last_2_tile" not in text
    program = build_region(artifact, graph, tmp_path, None, ("-O1",), threaded=True)
    check(program, artifact, graph, word, None, 1, 2, 3)


def test_kernel_for_pruned_columns(tmp_path: Path) -> None:
    """Tiles of as many rows as divide the layer's: 18 in threes, 8 in twos."""
    graph = pruned(1)
    artifact = in_tiles(graph, 4, form="columns")
    assert artifact.files[artifact.sources[0]].count("hck_sparse_rows(&part") == 2
    program = build_region(artifact, graph, tmp_path, None, toolchain.SANITIZE, threaded=True)
    check(program, artifact, graph, 1, None, 1, 2, 4)


def test_kernel_of_minimal_filtering(tmp_path: Path) -> None:
    """Tiles of whole pairs of rows: 13 in fours, and 7 pooled ones one by one."""
    graph = cpu_filtering.network(3)
    artifact = in_tiles(graph, 2, form="winograd")
    assert artifact.files[artifact.sources[0]].count("hck_conv_rows(&part") == 2
    program = build_region(artifact, graph, tmp_path, None, toolchain.SANITIZE, threaded=True)
    check(program, artifact, graph, 3, None, 1, 2, 3)


@pytest.mark.parametrize("threads", [1, 4])
def test_kernel_for_weights_from_memory(threads: int, tmp_path: Path) -> None:
    """Whole layers, and parts of 64 channels, of which the last layer's first ones have 2 bits."""
    graph = streamed(4)
    artifact = in_tiles(graph, threads, form="streamed")
    text = artifact.files[artifact.sources[0]]
    assert [text.count(f".bits = {bits},") for bits in (2, 4, 8)] == ([0, 1, 2] if threads == 1 else [2, 4, 4 + 1])
    assert (".stride = 256" in text) == (threads == 1)
    program = build_region(artifact, graph, tmp_path, None, toolchain.SANITIZE, threaded=True)
    check(program, artifact, graph, 4, None, threads)


def test_strips_of_pruned_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread has strips of rows whose planes fit a cache: the most that divide the layer's rows. Layers in place
    have no planes."""
    (layer,) = (replace(each, form="columns") for each in layers_of(big(kernel=3)))
    assert row_tiles(layer) == Tiles(56, 8, 1)  # 64 channels by 10 rows of 58, two bytes each: 74,240; 118,784 for 14
    (in_place,) = (replace(each, form="columns") for each in layers_of(big()))
    assert row_tiles(in_place) is None
    monkeypatch.setattr(tiles, "STRIP_BYTES", 4000)
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 10)
    graph = pruned(2)
    artifact = in_tiles(graph, 1, form="columns")
    assert artifact.files[artifact.sources[0]].count("hck_sparse_rows(&part") == 2
    program = build_region(artifact, graph, tmp_path, None, ("-O1",))
    check(program, artifact, graph, 2, None, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "form"),
    [
        ("classifier", "usual"),
        ("decoder", "usual"),
        ("pruned", "columns"),
        ("filtered", "winograd"),
        ("streamed", "streamed"),
    ],
)
def test_vectors(network: str, form: Form, tmp_path: Path, riscv_tools: None) -> None:
    graph = {**GRAPHS, "pruned": pruned, "filtered": cpu_filtering.network, "streamed": streamed}[network](5)
    artifact = in_tiles(graph, 4, form=form)
    program = build_region(artifact, graph, tmp_path, toolchain.VECTOR, threaded=True)
    for vlen in (128, 256):
        check(program, artifact, graph, 5, vlen, 1, 3, 4)


def test_whole_network(shared_data: Path, tmp_path: Path) -> None:
    """As the engine makes it for four cores, against the golden integers; also without threads."""
    graph, pictures, golden = cpu_networks.load(shared_data, "ultranet_bypass")
    layers = [shared(layer, BOARD) for layer in layers_of(graph)]
    assert sum(layer.threads == 4 for layer in layers) > len(layers) // 2
    artifact = artifact_of(generate(graph, layers=layers), graph)
    frames = [{"picture": picture} for picture in pictures[:2]]
    for threaded, counts in ((True, THREADS), (False, (0,))):
        program = build_region(artifact, graph, tmp_path, threaded=threaded)
        for threads in counts:
            for result, raw in zip(
                runner.run_region(program, artifact, graph, frames, None, threads), golden, strict=False
            ):
                assert np.array_equal(result["head"], raw), threads


def alone(graph: Graph, threads: int, name: str) -> Layer:
    return next(replace(layer, threads=threads) for layer in layers_of(graph) if layer.name == name)


def test_tiles() -> None:
    graph = classifier(1)
    assert row_tiles(alone(graph, 3, "first")) == Tiles(7, 2, 3)
    assert row_tiles(alone(graph, 1, "first")) is None and tiles_of(alone(graph, 1, "y")) is None
    assert channel_tiles(alone(graph, 2, "stepped")) == Tiles(100, 64, 2)
    assert channel_tiles(alone(graph, 8, "stepped")) == Tiles(100, 32, 8)
    assert Tiles(100, 32, 8).count == 4
    assert Tiles(7, 2, 3).longest == 4 / 7  # four tiles on three threads: one has two of two rows
    assert Tiles(100, 64, 2).longest == 0.64


def test_the_cost_of_a_shared_layer() -> None:
    """Divided only where a second core is there to be used, and never below its fair share."""
    graph, one = big(), replace(BOARD, cores=1)
    (layer,) = layers_of(graph)
    work = layer_cycles(layer, one)
    for cores in (2, 4, 8):
        cycles = layer_cycles(shared(layer, replace(BOARD, cores=cores)), BOARD)
        assert work / cores < cycles < work / cores * 1.6
    for cpu in (one, replace(BOARD, role="coprocessor")):
        assert shared(layer, cpu) == layer
    (little,) = layers_of(big(4))
    assert shared(little, BOARD) == little


def big(size: int = 56, kernel: int = 1) -> Graph:
    s = Sketch(1)
    x = TensorType.of_dtype((64, size, size), DType("int", 8))
    return s.graph("big", {"x": x}, s.conv("y", "x", 64, 64, kernel))
