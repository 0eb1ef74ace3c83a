"""What the command lines turn into one line and exit status 2."""

from __future__ import annotations

from cpu_backend.tuning.database import DatabaseError
from frontend.errors import ModelError
from hetero_compile.board import BoardError
from hetero_compile.front import FrontError
from hetero_compile.objective import ObjectiveError
from host.errors import HostError
from ir.graph import GraphError
from partition import PlanError

USER_ERRORS = (
    ModelError, BoardError, ObjectiveError, FrontError, PlanError, HostError, GraphError, DatabaseError,
)  # fmt: skip
