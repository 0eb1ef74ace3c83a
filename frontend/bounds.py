"""How large a checkpoint or archive may be: a file of a few kB may claim, or unpack to, more than there is memory."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

from frontend.errors import ModelError

LARGEST_UNPACKED = 1 << 31
"""Bytes of all members of a zip file."""
LARGEST_STATE = 1 << 28
"""Numbers of all tensors together."""


def check_unpacked(path: Path) -> None:
    """ModelError for a zip file that unpacks to more than `LARGEST_UNPACKED`; no reader unpacks more than it states."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return  # who reads it says what is wrong
    if size > LARGEST_UNPACKED:
        raise ModelError(f"{path}: unpacks to {size} bytes (allowed: {LARGEST_UNPACKED})")


def check_tensors(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """ModelError for a tensor that is not plain numbers in memory, or where all together are too large."""
    total = 0
    for name, tensor in state.items():
        plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.dtype not in READ_TYPES:
            kind = str(tensor.dtype).removeprefix("torch.")
            where = f"{tensor.layout}".removeprefix("torch.")
            raise ModelError(
                f"{path}: '{name}' is a tensor of {kind} ({where}, {tensor.device}), which is not read (allowed: "
                f"strided in memory, of {', '.join(str(t).removeprefix('torch.') for t in READ_TYPES)})"
            )
        total += tensor.numel()
        if total > LARGEST_STATE:
            raise ModelError(
                f"{path}: '{name}' has shape {tuple(tensor.shape)}: more than {LARGEST_STATE} numbers in all tensors"
            )


READ_TYPES = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16,
    torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool,
)  # fmt: skip
