"""Synthesis with a trained avatar: style prompts and speech, without trainer, metrics or corpus."""

from __future__ import annotations

from .base_clip import BaseClip
from .perform import perform, write_video
from .sound import Sound, Speech
from .style import Style
from .style_model import StyleModel, decode_whole
from .trained import load_face, load_renderer, load_style

__all__ = [
    "BaseClip",
    "Sound",
    "Speech",
    "Style",
    "StyleModel",
    "decode_whole",
    "load_face",
    "load_renderer",
    "load_style",
    "perform",
    "write_video",
]
