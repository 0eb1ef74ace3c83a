"""The public networks: their files, their modules with the public weights, and what their layers are called."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from frontend.checkpoint import load_state_dict
from frontend.zoo import ENTRIES
from ir.graph import Graph
from ir.ops import Conv2d, MultiplyShift

NETWORKS = ("ultranet", "ultranet_bypass")


def checkpoint(data: Path, name: str) -> Path:
    return data / "detectors" / f"{name}_4w4a.pt"


def module(data: Path, name: str) -> nn.Module:
    """The zoo's module with the public weights, in evaluation mode."""
    made = ENTRIES[name].factory()
    made.load_state_dict(load_state_dict(checkpoint(data, name)))
    return made.eval()


def archive(data: Path, name: str, file: Path) -> Path:
    program = torch.export.export(module(data, name), (torch.zeros(ENTRIES[name].input_shape),))
    torch.export.save(program, file)
    return file


def layers(graph: Graph) -> tuple[list[str], list[str]]:
    """Names of the convolutions and of the requantisations, in order."""
    convolutions = [node.name for node in graph.nodes if isinstance(node.op, Conv2d)]
    return convolutions, [node.name for node in graph.nodes if isinstance(node.op, MultiplyShift)]
