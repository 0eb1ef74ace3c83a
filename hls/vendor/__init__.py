"""From printed C++ to what AMD's tools build: pragmas, HLS projects, block designs."""

from .errors import VendorError
from .plan import Axis, Control, Interval, MemoryMaster, Multiplications, Partition, Plan, Storage
from .postpass import post_pass

__all__ = [
    "Axis",
    "Control",
    "Interval",
    "MemoryMaster",
    "Multiplications",
    "Partition",
    "Plan",
    "Storage",
    "VendorError",
    "post_pass",
]
