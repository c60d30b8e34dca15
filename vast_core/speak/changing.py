"""What changes while an avatar speaks: its style, and its mouth when it is interrupted."""

from __future__ import annotations

import torch
from torch import Tensor

from ..pipeline import Pipeline
from .expressing import Chunk, Expressing, rest_expression
from .style_model import StyleModel

__all__ = ["CLOSING", "Changing", "Fading"]

STYLE_SECONDS = 0.3
"""Seconds from one style to the next."""
CLOSING = 0.16
"""Seconds in which the mouth closes after an interruption, and opens again (our choice; at most 0.2 s is wanted)."""


class Fading:
    """The style code of each frame, which goes from one style to the next in equal steps."""

    def __init__(self, code: Tensor, fps: float) -> None:
        """``code`` is (1, Z)."""
        self._from = self._to = code
        self._steps = max(1, round(STYLE_SECONDS * fps))
        self._done = self._steps

    def to(self, code: Tensor) -> None:
        """Begin to change to another code, from where the last change has come to."""
        self._from, self._to, self._done = self._now(), code, 0

    def next(self, count: int) -> tuple[Tensor, int]:
        """The code of the next frames, at most ``count``, and of how many."""
        if self._done >= self._steps:
            return self._to, count
        self._done += 1
        return self._now(), 1

    def _now(self) -> Tensor:
        share = self._done / self._steps
        return self._to if share >= 1 else (1 - share) * self._from + share * self._to


class Changing:
    """The decoder at work, in a style that changes, with a mouth that can be closed at once."""

    def __init__(self, pipeline: Pipeline, model: StyleModel, expressing: Expressing, code: Tensor) -> None:
        self.expressing = expressing
        self._pipeline, self._model = pipeline, model
        self._styles = Fading(code, pipeline.sizes.fps)
        self._step = 1 / max(1, round(CLOSING * pipeline.sizes.fps))
        self._closed, self._goal = 0.0, 0.0
        """Share of the face at rest in the last frame, and the one it is on its way to."""
        self._wanted: Tensor | None = None
        self._resting: tuple[Tensor, Tensor] | None = None

    def change(self, code: Tensor) -> None:
        """Change to the style ``code`` (1, Z), from the next block on. May be called from any thread."""
        self._wanted = code

    def close(self) -> None:
        """Close the mouth from the next frame on, whatever is heard."""
        self._goal = 1.0

    def open(self) -> None:
        """Follow the sound again."""
        self._goal = 0.0

    def next(self, count: int) -> Chunk | None:
        """The next frames, at most ``count``; None at the end of the sound."""
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self._styles.to(wanted)
        code, count = self._styles.next(count)
        chunk = self.expressing.next(count, code)
        if chunk is None or self._closed == self._goal == 0:
            return chunk
        shares = torch.empty(len(chunk.expression), 1, device=chunk.expression.device)
        for frame in range(len(shares)):
            distance = self._goal - self._closed
            self._closed += max(-self._step, min(self._step, distance))
            shares[frame] = self._closed
        return Chunk(torch.lerp(chunk.expression, self._rest(code), shares), chunk.audio, chunk.pose)

    def _rest(self, code: Tensor) -> Tensor:
        if self._resting is None or self._resting[0] is not code:
            self._resting = code, rest_expression(self._pipeline, self._model, code).to(code.device)
        return self._resting[1]
