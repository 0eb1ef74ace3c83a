"""Ctrl-C still is Python's after the solver has run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import signal
from fake_engines import FakeEngine, chain, cpu, target
from ir.engine import Candidate
from ir.target import Resources
from partition import partition

device = FakeEngine("dev", "device", {"a": [Candidate(100, Resources(dsp=1))]})
partition(chain(1), [device, cpu({"a": 1000})], target(Resources(dsp=10)))
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("cleaned up")
"""


def test_an_interrupt_after_placing_can_be_cleaned_up_after() -> None:
    """In a process of its own, which the solver's signal handler would end without a word."""
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("cleaned up\n", 0), done.stderr
