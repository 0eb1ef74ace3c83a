"""How deep streams have to be for an accelerator not to stop: a simulation of tokens, exact in their order.

Processes that block on empty and on full streams stop or do not stop whatever their speeds, and a place more in a
stream never does harm. So where all of them wait, the full stream whose reader waits for another one gets a place, and
all go on; the depths in the end are needed (Parks, "Bounded Scheduling of Process Networks", 1995, section 4.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from hls.heterocl.deadlock import DeadlockError, blocked_streams
from hls.timing.network import Network
from hls.timing.run import Outcome, Runner


def check(network: Network, frames: int = 1) -> None:
    """Raises DeadlockError where the network stops at its depths; it says which depths it needs."""
    outcome = Runner(network).run(frames)
    if not outcome.finished:
        raise stopped(network, outcome)


def runs(network: Network) -> bool:
    """Whether the network runs to the end of a frame."""
    return Runner(network).run().finished


def needed_depths(network: Network, growable: Set[str] | None = None) -> dict[str, int]:
    """All depths, those of ``growable`` streams (None: of every stream) raised as far as the network needs.

    A stream's depth is the least one, the others as they are in the result, where it alone is grown. Where several
    branches meet, places could be moved from one to another.

    Raises:
        DeadlockError: other streams are too shallow, or no depth helps.
    """
    grown = network.tokens if growable is None else {name: network.tokens[name] for name in growable}
    outcome = Runner(network).run(most=grown)
    if not outcome.finished:
        raise stopped(network, outcome)
    return dict(outcome.depths)


def least_depth(network: Network, stream: str, floor: int = 1) -> int:
    """The least depth, ``floor`` or more, of one stream at which the network runs, the others as declared.

    Raises:
        DeadlockError: no depth of this stream helps.
    """
    return needed_depths(network.with_depths({stream: floor}), {stream})[stream]


def stopped(network: Network, outcome: Outcome) -> DeadlockError:
    """What made a run stop, and the depths that would not."""
    stages = [process.name for process in network.processes]
    to_write = {stage: s for stage, s in zip(stages, outcome.to_write, strict=True) if s is not None}
    to_read = {stage: s for stage, s in zip(stages, outcome.to_read, strict=True) if s is not None}
    readers = {stream: reader for stream, (_, reader) in network.ends.items()}
    blocked = blocked_streams(to_write, to_read, readers, outcome.depths)
    needs: Mapping[str, int] = {}
    if blocked:
        grown = Runner(network).run(most=network.tokens)
        needs = {s: n for s, n in grown.depths.items() if grown.finished and n > network.depths[s]}
    starved = next((f"'{stage}' waits for '{s}', that nobody writes" for stage, s in to_read.items()), "")
    return DeadlockError(blocked, needs, network.depths, starved)
