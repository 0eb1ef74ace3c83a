"""Packages that several tests use, compiled once per worker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import networks


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
def package_of(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """network -> hetero-compile's package: UltraNet's for zu3eg-rvv, the other's for a fabric that is too small."""
    from click.testing import CliRunner

    from hetero_compile.command import command

    cache: dict[str, Path] = {}

    def make(network: str) -> Path:
        if network not in cache:
            output = tmp_path_factory.mktemp("packages") / network
            board = str(networks.SMALL_BOARD) if network == "ultranet_bypass" else "zu3eg-rvv"
            arguments = [str(networks.checkpoint(shared_data, network)), "--board", board, "-o", str(output)]
            result = CliRunner().invoke(command, arguments, standalone_mode=False)
            assert result.return_value == 0, result.output
            cache[network] = output
        return cache[network]

    return make
