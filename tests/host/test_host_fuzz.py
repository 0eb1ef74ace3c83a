"""Damaged input of every kind gives a clear error or is right: never another exception, never a dead device."""

from __future__ import annotations

import io
import json
import mmap
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hetero_compile.board import BoardError, load_board, shipped_boards
from host import checks, codec
from host.bitstream import BitstreamManifest, _check
from host.device import SimulatedDevice
from host.errors import InputError, PackageError
from host.inputs import check_input, load_input
from host.manifest import Manifest
from host.package import Package
from host.plan import make_plan
from tests.host import fake
from tests.host.stand_in import fnv

ROOT = Path(__file__).parents[2]
SAMPLE, ALL = 70, 2600
"""Inputs of each kind, of five: in every run, and under the marker `full`."""

counts = pytest.mark.parametrize("count", [SAMPLE, pytest.param(ALL, marks=pytest.mark.full)])

STRANGE = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**64,
    1.5,
    "",
    "x",
    "../x",
    "/etc/passwd",
    "a\nb",
    [],
    {},
    [1],
    {"kind": "words"},
]


def damaged(document: Any, chance: random.Random) -> Any:
    """A copy of a JSON document with one or more places removed, replaced, repeated or swapped."""
    copy = json.loads(json.dumps(document))
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        here, path = copy, []
        while isinstance(here, (dict, list)) and here and (not path or chance.random() < 0.8):
            key = chance.choice(list(here)) if isinstance(here, dict) else chance.randrange(len(here))
            path.append((here, key))
            here = here[key]
        if path:
            holder, key = path[-1]
            DAMAGES[chance.randrange(len(DAMAGES))](holder, key, chance)
    return copy


def _remove(holder: Any, key: Any, chance: random.Random) -> None:
    del holder[key]


def _replace(holder: Any, key: Any, chance: random.Random) -> None:
    holder[key] = chance.choice(STRANGE)


def _repeat(holder: Any, key: Any, chance: random.Random) -> None:
    if isinstance(holder, list):
        holder.insert(chance.randrange(len(holder) + 1), holder[key])
    else:
        holder[f"{key}x"] = holder[key]


def _nudge(holder: Any, key: Any, chance: random.Random) -> None:
    value = holder[key]
    if isinstance(value, (int, float)):
        holder[key] = value + chance.choice((-1, 1, 1000, -1000))
    elif isinstance(value, str):
        holder[key] = value + chance.choice(("x", " ", "/..", "\0"))


def _swap(holder: Any, key: Any, chance: random.Random) -> None:
    other = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
    holder[key], holder[other] = holder[other], holder[key]


DAMAGES: list[Callable[[Any, Any, random.Random], None]] = [_remove, _replace, _repeat, _nudge, _swap]


def damaged_bytes(data: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, cut off, cut out or put in."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 8, 64))):
        place = (
            chance.randrange(len(changed) + 1) if chance.random() < 0.5 else chance.randrange(min(len(changed), 64) + 1)
        )
        way = chance.randrange(4)
        if way == 0 and place < len(changed):
            changed[place] ^= 1 << chance.randrange(8)
        elif way == 1:
            changed = changed[: max(place, 1)]
        elif way == 2:
            del changed[place : place + chance.randrange(1, 16)]
        else:
            changed[place:place] = chance.randbytes(chance.randrange(1, 16))
        changed = changed or bytearray(b"x")
    return bytes(changed)


def is_one_clear_line(error: Exception) -> None:
    text = str(error)
    assert text and "\n" not in text and len(text) < 2000, text


@counts
def test_manifests(count: int) -> None:
    chance = random.Random(1)
    documents = [codec.encode(m) for m in (fake.manifest(failover=True), fake.detector_manifest())]
    accepted = 0
    for number in range(count):
        document = damaged(documents[number % 2], chance)
        try:
            manifest: Manifest = codec.decode(Manifest, codec.loads(json.dumps(document), "m"), "m")
            checks.check(manifest)
            make_plan(manifest)
            accepted += 1
        except PackageError as error:
            is_one_clear_line(error)
    assert accepted < count / 2


@counts
def test_bitstream_manifests(count: int) -> None:
    chance = random.Random(2)
    digest = "0" * 64
    document = {
        "name": "n", "board": "b", "part": "p", "tool": "t", "protocol": 1, "bitstream": "a.bit",
        "accelerators": {"fpga0": digest}, "files": {"a.bit": digest, "a.hwh": digest},
        "registers": [
            {"name": "registers", "base": "0xa0000000", "bytes": 4096},
            {"name": "dma", "base": "0xa0010000", "bytes": 65536},
        ],
    }  # fmt: skip
    for _ in range(count):
        try:
            _check(codec.decode(BitstreamManifest, damaged(document, chance), "m"), "m")
        except PackageError as error:
            is_one_clear_line(error)


@counts
def test_board_files(count: int, tmp_path: Path) -> None:
    chance = random.Random(3)
    texts = [(ROOT / f"hetero_compile/boards/{name}.yaml").read_bytes() for name in shipped_boards()]
    path = tmp_path / "board.yaml"
    for number in range(count):
        path.write_bytes(damaged_bytes(texts[number % len(texts)], chance))
        try:
            load_board(str(path))
        except BoardError as error:
            is_one_clear_line(error)


def _encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def _arrays(save: Callable[..., None]) -> bytes:
    buffer = io.BytesIO()
    save(buffer, np.zeros((3, 160, 320), np.uint8))
    return buffer.getvalue()


@counts
def test_pictures_and_tensors(count: int, tmp_path: Path) -> None:
    chance = random.Random(4)
    manifest = fake.detector_manifest()
    contents = {
        **{f"a.{kind}": _encoded(kind) for kind in ("png", "jpeg", "bmp", "gif", "tiff", "webp", "ppm")},
        "a.npy": _arrays(np.save),
        "a.npz": _arrays(np.savez_compressed),
    }
    names = list(contents)
    for number in range(count):
        name = names[number % len(names)]
        path = tmp_path / name
        path.write_bytes(damaged_bytes(contents[name], chance))
        try:
            check_input(path, manifest)
            frame = load_input(path, manifest).frame["image"]
            assert frame.shape == (3, 160, 320) and frame.min() >= 0 and frame.max() <= 255
        except InputError as error:
            is_one_clear_line(error)


COMMANDS, COMPLETIONS, POOL, BYTES = 0x1000, 0x1800, 0x2000, 2304
OK, BAD_DESCRIPTOR = 0, 13


@counts
def test_descriptors(package: Package, count: int) -> None:
    """Commands of random words, half of them with a right checksum, on the real device process."""
    chance = random.Random(5)
    device = SimulatedDevice(package)
    try:
        end = time.monotonic() + 60
        while not device.file.exists() or device.file.stat().st_size < POOL + BYTES:
            assert time.monotonic() < end
            time.sleep(0.001)
        with device.file.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            for register, value in ((0x20, COMMANDS), (0x28, COMPLETIONS), (0x30, POOL)):
                struct.pack_into("<Q", memory, register, value)
            struct.pack_into("<I", memory, 0x38, BYTES)
            struct.pack_into("<I", memory, 0x18, 1)
            _wait(memory, 0x14, 1, device)
            for sequence in range(1, count + 1):
                good = sequence == count
                words = [1, 1, 0, 0, 576, 0] if good else [_word(chance) for _ in range(6)]
                body = struct.pack("<Q", sequence) + struct.pack("<IHH8x2I88x", *_command(words))
                checksum = fnv(struct.pack("<II", sequence, 0) + body)
                damage = 0 if good or chance.random() < 0.5 else chance.getrandbits(32)
                slot = sequence % 16
                struct.pack_into("<II120s", memory, COMMANDS + 128 * slot, sequence, checksum ^ damage, body)
                struct.pack_into("<I", memory, 0x1C, sequence)
                _wait(memory, COMPLETIONS + 64 * slot, sequence, device)
                status = struct.unpack_from("<I", memory, COMPLETIONS + 64 * slot + 20)[0]
                assert status == OK if good else status in (OK, BAD_DESCRIPTOR)
    finally:
        device.close()


def _word(chance: random.Random) -> int:
    return chance.choice((0, 1, 2, 64, 576, BYTES, BYTES - 64, 0xFFFFFFC0, chance.getrandbits(32)))


def _command(words: list[int]) -> tuple[int, int, int, int, int]:
    region, inputs, _, _, source, target = words
    return region, inputs & 0xFFFF, 1, source, target


def _wait(memory: mmap.mmap, offset: int, value: int, device: SimulatedDevice) -> None:
    end = time.monotonic() + 60
    while struct.unpack_from("<I", memory, offset)[0] != value:
        assert time.monotonic() < end and device.ended() == ""
        time.sleep(0)
