"""`--objective throughput|latency|area[=FPS]`: what the placement is best at, instead of what the board file says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from ir.target import Target

Kind = Literal["throughput", "latency", "area"]


class ObjectiveError(ValueError):
    """An objective that means nothing; one line."""


@dataclass(frozen=True)
class Objective:
    kind: Kind
    frames_per_second: float | None = None

    @staticmethod
    def parse(text: str) -> Objective:
        """ObjectiveError unless the text is one of the objectives, area with or without a rate."""
        kind, equals, rate = text.partition("=")
        if kind not in get_args(Kind) or (equals and kind != "area"):
            raise ObjectiveError(f"--objective {text}: unknown (allowed: throughput, latency, area, area=FPS)")
        if not equals:
            return Objective(kind)  # type: ignore[arg-type]
        try:
            value = float(rate)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise ObjectiveError(f"--objective {text}: '{rate}' is no rate (allowed: frames per second, above 0)")
        return Objective("area", value)

    def applied(self, target: Target) -> Target:
        """ObjectiveError for an area at no rate."""
        rate = self.frames_per_second or target.frames_per_second
        if self.kind == "area" and rate is None:
            raise ObjectiveError(f"--objective area: at which rate? (area=FPS; {target.name} names none)")
        return replace(target, objective=self.kind, frames_per_second=rate if self.kind == "area" else None)
