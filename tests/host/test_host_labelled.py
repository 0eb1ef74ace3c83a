"""Accuracy on sets of labelled pictures: a classifier without weights names the strongest colour."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from host import cli
from host.manifest import Manifest, Region, Tensor
from host.package import Package
from ir.engine import Port
from ir.layouts import Plain
from ir.records import ClassifierHead, Picture
from ir.types import TensorType
from tests.host import fake
from tests.host.conftest import build

LABELS = ("red", "green", "blue", "black", "a", "b", "c")
COLOURS = {"red": (250, 9, 0), "green": (0, 200, 30), "blue": (1, 2, 255), "black": (3, 3, 3)}

SOURCE = """
#include "hc_region.h"

/* The scores are the sums of the colours over 2x2 pixels, 100 for black, and less for what never comes first. */
static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {
    const uint8_t *x = inputs[0];
    int16_t *scores = outputs[0];
    (void)arena;
    for (int c = 0; c < 3; c++) {
        scores[c] = (int16_t)(x[c] + x[3 + c] + x[6 + c] + x[9 + c]);
    }
    scores[3] = 100;
    for (int c = 4; c < 7; c++) {
        scores[c] = (int16_t)-c;
    }
    return 0;
}

static const uint32_t input_bytes[] = {12};
static const uint32_t output_bytes[] = {14};
const hc_region hc_region_classify = {"classify", HC_REGION_ABI, 1, 1, input_bytes, output_bytes, 0, run};
"""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Package:
    tensors = (
        Tensor.of("image", TensorType.of_range((3, 2, 2), 0, 255)),
        Tensor.of("scores", TensorType.of_range((7, 1, 1), -1000, 1020)),
    )
    ports = (Port("image", Plain()),), (Port("scores", Plain()),)
    region = Region("classify", "cpu", *ports, ("regions/classify/classify.c",))
    picture, head = Picture(2, 2, "rgb"), ClassifierHead(LABELS)
    manifest = Manifest(
        "colours", fake.board(), tensors, ("image",), ("scores",), (region,), picture, head
    )  # fmt: skip
    return build(tmp_path_factory.mktemp("packages") / "colours", manifest, {"regions/classify/classify.c": SOURCE})


def pixels(names: list[str], side: int = 2) -> np.ndarray:
    """(N, 3, side, side) pictures of one colour each."""
    return np.array([COLOURS[n] for n in names], np.uint8)[:, :, None, None] * np.ones((side, side), np.uint8)


NAMES = ["red", "green", "blue", "black", "red"]
TRUTH = ["red", "green", "red", "c", "red"]
"""Three right; red is among the five where blue comes first, c never is."""


def run(package: Package, *arguments: object) -> int:
    return cli.main([str(package.root), *map(str, arguments)])


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_a_file_of_pictures(
    classifier: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str], order: str
) -> None:
    x, y = pixels(NAMES), np.array([LABELS.index(n) for n in TRUTH], np.uint8)
    file = tmp_path / "set.npz"
    np.savez(file, x=x if order == "NCHW" else x.transpose(0, 2, 3, 1), y=y)
    assert run(classifier, file, file) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[:2] == [f"{file}: 3 of 5 right: top-1 60.0 %, top-5 80.0 %"] * 2
    assert "10 frames in" in captured.out and "classify" in captured.out
    assert captured.err.splitlines()[-1] == "10 of 10 pictures, top-1 60.0 %"

    assert run(classifier, file, "--json") == 0
    *lines, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [line["classes"][0]["label"] for line in lines] == NAMES
    assert [line["truth"] for line in lines] == TRUTH
    assert [line["right"] for line in lines] == [True, True, False, False, True]
    assert lines[2]["file"] == f"{file}[2]" and len(lines[2]["classes"]) == 5
    assert last == {"set": str(file), "pictures": 5, "top1": 0.6, "top5": 0.8}


def test_folders_of_photos(classifier: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Photos of other sizes are resized; what is no photo is passed over."""
    for index, (name, truth) in enumerate(zip(NAMES, TRUTH, strict=True)):
        folder = tmp_path / truth
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels([name], 3 + index)[0].transpose(1, 2, 0)).save(folder / f"{index}.png")
    (tmp_path / "red" / "notes.txt").write_text("none")
    assert run(classifier, tmp_path) == 0
    assert f"{tmp_path}: 3 of 5 right: top-1 60.0 %, top-5 80.0 %" in capsys.readouterr().out


def test_one_picture_is_no_set(classifier: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "one.npz", image=pixels(["blue"])[0].astype(np.int64))
    assert run(classifier, tmp_path / "one.npz", "--json") == 0
    assert json.loads(capsys.readouterr().out)["classes"][0]["label"] == "blue"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set.npz", "-o", "out"], "-o out: sets of labelled pictures give numbers, which are printed"),
        (["set.npz", "red.png"], "red.png: is no set of labelled pictures, as set.npz is"),
        (["labels.npz"], "labels.npz: class numbers 0..7 (allowed: 0..6)"),
        (["counts.npz"], "counts.npz: 2 pictures and 3 class numbers"),
        (["classes"], "classes/pink: is no class of the network (its classes: red, green, "),
        (["empty"], "empty: its folders hold no pictures"),
        (["damaged"], "damaged/red/a.png: is no picture that Pillow can read"),
    ],
)
def test_sets_that_cannot_be_used(
    classifier: Package,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("set.npz", x=pixels(["red", "red"]), y=np.array([0, 1]))
    np.savez("labels.npz", x=pixels(["red", "red"]), y=np.array([0, 7]))
    np.savez("counts.npz", x=pixels(["red", "red"]), y=np.array([0, 1, 1]))
    for folder in ("classes/red", "classes/pink", "empty/red", "damaged/red"):
        Path(folder).mkdir(parents=True)
    for photo in ("red.png", "classes/red/a.png"):
        Image.fromarray(pixels(["red"])[0].transpose(1, 2, 0)).save(photo)
    Path("damaged/red/a.png").write_text("none")
    assert run(classifier, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("hetero-run: ") and captured.err.count("\n") == 1
    assert message in captured.err
