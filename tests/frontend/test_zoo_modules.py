"""The zoo's modules: recognised in their sizes, and frozen to integers that are the float64 network's, bit for bit."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from seeded_modules import seeded, small

from frontend.errors import ModelError
from frontend.importer import import_program
from frontend.load import load_model
from frontend.lower.freeze import freeze
from frontend.lower.single import to_single
from frontend.steps import GAUSSIAN_STEPS, Steps, quantize_step
from frontend.zoo import ENTRIES, entry_named
from frontend.zoo.mixed import Widths, skynet, vgg_tiny
from frontend.zoo.mlperf_sound import autoencoder, ds_cnn
from frontend.zoo.quantised import WIDTHS_KEY
from ir.executor import execute
from ir.ops import Conv2d
from ir.records import ClassifierHead
from ir.types import Array

NARROW = {
    "vggtiny": {"channels": (8, 8, 12, 12, 16, 16), "widths": Widths((4, 2, 5, 3, 8, 4), (8, 4, 3, 6, 2, 5))},
    "skynet_mixed": {"channels": (3, 8, 12, 16, 20, 24, 12), "widths": Widths((5, 3) * 6 + (8,), (6, *[4, 7] * 6))},
    "skynetk5": {"channels": (3, 8, 12, 16, 20, 24, 12), "widths": Widths.alike(13, 5, 8)},
    "ultranet_mixed": {"channels": (8, 8, 12, 12, 12, 12, 12, 12), "widths": Widths.alike(9, 4, 4)},
}
"""Networks of mixed precision with fewer channels and widths of every kind."""

CASES = (
    ("vggtiny", 32, 32),
    ("skynet_mixed", 16, 24),
    ("skynetk5", 16, 24),
    ("ultranet_mixed", 16, 32),
    ("resnet8_w4a4", 16, 16),
    ("resnet20_w4a4", 12, 12),
    ("resnet20_projected_w3a5", 12, 12),
    ("mobilenet_v1_025_w6a8", 32, 32),
    ("skynet_w4a4", 16, 16),
    ("espcn_w4a4", 9, 14),
    pytest.param("skynet_w6a8", 16, 16, marks=pytest.mark.full),
    pytest.param("resnet18_w4a4", 32, 32, marks=pytest.mark.full),
    pytest.param("resnet50_w4a4", 32, 32, marks=pytest.mark.full),
    pytest.param("densenet121_w4a4", 32, 32, marks=pytest.mark.full),
    pytest.param("mobilenet_v2_w6a8", 32, 32, marks=pytest.mark.full),
)


@pytest.mark.parametrize(("name", "height", "width"), CASES)
def test_the_integers_are_the_float64_network(name: str, height: int, width: int) -> None:
    """Random pictures and extremes, through PyTorch in float64 and through the integer graph: no value differs by more
    than float64's rounding, so no activation fell on another level."""
    entry = small(name, height, width)
    if name in NARROW:
        entry = replace(entry, factory=lambda make=entry.factory: make(**NARROW[name]))  # type: ignore[misc]
    module = seeded(entry)
    graph = import_program(torch.export.export(module, (torch.zeros(entry.input_shape),)), name, entry.picture)
    frozen = freeze(graph)
    (output,) = frozen.graph.outputs
    record, module, picture = frozen.dequantise[output], module.double(), entry.picture
    assert picture is not None
    for seed in range(3):
        x = np.random.default_rng(seed).integers(0, 2 if seed == 2 else 256, entry.input_shape[1:]) * (
            255 if seed == 2 else 1
        )
        given = x / picture.steps
        if picture.mean:
            given = (given - np.reshape(picture.mean, (3, 1, 1))) / np.reshape(picture.std, (3, 1, 1))
        with torch.no_grad():
            expected = module(torch.from_numpy(given)[None])[0].numpy()
        raw = execute(frozen.graph, {"input": x})[output]
        gain, bias = (np.reshape(v, (-1, 1, 1)) for v in (record.gain or (1.0,), record.bias))
        got = raw * (record.scale * gain) + bias
        assert expected.std() > 0.01
        assert np.allclose(got.reshape(expected.shape), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_pictures_upper_bits(bits: int) -> None:
    """A first layer of fewer bits reads the byte shifted: floor(v / 2^(8 - bits)), for every byte."""
    entry = small("vggtiny", 16, 16)
    widths = Widths((8, *[4] * 5), (bits, *[4] * 5))
    module = vgg_tiny(widths, (8, 8, 8, 8, 8, 8)).eval()
    reads = module.layers[0]  # type: ignore[index]
    seen = []
    reads.conv.register_forward_pre_hook(lambda _, given: seen.append(given[0]))  # type: ignore[operator,union-attr]
    values = torch.arange(256).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    with torch.no_grad():
        reads(values / entry.picture.steps)  # type: ignore[union-attr]
    assert torch.equal(seen[0] * 2**bits, (values >> (8 - bits)).float())


def test_weights_have_the_published_levels() -> None:
    """EdMIPS: a step of 0.336 deviations at 4 bits, -8 to 7 of them."""
    torch.manual_seed(0)
    entry = ENTRIES["vggtiny"]
    module = seeded(entry)
    graph = import_program(torch.export.export(module, (torch.zeros(entry.input_shape),)), "vggtiny", entry.picture)
    weights = module.state_dict()["layers.2.conv.weight"].double().numpy()
    step = GAUSSIAN_STEPS[4] * weights.std(ddof=1)
    name = next(n for n in graph.constants if n.startswith("layers.2.conv.weight.integers"))
    assert np.array_equal(graph.constants[name], np.clip(np.rint(weights / step), -8, 7))


def test_learned_steps_have_lsq_gradients() -> None:
    """By hand, equation 3 of the paper: -t + round(t) inside, the end outside; over sqrt(number * hi)."""
    x, step = torch.tensor([-1.0, 0.3, 0.9, 4.0], requires_grad=True), torch.tensor(0.5, requires_grad=True)
    y = quantize_step(x, step, 0, 3)
    assert y.tolist() == [0.0, 0.5, 1.0, 1.5]
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert step.grad is not None
    assert step.grad.item() == pytest.approx((0 + (1 - 0.6) + (2 - 1.8) + 3) / 12**0.5)


def test_a_checkpoint_says_its_widths(tmp_path: Path) -> None:
    """`model_params` beside the state dict, as its training code writes them, and without them W4A4."""
    widths = NARROW["vggtiny"]["widths"]
    module = vgg_tiny(widths, (8, 8, 12, 12, 16, 16), classes=7)  # type: ignore[arg-type]
    torch.manual_seed(3)
    for weights in module.parameters():
        weights.data.normal_()  # so that every width's levels are used up to the last
    state = {**module.state_dict(), "layers.0.size_product": torch.tensor(0.0), "layers.0.in_width": torch.tensor(0.0)}
    for form in (list, lambda bits: "".join(map(str, bits))):
        params = {"bitw": form(widths.weights), "bita": form(widths.inputs)}  # type: ignore[attr-defined]
        torch.save({"epoch": 3, "model": state, "model_params": params}, tmp_path / "net.pt")
        model = load_model(tmp_path / "net.pt", "vggtiny")
        assert model.head == ClassifierHead(tuple(f"class {n}" for n in range(7)))
        assert ranges(model.graph) == [8, 2, 16, 4, 128, 8, 128]
    torch.save(state, tmp_path / "bare.pt")
    model = load_model(tmp_path / "bare.pt")
    assert "recognised as 'vggtiny'" in model.origin and ranges(model.graph) == [8] * 6 + [128]


def ranges(graph: object) -> list[int]:
    """The power of two that holds each convolution's weights."""
    frozen = freeze(graph).graph  # type: ignore[arg-type]
    kernels = [frozen.constants[n.inputs[1]] for n in frozen.nodes if isinstance(n.op, Conv2d)]
    return [1 << int(np.abs(w).max() - 1).bit_length() for w in kernels]


def test_detectors_of_both_kernels_are_told_apart(tmp_path: Path) -> None:
    for kernel, name in ((3, "skynet_mixed"), (5, "skynetk5")):
        torch.save(skynet(kernel).state_dict(), tmp_path / "net.pt")
        assert f"recognised as '{name}'" in load_model(tmp_path / "net.pt").origin


def test_quantised_forms_are_recognised_by_what_they_say(tmp_path: Path) -> None:
    """Any widths, with and without the name; another name is refused; a float checkpoint has all but the steps."""
    entry = entry_named("resnet8_w3a6")
    assert entry is not None and "resnet8_w3a6" not in ENTRIES
    module = seeded(entry)
    torch.save(module.state_dict(), tmp_path / "net.pt")
    for arch in (None, "resnet8_w3a6"):
        assert "resnet8_w3a6" in load_model(tmp_path / "net.pt", arch).origin
    with pytest.raises(ModelError, match="--arch resnet8_w4a4: the checkpoint says that it is of 'resnet8_w3a6'"):
        load_model(tmp_path / "net.pt", "resnet8_w4a4")
    own = {k for k in module.state_dict() if k.endswith(".step")} | {WIDTHS_KEY}
    assert set(module.state_dict()) - own == set(ENTRIES["resnet8"].factory().state_dict())
    assert len(own) > 10 and any(isinstance(part, Steps) for part in module.modules())


def plain(path: Path, arch: str | None) -> tuple[object, Array]:
    """The float32 graph of a network of plain tensors, and what it gives for seeded inputs."""
    model = load_model(path, arch)
    graph = to_single(model.graph)
    ((name, type_),), (output,) = graph.inputs.items(), graph.outputs
    x = np.random.default_rng(2).normal(0, 2, (3, *type_.shape))
    results = np.stack([execute(graph, {name: each})[output].ravel() for each in x])
    return (model, x.reshape(3, *model.shapes[name][1:])), results


@pytest.mark.parametrize(("channels", "blocks", "classes"), [(64, 4, 12), (12, 2, 5)])
def test_keyword_spotting(channels: int, blocks: int, classes: int, tmp_path: Path) -> None:
    entry = replace(ENTRIES["ds_cnn"], factory=lambda: ds_cnn(channels, blocks, classes))
    module = seeded(entry)
    torch.save(module.state_dict(), tmp_path / "net.pt")
    (model, x), results = plain(tmp_path / "net.pt", None if blocks == 4 else "ds_cnn")  # type: ignore[misc]
    assert "'ds_cnn'" in model.origin and len(model.head.labels) == classes and model.picture is None
    with torch.no_grad():
        expected = module(torch.from_numpy(x).float()).numpy()
    assert np.allclose(results, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize("widths", [(640, 128, 128, 8, 128, 640), (48, 16, 4, 48)])
def test_anomaly_detection(widths: tuple[int, ...], normed: bool, tmp_path: Path) -> None:
    module = seeded(replace(ENTRIES["autoencoder"], factory=lambda: autoencoder(widths, normed)))
    torch.save(module.state_dict(), tmp_path / "net.pt")
    (model, x), results = plain(tmp_path / "net.pt", None if normed and len(widths) == 4 else "autoencoder")  # type: ignore[misc]
    assert model.shapes["input"] == (1, widths[0]) and model.head is None
    with torch.no_grad():
        expected = module(torch.from_numpy(x).float()).numpy()
    assert results.shape == (3, widths[-1]) and np.allclose(results, expected, atol=1e-4 * np.abs(expected).max())


def test_widths_of_the_published_networks() -> None:
    """Parameters of MLPerf Tiny's reference networks (their tables say 22.6 k and 267.9 k with batch norms)."""

    def weights(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters() if p.ndim > 1)

    assert weights(ds_cnn()) == 64 * 40 + 4 * 64 * (9 + 64) + 64 * 12
    assert weights(autoencoder()) == 2 * (640 * 128 + 3 * 128 * 128 + 128 * 8)
