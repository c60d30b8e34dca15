"""Files of runs and caches, and the keys that show whether a result is out of date."""

from __future__ import annotations

from ..places import cache_root
from .directory import Run
from .keys import clip_key, component_key, digest, source_digest, use_key
from .store import PreparedClip, RejectedClip, Store
from .weight_files import find_file, read_tensors, suggested_folder
from .weights import check_header, load_into, load_weights, read_header, save_weights

__all__ = [
    "PreparedClip",
    "RejectedClip",
    "Run",
    "Store",
    "cache_root",
    "check_header",
    "clip_key",
    "component_key",
    "digest",
    "find_file",
    "load_into",
    "load_weights",
    "read_header",
    "read_tensors",
    "save_weights",
    "source_digest",
    "suggested_folder",
    "use_key",
]
