"""The code of docs/add-an-accelerator.md, as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import tomllib

PAGE = Path(__file__).parents[2] / "docs" / "add-an-accelerator.md"


def blocks(section: str, language: str) -> str:
    """The code blocks of a language below a heading that starts with ``section``."""
    (text,) = [part for part in PAGE.read_text().split("\n## ") if part.startswith(section)]
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL))


def test_the_tutorial_runs(tmp_path: Path) -> None:
    (tmp_path / "dot_unit.py").write_text(blocks("The engine", "python"))
    (tmp_path / "try_it.py").write_text(blocks("Try it", "python"))
    path = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(PAGE.parents[1])!r}]; import runpy"
    code = f"{path}; runpy.run_path('try_it.py')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "three frames, the same integers"
    assert "conv1\tDOT\tdot products of 288" in lines and "conv2\tDOT\tdot products of 288" in lines
    assert "level\tCPU\tthe dot-product unit computes convolutions of one group" in lines
    assert (tmp_path / "tutorial" / "regions" / "fpga1" / "simulator.c").is_file()


def test_the_entry_point_names_the_class() -> None:
    """An import path of the class under the group that the flow reads."""
    group = tomllib.loads(blocks("Register", "toml"))["project"]["entry-points"]["hetero.engines"]
    assert group == {"dot": "dot_unit:DotUnit"}
    assert "class DotUnit:" in blocks("The engine", "python")
