"""The stages of a run, and the context that they work in.

The four stages of the core are modules of this package; plugins declare stages with the hook ``vast_stages``.
"""

from __future__ import annotations

from .context import Stage, StageContext

__all__ = ["Stage", "StageContext"]
