"""Aerial scenes 640x360 with one target each, a function of (seed, index) only.

Target and distractors share colours, sizes, light and shadows; what tells the target is its structure (windows,
wings, rotors, limbs). Where it may stand follows from its kind: boats on water, the rest mostly on land.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from frontend.training.backgrounds import GROUNDS, HEIGHT, WIDTH, Ground
from frontend.training.shapes import DISTRACTORS, TARGETS, TONES, Colour, Part

Box = tuple[int, int, int, int]
"""(xmin, xmax, ymin, ymax) in pixels of the picture, as in the contest's ground truth; the last two are inclusive."""

OVERSAMPLING = 3
LAND, SKY = ("fields", "forest", "town", "soil"), ("fields", "forest", "town", "soil", "water")
HABITATS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"car": LAND, "truck": LAND, "boat": ("water",), "plane": SKY, "quadrotor": SKY, "person": ("fields", "soil")}
)
LONGEST_SIDE = (44.0, 132.0)
DISTRACTOR_SIDE = (24.0, 140.0)
"""Pixels, both log-uniform."""


@dataclass(frozen=True)
class Scene:
    picture: NDArray[np.uint8]
    """[360, 640, 3] RGB."""
    box: Box
    kind: str


@dataclass(frozen=True)
class Placement:
    x: float
    y: float
    size: float
    angle: float
    colours: tuple[Colour, Colour]


def make_scene(seed: int, index: int) -> Scene:
    """Scene `index` of the endless sequence `seed`."""
    rng = np.random.default_rng((seed, index))
    kind = str(rng.choice(list(TARGETS)))
    ground_kind = str(rng.choice(HABITATS[kind]))
    ground = GROUNDS[ground_kind](rng).copy()
    sun = rng.uniform(-1, 1, 2)
    depth = rng.uniform(0.02, 0.1)

    size = float(np.exp(rng.uniform(*np.log(LONGEST_SIDE))))
    angle = rng.normal(np.pi / 2, 0.08) if kind == "person" else rng.uniform(0, 2 * np.pi)
    margin = size * 0.55 + 4
    x, y = rng.uniform((margin, margin), (WIDTH - margin, HEIGHT - margin))
    body = contrasting(rng, ground[int(y), int(x)])
    target = Placement(x, y, size, float(angle), (body, any_colour(rng)))

    clutter = DISTRACTORS[ground_kind]
    for n in range(int(rng.integers(7, 15))):
        extent = float(np.exp(rng.uniform(*np.log(DISTRACTOR_SIDE))))
        u, v = rng.uniform((0, 0), (WIDTH, HEIGHT))
        if max(abs(u - x), abs(v - y)) < 0.65 * (extent + size):
            continue
        # The first distractors wear the target's colour.
        colour = body if n < 3 else contrasting(rng, ground[int(v), int(u)])
        place = Placement(float(u), float(v), extent, float(rng.uniform(0, 2 * np.pi)), (colour, any_colour(rng)))
        draw(ground, clutter[int(rng.integers(len(clutter)))](rng), place, sun * depth)
    box = draw(ground, TARGETS[kind](rng), target, sun * depth)
    if box is None:
        raise AssertionError(f"scene ({seed}, {index}): the target lies outside the picture")
    return Scene(photographed(rng, ground), box, kind)


def any_colour(rng: np.random.Generator) -> Colour:
    """Greys and muted colours mostly, as vehicles and roofs have."""
    grey = rng.uniform(40, 235)
    return np.asarray(np.clip(grey + rng.normal(0, 1, 3) * rng.choice((6, 14, 36)), 15, 245), np.float64)


def contrasting(rng: np.random.Generator, behind: NDArray[np.float32]) -> Colour:
    """A colour that can be told from what lies behind it."""
    for _ in range(20):
        colour = any_colour(rng)
        if np.abs(colour - behind).mean() > 38:
            break
    return colour


def draw(ground: Ground, parts: tuple[Part, ...], place: Placement, shadow: NDArray[np.float64]) -> Box | None:
    """Paint `parts` and their shadow (offset in units of the object's size); the visible box, None if there is none."""
    c, s = np.cos(place.angle), np.sin(place.angle)
    rotation = np.array(((c, s), (-s, c))) * place.size
    polygons = [part.points @ rotation + (place.x, place.y) for part in parts]
    corners = np.concatenate(polygons)
    reach = np.ceil(np.abs(shadow).max() * place.size) + 3
    low = np.floor(corners.min(0) - reach).astype(int)
    high = np.ceil(corners.max(0) + reach).astype(int)
    (left, top), (right, bottom) = np.maximum(low, 0), np.minimum(high, (WIDTH, HEIGHT))
    if right <= left or bottom <= top:
        return None

    width, height = (int(v) for v in (high - low) * OVERSAMPLING)
    paint = Image.new("RGB", (width, height), tuple(place.colours[0].astype(int)))
    cover = Image.new("L", (width, height))
    to_paint, to_cover = ImageDraw.Draw(paint), ImageDraw.Draw(cover)
    for part, polygon in zip(parts, polygons, strict=True):
        outline = [(float(u), float(v)) for u, v in (polygon - low) * OVERSAMPLING]
        colour = TONES[part.tone](*place.colours)
        to_paint.polygon(outline, tuple(int(v) for v in colour))
        to_cover.polygon(outline, 255)
    mask = cover.reduce(OVERSAMPLING)
    dx, dy = np.rint(shadow * place.size).astype(int)
    shade = np.roll(np.asarray(mask.filter(ImageFilter.BoxBlur(1)), np.float32), (dy, dx), (0, 1))

    inside = np.s_[top - low[1] : bottom - low[1], left - low[0] : right - low[0]]
    alpha = (np.asarray(mask, np.float32) / 255)[inside]
    region = ground[top:bottom, left:right]
    region *= (1 - 0.5 / 255 * shade[inside])[..., None]
    region += alpha[..., None] * (np.asarray(paint.reduce(OVERSAMPLING), np.float32)[inside] - region)

    rows, columns = np.flatnonzero((alpha > 0.5).any(1)), np.flatnonzero((alpha > 0.5).any(0))
    if not len(rows):
        return None
    return (int(left + columns[0]), int(left + columns[-1]), int(top + rows[0]), int(top + rows[-1]))


def photographed(rng: np.random.Generator, ground: Ground) -> NDArray[np.uint8]:
    """Light that falls off across the picture, tint, haze, lens blur, sensor noise; overwrites `ground`."""
    slope = rng.uniform(-0.2, 0.2, 2)
    falloff = 1 + slope[0] * np.linspace(-1, 1, WIDTH)[None, :] + slope[1] * np.linspace(-1, 1, HEIGHT)[:, None]
    gain = rng.uniform(0.75, 1.15) * rng.uniform(0.94, 1.06, 3)
    haze = rng.uniform(0, 0.18)
    # In place from here on: allocating pictures costs more than computing them.
    ground *= falloff[..., None].astype(np.float32)
    ground *= (gain * (1 - haze)).astype(np.float32)
    ground += np.float32(190 * haze)
    sharp = Image.fromarray(np.clip(ground, 0, 255, out=ground).astype(np.uint8))
    soft = np.asarray(sharp.filter(ImageFilter.BoxBlur(rng.uniform(0, 0.9))), np.int16)
    grain = rng.standard_normal((HEIGHT, WIDTH), np.float32)
    grain *= np.float32(rng.uniform(0, 8))
    noisy = soft + grain.astype(np.int16)[..., None]
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


@click.command()
@click.argument("seed", type=int)
@click.argument("index", type=int)
@click.argument("out", type=click.Path(dir_okay=False))
def main(seed: int, index: int, out: str) -> None:
    """Write scene INDEX of sequence SEED to the picture OUT and print what it shows."""
    scene = make_scene(seed, index)
    Image.fromarray(scene.picture).save(out)
    click.echo(f"{out}: a {scene.kind} at xmin, xmax, ymin, ymax = {scene.box}")


if __name__ == "__main__":
    main()
