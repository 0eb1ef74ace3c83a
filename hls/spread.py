"""When words of several pixels are taken apart: the cycles that cost, which are the choice's that made such words."""

from __future__ import annotations

from hls.nodes import RULES
from ir.graph import NodeView


def spread_cycles(view: NodeView, lanes: int, pixels: int) -> int:
    """Cycles a frame of the slowest stage that takes the node's words of ``lanes`` channels and ``pixels`` neighbours
    apart, for a reader that wants single pixels; readers that take them, as pools do, pass shorter words on."""
    if pixels == 1:
        return 0
    channels, rows, columns = view.type.shape
    apart = rows * -(-columns // pixels) * pixels * (channels // lanes)
    users = [view.graph.view(name) for name in view.graph.consumers.get(view.name, ())]
    worst = 0 if users and view.name not in view.graph.outputs else apart
    for user in users:
        rule = RULES.get(type(user.op))
        passes = rule is not None and rule.takes(user, pixels)
        after = max(1, -(-pixels * user.type.shape[2] // columns))
        worst = max(worst, spread_cycles(user, lanes, after) if passes else apart)
    return worst
