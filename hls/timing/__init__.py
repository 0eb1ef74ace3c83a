"""One timed model of an accelerator, from its lowered IR: order, pace, stalls, depths, first frame and steady state.

| module | what it holds |
|--|--|
| `clock` | when the iterations of a stage's loops start: `Clock`, by the rules of the HLS tool |
| `network` | stages as the streams they touch, in order and at their cycles: `network_of`, `stage_cycles` |
| `run`, `network.cpp` | a network run natively, in order alone or with the time of each event |
| `depths` | depths that no stage stops at; what a deadlock needs |
| `report` | `measure`: first frame, interval, stalls of stages, peaks of streams |
| `latest` | when steps happen at the latest where a pace is to be kept |
| `pace` | depths that do not slow the accelerator down |
"""

from hls.heterocl.deadlock import Blocked, DeadlockError
from hls.timing.clock import Clock
from hls.timing.depths import check, least_depth, needed_depths, runs
from hls.timing.network import Network, Process, network_of, stage_cycles
from hls.timing.pace import paced_depths
from hls.timing.report import StageTiming, StreamTiming, Timing, measure
from hls.timing.run import LATENCY, Runner

__all__ = [
    "LATENCY",
    "Blocked",
    "Clock",
    "DeadlockError",
    "Network",
    "Process",
    "Runner",
    "StageTiming",
    "StreamTiming",
    "Timing",
    "check",
    "least_depth",
    "measure",
    "needed_depths",
    "network_of",
    "paced_depths",
    "runs",
    "stage_cycles",
]
