"""What the tables of costs are of: a vector machine whose datapath is half its registers."""

from __future__ import annotations

REFERENCE_VLEN = 256
"""Costs of vectors are cycles at this length; on others they scale with its inverse."""
