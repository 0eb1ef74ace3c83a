"""What a rule of the importer is."""

from __future__ import annotations

from collections.abc import Callable

from frontend.onnx.builder import Builder
from frontend.onnx.model import OnnxNode

Rule = Callable[[Builder, OnnxNode], None]
"""Appends what a node becomes and defines its first output; ModelError where it has no counterpart."""
