"""Fixtures of all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hetero_compile.cli import collect_less


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real models, photos and vectors, which are not part of the project; `HETERO_TEST_DATA` overrides their place."""
    path = Path(os.environ.get("HETERO_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no test data at {path} (set HETERO_TEST_DATA)")
    return path


def pytest_configure() -> None:
    """Tests compile as hetero-compile does. A shell's background jobs ignore Ctrl-C, and so would the programs that
    tests interrupt."""
    collect_less()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-placements", action="store_true", help="write the zoo's placements anew")
