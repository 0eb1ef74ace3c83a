"""Several multiplications in one multiplier: which packings are legal, how they are built and decoded."""

from hls.packing.geometry import GEOMETRIES, Geometry
from hls.packing.ranges import PackingError, Range, signed_bits

__all__ = ["GEOMETRIES", "Geometry", "PackingError", "Range", "signed_bits"]
