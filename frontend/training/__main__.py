"""`python -m frontend.training --out examples/ultranet_4w4a.pt`: render scenes, train, calibrate, measure, save."""

from __future__ import annotations

from pathlib import Path

import click
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track

from frontend.training import dataset, loop
from frontend.training.evaluate import load_checkpoint, scores
from frontend.zoo.ultranet import HEAD, PICTURE, UltraNet


@click.command()
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="checkpoint to write")
@click.option("--steps", default=loop.Schedule.steps, show_default=True, help="optimiser steps of 16 pictures")
@click.option("--seed", default=loop.Schedule.seed, show_default=True, help="weights and order of the pictures")
@click.option("--scenes", default=12000, show_default=True, help="rendered scenes to train on; 154 kB each")
@click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), help="folder of scenes and saved state [OUT.work]"
)
@click.option("--resume", is_flag=True, help="continue from the state saved in the work folder")
@click.option("--threads", default=2, show_default=True, help="cores to use; 1 where others compute too")
def main(out: Path, steps: int, seed: int, scenes: int, work: Path | None, resume: bool, threads: int) -> None:
    """Train UltraNet on procedural scenes: under an hour on a core or two, 2 GB of disk."""
    torch.set_num_threads(threads)
    work = work or out.with_suffix(".work")
    work.mkdir(parents=True, exist_ok=True)
    samples = rendered_once(work / f"scenes-{scenes}", scenes, threads)
    saved = work / "state.pt"
    if not resume:
        saved.unlink(missing_ok=True)

    network = UltraNet()
    loop.initialise(network, seed)
    schedule = loop.Schedule(steps=steps, seed=seed)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns) as bar:
        task = bar.add_task("starting", total=steps)
        mean_loss, mean_iou = 0.0, 0.0
        for progress in loop.train(network, samples, HEAD, schedule, saved):
            weight = 1.0 if mean_loss == 0 else 0.02
            mean_loss += weight * (progress.terms.total.item() - mean_loss)
            mean_iou += weight * (progress.terms.iou.item() - mean_iou)
            bar.update(task, completed=progress.step + 1, description=f"loss {mean_loss:.3f}, box IoU {mean_iou:.3f}")
            if (progress.step + 1) % 250 == 0:
                bar.console.print(f"step {progress.step + 1}: loss {mean_loss:.3f}, box IoU {mean_iou:.3f}")

    network.load_state_dict({key: value.float() for key, value in loop.shipped_state(network).items()})
    loop.calibrate(network, samples)
    torch.save({"model": loop.shipped_state(network)}, out)
    unseen = dataset.collect(dataset.render(PICTURE, dataset.UNSEEN_SEED, 300, threads), PICTURE, 300)
    for name, score in scores(load_checkpoint(out), unseen).items():
        click.echo(f"{name:8} mean IoU {score.mean_iou:.3f}   found {score.found:.0%}   (300 unseen scenes)")


def rendered_once(folder: Path, count: int, processes: int) -> dataset.Samples:
    """The training scenes, rendered on the first run and mapped from disk on the following ones."""
    if not folder.exists():
        rendered = dataset.render(PICTURE, dataset.TRAINING_SEED, count, processes)
        dataset.save(dataset.collect(track(rendered, "rendering scenes", count), PICTURE, count), folder)
    return dataset.load(folder)


if __name__ == "__main__":
    main()
