"""Every network of the zoo with seeded weights, as a file and a command line would bring it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from frontend.zoo import ENTRIES, FAMILIES
from hetero_compile.flow import Options
from tests.frontend.seeded import FAMILY_STATES

SIDE = 64
"""Of the pictures of networks for 224x224 and more, so that they run under the emulator."""
REDUCED = tuple(name for name, e in ENTRIES.items() if e.input_shape[-2:] >= (224, 224) and len(e.input_shape) == 4)
NAMES = (*ENTRIES, *FAMILIES)

SMALLER = """from dataclasses import replace

from frontend.zoo import ENTRIES


def {name}():
    entry = ENTRIES["{name}"]
    module = entry.factory()
    module.picture, module.head_record = replace(entry.picture, width={side}, height={side}), entry.head
    return module
"""


def seeded(name: str) -> dict[str, torch.Tensor]:
    """A state dict of the entry: weights of the size that keeps the variance, batch norms that have an effect."""
    torch.manual_seed(1)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    state = {}
    for key, value in ENTRIES[name].factory().state_dict().items():
        new, shape = None, tuple(value.shape)
        if key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            new = rng.uniform(0.5, 1.5, shape)
        elif key.endswith(("running_mean", "bias")):
            new = rng.normal(0, 0.1, shape)
        elif key.endswith("weight") and len(shape) > 1:
            new = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        state[key] = value if new is None or not value.is_floating_point() else torch.tensor(new, dtype=value.dtype)
    return state


def model_file(name: str, folder: Path) -> tuple[Path, Options]:
    """The network's file, and what says which network it is."""
    if name in FAMILIES:
        np.savez(folder / f"{name}.npz", **_family_state(name))  # type: ignore[arg-type]
        return folder / f"{name}.npz", Options(name, failover=False)
    torch.save(seeded(name), folder / f"{name}.pt")
    if name not in REDUCED:
        return folder / f"{name}.pt", Options(name, failover=False)
    factory = folder / f"{name}.py"
    factory.write_text(SMALLER.format(name=name, side=SIDE))
    return folder / f"{name}.pt", Options(f"{factory}:{name}", failover=False)


def _family_state(name: str) -> Mapping[str, np.ndarray]:
    assert name in FAMILY_STATES, f"'{name}' has no seeded state: add one to FAMILY_STATES in tests/frontend/seeded.py"
    return FAMILY_STATES[name]()
