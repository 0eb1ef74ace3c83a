"""A device process in Python that computes what `fake`'s device region computes and fails as it is told.

    stand_in.py FILE PLAN_HASH WAY COMMAND

It serves FILE as runtime/device_main.c does; command number COMMAND (from 1) and what follows are treated as WAY says.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

COMMANDS, COMPLETIONS, POOL = 0x1000, 0x1800, 0x2000
ID, VERSION, HASH, STATUS, RESET_DONE, RESET, DOORBELL = 0x00, 0x04, 0x08, 0x10, 0x14, 0x18, 0x1C
DEVICE_ID, PROTOCOL, READY, FAULTY = 0x31644348, 1, 1, 2
SLOTS, POOL_BYTES = 16, 1 << 16
OK, RUN, BAD_DESCRIPTOR = 0, 12, 13
PIXELS = 35
LATE_SECONDS = 0.7


def fnv(data: bytes) -> int:
    total = 2166136261
    for (word,) in struct.iter_unpack("<I", data):
        total = (total ^ word) * 16777619 % (1 << 32)
    return total


@dataclass
class Server:
    memory: mmap.mmap
    served: int = 0

    def word(self, offset: int) -> int:
        return int(struct.unpack_from("<I", self.memory, offset)[0])

    def put(self, offset: int, value: int) -> None:
        struct.pack_into("<I", self.memory, offset, value)

    def compute(self, sequence: int) -> None:
        """x * 60 + 11 from words of eight 4-bit lanes to words of four 10-bit lanes."""
        source, target = struct.unpack_from("<II", self.memory, COMMANDS + 128 * (sequence % SLOTS) + 32)
        packed = []
        for word in struct.unpack_from(f"<{PIXELS}I", self.memory, POOL + source):
            wide = [(((word >> 4 * lane & 15) ^ 8) - 8) * 60 + 11 & 1023 for lane in range(8)]
            packed += [sum(wide[half + lane] << 10 * lane for lane in range(4)) for half in (0, 4)]
        struct.pack_into(f"<{2 * PIXELS}Q", self.memory, POOL + target, *packed)

    def complete(self, sequence: int, status: int = OK, slot_of: int | None = None, frame_more: int = 0) -> None:
        frame, region = struct.unpack_from("<QI", self.memory, COMMANDS + 128 * (sequence % SLOTS) + 8)
        number = sequence if slot_of is None else slot_of
        body = struct.pack("<QIIiIQ24x", frame + frame_more, region, status, 5 if status == RUN else 0, 0, 1)
        slot = COMPLETIONS + 64 * (number % SLOTS)
        checksum = fnv(struct.pack("<II", number, 0) + body)
        struct.pack_into("<I56s", self.memory, slot + 4, checksum, body)
        self.put(slot, number)


def hang(server: Server, sequence: int) -> None:
    """Never answers again, not even a reset."""
    time.sleep(3600)


def late(server: Server, sequence: int) -> None:
    """Answers long after the deadline, into memory that was given to it before."""
    time.sleep(LATE_SECONDS)
    server.compute(sequence)
    server.complete(sequence)


def twice(server: Server, sequence: int) -> None:
    """Completes a command twice, the second time under the number of the next."""
    server.compute(sequence)
    server.complete(sequence)
    server.complete(sequence)
    server.complete(sequence, slot_of=sequence + 1)


def wrong_status(server: Server, sequence: int) -> None:
    server.complete(sequence, status=999)


def wrong_frame(server: Server, sequence: int) -> None:
    server.compute(sequence)
    server.complete(sequence, frame_more=1)


def failed_region(server: Server, sequence: int) -> None:
    server.complete(sequence, status=RUN)


def bad_descriptor(server: Server, sequence: int) -> None:
    """As the real device answers a command whose checksum is wrong."""
    server.complete(sequence, status=BAD_DESCRIPTOR)


def fault(server: Server, sequence: int) -> None:
    server.put(STATUS, FAULTY)
    time.sleep(3600)


def die(server: Server, sequence: int) -> None:
    os._exit(3)


WAYS: dict[str, Callable[[Server, int], None]] = {
    way.__name__: way
    for way in (hang, late, twice, wrong_status, wrong_frame, failed_region, bad_descriptor, fault, die)
}


def serve(server: Server, plan_hash: int, way: str, number: int) -> None:
    struct.pack_into("<IIQ", server.memory, ID, DEVICE_ID, PROTOCOL, plan_hash)
    server.put(STATUS, READY)
    while True:
        if server.word(RESET_DONE) != server.word(RESET):
            server.served = server.word(DOORBELL)
            server.put(RESET_DONE, server.word(RESET))
        elif server.served != server.word(DOORBELL):
            sequence = server.served + 1
            if sequence == number:
                WAYS[way](server, sequence)
            else:
                server.compute(sequence)
                server.complete(sequence)
            server.served = sequence
        else:
            time.sleep(0.0005)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    with path.open("r+b" if path.exists() else "w+b") as shared:
        fcntl.lockf(shared, fcntl.LOCK_EX, 1)
        shared.truncate(POOL + POOL_BYTES)
        with mmap.mmap(shared.fileno(), 0) as mapped:
            first = Server(mapped)
            first.served = first.word(DOORBELL)
            serve(first, int(sys.argv[2], 16), sys.argv[3], int(sys.argv[4]))
