"""Scenes: reproducible, each with one whole target, whose box is tight; pictures reach the network as photos do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frontend.training.backgrounds import HEIGHT, WIDTH
from frontend.training.dataset import Samples, augmented_batch, sample
from frontend.training.picture import load_rgb, network_input
from frontend.training.scenes import HABITATS, Placement, draw, make_scene
from frontend.training.shapes import TARGETS
from frontend.zoo.ultranet import PICTURE
from ir.resize import resize_bilinear

INDICES = range(24)


def test_a_scene_is_a_function_of_seed_and_index() -> None:
    first, again = make_scene(5, 3), make_scene(5, 3)
    np.testing.assert_array_equal(first.picture, again.picture)
    assert first.box == again.box
    assert all((make_scene(*other).picture != first.picture).any() for other in ((5, 4), (6, 3)))


def test_targets_lie_whole_in_the_picture() -> None:
    kinds = set()
    for index in INDICES:
        scene = make_scene(7, index)
        x0, x1, y0, y1 = scene.box
        assert scene.picture.shape == (HEIGHT, WIDTH, 3)
        assert scene.picture.dtype == np.uint8
        assert 0 < x0 < x1 < WIDTH - 1
        assert 0 < y0 < y1 < HEIGHT - 1
        assert 40 <= max(x1 - x0, y1 - y0) + 1 <= 150
        kinds.add(scene.kind)
    assert len(kinds) >= 5
    assert kinds <= set(HABITATS)


@pytest.mark.parametrize("kind", TARGETS)
def test_the_box_is_tight_around_what_was_painted(kind: str) -> None:
    ground = np.full((HEIGHT, WIDTH, 3), 100.0, np.float32)
    colours = (np.array([200.0, 180.0, 160.0]), np.array([20.0, 40.0, 60.0]))
    parts = TARGETS[kind](np.random.default_rng(0))
    box = draw(ground, parts, Placement(300.3, 150.7, 90.0, 0.6, colours), np.zeros(2))
    corners = np.concatenate([part.points for part in parts]) @ (1, 1j) * 90 * np.exp(0.6j) + (300.3 + 150.7j)
    edges = (corners.real.min(), corners.real.max() - 1, corners.imag.min(), corners.imag.max() - 1)
    assert box is not None
    # A thin tip covers no pixel by half.
    assert np.abs(np.subtract(box, edges)).max() <= 2
    x0, x1, y0, y1 = box
    far = np.ones((HEIGHT, WIDTH), bool)
    far[y0 - 4 : y1 + 5, x0 - 4 : x1 + 5] = False
    assert (ground[far] == 100).all()
    assert (ground[y0 : y1 + 1, x0 : x1 + 1] != 100).any(2).mean() > 0.1


def test_an_object_outside_the_picture_has_no_box() -> None:
    ground = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    colours = (np.full(3, 9.0), np.full(3, 9.0))
    shape = TARGETS["car"](np.random.default_rng(0))
    assert draw(ground, shape, Placement(-200.0, 50.0, 60.0, 0.0, colours), np.zeros(2)) is None
    assert not ground.any()


@pytest.mark.parametrize("photo", [0, 5])
def test_resizing_gives_the_golden_inputs(photo: int, shared_data: Path) -> None:
    golden = np.load(shared_data / "golden" / "ultranet_first8.npz")["img_bgr_160x320"][photo]
    picture = network_input(load_rgb(str(shared_data / "dacsdc" / "photos" / f"{photo:03d}.jpg")), PICTURE)
    np.testing.assert_array_equal(np.moveaxis(picture, 0, -1), golden)


def test_resizing_is_bilinear_at_half_pixel_centres() -> None:
    ramp = np.broadcast_to(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], (90, 120, 3))
    small = resize_bilinear(ramp, 40, 40)
    expected = ((np.arange(40) + 0.5) * 3 - 0.5) * 2
    assert np.abs(small[20, :, 0] - expected).max() <= 1


def test_samples_carry_the_box_to_network_pixels() -> None:
    x0, x1, y0, y1 = make_scene(7, 1).box
    picture, box = sample(PICTURE, 7, 1)
    assert picture.shape == (3, 160, 320)
    np.testing.assert_allclose(box, (x0 / 2, (x1 + 1) / 2, y0 / 2.25, (y1 + 1) / 2.25), rtol=1e-6)


def test_augmentation_moves_the_box_with_the_target() -> None:
    pictures = np.full((1, 3, 40, 80), 20, np.uint8)
    pictures[:, :, 10:20, 30:45] = 180
    samples = Samples(pictures, np.array([(30, 45, 10, 20)], np.float32))
    batch = augmented_batch(samples, 32, np.random.default_rng(3))
    for picture, box in zip(batch.pictures, batch.boxes, strict=True):
        rows, columns = (np.flatnonzero((picture[0] > 100).any(axis)) for axis in (1, 0))
        assert (columns[0], columns[-1] + 1, rows[0], rows[-1] + 1) == tuple(box)
    assert len({tuple(box) for box in batch.boxes}) > 10
    assert (pictures[0, 0, 10:20, 30:45] == 180).all()
