"""Packages that several tests use."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import networks

from tests.once import Once


@pytest.fixture(scope="session")
def compiled_on(shared_data: Path) -> Callable[[str, str, int | None], networks.Compiled]:
    """(network, engine, vlen) -> the network with every node on that engine."""
    cache: dict[tuple[str, str, int | None], networks.Compiled] = {}

    def make(network: str, engine: str, vlen: int | None = None) -> networks.Compiled:
        key = (network, engine, vlen)
        if key not in cache:
            cache[key] = networks.on_one_engine(
                networks.checkpoint(shared_data, network), networks.ENGINES[engine], vlen
            )
        return cache[key]

    return make


@pytest.fixture(scope="session")
def package_of(shared_data: Path, once: Once) -> Callable[[str], Path]:
    """network -> hetero-compile's package: UltraNet's for zu3eg-rvv, the other's for a fabric that is too small."""
    from click.testing import CliRunner

    from hetero_compile.command import command

    def make(network: str, folder: Path) -> None:
        board = str(networks.SMALL_BOARD) if network == "ultranet_bypass" else "zu3eg-rvv"
        arguments = [str(networks.checkpoint(shared_data, network)), "--board", board, "-o", str(folder / "package")]
        result = CliRunner().invoke(command, arguments, standalone_mode=False)
        assert result.return_value == 0, result.output

    return lambda network: once(network, lambda folder: make(network, folder)) / "package"
