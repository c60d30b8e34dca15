"""Files that appear whole or not at all, and results that say their version. Imports no torch."""

from __future__ import annotations

from .atomic import replacing, write_picture, write_text
from .results import read_results, write_results

__all__ = ["read_results", "replacing", "write_picture", "write_results", "write_text"]
