"""Passes over stage modules: valid module in, valid module out; each is a frozen dataclass in xDSL's manner."""

from .bounds import CheckBounds
from .dead import EraseDead
from .limits import CheckOutlined
from .outline import OutlineStages
from .signs import CheckSigns
from .streams import StreamInterfaces, StreamLinks
from .verify import CheckModule

__all__ = [
    "CheckBounds",
    "CheckModule",
    "CheckOutlined",
    "CheckSigns",
    "EraseDead",
    "OutlineStages",
    "StreamInterfaces",
    "StreamLinks",
]
