"""`python -m frontend.training.evaluate CHECKPOINT`: mean IoU on unseen scenes, beside two colour baselines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn

from frontend.training.baselines import BASELINES, Detector
from frontend.training.boxes import decode, overlap
from frontend.training.dataset import UNSEEN_SEED, Samples, collect, render
from frontend.training.loop import network_input
from frontend.zoo.ultranet import HEAD, PICTURE, UltraNet
from ir.records import YoloHead


@dataclass(frozen=True)
class Score:
    """IoUs over a set of scenes; `found` is the share with an IoU of at least one half."""

    mean_iou: float
    found: float

    @classmethod
    def of(cls, ious: Tensor) -> Score:
        return cls(round(float(ious.mean()), 4), round(float((ious >= 0.5).double().mean()), 4))


@torch.no_grad()
def network_ious(network: nn.Module, samples: Samples, head: YoloHead, batch: int = 20) -> Tensor:
    """[N] IoU of the decoded box in evaluation mode: quantised values, stored statistics."""
    network.eval()
    ious = []
    for i in range(0, len(samples), batch):
        boxes, _ = decode(network(network_input(samples.pictures[i : i + batch])), head)
        ious.append(overlap(boxes, torch.from_numpy(samples.boxes[i : i + batch]))[0])
    return torch.cat(ious)


def baseline_ious(detector: Detector, samples: Samples) -> Tensor:
    """[N] IoU of a baseline's boxes."""
    boxes = torch.from_numpy(np.stack([detector(picture) for picture in samples.pictures]))
    return overlap(boxes, torch.from_numpy(samples.boxes).double())[0]


def load_checkpoint(path: Path) -> UltraNet:
    """UltraNet with the float32 values of a checkpoint saved as `{"model": state dict}`; no pickled code is run."""
    state: Mapping[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")["model"]
    network = UltraNet()
    network.load_state_dict({key: value.float() for key, value in state.items()})
    return network.eval()


def scores(network: nn.Module, samples: Samples) -> dict[str, Score]:
    """The network's score under "network", then each baseline's under its name."""
    result = {"network": Score.of(network_ious(network, samples, HEAD))}
    result.update({name: Score.of(baseline_ious(detector, samples)) for name, detector in BASELINES.items()})
    return result


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--scenes", default=300, show_default=True, help="how many unseen scenes")
@click.option("--seed", default=UNSEEN_SEED, show_default=True, help="their sequence (training uses another)")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def main(checkpoint: Path, scenes: int, seed: int, as_json: bool) -> None:
    """Mean IoU of CHECKPOINT and of two colour baselines on scenes never seen in training."""
    samples = collect(render(PICTURE, seed, scenes, processes=1), PICTURE, scenes)
    result = scores(load_checkpoint(checkpoint), samples)
    if as_json:
        click.echo(json.dumps({name: asdict(score) for name, score in result.items()}))
        return
    click.echo(f"{scenes} scenes of sequence {seed}")
    for name, score in result.items():
        click.echo(f"{name:8} mean IoU {score.mean_iou:.3f}   found {score.found:.0%}")


if __name__ == "__main__":
    main()
