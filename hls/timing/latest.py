"""When the steps of a network happen at the earliest, and at the latest where it has to keep a pace.

Run backwards, a network is a network: what reads then writes, and a place that is free again is a word that is there.
So the latest times of all steps, with the ports that take its results paced evenly, are the earliest ones of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from hls.timing.network import Numbers, Process
from hls.timing.report import FRAMES, interval_of, steady
from hls.timing.run import Outcome, Runner


def latest_times(runner: Runner, depths: Mapping[str, int], pace: int) -> Numbers:
    """Of each step of the network, process by process, when it leaves at the latest; from an arbitrary zero on.

    Raises:
        BuildError: no C++ compiler.
    """
    processes = tuple(_backwards(process) for process in runner.network.processes)
    backwards = replace(runner, network=replace(runner.network, processes=processes))
    entered = paced_run(backwards, depths, pace, "entered").steps
    return np.concatenate([-times[::-1] for times in runner.processes(entered)])


def paced_run(runner: Runner, depths: Mapping[str, int], pace: int, steps: Literal["entered", "left"]) -> Outcome:
    """A run, until it is known to keep the pace, in which the stages that read no stream spread a frame over ``pace``
    cycles, if that slows no other stage down; else a steady one."""
    processes = tuple(_spread(process, pace) for process in runner.network.processes)
    even = replace(runner, network=replace(runner.network, processes=processes))
    outcome = even.run(FRAMES, depths, steps=steps, pace=pace)
    return outcome if interval_of(outcome) <= pace else steady(runner, depths, steps=steps)


def _backwards(process: Process) -> Process:
    events, cycles = np.asarray(process.events, np.int32), np.asarray(process.cycles, np.int32)
    return replace(process, events=-events[::-1], cycles=process.period - 1 - cycles[::-1])


def _spread(process: Process, period: int) -> Process:
    if np.any(np.asarray(process.events) < 0) or not 0 < process.period < period:
        return process
    return replace(process, cycles=np.asarray(process.cycles, np.int64) * period // process.period, period=period)
