"""The page that a package carries: report.html."""

from hetero_compile.report.page import report

__all__ = ["report"]
