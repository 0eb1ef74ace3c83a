"""A region in a shared library, for ctypes."""

from __future__ import annotations

import ctypes


class Region(ctypes.Structure):
    """`hc_region` of hc_region.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("abi", ctypes.c_uint32),
        ("input_count", ctypes.c_uint32),
        ("output_count", ctypes.c_uint32),
        ("input_bytes", ctypes.POINTER(ctypes.c_uint32)),
        ("output_bytes", ctypes.POINTER(ctypes.c_uint32)),
        ("arena_bytes", ctypes.c_uint32),
        ("run", ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)),
    )
