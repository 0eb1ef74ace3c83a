"""A board installs the base package only: numpy and pillow, no compiler."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the base dependencies only."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=True)
    source = folder / "source"  # a copy: pip builds inside the tree it is given
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "*.work"))
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(source)]
    subprocess.run(pip, check=True, capture_output=True, cwd=folder)
    return folder / "bin"


@pytest.mark.slow
def test_runs_a_finished_package(
    bare: Path, shared_data: Path, package_of: Callable[[str], Path], tmp_path: Path
) -> None:
    listed = subprocess.run([bare / "python", "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert "torch" not in listed and "xdsl" not in listed
    photo, drawn = shared_data / "dacsdc/photos/000.jpg", tmp_path / "out.png"
    command = [bare / "hetero-run", package_of("ultranet"), photo, "--on", "sim", "--json", "-o", drawn]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    command[0:1] = [sys.executable, "-m", "host.cli"]
    here = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(done.stdout) == json.loads(here.stdout)
    assert drawn.stat().st_size > 10_000


@pytest.mark.slow
def test_the_compiler_says_what_to_install(bare: Path, tmp_path: Path) -> None:
    done = subprocess.run([bare / "hetero-compile", "x.pt"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "pip install 'hetero-compile[compile]'" in done.stderr and len(done.stderr.splitlines()) == 1
