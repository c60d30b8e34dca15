"""Files that appear whole or not at all, results that say their version, files known by name. Imports no torch."""

from __future__ import annotations

from .atomic import replacing, write_picture, write_text
from .names import VIDEO_ENDINGS, composed, find_file, is_file, safe_name, safe_path, temporary_name
from .outputs import check_output, check_own_folder, check_replaced
from .packaged import named_file
from .remote import fetched, sent
from .results import read_results, write_results

__all__ = [
    "VIDEO_ENDINGS",
    "check_output",
    "check_own_folder",
    "check_replaced",
    "composed",
    "fetched",
    "find_file",
    "is_file",
    "named_file",
    "read_results",
    "replacing",
    "safe_name",
    "safe_path",
    "sent",
    "temporary_name",
    "write_picture",
    "write_results",
    "write_text",
]
