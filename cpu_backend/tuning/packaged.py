"""What a package keeps for a tuner: signatures of its CPU layers, so that it can be tuned without the network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cpu_backend.tuning.database import DatabaseError
from cpu_backend.tuning.signature import Signature
from cpu_backend.variants import Variant

PACKAGED = "_tuning.json"
"""End of the file's name."""

Tunable = tuple[str, Signature, Variant]
"""A layer's name, its signature, the kernel that it has without a database."""


def packaged(layers: Sequence[Tunable]) -> str:
    entries = [
        {"layer": name, "signature": signature.as_json(), "default": asdict(default)}
        for name, signature, default in layers
    ]
    return json.dumps(entries, indent=1) + "\n"


def read_packaged(path: Path) -> list[Tunable]:
    """DatabaseError."""
    try:
        entries = json.loads(path.read_text("utf-8"))
        return [(str(e["layer"]), Signature(**e["signature"]), Variant(**e["default"])) for e in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatabaseError(f"{path}: holds no signatures of layers ({type(error).__name__}: {error})") from None
