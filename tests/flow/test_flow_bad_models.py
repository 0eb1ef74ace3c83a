"""Bad models through the command line, in children of bounded memory and time: one line, status 2, nothing left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bad_models import MODELS
from bounded import Forker

pytestmark = pytest.mark.xdist_group("bad_models")


@pytest.fixture(scope="module")
def forker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forker]:
    made = Forker(tmp_path_factory.mktemp("said"))
    yield made
    made.close()


@pytest.mark.parametrize("name", MODELS)
def test_refused(name: str, forker: Forker, tmp_path: Path) -> None:
    write, words = MODELS[name]
    done = forker.run(write(tmp_path), "--board", "bananapi-f3", "-o", tmp_path / "package", "-q")
    assert done.status == 2, (done.status, done.stderr)
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("hetero-compile: "), done.stderr
    assert words in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "package").exists()
    assert done.peak < 1 << 20, f"{done.peak} KiB"
