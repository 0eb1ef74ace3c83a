"""What is said of a deadlock, by whichever simulation meets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import StageError


@dataclass(frozen=True)
class Blocked:
    """A full stream that nobody will empty: its reader waits for another stream first."""

    stream: str
    depth: int
    writer: str
    reader: str
    awaited: str

    def __str__(self) -> str:
        return (
            f"'{self.writer}' waits to write '{self.stream}', full at depth {self.depth}, whose reader "
            f"'{self.reader}' waits for '{self.awaited}'"
        )


class DeadlockError(StageError):
    """The accelerator stops for good with these depths.

    Attributes:
        blocked: the streams that are too shallow; none where a stage waits for what nobody writes.
        needs: the depths at which the accelerator runs, of those streams that need more than they have.
    """

    def __init__(
        self, blocked: Sequence[Blocked], needs: Mapping[str, int], depths: Mapping[str, int], starved: str = ""
    ) -> None:
        self.blocked, self.needs = tuple(blocked), dict(needs)
        facts = [str(b) for b in blocked] or [starved or "every stage waits for a stream that nobody writes"]
        facts += [f"'{stream}' needs depth {needed}, has {depths[stream]}" for stream, needed in needs.items()]
        super().__init__("deadlock: " + "; ".join(facts))


def blocked_streams(
    to_write: Mapping[str, str], to_read: Mapping[str, str], readers: Mapping[str, str], depths: Mapping[str, int]
) -> list[Blocked]:
    """The full streams whose reader waits for another one.

    ``to_write`` and ``to_read``: the stream that a stage waits for, by stage; ``readers``: the stage, by stream.
    """
    found = []
    for writer, full in to_write.items():
        awaited = to_read.get(readers.get(full, ""))
        if awaited is not None and awaited != full:
            found.append(Blocked(full, depths[full], writer, readers[full], awaited))
    return found
