"""What runs where: engines compete for nodes; the plan says why each node is where it is."""

from partition.partitioner import partition
from partition.plan import Alternative, Cut, Decision, Explanation, Plan, PlanError, Region
from partition.settled import settled
from partition.whole import whole

__all__ = [
    "Alternative",
    "Cut",
    "Decision",
    "Explanation",
    "Plan",
    "PlanError",
    "Region",
    "partition",
    "settled",
    "whole",
]
