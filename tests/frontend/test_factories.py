"""Modules that a user's own function makes, without a file of weights; and those of Brevitas, where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from onnx_build import run
from test_brevitas import INSTALLED, needs_brevitas

from frontend.errors import ModelError
from frontend.load import Model, load_model, load_module
from frontend.onnx.importer import Imported
from frontend.quantisers import BatchNorm2d, QuantActivation, QuantConv2d
from ir.records import ClassifierHead

FILE = """
import torch
from torch import nn
from ir.records import ClassifierHead, Picture
from frontend.quantisers import BatchNorm2d, QuantActivation, QuantConv2d


def plain():
    torch.manual_seed(3)
    conv = QuantConv2d(3, 4, 3, bits=4)
    made = nn.Sequential(QuantActivation(6), conv, BatchNorm2d(4), QuantActivation(4), QuantConv2d(4, 5, 6, bits=5))
    made.input_shape, made.head_record = (1, 3, 8, 8), ClassifierHead(tuple("abcde"))
    return made


def brevitas():
    import brevitas.nn as qnn

    torch.manual_seed(3)
    quantise = qnn.QuantIdentity(bit_width=8, return_quant_tensor=True)
    made = nn.Sequential(quantise, qnn.QuantConv2d(3, 5, 8, weight_bit_width=4, bias=False))
    made(torch.randn(4, 3, 8, 8))
    made.input_shape, made.head_record = (1, 3, 8, 8), ClassifierHead(tuple("abcde"))
    return made


def of_a_picture():
    made = brevitas()
    del made.input_shape
    made.picture = Picture(8, 8, "rgb")
    return made
"""


def result(model: Model, x: torch.Tensor) -> np.ndarray:
    imported = Imported(model.graph, model.shapes, "")
    return run(imported, model.frozen(), x.numpy().astype(np.float64))


def factory(folder: Path, name: str) -> tuple[Path, nn.Module]:
    """``file.py:name``, and such a module."""
    file = folder / "net.py"
    file.write_text(FILE)
    space: dict[str, object] = {}
    exec(compile(FILE, str(file), "exec"), space)
    return file.with_name(f"net.py:{name}"), space[name]().eval()  # type: ignore[operator]


def test_a_factory_needs_no_file_of_weights(tmp_path: Path) -> None:
    """Its first quantiser, which has its input's values, is the host's."""
    spec, module = factory(tmp_path, "plain")
    model = load_model(spec)
    assert model.head == ClassifierHead(tuple("abcde")) and model.origin == f"the module of {spec}"
    record = model.frozen().quantise["input"]
    assert (record.lo, record.hi, record.scale) == (0, 63, 1 / 63)
    x = torch.rand(1, 3, 8, 8) * 1.4 - 0.2
    with torch.no_grad():
        expected = module.double()(x.double()).numpy()
    assert np.allclose(result(model, x).reshape(expected.shape), expected, rtol=0, atol=1e-9)


def test_a_live_module_may_begin_with_a_quantiser() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(QuantActivation(4), QuantConv2d(2, 3, 3, bits=3), BatchNorm2d(3), QuantActivation(6)).eval()
    model = load_module(module, (1, 2, 5, 7))
    levels = torch.arange(70).reshape(1, 2, 5, 7) / 69
    with torch.no_grad():
        expected = module.double()(levels.double()).numpy()
    assert len(np.unique(expected)) > 2
    assert np.allclose(result(model, levels).reshape(expected.shape), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("spec", "arch", "message"),
    [
        ("nowhere.py:f", None, "nowhere.py:f: no file 'nowhere.py'"),
        ("net.py:f", "ultranet", "net.py:f: --arch ultranet: a factory makes its own network"),
    ],
)
def test_factories_that_cannot_be_used(spec: str, arch: str | None, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(Path(spec), arch)
    assert message == str(caught.value)


@pytest.mark.skipif(INSTALLED, reason="brevitas is installed")
def test_without_brevitas_a_users_file_names_the_extra(tmp_path: Path) -> None:
    spec = tmp_path / "net.py:brevitas"
    (tmp_path / "net.py").write_text(FILE)
    with pytest.raises(ModelError, match=r"'brevitas' failed: .* \(pip install 'hetero-compile\[brevitas\]'\)$"):
        load_model(spec)


@pytest.mark.slow
@needs_brevitas
def test_modules_of_brevitas(tmp_path: Path) -> None:
    """As a factory, live, and with a checkpoint's values: what Brevitas' own forward gives, to float32's rounding."""
    spec, module = factory(tmp_path, "brevitas")
    other = factory(tmp_path, "brevitas")[1]
    with torch.no_grad():
        other[1].weight *= -1.5
    torch.save(other.state_dict(), tmp_path / "other.pt")
    models = [load_model(spec), load_module(module, (1, 3, 8, 8)), load_model(tmp_path / "other.pt", str(spec))]
    x = torch.randn(1, 3, 8, 8)
    for model, made in zip(models, (module, module, other), strict=True):
        expected = made(x)
        expected = getattr(expected, "value", expected).detach().numpy()
        assert np.allclose(result(model, x).reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(
        ModelError, match="modules of Brevitas quantise plain tensors: give 'input_shape', no 'picture'"
    ):
        load_model(spec.with_name("net.py:of_a_picture"))
