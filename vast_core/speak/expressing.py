"""Sound to the expression of the face, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import torch
from torch import Tensor

from ..interfaces import SAMPLE_RATE, State, ahead_of, sound_around
from ..pipeline import Pipeline
from .sound import Sound, frames_of
from .style_model import StyleModel, decode_whole

__all__ = ["Chunk", "Expressing", "latency", "rest_expression"]


@attrs.frozen(eq=False)
class Chunk:
    """Consecutive frames from the decoder, with their audio features."""

    expression: Tensor
    """(T, E)."""
    audio: Tensor
    """(T, A)."""
    pose: Tensor | None
    """(T, 3, 4): see :attr:`vast_core.interfaces.DecoderOutput.pose`."""

    def split(self, most: int) -> Iterator[Chunk]:
        """The same frames in chunks of at most ``most``."""
        for at in range(0, len(self.expression), most):
            part = slice(at, at + most)
            yield Chunk(self.expression[part], self.audio[part], None if self.pose is None else self.pose[part])


class Expressing:
    """The decoder at work on one sound; blocks of any size give what the whole gives."""

    def __init__(self, pipeline: Pipeline, model: StyleModel, sound: Sound, seed: int = 0) -> None:
        """``seed`` fixes the noise of a stochastic decoder."""
        self.frames = 0
        """Frames decoded so far."""
        self._pipeline, self._model, self._sound, self._seed = pipeline, model, sound, seed
        self._state: State | None = None
        self._known: Tensor | None = None
        """Features (1, L, A) of the frames that follow, as far as they were needed."""

    def samples(self, count: int = 1) -> int:
        """Samples of the sound on which the next ``count`` frames depend."""
        last = self.frames + count + self._model.decoder.lookahead
        return sound_around(self._pipeline.audio, self.frames, last, self._pipeline.sizes.fps)[2]

    @torch.no_grad()
    def next(self, count: int, code: Tensor) -> Chunk | None:
        """The next ``count`` frames, or fewer at the end of the sound, in the style ``code`` (1, Z); None after it.

        Waits for the sound on which they depend.
        """
        self._sound.wait_for(self.samples(count))
        fps, start, lookahead = self._pipeline.sizes.fps, self.frames, self._model.decoder.lookahead
        end = frames_of(self._sound.samples, fps) if self._sound.ended else start + count + lookahead
        stop = min(start + count, end)
        if start >= stop:
            return None
        rows = self._features(start, min(stop + lookahead, end), code.device)
        own, future = rows[:, : stop - start], rows[:, stop - start :]
        mask = torch.ones(1, stop - start, dtype=torch.bool, device=code.device)
        ahead = future if future.shape[1] else None
        out = self._model.speak(own, code, mask, self._state, ahead, start=start, seed=self._seed)
        self._state, self._known, self.frames = out.state, future, stop
        return Chunk(out.expression[0].float(), own[0].float(), None if out.pose is None else out.pose[0].float())

    def hear_anew(self) -> None:
        """Forget what has been heard ahead, because the sound after the last frame has changed."""
        self._known = None

    def _features(self, start: int, last: int, device: torch.device) -> Tensor:
        """Features (1, T, A) of the frames from ``start`` to ``last``; those that are known are not computed again."""
        audio, fps = self._pipeline.audio, self._pipeline.sizes.fps
        have = 0 if self._known is None else self._known.shape[1]
        known = [] if self._known is None else [self._known[:, : last - start]]
        if start + have < last:
            first, low, high = sound_around(audio, start + have, last, fps)
            oldest = sound_around(audio, start, last, fps)[1]
            wave = torch.from_numpy(self._sound.between(oldest, high)[low - oldest :]).to(device)[None]
            known.append(audio.rows(wave, start + have - first, last - first))
        return torch.cat(known, 1)


def latency(pipeline: Pipeline) -> float:
    """Seconds of sound after a frame on which it depends."""
    return pipeline.decoder.lookahead / pipeline.sizes.fps + ahead_of(pipeline.audio)


REST = 2.0
"""Seconds of silence after which a face is at rest (our choice)."""


@torch.no_grad()
def rest_expression(pipeline: Pipeline, model: StyleModel, code: Tensor) -> Tensor:
    """The face (E,) in the style ``code`` (1, Z) where nothing is heard for long."""
    frames = round(REST * pipeline.sizes.fps)
    silence = torch.zeros(1, round(REST * SAMPLE_RATE), device=code.device)
    return decode_whole(model, pipeline.audio(silence, frames)[0], code)[frames // 2]
