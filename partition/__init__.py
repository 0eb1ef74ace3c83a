"""What runs where: engines compete for nodes; the plan says why each node is where it is."""

from partition.plan import Decision, Plan, PlanError, Region
from partition.rules import partition

__all__ = ["Decision", "Plan", "PlanError", "Region", "partition"]
