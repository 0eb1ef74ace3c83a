"""State dicts from real, odd, damaged and malicious files; nothing in them is ever executed."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from zoo_models import NETWORKS, checkpoint

from frontend.checkpoint import load_state_dict
from frontend.errors import ModelError
from frontend.load import load_model

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([1.0, -2.0])}


def refusal(path: Path) -> str:
    """The one line with which a file is refused, wherever it is opened from."""
    with pytest.raises(ModelError) as raised:
        load_model(path)
    message = str(raised.value)
    assert "\n" not in message and message.startswith(f"{path}: ")
    return message


@pytest.mark.parametrize("name", NETWORKS)
def test_public_checkpoints_equal_their_npz(shared_data: Path, name: str) -> None:
    state = load_state_dict(checkpoint(shared_data, name))
    found = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    with np.load(checkpoint(shared_data, name).with_suffix(".npz")) as arrays:
        assert set(found) == set(arrays.files)
        for key in arrays.files:
            np.testing.assert_array_equal(found[key].numpy(), arrays[key])


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: tensors,
        lambda tensors: {"model": tensors, "epoch": 3, "best": np.float64(0.7), "history": np.ones(3)},
        lambda tensors: {"state_dict": {f"module.{k}": v for k, v in tensors.items()}, "optimizer": {"lr": 0.1}},
        lambda tensors: {"model_state_dict": tensors},
        lambda tensors: {"net": tensors},
    ],
)
def test_where_state_dicts_are_found(tmp_path: Path, wrap: Callable[[object], object], legacy: bool) -> None:
    file = tmp_path / "c.pt"
    torch.save(wrap(TENSORS), file, _use_new_zipfile_serialization=not legacy)
    found = load_state_dict(file)
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[k], v) for k, v in TENSORS.items())


class Call:
    """Pickles as a call of ``os.system``."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


WRITERS: dict[str, Callable[[object, Path], object]] = {
    "zip": lambda content, file: torch.save({"model": content}, file),
    "legacy": lambda content, file: torch.save({"model": content}, file, _use_new_zipfile_serialization=False),
    **{
        f"protocol{p}": (lambda content, file, p=p: file.write_bytes(pickle.dumps({"model": content}, p)))
        for p in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("form", WRITERS)
def test_a_malicious_pickle_is_refused_by_name(tmp_path: Path, form: str) -> None:
    marker, file = tmp_path / "executed", tmp_path / "model.pt"
    WRITERS[form](Call(marker), file)
    assert "refused: the file wants to call 'posix.system'" in refusal(file)
    assert not marker.exists()


def test_the_payload_would_have_worked(tmp_path: Path) -> None:
    """Guards the test above: the pickle does execute where it is loaded carelessly."""
    marker = tmp_path / "executed"
    pickle.loads(pickle.dumps(Call(marker)))
    assert marker.exists()


def test_numpy_history_is_inert_but_numpy_functions_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.pt"
    file.write_bytes(b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00x\x85R.")
    assert "'numpy.load'" in refusal(file)


def test_an_npz_of_objects_is_refused(tmp_path: Path) -> None:
    marker, file = tmp_path / "executed", tmp_path / "c.npz"
    np.savez(file, w=np.array([Call(marker)], dtype=object))
    assert "not a state dict in .npz form" in refusal(file)
    assert not marker.exists()


def zipped(shared_data: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(load_state_dict(checkpoint(shared_data, "ultranet")), buffer)
    return buffer.getvalue()


FORMS: dict[str, Callable[[Path], bytes]] = {
    ".pt": lambda data: checkpoint(data, "ultranet").read_bytes(),
    ".npz": lambda data: checkpoint(data, "ultranet").with_suffix(".npz").read_bytes(),
    ".pth": zipped,
}


@pytest.mark.parametrize("suffix", FORMS)
def test_truncated_at_any_length(shared_data: Path, tmp_path: Path, suffix: str) -> None:
    whole, file = FORMS[suffix](shared_data), tmp_path / f"c{suffix}"
    lengths = [0, 1, 2, 3, 10, 64, 100, 1000, 4096, *np.linspace(5000, len(whole) - 1, 12).astype(int).tolist()]
    for length in lengths:
        file.write_bytes(whole[:length])
        message = refusal(file)
        assert any(s in message for s in ("truncated or damaged", "is empty", "not a PyTorch checkpoint")), length


@pytest.mark.parametrize("suffix", FORMS)
def test_damaged_bytes_are_an_error_or_other_numbers(shared_data: Path, tmp_path: Path, suffix: str) -> None:
    """Flipped bytes, mostly where the structure is described; whatever fails, it fails as a ModelError."""
    whole, rng, file = FORMS[suffix](shared_data), np.random.default_rng(6), tmp_path / f"c{suffix}"
    for _ in range(25):
        damaged = bytearray(whole)
        for _ in range(int(rng.integers(1, 8))):
            position = int(rng.integers(4000)) * (1 if rng.random() < 0.5 else -1)
            damaged[position] = int(rng.integers(256))
        file.write_bytes(damaged)
        try:
            load_model(file, "ultranet_bypass")
        except ModelError as error:
            assert "\n" not in str(error)


def test_other_files_say_what_they_are(tmp_path: Path) -> None:
    text = tmp_path / "notes.pt"
    text.write_text("these are no weights")
    assert "not a PyTorch checkpoint" in refusal(text)
    assert "is a folder" in refusal(tmp_path)
    assert "no such file" in refusal(tmp_path / "missing.pt")
    empty = tmp_path / "empty.pt"
    torch.save({"epoch": 3}, empty)
    assert "no state dict found (looked at top level and under model" in refusal(empty)
    script = tmp_path / "script.pt"
    with zipfile.ZipFile(script, "w") as archive:
        archive.writestr("m/constants.pkl", b"")
        archive.writestr("m/code/__torch__.py", b"")
    assert "TorchScript archives are not read" in refusal(script)


@pytest.mark.parametrize("suffix", [".tflite", ".pb", ".h5", ".keras", ".safetensors", ".caffemodel", ".TFLITE"])
def test_foreign_formats_have_a_line_each(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"model{suffix}"
    file.write_bytes(b"anything")
    assert "not read" in refusal(file) or "are not read yet" in refusal(file)
