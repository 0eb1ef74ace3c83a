"""Files that several processes of one run of the tests need are made by one of them."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

Once = Callable[[str, Callable[[Path], object]], Path]
"""(name, make) -> the folder in which ``make`` has left files."""


def once_in(common: Path) -> Once:
    """Folders inside ``common``. Where making one fails or is skipped, the next process tries it again."""

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = common / name, common / f"{name}.done"
        folder.mkdir(parents=True, exist_ok=True)
        with (common / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made
