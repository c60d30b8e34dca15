"""Files that appear whole or not at all, results that say their version, files known by name. Imports no torch."""

from __future__ import annotations

from .atomic import replacing, write_picture, write_text
from .packaged import named_file
from .results import read_results, write_results

__all__ = ["named_file", "read_results", "replacing", "write_picture", "write_results", "write_text"]
