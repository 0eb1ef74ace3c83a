"""Model files as users have them: recognised, by name, by a file of their own, as archives; and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from onnx_build import run
from user_networks import FILE
from zoo_models import NETWORKS, archive, checkpoint

from frontend.checkpoint import load_state_dict
from frontend.errors import ModelError
from frontend.load import load_model
from frontend.lower.freeze import freeze
from frontend.onnx.importer import Imported
from frontend.quantisers import QuantActivation, QuantConv2d
from frontend.zoo import ENTRIES
from ir.executor import execute
from ir.ops import Conv2d
from ir.records import ClassifierHead


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
@pytest.mark.parametrize("name", NETWORKS)
def test_public_checkpoints_are_recognised(shared_data: Path, name: str, suffix: str) -> None:
    model = load_model(checkpoint(shared_data, name).with_suffix(suffix))
    assert f"recognised as '{name}'" in model.origin
    assert (model.picture, model.head) == (ENTRIES[name].picture, ENTRIES[name].head)
    named = load_model(checkpoint(shared_data, name).with_suffix(suffix), name)
    assert named.graph.nodes == model.graph.nodes


@pytest.mark.parametrize("name", NETWORKS)
def test_archives_give_the_checkpoints_graph(shared_data: Path, tmp_path: Path, name: str) -> None:
    """The quantisers survive export as single operators: same nodes, same constants bit for bit."""
    expected = load_model(checkpoint(shared_data, name)).graph
    model = load_model(archive(shared_data, name, tmp_path / "net.pt2"))
    assert model.graph.nodes == expected.nodes and model.graph.outputs == expected.outputs
    assert model.graph.constants.keys() == expected.constants.keys()
    assert all(np.array_equal(model.graph.constants[k], v) for k, v in expected.constants.items())
    assert "torch.export archive" in model.origin


@pytest.fixture
def user(tmp_path: Path) -> tuple[ModuleType, Path, Path]:
    """(the user's module, its file, a checkpoint of its network)."""
    file, weights = tmp_path / "my_net.py", tmp_path / "my_net.pt"
    file.write_text(FILE)
    module = ModuleType("my_net")
    exec(compile(FILE, str(file), "exec"), module.__dict__)
    torch.save({"state_dict": module.state(3)}, weights)
    return module, file, weights


@pytest.mark.parametrize("form", ["checkpoint", "archive"])
def test_a_file_of_the_user(user: tuple[ModuleType, Path, Path], tmp_path: Path, form: str) -> None:
    """The frozen network against torch's own float run: equal wherever no activation sits on a rounding edge."""
    module, file, weights = user
    net = module.make().eval()
    net.load_state_dict(module.state(3))
    if form == "archive":
        weights = tmp_path / "net.pt2"
        torch.export.save(torch.export.export(net, (torch.zeros(1, 3, 12, 16),)), weights)
    model = load_model(weights, f"{file}:make")
    assert model.head == ClassifierHead(("a", "b", "c")) and model.picture.order == "rgb"
    frozen = freeze(model.graph)
    kernels = [n for n in frozen.graph.nodes if isinstance(n.op, Conv2d)]
    assert [n.op.stride for n in kernels] == [(2, 2), (1, 1), (1, 1)]  # type: ignore[attr-defined]
    widths = [int(np.abs(frozen.graph.constants[n.inputs[1]]).max()) for n in kernels]
    assert widths == [3, 127, 3]  # the largest weight is the top level: W3, W8, W3
    (output,) = frozen.graph.outputs
    record, close = frozen.dequantise[output], 0
    for seed in range(8):
        picture = np.random.default_rng(seed).integers(0, 256, (3, 12, 16))
        raw = execute(frozen.graph, {"input": picture})[output]
        got = raw * record.scale + np.array(record.bias).reshape(-1, 1, 1)
        with torch.no_grad():
            expected = net(torch.from_numpy(picture[None] / 255).float())[0].numpy()
        close += np.isclose(got, expected, atol=1e-5).sum()
        assert np.abs(got - expected).max() < 0.2  # one level of one activation weighs 1/31 at most
    assert close > 0.95 * 8 * expected.size


def exported(net: torch.nn.Module, file: Path, batch: int, *axes: int) -> Path:
    """An archive of a network of 12 x 16 pixels, with these axes open."""
    names = {axis: torch.export.Dim(f"axis{axis}") for axis in axes}
    program = torch.export.export(net.eval(), (torch.zeros(batch, 3, 12, 16),), dynamic_shapes=(names,))
    torch.export.save(program, file)
    return file


def test_an_open_batch_is_one(user: tuple[ModuleType, Path, Path], tmp_path: Path) -> None:
    """The same integers as of the archive with a batch of 1."""
    module, file, _ = user
    net, arch = module.make(), f"{file}:make"
    net.load_state_dict(module.state(3))
    x = np.random.default_rng(0).integers(0, 256, (3, 12, 16))
    results = []
    for path in (exported(net, tmp_path / "open.pt2", 4, 0), exported(net, tmp_path / "fixed.pt2", 1)):
        graph = freeze(load_model(path, arch).graph).graph
        results.append(execute(graph, {"input": x})[graph.outputs[0]])
    assert np.array_equal(*results)
    assert len(np.unique(results[0])) > 2


def test_an_archive_of_a_network_that_nobody_knows(tmp_path: Path) -> None:
    """It is one of plain tensors, in its own shapes, and computes what its module does."""
    torch.manual_seed(1)
    conv = QuantConv2d(3, 4, 3, bits=4)
    net = torch.nn.Sequential(QuantActivation(6), conv, torch.nn.BatchNorm2d(4), QuantActivation(4), torch.nn.Flatten())
    model = load_model(exported(net, tmp_path / "own.pt2", 1))
    assert (model.picture, model.head) == (None, None)
    assert list(model.shapes.values()) == [(1, 3, 12, 16), (1, 560)]
    x = torch.arange(576, dtype=torch.float64).reshape(1, 3, 12, 16) / 575
    with torch.no_grad():
        expected = net.double().eval()(x).numpy()
    assert len(np.unique(expected)) > 4
    got = run(Imported(model.graph, model.shapes, ""), model.frozen(), x.numpy())
    assert np.allclose(got.reshape(expected.shape), expected, rtol=0, atol=1e-12)


def test_other_open_axes_are_refused(tmp_path: Path) -> None:
    message = refusal(exported(torch.nn.ReLU(), tmp_path / "open.pt2", 4, 0, 2))
    assert "refused: it has symbolic shapes" in message and "the batch alone may be open" in message


def refusal(path: Path, arch: str | None = None) -> str:
    with pytest.raises(ModelError) as raised:
        load_model(path, arch)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_wrong_architecture_lists_the_differences(shared_data: Path) -> None:
    message = refusal(checkpoint(shared_data, "ultranet"), "ultranet_bypass")
    assert "does not fit 'ultranet_bypass': 'layers_p1.0.weight' is missing; " in message
    assert "more" in message


def test_a_changed_shape_is_named(shared_data: Path, tmp_path: Path) -> None:
    state = load_state_dict(checkpoint(shared_data, "ultranet"))
    state["layers.28.bias"] = torch.zeros(30)
    torch.save(state, tmp_path / "c.pt")
    message = refusal(tmp_path / "c.pt", "ultranet")
    assert message.endswith("does not fit 'ultranet': 'layers.28.bias' has shape (30,), needs (36,)")
    message = refusal(tmp_path / "c.pt")
    assert "matches no known network" in message and "ultranet: 1 differences, first 'layers.28.bias'" in message


def test_values_that_are_not_finite_are_named(shared_data: Path, tmp_path: Path) -> None:
    state = load_state_dict(checkpoint(shared_data, "ultranet"))
    state["layers.5.running_var"][3] = float("nan")
    torch.save(state, tmp_path / "c.pt")
    assert "'layers.5.running_var' holds values that are not finite" in refusal(tmp_path / "c.pt")
    module = ENTRIES["ultranet"].factory().eval()
    module.load_state_dict(state, strict=False)
    program = torch.export.export(module, (torch.zeros(ENTRIES["ultranet"].input_shape),))
    torch.export.save(program, tmp_path / "c.pt2")
    assert "'layers.5.running_var' holds values that are not finite" in refusal(tmp_path / "c.pt2")


def test_another_network_and_unknown_names(shared_data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.npz"
    with np.load(shared_data / "detectors" / "skynet_float.npz") as arrays:
        np.savez(other, **{f"prefix.{key}": arrays[key] for key in arrays.files})
    assert "matches no known network by keys and shapes, give --arch NAME or file.py:factory" in refusal(other)
    assert "--arch resnet: unknown network (did you mean 'resnet8'? allowed: ultranet, ultr" in refusal(other, "resnet")
    assert "(did you mean 'net.py:FACTORY'? allowed: " in refusal(other, "net.py")
    assert "--arch zzz: unknown network (allowed: ultranet, ultranet_bypass" in refusal(other, "zzz")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("missing", "has no callable 'missing'"),
        ("no_module", "'no_module' returned int, needs a torch.nn.Module"),
        ("failing", "'failing' failed: ZeroDivisionError: division by zero"),
        ("without_records", "the module needs attributes 'picture' (ir.records.Picture) and 'head_record'"),
        ("sine", "operator aten.sin.default is not supported (supported: aten.abs.default, "),
        ("control_flow", "torch.export cannot record the network for an input of shape (1, 3, 12, 16)"),
    ],
)
def test_users_files_that_cannot_be_used(user: tuple[ModuleType, Path, Path], factory: str, message: str) -> None:
    _, file, weights = user
    assert message in refusal(weights, f"{file}:{factory}")


def test_users_files_that_cannot_be_imported(user: tuple[ModuleType, Path, Path], tmp_path: Path) -> None:
    _, _, weights = user
    (tmp_path / "bad.py").write_text("import nothing_of_this_name\n")
    assert "importing '" in (m := refusal(weights, f"{tmp_path / 'bad.py'}:f")) and "nothing_of_this_name" in m
    assert "no file 'nowhere.py'" in refusal(weights, "nowhere.py:f")


def test_few_modules_are_made_to_recognise_a_checkpoint() -> None:
    """Each network has its landmark, also in the sizes of a user's; few others have it."""
    for name, entry in ENTRIES.items():
        state = {key: torch.empty(shape, device="meta") for key, shape in entry.shapes().items()}
        likely = [other.name for other in ENTRIES.values() if other.may_fit(state)]
        assert entry.landmark and name in likely and len(likely) < len(ENTRIES) / 2, name
    state = {key: torch.empty(shape, device="meta") for key, shape in ENTRIES["ultranet"].shapes().items()}
    assert [entry.name for entry in ENTRIES.values() if entry.may_fit(state)] == ["ultranet"]
