"""What runs where: engines compete for nodes; the plan says why each node is where it is."""

from partition.alone import whole
from partition.lowering import settled
from partition.partitioner import partition
from partition.plan import Alternative, Cut, Decision, Explanation, Plan, PlanError, Region

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
