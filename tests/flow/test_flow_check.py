"""`--check` finds a wrong executor and names the tensor that goes wrong first, not the output it spoils."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import networks
import numpy as np
import pytest

from cpu_backend.engine import CpuEngine
from hetero_compile.check import CheckError, check
from hls.engine import DataflowEngine
from ir.engine import Artifact, Candidate
from ir.graph import Graph
from ir.target import Target


@dataclass(frozen=True)
class MiscompilingEngine(DataflowEngine):
    """Replaces a piece of the generated simulator, by pattern."""

    wrong: tuple[str, str] = ("", "")

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        artifact = super().lower(region, choices, target)
        path = artifact.sources[0]
        text = artifact.files[path]
        miscompiled, places = re.subn(*self.wrong, text)
        assert places
        return replace(artifact, files={**artifact.files, path: miscompiled})


def quiet(what: str) -> None:
    pass


@pytest.mark.slow
def test_the_first_wrong_tensor_is_named(shared_data: Path, tmp_path: Path) -> None:
    # A table read beside its place: layer 16's middle thresholds, two layers before the region ends.
    engine = MiscompilingEngine(wrong=(r">= layers_16_bound0\[[^]]+\]", ">= layers_16_bound0[0]"))
    compiled = networks.on_one_engine(networks.checkpoint(shared_data, "ultranet"), engine)
    built = networks.build(compiled, tmp_path / "package")
    with pytest.raises(CheckError) as error:
        check(compiled, built, [shared_data / "dacsdc/photos/005.jpg"], [], quiet)
    found = error.value.difference
    assert found.tensor == "layers_18" and found.executor == "simulated accelerator with portable C"
    assert found.got != found.expected and 0 < found.count <= found.size == 64 * 10 * 20


@pytest.mark.slow
def test_no_difference_is_said(shared_data: Path, tmp_path: Path) -> None:
    compiled = networks.on_one_engine(networks.checkpoint(shared_data, "ultranet"), CpuEngine())
    built = networks.build(compiled, tmp_path / "package")
    golden = np.load(shared_data / "golden/ultranet_first8.npz")
    frame, head = tmp_path / "frame.npz", tmp_path / "head.npy"
    np.savez(frame, input=golden["img_bgr_160x320"][1].transpose(2, 0, 1))
    np.save(head, golden["raw_int32_36x10x20"][1])
    agreed = check(compiled, built, [frame], [head], quiet)
    assert "no difference" in str(agreed)
    assert "RISC-V C under qemu" in str(agreed) and "the expected outputs" in str(agreed)
