"""Passes over stage modules: valid module in, valid module out; each is a frozen dataclass in xDSL's manner."""

from .bounds import CheckBounds
from .dead import EraseDead
from .outline import OutlineStages
from .streams import StreamInterfaces, StreamLinks
from .verify import CheckModule

__all__ = ["CheckBounds", "CheckModule", "EraseDead", "OutlineStages", "StreamInterfaces", "StreamLinks"]
