"""`torch.export` archives: every part through which torch's reader would execute something is refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from zoo_models import archive

from frontend.errors import ModelError
from frontend.load import load_model

Members = dict[str, bytes]
Attack = Callable[[Members, Path], None]

WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
MODEL = "models/model.json"


@pytest.fixture(scope="module")
def members(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The parts of a sound archive, below its root folder."""
    file = archive(shared_data, "ultranet", tmp_path_factory.mktemp("archive") / "sound.pt2")
    with zipfile.ZipFile(file) as source:
        return {name.partition("/")[2]: source.read(name) for name in source.namelist()}


class Call:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def pickled(marker: Path) -> bytes:
    """What torch.save makes of a call, as a payload of an archive holds it."""
    buffer = io.BytesIO()
    torch.save({"layers.0.weight": Call(marker)}, buffer)
    return buffer.getvalue()


def pickled_weight(parts: Members, marker: Path) -> None:
    table = json.loads(parts[WEIGHTS])
    table["config"]["layers.0.weight"]["use_pickle"] = True
    parts[WEIGHTS] = json.dumps(table).encode()
    parts["data/weights/weight_0"] = pickled(marker)


def legacy_weights(parts: Members, marker: Path) -> None:
    parts["data/weights/model.pt"] = pickled(marker)


def legacy_constants(parts: Members, marker: Path) -> None:
    parts["data/constants/model.pt"] = pickled(marker)


def opaque_constant(parts: Members, marker: Path) -> None:
    entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": False, "tensor_meta": None}
    parts[CONSTANTS] = json.dumps({"config": {"c": entry}}).encode()
    parts["data/constants/opaque_obj_0"] = pickle.dumps(Call(marker))


def script_object(parts: Members, marker: Path) -> None:
    entry = {"path_name": "custom_obj_0", "is_param": False, "use_pickle": False, "tensor_meta": None}
    parts[CONSTANTS] = json.dumps({"config": {"c": entry}}).encode()


def payload_outside(parts: Members, marker: Path) -> None:
    table = json.loads(parts[WEIGHTS])
    table["config"]["layers.0.weight"]["path_name"] = "../sample_inputs/model.pt"
    parts[WEIGHTS] = json.dumps(table).encode()


def pickled_sample_inputs(parts: Members, marker: Path) -> None:
    parts["data/sample_inputs/model.pt"] = pickled(marker)


def compiled_library(parts: Members, marker: Path) -> None:
    parts["data/aotinductor/model/model.so"] = b"\x7fELF"


def older_format(parts: Members, marker: Path) -> None:
    """What `torch.export.load` falls back to when the reader of the present format fails."""
    parts.clear()
    parts |= {"archive_format": b"pt2", "version": b"8.20", "serialized_exported_program.json": b"{}"}
    parts |= {f"serialized_{name}.pt": pickled(marker) for name in ("state_dict", "constants", "example_inputs")}


def symbolic_shape(parts: Members, marker: Path) -> None:
    expression = f"__import__('os').system('touch {marker}')"
    model = json.loads(parts[MODEL])
    value = next(iter(model["graph_module"]["graph"]["tensor_values"].values()))
    value["sizes"][0] = {"as_expr": {"expr_str": expression, "hint": {"as_int": 1}}}
    parts[MODEL] = json.dumps(model).encode()


def escaped_symbolic_shape(parts: Members, marker: Path) -> None:
    symbolic_shape(parts, marker)
    parts[MODEL] = parts[MODEL].replace(b'"expr_str"', b'"expr\\u005fstr"')


def importing_tree(parts: Members, marker: Path) -> None:
    """A tree description, JSON in JSON in JSON, that names a module to import."""
    context = json.dumps({"__enum__": True, "fqn": "antigravity:fly", "name": "x"})
    tree = json.dumps([1, {"type": "builtins.dict", "context": context, "children_spec": []}])
    model = json.loads(parts[MODEL])
    model["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = tree
    parts[MODEL] = json.dumps(model).encode()


ATTACKS: dict[Attack, str] = {
    pickled_weight: "'layers.0.weight' is stored as a pickle",
    legacy_weights: "it carries 'root/data/weights/model.pt'",
    legacy_constants: "it carries 'root/data/constants/model.pt'",
    opaque_constant: "'c' is stored in 'opaque_obj_0'",
    script_object: "'c' is stored in 'custom_obj_0'",
    payload_outside: "'layers.0.weight' is stored in '../sample_inputs/model.pt'",
    pickled_sample_inputs: "'root/data/sample_inputs/model.pt' holds more than tensors",
    compiled_library: "it carries 'root/data/aotinductor/model/model.so'",
    older_format: "it carries 'root/version'",
    symbolic_shape: "it has symbolic shapes",
    escaped_symbolic_shape: "it has symbolic shapes",
    importing_tree: "its tree description imports modules",
}


def write(parts: Members, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as target:
        for name, content in parts.items():
            target.writestr(f"root/{name}", content)
    return file


def refusal(file: Path) -> str:
    with pytest.raises(ModelError) as raised:
        load_model(file)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_sound_archive_is_read(members: Members, tmp_path: Path) -> None:
    """Rewritten as the attacks are, so that they are refused for what they add."""
    assert load_model(write(members, tmp_path / "m.pt2")).graph.outputs


@pytest.mark.parametrize("attack", ATTACKS)
def test_refused(members: Members, tmp_path: Path, attack: Attack) -> None:
    marker, parts = tmp_path / "executed", dict(members)
    attack(parts, marker)
    message = refusal(write(parts, tmp_path / "m.pt2"))
    assert f"refused: {ATTACKS[attack]}" in message
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore")
def test_an_attack_that_torch_itself_falls_for(members: Members, tmp_path: Path) -> None:
    """Guards the tests above: without the checks the payload runs."""
    marker, parts = tmp_path / "executed", dict(members)
    legacy_weights(parts, marker)
    with pytest.raises(Exception, match=""):
        torch.export.load(write(parts, tmp_path / "m.pt2"))
    assert marker.exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_part_that_is_there_twice_is_refused(members: Members, tmp_path: Path) -> None:
    """Zip readers disagree about which of the two counts."""
    file = write(members, tmp_path / "m.pt2")
    with zipfile.ZipFile(file, "a") as target:
        target.writestr(f"root/{WEIGHTS}", members[WEIGHTS])
    assert f"it carries '{WEIGHTS}' twice" in refusal(file)


def test_truncated_archives(members: Members, tmp_path: Path) -> None:
    file = write(members, tmp_path / "m.pt2")
    whole = file.read_bytes()
    for length in (0, 4, 1000, len(whole) // 2, len(whole) - 5):
        file.write_bytes(whole[:length])
        assert "truncated or damaged" in (message := refusal(file)) or "is empty" in message


@pytest.mark.parametrize("part", [MODEL, WEIGHTS, CONSTANTS, "data/weights/weight_3", "archive_version"])
def test_missing_and_damaged_parts(members: Members, tmp_path: Path, part: str) -> None:
    without = {name: content for name, content in members.items() if name != part}
    assert "not loadable as a torch.export archive" in refusal(write(without, tmp_path / "without.pt2"))
    cut = members | {part: members[part][:-3]}
    refusal(write(cut, tmp_path / "cut.pt2"))


@pytest.mark.slow
def test_programs_start_without_torchs_compiler() -> None:
    """It takes as long to import as the rest of torch."""
    found = "import sys, hetero_compile.command; print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
