"""The rooms that the data walks through: what a stage is, and what it works with.

The four of the core are the modules of this package; a plugin declares its own by the hook ``vast_stages``.
"""

from __future__ import annotations

from .avatar_pictures import AvatarPictures, Piece, find_clip, footage_of, image_vertices, make_avatar
from .context import Stage, StageContext
from .style import PROMPT_FRAMES, posterior_of, prompt_code

__all__ = [
    "PROMPT_FRAMES",
    "AvatarPictures",
    "Piece",
    "Stage",
    "StageContext",
    "find_clip",
    "footage_of",
    "image_vertices",
    "make_avatar",
    "posterior_of",
    "prompt_code",
]
