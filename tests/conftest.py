"""Fixtures of all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hetero_compile.cli import collect_less
from tests.once import Once, once_in


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real models, photos and vectors, which are not part of the project; `HETERO_TEST_DATA` overrides their place."""
    path = Path(os.environ.get("HETERO_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no test data at {path} (set HETERO_TEST_DATA)")
    return path


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """What is made once for all processes of this run."""
    own = tmp_path_factory.getbasetemp()
    return once_in((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "once")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what a fixture of their module makes run in one process: two would make it twice."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("xdist_group") is None:
            fixtures = {n for n, found in item._fixtureinfo.name2fixturedefs.items() if found[-1].scope == "module"}
            if fixtures:
                given = item.callspec.params if hasattr(item, "callspec") else {}
                chosen = [f"{name}={item.callspec.indices[name]}" for name in sorted(fixtures & given.keys())]
                item.add_marker(pytest.mark.xdist_group(" ".join([item.module.__name__, *chosen])))


def pytest_configure() -> None:
    """Tests compile as hetero-compile does. A shell's background jobs ignore Ctrl-C, and so would the programs that
    tests interrupt."""
    collect_less()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-placements", action="store_true", help="write the zoo's placements anew")
