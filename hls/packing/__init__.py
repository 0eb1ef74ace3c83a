"""Several multiplications in one multiplier: which packings are legal, how they are built and decoded."""

from hls.packing.geometry import GEOMETRIES, Geometry
from hls.packing.packing import Packing, channel_packing, filter_packing
from hls.packing.ranges import PackingError, Range, signed_bits

__all__ = [
    "GEOMETRIES",
    "Geometry",
    "Packing",
    "PackingError",
    "Range",
    "channel_packing",
    "filter_packing",
    "signed_bits",
]
