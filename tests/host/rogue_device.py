"""A device process that breaks the protocol in one way: rogue_device.py FILE PLAN_HASH WAY.

It claims the shared file as runtime/device_main.c does and answers the first command as WAY says.
"""

from __future__ import annotations

import fcntl
import mmap
import struct
import sys
import time
from pathlib import Path

COMMANDS, COMPLETIONS, POOL = 0x1000, 0x1800, 0x2000
DEVICE_ID, VERSION, READY = 0x31644348, 1, 1
STATUSES = {"status": 999, "pending": 1, "busy": 2}


def fnv(data: bytes) -> int:
    total = 2166136261
    for (word,) in struct.iter_unpack("<I", data):
        total = (total ^ word) * 16777619 % (1 << 32)
    return total


def serve(memory: mmap.mmap, plan_hash: int, way: str) -> None:
    def word(offset: int) -> int:
        return int(struct.unpack_from("<I", memory, offset)[0])

    version = VERSION + (way == "version")
    plan_hash ^= {"hash_low": 1, "hash_high": 1 << 63}.get(way, 0)
    identity = (0 if way == "id" else DEVICE_ID, version, plan_hash)
    struct.pack_into("<IIQ", memory, 0, *identity)
    struct.pack_into("<I", memory, 0x10, READY)
    while True:
        time.sleep(0.0005)
        if word(0x14) != word(0x18):
            struct.pack_into("<I", memory, 0x14, word(0x18))
        sequence = word(0x1C)
        if sequence != 1:
            continue
        frame, region = struct.unpack_from("<QI", memory, COMMANDS + 128 * sequence + 8)
        frame += way == "frame"
        region += way == "region"
        body = struct.pack("<QIIiIQ24x", frame, region, STATUSES.get(way, 0), 0, 0, 1)
        checksum = fnv(struct.pack("<II", sequence, 0) + body) ^ (way == "checksum")
        slot = COMPLETIONS + 64 * sequence
        struct.pack_into("<I56s", memory, slot + 4, checksum, body)
        struct.pack_into("<I", memory, slot, sequence)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    with path.open("w+b") as shared:
        fcntl.lockf(shared, fcntl.LOCK_EX, 1)
        shared.truncate(POOL + (1 << 16))
        with mmap.mmap(shared.fileno(), 0) as mapped:
            serve(mapped, int(sys.argv[2], 16), sys.argv[3])
