"""Ground as seen from the air: fields, water, forest, town, bare soil; roads across any of them but water."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 640, 360
Ground = NDArray[np.float32]
"""[HEIGHT, WIDTH, 3] RGB, 0 to 255."""

_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
GREENS = np.array([(86, 112, 54), (120, 132, 66), (66, 92, 50), (150, 146, 84), (104, 122, 82)], np.float32)
SOILS = np.array([(158, 134, 98), (186, 164, 124), (128, 104, 80), (142, 134, 122), (196, 184, 158)], np.float32)
WATERS = np.array([(44, 78, 98), (58, 96, 98), (36, 62, 86), (76, 104, 92)], np.float32)
TARMACS = np.array([(98, 98, 102), (120, 118, 116), (80, 82, 88)], np.float32)
CROPS = np.concatenate((GREENS, GREENS, SOILS))


def noise(rng: np.random.Generator, columns: int, rows: int) -> NDArray[np.float32]:
    """[HEIGHT, WIDTH] smooth noise around 0, about -0.5 to 0.5, with `columns` x `rows` cells."""
    grid = Image.fromarray(rng.random((rows, columns), np.float32) - np.float32(0.5))
    return np.asarray(grid.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def textured(rng: np.random.Generator, colour: Ground | NDArray[np.float32], contrast: float) -> Ground:
    """`colour` ([3] or a whole picture) with three octaves of brightness."""
    k = int(rng.integers(4, 9))
    light = np.ones((HEIGHT, WIDTH), np.float32)
    for share, columns, rows in ((0.5, k, k), (0.3, 5 * k, 3 * k), (0.25, 160, 90)):
        light += np.float32(share * contrast) * noise(rng, columns, rows)
    return np.asarray(light[..., None] * colour, np.float32)


def along(angle: float) -> NDArray[np.float32]:
    """[HEIGHT, WIDTH] signed distance in pixels from a line through the centre of the picture."""
    return np.asarray(
        (_X - WIDTH / 2) * np.float32(np.cos(angle)) + (_Y - HEIGHT / 2) * np.float32(np.sin(angle)), np.float32
    )


def with_road(rng: np.random.Generator, ground: Ground) -> Ground:
    """One road with edge lines and a dashed middle."""
    angle, half = rng.uniform(0, np.pi), rng.uniform(14, 34)
    across = np.abs(along(angle) - rng.uniform(-140, 140))
    ground = np.where((across < half)[..., None], textured(rng, rng.choice(TARMACS), 0.25), ground)
    dash = (across < 1.3) & (along(angle + np.pi / 2) % 36 < 18)
    edge = np.abs(across - half + 3) < 1.2
    ground[dash | edge] = (214, 212, 202)
    return ground


def fields(rng: np.random.Generator) -> Ground:
    """Patches cut by a few lines, some of them ploughed in rows."""
    patch = np.zeros((HEIGHT, WIDTH), np.int64)
    for bit in range(int(rng.integers(2, 5))):
        patch |= (along(rng.uniform(0, np.pi)) > rng.uniform(-120, 120)).astype(np.int64) << bit
    colours = rng.choice(CROPS, 16) * rng.uniform(0.85, 1.15, (16, 1)).astype(np.float32)
    rows = np.sin(along(rng.uniform(0, np.pi)) * np.float32(rng.uniform(0.35, 1.0)))
    depth = np.where(rng.random(16) < 0.4, rng.uniform(0.05, 0.16, 16), 0).astype(np.float32)
    ground = textured(rng, colours[patch], 0.35) * (1 + depth[patch] * rows)[..., None]
    return with_road(rng, ground) if rng.random() < 0.5 else ground


def water(rng: np.random.Generator) -> Ground:
    """Open water with ripples; no shore, so that boats lie anywhere."""
    ground = textured(rng, rng.choice(WATERS), 0.3)
    ripples = noise(rng, 40, 90) if rng.random() < 0.5 else noise(rng, 110, 40)
    ground += np.float32(rng.uniform(12, 34)) * np.maximum(ripples, 0)[..., None]
    return ground


def forest(rng: np.random.Generator) -> Ground:
    """Clearings among many crowns."""
    ground = textured(rng, rng.choice(GREENS) * np.float32(0.8), 0.4)
    canopy = Image.fromarray(ground.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(canopy)
    keep = noise(rng, 4, 3)
    crown = rng.choice(GREENS) * rng.uniform(0.55, 0.8)
    for x, y, r in rng.uniform((0, 0, 7), (WIDTH, HEIGHT, 19), (160, 3)):
        if keep[int(y), int(x)] < 0.05:
            tint = crown * rng.uniform(0.8, 1.2)
            draw.ellipse((x - r, y - r + 3, x + r, y + r + 3), tuple((tint * 0.6).astype(int)))
            draw.ellipse((x - r, y - r, x + r, y + r), tuple(tint.astype(int)))
            draw.ellipse((x - r * 0.7, y - r * 0.7, x + r * 0.3, y + r * 0.3), tuple((tint * 1.2).astype(int)))
    return np.asarray(canopy, np.float32)


def town(rng: np.random.Generator) -> Ground:
    """Blocks of roofs along a street grid of one direction."""
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(90, 150)
    c, s = np.cos(angle), np.sin(angle)
    ground = textured(rng, rng.choice(TARMACS), 0.25)
    plan = Image.fromarray(ground.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(plan)
    for i in range(-5, 6):
        for j in range(-5, 6):
            if rng.random() < 0.4:
                continue
            u, v = i * pitch, j * pitch
            half = pitch * rng.uniform(0.18, 0.36, 2)
            roof = rng.choice(SOILS) * rng.uniform(0.6, 1.1)
            for sign, shade in ((-1, 1.0), (1, 0.75)):
                corners = [(u - half[0], v), (u + half[0], v), (u + half[0], v + sign * half[1])]
                corners.append((u - half[0], v + sign * half[1]))
                polygon = [(WIDTH / 2 + a * c - b * s, HEIGHT / 2 + a * s + b * c) for a, b in corners]
                draw.polygon(polygon, tuple((roof * shade).astype(int)))
    return np.asarray(plan, np.float32)


def soil(rng: np.random.Generator) -> Ground:
    ground = textured(rng, rng.choice(SOILS), 0.6)
    patches = np.clip(noise(rng, 9, 6) * 6, 0, 1)[..., None] * np.float32(rng.uniform(0, 0.7))
    ground = ground * (1 - patches) + rng.choice(GREENS) * patches
    return with_road(rng, ground) if rng.random() < 0.4 else ground


GROUNDS: Mapping[str, Callable[[np.random.Generator], Ground]] = MappingProxyType(
    {"fields": fields, "water": water, "forest": forest, "town": town, "soil": soil}
)
