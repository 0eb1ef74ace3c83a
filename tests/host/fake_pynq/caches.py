"""Memory behind a processor's cache: what is not flushed is not seen, and what is not invalidated is stale."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Cached:
    """``processor``'s copy of ``device``'s bytes. With ``whole``, a part's maintenance is the whole buffer's, as in
    PYNQ 4 (`XrtDevice.flush` calls `bo.sync` without a range): dirty bytes are written back, and an invalidation drops
    dirty bytes elsewhere."""

    def __init__(self, processor: Array, device: Array, whole: bool) -> None:
        self._processor, self._device, self._whole = processor, device, whole
        self._clean = processor.copy()

    def flush(self, offset: int, size: int) -> None:
        part = slice(None) if self._whole else slice(offset, offset + size)
        dirty = self._processor[part] != self._clean[part]
        if not self._whole:
            dirty[:] = True
        self._device[part][dirty] = self._processor[part][dirty]
        self._clean[part] = self._processor[part]

    def invalidate(self, offset: int, size: int) -> None:
        part = slice(None) if self._whole else slice(offset, offset + size)
        self._processor[part] = self._device[part]
        self._clean[part] = self._processor[part]
