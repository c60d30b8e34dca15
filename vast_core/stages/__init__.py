"""The stages of a run, and the context that they work in.

The four stages of the core are modules of this package; plugins declare stages with the hook ``vast_stages``.
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
