"""The rooms that the data walks through: what a stage is, and what it works with.

The four of the core are the modules of this package; a plugin declares its own by the hook ``vast_stages``.
"""

from __future__ import annotations

from .context import Stage, StageContext

__all__ = ["Stage", "StageContext"]
