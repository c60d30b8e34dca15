"""The avatar at work: style prompts and speech, without trainer, metrics or corpus."""

from __future__ import annotations

__all__ = []
