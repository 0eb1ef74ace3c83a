"""Estimated cycles of layers, a file for each kind of kernel."""

from cpu_backend.cost.layers import layer_cycles
from cpu_backend.cost.reference import REFERENCE_VLEN

__all__ = ["REFERENCE_VLEN", "layer_cycles"]
