"""Packages on disk: strict reading, contradictions, tampering, replacement."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from host import checks
from host.build import Toolchain
from host.errors import BuildError, PackageError
from host.manifest import Manifest, Program
from host.package import Package, load_package, write_package
from ir.engine import Port
from ir.layouts import Plain, Words
from ir.records import ClassifierHead, Dequantise, ObjectsHead, Picture, PictureHead, Quantise, YoloHead
from tests.host import fake


@pytest.fixture
def unbuilt(tmp_path: Path) -> Package:
    return write_package(tmp_path / "package", fake.detector_manifest(), fake.DETECTOR_FILES)


def test_what_is_written_is_read(unbuilt: Package) -> None:
    assert load_package(unbuilt.root) == unbuilt
    assert load_package(unbuilt.root).manifest == fake.detector_manifest()


def test_equal_contents_have_equal_hashes(tmp_path: Path) -> None:
    first = write_package(tmp_path / "a", fake.manifest(), fake.FILES)
    second = write_package(tmp_path / "b", fake.manifest(), dict(reversed(fake.FILES.items())))
    edited = {**fake.FILES, "regions/head/head.c": fake.HEAD + "\n"}
    third = write_package(tmp_path / "c", fake.manifest(), edited)
    assert (first.seal.hash, first.seal.plan) == (second.seal.hash, second.seal.plan)
    assert first.seal.hash != third.seal.hash
    assert first.seal.plan != third.seal.plan


def edit(package: Package, change: Callable[[Any], None]) -> None:
    path = package.root / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def without(key: str) -> Callable[[Any], None]:
    return lambda document: document.pop(key)


def with_value(*path: Any) -> Callable[[Any], None]:
    *keys, last, value = path

    def change(document: Any) -> None:
        for key in keys:
            document = document[key]
        document[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_value("colour", "red"), "unknown key 'colour' "),
        (with_value("board", "colour", "red"), "manifest.json.board: unknown key 'colour' "),
        (without("regions"), "is no package|key 'regions' is missing"),
        (without("seal"), "seal: expected an object, found null"),
        (with_value("name", 3), "name: expected a text, found the number 3"),
        (with_value("board", "vlen", "256"), "board.vlen: expected an integer, found a text"),
        (with_value("board", "vlen", True), "board.vlen: expected an integer, found a truth value"),
        (with_value("board", "vlen", 256.0), "board.vlen: expected an integer, found the number 256.0"),
        (
            with_value("board", "isa", "x86"),
            r"board.isa: 'x86' is not allowed \(allowed: rv64gc, rv64gcv, rv64gcv_zvbb, rv32im\)",
        ),
        (with_value("tensors", {}), "tensors: expected a list, found an object"),
        (with_value("tensors", 0, "dtype", "int65"), r"tensors\[0\].dtype: int of 65 bits is no element type"),
        (with_value("regions", 0, "inputs", 0, "layout", {"kind": "rows"}), "'kind' one of plain, words"),
        (with_value("head", "kind", "oracle"), "'kind' one of yolo, classifier, anchors, objects, picture"),
        (with_value("head", {"kind": "yolo"}), "head: key 'labels' is missing"),
        (with_value("format", 1), "format 1 cannot be read"),
        (with_value("board", "vlen", 512), "edited after compilation"),
    ],
)
def test_a_strange_manifest_is_refused(unbuilt: Package, change: Callable[[Any], None], message: str) -> None:
    edit(unbuilt, change)
    with pytest.raises(PackageError, match=message) as caught:
        load_package(unbuilt.root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_manifest_is_refused(unbuilt: Package, share: float) -> None:
    path = unbuilt.root / "manifest.json"
    text = path.read_text()
    path.write_text(text[: int(share * (len(text) - 3))])
    with pytest.raises(PackageError, match="no valid JSON") as caught:
        load_package(unbuilt.root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ['{"format": 1, "format": 1}', '{"format": NaN}', "[" * 100000, "\udcff"])
def test_json_that_is_no_manifest(unbuilt: Package, text: str) -> None:
    (unbuilt.root / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(PackageError):
        load_package(unbuilt.root)


@pytest.mark.parametrize("name", ["plan.c", "runtime/hc_ring.c", "regions/detect/detect.c", "Makefile"])
def test_an_edited_file_is_named(unbuilt: Package, name: str) -> None:
    path = unbuilt.root / name
    path.write_text(path.read_text().replace("\n", " \n", 1))
    with pytest.raises(PackageError, match=f"file '{name}' was edited after compilation"):
        load_package(unbuilt.root)


def test_a_missing_file_is_named(unbuilt: Package) -> None:
    (unbuilt.root / "plan.c").unlink()
    with pytest.raises(PackageError, match=r"file 'plan.c' is missing"):
        load_package(unbuilt.root)


def test_links_do_not_lead_out(unbuilt: Package, tmp_path: Path) -> None:
    (unbuilt.root / "regions").rename(tmp_path / "elsewhere")
    (unbuilt.root / "regions").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PackageError, match="symbolic link"):
        load_package(unbuilt.root)


BAD_PATHS = [
    "/etc/passwd",
    "../outside",
    "regions/../../outside",
    "a//b",
    "./a",
    "a/.",
    "",
    "-rf",
    "a b",
    "a\n",
    "~/a$",
]


@pytest.mark.parametrize("name", BAD_PATHS)
def test_paths_stay_inside(unbuilt: Package, tmp_path: Path, name: str) -> None:
    edit(unbuilt, lambda document: document["seal"]["files"].update({name: "0" * 64}))
    with pytest.raises(PackageError, match="no plain relative path"):
        load_package(unbuilt.root)
    with pytest.raises(PackageError, match="no plain relative path"):
        write_package(tmp_path / "other", fake.manifest(), {**fake.FILES, name: "x"})
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


BYTES = Quantise(1.0, 0, 0, 255, "ROUND")


def broken(change: Callable[[Manifest], Manifest]) -> Manifest:
    return change(fake.manifest())


def port(region: int, side: str, tensor: str, layout: Any) -> Callable[[Manifest], Manifest]:
    def change(m: Manifest) -> Manifest:
        regions = list(m.regions)
        regions[region] = replace(regions[region], **{side: (Port(tensor, layout),)})
        return replace(m, regions=tuple(regions))

    return change


def board(**facts: Any) -> Callable[[Manifest], Manifest]:
    return lambda m: replace(m, board=replace(m.board, **facts))


CONTRADICTIONS: list[tuple[Callable[[Manifest], Manifest], str]] = [
    (lambda m: replace(m, name="a b"), "name: 'a b' is no valid name"),
    (board(cache_line=48), "no power of two"),
    (board(isa="rv64gc"), "vlen: 256 does not go with rv64gc"),
    (board(pool_bytes=1 << 32), "pool_bytes"),
    (port(1, "inputs", "small", Words(3, 4, 2)), "8 channels do not divide into words of 3 lanes"),
    (port(1, "inputs", "small", Words(8, 3, 4)), "values -8..7 of int4 do not fit lanes of 3 bits"),
    (port(1, "inputs", "nothing", Plain()), "tensor 'nothing' is not in the manifest's tensors"),
    (port(0, "inputs", "wide", Plain()), "region 'head': tensor 'wide' is read before it is written"),
    (port(2, "outputs", "wide", Plain()), "tensor 'wide' is written twice"),
    (port(2, "outputs", "y", Plain()), ""),
    (lambda m: replace(m, regions=m.regions[:2]), "'y' is written by no region"),
    (lambda m: replace(m, regions=(*m.regions, m.regions[0])), "regions: 'head' appears twice"),
    (lambda m: replace(m, tensors=(*m.tensors, m.tensors[0])), "tensors: 'x' appears twice"),
    (lambda m: replace(m, outputs=("z",)), "tensor 'z' is not in"),
    (lambda m: replace(m, picture=Picture(7, 5, "bgr")), "do not go with the input"),
    (lambda m: replace(m, dequantise={"x": Dequantise(1.0, ())}), "'x' is no output"),
    (lambda m: replace(m, dequantise={"y": Dequantise(1.0, (0.0,))}), "1 biases for the 8 channels"),
    (lambda m: replace(m, dequantise={"y": Dequantise(1.0, (0.0,) * 8, (1.0,))}), "1 gains for the 8 channels"),
    (lambda m: replace(m, quantise={"y": BYTES}), "quantise: 'y' is no input"),
    (lambda m: replace(m, quantise={"x": replace(BYTES, thresholds=(0.5, 0.25))}), "thresholds of 'x' do not rise"),
    (lambda m: replace(m, quantise={"x": replace(BYTES, gain=(1.0,) * 7)}), "gains or offsets do not fit the"),
    (
        lambda m: replace(m, quantise={"x": replace(BYTES, scale=0.0)}),
        "'x' has scale 0.0 and rounding 'ROUND'",
    ),
    (lambda m: replace(m, quantise={"x": replace(BYTES, rounding="DITHER")}), "rounding 'DITHER'"),
    (lambda m: replace(m, shapes={"z": (1,)}), "shapes: 'z' is neither input nor output"),
    (lambda m: replace(m, shapes={"y": (1, 2, 3)}), r"shapes: 'y' is .*, which does not make up \(1, 2, 3\)"),
    (lambda m: replace(m, head=YoloHead(("a",))), "2 outputs instead of one"),
    (lambda m: replace(m, outputs=("y",), head=YoloHead(("a",))), "needs a picture"),
    (lambda m: replace(m, outputs=("y",), head=ClassifierHead(("a",))), "does not hold 1 scores"),
    (lambda m: replace(m, outputs=("y",), head=ObjectsHead(("a",), (1.0,), (1.0,), 8)), "needs a picture"),
    (lambda m: replace(m, outputs=("y",), head=PictureHead("rgb")), "is no picture of three colours"),
    (lambda m: replace(m, tensors=(replace(m.tensors[0], hi=300), *m.tensors[1:])), "not inside uint8"),
    (lambda m: replace(m, tensors=(replace(m.tensors[0], shape=(8, 5)), *m.tensors[1:])), "neither"),
    (lambda m: replace(m, regions=(replace(m.regions[0], name="a-b"), *m.regions[1:])), "no valid name"),
    (
        lambda m: replace(m, regions=(replace(m.regions[0], sources=("a.cpp",)), *m.regions[1:])),
        "cannot be compiled on the cpu side",
    ),
]


@pytest.mark.parametrize(("change", "message"), CONTRADICTIONS)
def test_contradictions_are_named(change: Callable[[Manifest], Manifest], message: str) -> None:
    if not message:
        checks.check(broken(change))
        return
    with pytest.raises(PackageError, match=message) as caught:
        checks.check(broken(change))
    assert "\n" not in str(caught.value)


def test_only_packages_are_replaced(unbuilt: Package, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("precious")
    (tmp_path / "notes").write_text("precious")
    for taken in ("photos", "notes"):
        with pytest.raises(PackageError, match="is no package; it is not overwritten"):
            write_package(tmp_path / taken, fake.manifest(), fake.FILES)
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "precious"
    again = write_package(unbuilt.root, fake.manifest(), fake.FILES)
    assert load_package(unbuilt.root) == again
    assert not (unbuilt.root / "regions" / "detect").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "package", "photos"]


def test_a_failed_build_changes_nothing(unbuilt: Package, tmp_path: Path) -> None:
    def fail(folder: Path, manifest: Manifest) -> tuple[Program, ...]:
        raise BuildError("no compiler today")

    for target in (unbuilt.root, tmp_path / "new"):
        with pytest.raises(BuildError):
            write_package(target, fake.manifest(), fake.FILES, fail)
    assert load_package(unbuilt.root) == unbuilt
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


def test_a_missing_source_and_a_taken_name(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"region 'head': source 'regions/head/head.c' is not among the files"):
        write_package(tmp_path / "p", fake.manifest(), {})
    for name in ("runtime/x.h", "bin/tool", "Makefile", "manifest.json"):
        with pytest.raises(PackageError, match="packages keep for themselves"):
            write_package(tmp_path / "p", fake.manifest(), {**fake.FILES, name: ""})


def test_a_program_that_was_not_built_is_named(unbuilt: Package) -> None:
    with pytest.raises(PackageError, match=r"has no standalone program for riscv64 \(built: none\)"):
        unbuilt.program("standalone", "riscv64")


def test_what_a_compiler_says_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="'no-such-cc' is not installed"):
        write_package(tmp_path / "p", fake.manifest(), fake.FILES, Toolchain(cc="no-such-cc").build)
    if shutil.which("make") is None or shutil.which("cc") is None or shutil.which("c++") is None:
        pytest.skip("no compiler is installed")
    files = {**fake.FILES, "regions/tail/tail.c": "int broken("}
    with pytest.raises(BuildError, match=r"programs failed: regions/tail/tail.c:1:.* error: "):
        write_package(tmp_path / "p", fake.manifest(), files, Toolchain().build)
    assert list(tmp_path.iterdir()) == []
