"""Bad model files that are no networks, or no network that is known: what writes each, words of the line that refuses
it."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bad_networks import NETWORKS, Writer, pipe


def file(name: str, content: bytes) -> Writer:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def saved(**tensors: Any) -> Writer:
    """A checkpoint as torch.save writes it."""

    def write(folder: Path) -> Path:
        torch.save(tensors, folder / "network.pt")
        return folder / "network.pt"

    return write


def bomb(suffix: str, member: str) -> Writer:
    """A sound file in which a member unpacks to 3 GiB of zeros, from 3 MB."""

    def write(folder: Path) -> Path:
        path, buffer = folder / f"network{suffix}", io.BytesIO()
        if suffix == ".pt":
            torch.save({"layers.0.weight": torch.zeros(4)}, buffer)
        elif suffix == ".npz":
            np.savez(buffer, a=np.zeros(4))
        else:
            program = torch.export.export(torch.nn.Conv2d(3, 4, 3), (torch.zeros(1, 3, 8, 8),))
            torch.export.save(program, buffer)
        with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
            for entry in source.infolist():
                large = entry.filename.endswith(member)
                target.writestr(entry.filename, _deflated_zeros(3 << 10) if large else source.read(entry))
                if large:
                    stored = target.filelist[-1]
                    stored.compress_type, stored.file_size, stored.CRC = zipfile.ZIP_DEFLATED, 3 << 30, 0
        return path

    return write


def _deflated_zeros(mebibytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first, again = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * (mebibytes - 1) + packer.flush()


def header(shape: tuple[int, ...]) -> Writer:
    """An .npz whose array claims a shape that its bytes do not fill."""

    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "network.npz", "w") as target, target.open("a.npy", "w") as out:
            np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
        return folder / "network.npz"

    return write


def wide(rows: int) -> torch.Tensor:
    """A tensor of one stored number that claims to be huge."""
    return torch.zeros(1).expand(rows, 1 << 20)


MODELS: dict[str, tuple[Writer, str]] = {
    **NETWORKS,
    "pipe.onnx": (pipe("network.onnx"), "is no regular file"),
    "pipe.pt": (pipe("network.pt"), "is no regular file"),
    "pipe.npz": (pipe("network.npz"), "is no regular file"),
    "empty.onnx": (file("network.onnx", b""), "the file is empty"),
    "text.onnx": (file("network.onnx", b"hello" * 100), "truncated or damaged, or no ONNX file"),
    "zip.onnx": (file("network.onnx", b"PK\x03\x04" + bytes(100)), "truncated or damaged, or no ONNX file"),
    "nested.onnx": (file("network.onnx", b"\x3a\xff\x7f" * 10000), "truncated or damaged, or no ONNX file"),
    "bomb.npz": (bomb(".npz", "a.npy"), "unpacks to 3221225472 bytes (allowed: 2147483648)"),
    "bomb.pt": (bomb(".pt", "data/0"), " bytes (allowed: 2147483648)"),  # how many, PyTorch decides
    "pickle bomb.pt": (bomb(".pt", "data.pkl"), " bytes (allowed: 2147483648)"),  # how many, PyTorch decides
    "bomb.pt2": (bomb(".pt2", "weight_0"), " bytes (allowed: 2147483648)"),  # how many, PyTorch decides
    "json bomb.pt2": (bomb(".pt2", "model.json"), " bytes (allowed: 2147483648)"),  # how many, PyTorch decides
    "header.npz": (header((1 << 40,)), "not a state dict in .npz form (Unable to allocate 4.00 TiB for an array"),
    "header wraps.npz": (header((1 << 32, 1 << 32)), "not a state dict in .npz form (cannot reshape array of size 0"),
    "header negative.npz": (header((-5, 3)), "not a state dict in .npz form (negative dimensions are not allowed)"),
    "wide.pt": (saved(**{"layers.0.weight": wide(1 << 20)}), "'layers.0.weight' has shape (1048576, 1048576): more"),
    "nan.pt": (saved(a=torch.full((3,), float("nan"))), "matches no known network by keys and shapes, give --arch"),
    "complex.pt": (saved(a=torch.zeros(3, dtype=torch.complex64)), "'a' is a tensor of complex64 (strided, cpu),"),
    "float8.pt": (saved(a=torch.zeros(3, dtype=torch.float8_e4m3fn)), "'a' is a tensor of float8_e4m3fn (strided,"),
    "meta.pt": (saved(a=torch.zeros(3, device="meta")), "'a' is a tensor of float32 (strided, meta), which is not"),
    "sparse.pt": (saved(a=torch.zeros(3, 3).to_sparse()), "'a' is a tensor of float32 (sparse_coo, cpu), which is"),
    "no tensors.pt": (saved(a=3), "no state dict found (looked at top level and under model, state_dict,"),
    "deep.pt": (file("network.pt", b"\x80\x02" + b"]" * 100000 + b"a" * 99999 + b"."), "truncated or damaged"),
}  # fmt: skip
