"""What stands in a scene, as polygons: targets, which have recognisable structure, and distractors, which do not.

Coordinates are local: x forward, y to the right (image coordinates at angle 0), the longer side about 1. A part's tone
says how its colour follows from the object's two colours, so that no kind of object owns a colour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""[N, 2] vertices (x, y)."""
Colour = NDArray[np.float64]
"""[3] RGB, 0 to 255."""
Tone = Literal["body", "shade", "light", "accent", "glass", "lamp"]


@dataclass(frozen=True)
class Part:
    points: Points
    tone: Tone


TONES: Mapping[Tone, Callable[[Colour, Colour], Colour]] = MappingProxyType(
    {
        "body": lambda body, accent: body,
        "shade": lambda body, accent: body * 0.6,
        "light": lambda body, accent: body + (255 - body) * 0.4,
        "accent": lambda body, accent: accent,
        "glass": lambda body, accent: np.array([28.0, 33.0, 42.0]),
        "lamp": lambda body, accent: np.array([245.0, 238.0, 205.0]),
    }
)


def rect(x0: float, x1: float, y0: float, y1: float) -> Points:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def disc(x: float, y: float, radius: float, corners: int = 20) -> Points:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack((x + radius * np.cos(angles), y + radius * np.sin(angles)), axis=1)


def rounded(half_length: float, half_width: float, power: float = 5.0) -> Points:
    """A superellipse: a rectangle with round corners."""
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    c, s = np.cos(angles), np.sin(angles)
    radius = (np.abs(c) ** power + np.abs(s) ** power) ** (-1 / power)
    return np.stack((half_length * radius * c, half_width * radius * s), axis=1)


def mirrored(half: list[tuple[float, float]]) -> Points:
    """A polygon symmetric about the x axis from its right half, front to back."""
    right = np.array(half)
    return np.concatenate((right, right[::-1] * (1, -1)))


def blob(rng: np.random.Generator, corners: int = 14, roughness: float = 0.35) -> Points:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = 0.5 * (1 - roughness * rng.random(corners))
    return np.stack((radius * np.cos(angles), radius * rng.uniform(0.6, 1) * np.sin(angles)), axis=1)


def car(rng: np.random.Generator) -> tuple[Part, ...]:
    w = rng.uniform(0.21, 0.24)
    return (
        Part(rounded(0.5, w), "body"),
        Part(mirrored([(0.2, w * 0.72), (0.08, w * 0.66), (-0.3, w * 0.66), (-0.4, w * 0.72)]), "glass"),
        Part(mirrored([(0.07, w * 0.9), (-0.28, w * 0.9)]), "glass"),
        Part(rounded(0.16, w * 0.66) - (0.11, 0), "light"),
        Part(rect(0.42, 0.48, w * 0.45, w * 0.85), "lamp"),
        Part(rect(0.42, 0.48, -w * 0.85, -w * 0.45), "lamp"),
    )


def truck(rng: np.random.Generator) -> tuple[Part, ...]:
    w = rng.uniform(0.15, 0.18)
    ribs = tuple(Part(rect(x, x + 0.015, -w, w), "shade") for x in np.linspace(-0.42, 0.1, 5))
    return (
        Part(rect(-0.5, 0.2, -w, w), "body"),
        Part(rect(-0.5, 0.2, -w * 0.12, w * 0.12), "light"),
        *ribs,
        Part(rect(0.2, 0.25, -w * 0.4, w * 0.4), "glass"),
        Part(mirrored([(0.5, w * 0.7), (0.46, w * 0.95), (0.25, w * 0.95)]), "accent"),
        Part(mirrored([(0.46, w * 0.75), (0.38, w * 0.8)]), "glass"),
    )


def boat(rng: np.random.Generator) -> tuple[Part, ...]:
    w = rng.uniform(0.15, 0.19)
    hull = [(0.5, 0.0), (0.32, w * 0.62), (0.1, w), (-0.4, w * 0.95), (-0.5, w * 0.75)]
    return (
        Part(mirrored(hull), "body"),
        Part(mirrored([(x * 0.84 - 0.02, y * 0.74) for x, y in hull]), "light"),
        Part(rounded(0.13, w * 0.52) - (0.02, 0), "accent"),
        Part(mirrored([(0.12, w * 0.42), (0.06, w * 0.5)]), "glass"),
        Part(mirrored([(-0.32, w * 0.6), (-0.38, w * 0.6)]), "shade"),
    )


def plane(rng: np.random.Generator) -> tuple[Part, ...]:
    sweep, root = rng.uniform(0.05, 0.22), rng.uniform(0.09, 0.13)
    wing = [(0.1 + root / 2, 0.03), (0.1 - sweep, 0.48), (0.04 - sweep, 0.48), (0.1 - root, 0.03)]
    tail = [(-0.36, 0.02), (-0.43, 0.17), (-0.48, 0.17), (-0.46, 0.02)]
    return (
        Part(mirrored(wing), "light"),
        Part(mirrored(tail), "light"),
        Part(rect(0.02, 0.16, 0.17, 0.22), "shade"),
        Part(rect(0.02, 0.16, -0.22, -0.17), "shade"),
        Part(mirrored([(0.5, 0.0), (0.44, 0.04), (0.3, 0.055), (-0.3, 0.05), (-0.5, 0.01)]), "body"),
        Part(mirrored([(0.45, 0.03), (0.4, 0.04)]), "glass"),
        Part(rect(-0.5, -0.38, -0.012, 0.012), "accent"),
    )


def quadrotor(rng: np.random.Generator) -> tuple[Part, ...]:
    reach, radius = 0.34, rng.uniform(0.13, 0.16)
    corners = [(sx * reach, sy * reach) for sx in (-1, 1) for sy in (-1, 1)]
    arms = tuple(
        Part(
            np.array([(-0.03 * sy, 0.03 * sx), (x - 0.03 * sy, y + 0.03 * sx), (x + 0.03 * sy, y - 0.03 * sx)]), "shade"
        )
        for x, y in corners
        for sx, sy in [(np.sign(x), np.sign(y))]
    )
    rotors = tuple(Part(disc(x, y, r), tone) for x, y in corners for r, tone in rotor(radius))
    return (*arms, *rotors, Part(rounded(0.17, 0.13, 3), "body"), Part(disc(0.1, 0, 0.05), "glass"))


def rotor(radius: float) -> tuple[tuple[float, Tone], ...]:
    """Radius and tone of its discs, the lowest first."""
    return ((radius, "body"), (radius * 0.7, "light"), (radius * 0.25, "glass"))


def person(rng: np.random.Generator) -> tuple[Part, ...]:
    """Seen obliquely, upright: local x points down the picture."""
    stride, arm = rng.uniform(0.06, 0.12), rng.uniform(0.15, 0.2)
    return (
        Part(np.array([(0.05, -0.09), (0.5, -stride - 0.045), (0.5, -stride + 0.045), (0.05, 0.01)]), "accent"),
        Part(np.array([(0.05, -0.01), (0.5, stride - 0.045), (0.5, stride + 0.045), (0.05, 0.09)]), "accent"),
        Part(mirrored([(-0.3, 0.1), (-0.02, arm), (0.06, arm - 0.02), (-0.05, 0.09)]), "shade"),
        Part(mirrored([(-0.31, 0.1), (-0.27, 0.13), (0.1, 0.095)]), "body"),
        Part(disc(-0.4, 0, 0.085), "glass"),
        Part(disc(-0.375, 0, 0.06), "lamp"),
    )


def crate(rng: np.random.Generator) -> tuple[Part, ...]:
    w = rng.uniform(0.12, 0.5)
    return (Part(rect(-0.5, 0.5, -w, w), "body"),)


def roof(rng: np.random.Generator) -> tuple[Part, ...]:
    w = rng.uniform(0.25, 0.45)
    return (Part(rect(-0.5, 0.5, -w, 0), "body"), Part(rect(-0.5, 0.5, 0, w), "shade"))


def annex(rng: np.random.Generator) -> tuple[Part, ...]:
    w, x = rng.uniform(0.15, 0.25), rng.uniform(-0.2, 0.2)
    return (Part(rect(-0.5, 0.5, -0.4, -0.4 + 2 * w), "body"), Part(rect(x, x + 0.3, -0.4 + 2 * w, 0.4), "shade"))


def tank(rng: np.random.Generator) -> tuple[Part, ...]:
    return (Part(disc(0, 0, 0.5), "body"), Part(disc(0.06, -0.06, rng.uniform(0.25, 0.4)), "light"))


def tree(rng: np.random.Generator) -> tuple[Part, ...]:
    crown = blob(rng)
    return (Part(crown, "shade"), Part(crown * 0.75 - 0.05, "body"), Part(blob(rng) * 0.4 - 0.1, "light"))


def rock(rng: np.random.Generator) -> tuple[Part, ...]:
    outline = blob(rng, corners=8)
    return (Part(outline, "body"), Part(outline * 0.6 + 0.08, "shade"))


def tarpaulin(rng: np.random.Generator) -> tuple[Part, ...]:
    return (Part(blob(rng, corners=int(rng.integers(3, 6)), roughness=0.2), "body"),)


def ring(rng: np.random.Generator) -> tuple[Part, ...]:
    return (Part(disc(0, 0, 0.5), "body"), Part(disc(0, 0, rng.uniform(0.25, 0.38)), "accent"))


Shape = Callable[[np.random.Generator], tuple[Part, ...]]
TARGETS: Mapping[str, Shape] = MappingProxyType(
    {"car": car, "truck": truck, "boat": boat, "plane": plane, "quadrotor": quadrotor, "person": person}
)


def skylights(rng: np.random.Generator) -> tuple[Part, ...]:
    """A flat roof with dark windows: the contrasts of a car without its shape."""
    w = rng.uniform(0.2, 0.45)
    panes = tuple(
        Part(rect(x, x + 0.13, y, y + 0.13), "glass")
        for x in (-0.4, -0.15, 0.2)
        for y in (-w + 0.05, w - 0.2)
        if rng.random() < 0.6
    )
    return (Part(rect(-0.5, 0.5, -w, w), "body"), *panes)


def court(rng: np.random.Generator) -> tuple[Part, ...]:
    """A playing field: bright lines on a plain rectangle."""
    w = rng.uniform(0.22, 0.4)
    lines = [rect(x, x + 0.03, -w * 0.85, w * 0.85) for x in (-0.45, -0.015, 0.42)]
    lines += [rect(-0.45, 0.45, y - 0.012, y + 0.012) for y in (-w * 0.85, w * 0.85)]
    return (Part(rect(-0.5, 0.5, -w, w), "body"), *(Part(line, "lamp") for line in lines))


def hatch(rng: np.random.Generator) -> tuple[Part, ...]:
    """A round tank or buoy with a dark opening."""
    x, y = rng.uniform(-0.15, 0.15, 2)
    return (
        Part(disc(0, 0, 0.5), "body"),
        Part(disc(x, y, rng.uniform(0.15, 0.25)), "glass"),
        Part(disc(x, y, 0.08), "lamp"),
    )


def debris(rng: np.random.Generator) -> tuple[Part, ...]:
    """Loose dark and bright pieces on a tarpaulin."""
    tones: tuple[Tone, ...] = ("glass", "lamp", "shade")
    pieces = tuple(Part(blob(rng, 5) * 0.35 + rng.uniform(-0.25, 0.25, 2), tone) for tone in tones)
    return (Part(blob(rng, 6, 0.25), "body"), *pieces)


ASHORE: tuple[Shape, ...] = (
    crate, roof, annex, tank, tree, rock, tarpaulin, ring, skylights, skylights, court, court, hatch, debris, debris
)  # fmt: skip
AFLOAT: tuple[Shape, ...] = (crate, tank, rock, tarpaulin, ring, hatch, debris, debris)
DISTRACTORS: Mapping[str, tuple[Shape, ...]] = MappingProxyType(
    {"fields": ASHORE, "forest": ASHORE, "town": ASHORE, "soil": ASHORE, "water": AFLOAT}
)
"""By kind of ground."""
