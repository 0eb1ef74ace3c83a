"""Stage modules printed as C++: for Vitis HLS, and native for fast simulation."""

from .native import print_native
from .vitis import print_vitis

__all__ = ["print_native", "print_vitis"]
