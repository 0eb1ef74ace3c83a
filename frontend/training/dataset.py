"""A pool of rendered scenes at network resolution, and batches drawn from it with cheap augmentation."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frontend.training.backgrounds import HEIGHT, WIDTH
from frontend.training.picture import network_input
from frontend.training.scenes import make_scene
from ir.records import Picture

TRAINING_SEED, UNSEEN_SEED = 1, 2
"""Scene sequences: the network is trained on the first and measured on the second."""


@dataclass(frozen=True)
class Samples:
    """`pictures` [N, 3, height, width] uint8; `boxes` [N, 4] float32 edges (x0, x1, y0, y1) in input pixels."""

    pictures: NDArray[np.uint8]
    boxes: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.pictures)


def sample(spec: Picture, seed: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One scene, brought to the network's input the way a photo is; the box's far edges lie after its last pixel."""
    scene = make_scene(seed, index)
    x0, x1, y0, y1 = scene.box
    sx, sy = spec.width / WIDTH, spec.height / HEIGHT
    return network_input(scene.picture, spec), np.array((x0 * sx, (x1 + 1) * sx, y0 * sy, (y1 + 1) * sy), np.float32)


def render(
    spec: Picture, seed: int, count: int, processes: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Samples 0 to count - 1 of a sequence, in order."""
    job = partial(sample, spec, seed)
    if processes < 2:
        yield from map(job, range(count))
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(job, range(count), chunksize=16)


def collect(rendered: Iterable[tuple[NDArray[np.uint8], NDArray[np.float32]]], spec: Picture, count: int) -> Samples:
    """`count` rendered samples in memory: 154 kB each at 320x160."""
    pictures = np.empty((count, 3, spec.height, spec.width), np.uint8)
    boxes = np.empty((count, 4), np.float32)
    for i, (picture, box) in enumerate(islice(rendered, count)):
        pictures[i], boxes[i] = picture, box
    return Samples(pictures, boxes)


def save(samples: Samples, path: Path) -> None:
    """Two uncompressed arrays, so that `load` can map them; the folder appears when it is complete."""
    partial = path.with_suffix(".part")
    partial.mkdir(parents=True, exist_ok=True)
    np.save(partial / "boxes.npy", samples.boxes)
    np.save(partial / "pictures.npy", samples.pictures)
    partial.rename(path)


def load(path: Path) -> Samples:
    return Samples(np.load(path / "pictures.npy", mmap_mode="c"), np.load(path / "boxes.npy"))


def augmented_batch(samples: Samples, size: int, rng: np.random.Generator) -> Samples:
    """`size` samples, mirrored, rolled so that the target stays whole, and with another white balance."""
    chosen = rng.integers(len(samples), size=size)
    pictures = samples.pictures[chosen]
    boxes = samples.boxes[chosen].copy()
    height, width = pictures.shape[2:]
    for picture, box in zip(pictures, boxes, strict=True):
        if rng.random() < 0.5:
            picture[:] = picture[:, :, ::-1].copy()
            box[:2] = width - box[1::-1]
        if rng.random() < 0.6:
            dx = int(rng.integers(-int(box[0]), int(width - box[1]) + 1))
            dy = int(rng.integers(-int(box[2]), int(height - box[3]) + 1))
            picture[:] = np.roll(picture, (dy, dx), (1, 2))
            box += (dx, dx, dy, dy)
        gains = rng.uniform(0.85, 1.15) * rng.uniform(0.93, 1.07, 3)
        for channel, gain in zip(picture, gains, strict=True):
            table = np.clip(np.arange(256) * gain, 0, 255).astype(np.uint8)
            channel[:] = table[channel]
    return Samples(pictures, boxes)
