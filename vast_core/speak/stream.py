"""An avatar that speaks one sound, frame by frame, and whose style can be changed meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

import numpy as np

from ..errors import InputError
from ..interfaces import SAMPLE_RATE
from ..mesh.scene import Image
from .changing import CLOSING, Changing
from .expressing import Expressing
from .perform import Appearing, Cast
from .sound import Sound
from .style import Style

__all__ = ["Stream"]


class Stream:
    """Frames (Y, X, 3), uint8, RGB, of an avatar that speaks a sound, as soon as they are known.

    ::

        stream = avatar.speak(chunks, style)
        for frame in stream:
            ...

    If the sound's chunks are awaited, so are the frames: ``async for frame in stream``.
    """

    def __init__(self, cast: Cast, sound: Sound, style: Style, at_once: int, seed: int) -> None:
        """``at_once`` is the number of frames in a block."""
        self._cast, self._sound, self._at_once, self._style = cast, sound, at_once, style
        expressing = Expressing(cast.pipeline, cast.model, sound, seed)
        self._changing = Changing(cast.pipeline, cast.model, expressing, cast.code(style))
        self._appearing = Appearing(cast.pipeline.face, cast.renderer, cast.base, cast.play())
        self._ready: deque[Image] = deque()
        self._interrupted = self._closed = False

    @property
    def style(self) -> Style:
        """The style that it speaks in; another one can be set at any time, and is reached over 0.3 s.

        The change begins with the next block of frames. Setting raises :class:`vast_core.errors.WeightsError` if the
        style belongs to another avatar's weights.
        """
        return self._style

    @style.setter
    def style(self, style: Style) -> None:
        self._changing.change(self._cast.code(style))
        self._style = style

    def interrupt(self) -> None:
        """Speak no further: from the next block of frames on, the mouth closes within 0.2 s, and the stream ends."""
        self._interrupted = True

    def close(self) -> None:
        """End the stream, and free what it holds."""
        self._closed = True
        self._ready.clear()
        self._appearing.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Image:
        if self._sound.awaited is not None:
            raise InputError("the chunks of this sound are awaited: use `async for` to get the frames")
        return self._next()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Image:
        if not self._ready and not self._closed and not self._interrupted:
            await self._sound.arrive(self._changing.expressing.samples(self._at_once))
        frame = await asyncio.to_thread(self._next_or_none)
        if frame is None:
            raise StopAsyncIteration
        return frame

    def _next(self) -> Image:
        if self._interrupted and not self._ready:
            self._stop_speaking()
        if not self._ready and not self._closed:
            chunk = self._changing.next(self._at_once)
            if chunk is None:
                self.close()
            else:
                self._ready.extend(self._appearing.next(chunk))
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def _next_or_none(self) -> Image | None:
        try:
            return self._next()
        except StopIteration:
            return None

    def _stop_speaking(self) -> None:
        """Let the sound end with the silence in which the mouth closes."""
        self._interrupted = False
        expressing, fps = self._changing.expressing, self._cast.pipeline.sizes.fps
        if not expressing.frames:
            self.close()
            return
        self._sound.cut(round(expressing.frames / fps * SAMPLE_RATE))
        frames = round(CLOSING * fps) + 1
        self._sound.end_with(np.zeros(round(frames / fps * SAMPLE_RATE), np.float32))
        expressing.hear_anew()
        self._changing.close()
