"""An avatar that lives: it idles for ever, and speaks whatever it is given to say, always in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Thread
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..interfaces import SAMPLE_RATE
from ..mesh.scene import Image
from .changing import Changing
from .expressing import Chunk, Expressing, latency
from .perform import Appearing, Cast
from .sound import Sound, checked
from .style import Style

__all__ = ["Live", "Moment"]

CUSHION = 0.04
"""Seconds of sound that are collected before speech begins, so that chunks which come unevenly leave no gaps (our
choice)."""
PATIENCE = 2
"""Frames after which less than that is spoken, because no more may come."""
EARLY = 0.12
"""Seconds before its sound at which a mouth that was closed by an interruption may open."""


@attrs.frozen(eq=False)
class Moment:
    """One frame of a live avatar, with its sound."""

    frame: Image | None
    """(Y, X, 3), uint8, RGB; None if it was left out."""
    sound: NDArray[np.float32]
    """(S,), at 16 kHz, from this frame to the next."""


class Live:
    """Moments of an avatar without end, one every 1 / fps seconds; ``next`` never waits for sound.

    Where nothing is there to say, the avatar idles. Sound that comes late is spoken later, and silence fills the gap,
    in picture and sound alike. All methods but ``next`` and :meth:`skip` may be called from any thread.
    """

    def __init__(self, cast: Cast, style: Style, seed: int = 0) -> None:
        self._cast, self._style = cast, style
        self._waiting: deque[NDArray[np.float32]] = deque()
        self._sound = Sound(self._in_time())
        expressing = Expressing(cast.pipeline, cast.model, self._sound, seed)
        self._changing = Changing(cast.pipeline, cast.model, expressing, cast.code(style))
        self._appearing = Appearing(cast.pipeline.face, cast.renderer, cast.base, cast.play())
        self._needed = 0
        """Samples that the next frame needs."""
        self._flows = False
        """Whether sound is being spoken, so that no cushion is collected."""
        self._since: int | None = None
        """Frame at which the sound that waits has come."""
        self._begins = 0
        """Sample at which the last stretch of sound begins."""
        self._interrupted = False

    @property
    def latency(self) -> float:
        """Seconds from a sound to the frame that shows it: the look-ahead, and what is collected before speech."""
        return max(latency(self._cast.pipeline), 1 / self._cast.pipeline.sizes.fps) + CUSHION

    @property
    def waiting(self) -> float:
        """Seconds of sound that are heard, but not yet spoken."""
        ahead = self._sound.samples - self._sample(self._changing.expressing.frames)
        begun = max(0, ahead) if self._flows and not self._interrupted else 0
        return (sum(map(len, list(self._waiting))) + begun) / SAMPLE_RATE

    @property
    def style(self) -> Style:
        """The style that it speaks in; another one can be set at any time, and is reached over 0.3 s.

        Setting raises :class:`vast_core.errors.WeightsError` if the style belongs to another avatar's weights.
        """
        return self._style

    @style.setter
    def style(self, style: Style) -> None:
        self._changing.change(self._cast.code(style))
        self._style = style

    def hear(self, wave: NDArray[np.float32]) -> None:
        """Say ``wave`` (S,), at 16 kHz, after what it has been given before.

        Raises :class:`vast_core.errors.InputError` if it is no sound.
        """
        self._waiting.append(checked(wave, "the sound"))

    def follow(self, chunks: Iterable[NDArray[np.float32]]) -> Self:
        """Say the chunks of a sound when they come; they are awaited in a thread of their own."""

        def read() -> None:
            for chunk in chunks:
                self.hear(chunk)

        Thread(target=read, daemon=True, name="vast: sound").start()
        return self

    def interrupt(self) -> None:
        """Say nothing more of what was given: the mouth closes within 0.2 s, and the avatar idles."""
        self._waiting.clear()
        self._interrupted = True

    def close(self) -> None:
        """Free what it holds."""
        self._waiting.clear()
        self._appearing.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Moment:
        chunk, sound = self._moment()
        return Moment(self._appearing.next(chunk)[0], sound)

    def skip(self) -> Moment:
        """The next moment without its frame, for want of time to draw it."""
        _, sound = self._moment()
        self._appearing.skip()
        return Moment(None, sound)

    def _moment(self) -> tuple[Chunk, NDArray[np.float32]]:
        expressing = self._changing.expressing
        start, stop = self._sample(expressing.frames), self._sample(expressing.frames + 1)
        if self._interrupted:
            self._interrupted, self._flows = False, False
            self._sound.cut(start)
            expressing.hear_anew()
            self._changing.close()
        elif self._flows and start + EARLY * SAMPLE_RATE >= self._begins:
            self._changing.open()
        self._needed = max(expressing.samples(), stop)
        self._sound.wait_for(self._needed)
        sound = self._sound.at(start, stop)
        chunk = self._changing.next(1)
        if chunk is None:
            raise InputError("the sound of a live avatar has ended")
        return chunk, sound

    def _sample(self, frame: int) -> int:
        return round(frame / self._cast.pipeline.sizes.fps * SAMPLE_RATE)

    def _in_time(self) -> Iterator[NDArray[np.float32]]:
        """What is said next, silence if nothing waits."""
        while True:
            if self._may_speak():
                yield self._waiting.popleft()
            else:
                yield np.zeros(max(1, self._needed - self._sound.samples), np.float32)

    def _may_speak(self) -> bool:
        if not self._waiting:
            self._flows, self._since = False, None
            return False
        if self._flows:
            return True
        now = self._changing.expressing.frames
        self._since = now if self._since is None else self._since
        collected = sum(map(len, list(self._waiting)))
        if collected < CUSHION * SAMPLE_RATE and now - self._since < PATIENCE:
            return False
        self._flows, self._since, self._begins = True, None, self._sound.samples
        return True
