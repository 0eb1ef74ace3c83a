"""The baselines do what they say, so that their low score on the scenes says something about the scenes."""

from __future__ import annotations

import numpy as np
import pytest

from frontend.training.baselines import BASELINES, components, otsu


def flooded(mask: np.ndarray) -> list[frozenset[tuple[int, int]]]:
    """Components by flood fill."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        frontier = [left.pop()]
        component = set(frontier)
        while frontier:
            y, x = frontier.pop()
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if near in left:
                    left.remove(near)
                    component.add(near)
                    frontier.append(near)
        found.append(frozenset(component))
    return found


@pytest.mark.parametrize("density", [0.2, 0.55, 0.7])
def test_components_are_those_of_a_flood_fill(density: float) -> None:
    mask = np.random.default_rng(8).random((25, 31)) < density
    labels = components(mask)
    assert ((labels > 0) == mask).all()
    ours = {frozenset(map(tuple, np.argwhere(labels == k).tolist())) for k in np.unique(labels[mask])}
    assert ours == set(flooded(mask))


def test_otsu_separates_two_classes() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate((rng.normal(10, 2, 900), rng.normal(60, 5, 100)))
    assert 16 < otsu(values) < 45


@pytest.mark.parametrize("name", BASELINES)
def test_a_lone_patch_on_plain_ground_is_found(name: str) -> None:
    picture = np.random.default_rng(0).integers(90, 110, (3, 160, 320)).astype(np.uint8)
    picture[:, 40:52, 100:114] = np.array([200, 60, 30], np.uint8)[:, None, None]
    np.testing.assert_allclose(BASELINES[name](picture), (100, 114, 40, 52), atol=1)


@pytest.mark.parametrize("name", BASELINES)
def test_plain_ground_gives_the_whole_picture(name: str) -> None:
    assert BASELINES[name](np.full((3, 160, 320), 77, np.uint8)).tolist() == [0, 320, 0, 160]
