"""One visitor's avatar: a thread that makes its moments in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vast_core.api import Avatar, Style
from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE

from .fragments import FragmentWriter

__all__ = ["Talk"]

LEFT_OUT = 5
"""Most pictures in a row that are left out where the machine is too slow."""
BEHIND = 1.0
"""Seconds behind after which the stream stops for a moment instead (our choice)."""


PIECE = SAMPLE_RATE // 10
"""Most samples of a piece that comes from a microphone."""
PILE, FULL = 0.4, 2.0
"""Seconds of a microphone's sound that wait, above which its pauses are shortened, and above which it is cut."""
QUIET = 10 ** (-45 / 10)
"""Mean square below which a piece is a pause (-45 dB)."""


class Talk:
    """An avatar that lives until :meth:`close`, and gives its fragments and its news to a visitor.

    The pace is the clock's. A picture for which there is no time is left out: the last one is shown again, and sound
    goes on.
    """

    def __init__(
        self,
        avatar: Avatar,
        style: Style,
        give: Callable[[bytes], None],
        tell: Callable[[Mapping[str, Any]], None],
        most: float,
    ) -> None:
        """``give`` takes bytes of the stream and ``tell`` messages, both from another thread; ``most`` seconds of
        sound may wait."""
        self._live = avatar.live(style)
        self._fps = avatar.fps
        self._writer = FragmentWriter(avatar.size, avatar.fps, avatar.marks)
        self._give, self._tell, self._most = give, tell, most
        self._ended = threading.Event()
        self.left_out = 0
        """Pictures left out so far."""
        self.stalled = 0.0
        """Seconds for which the stream has stopped so far."""
        self._thread = threading.Thread(target=self._run, daemon=True, name="vast: avatar")

    @property
    def hello(self) -> dict[str, Any]:
        """What a visitor must know to play the stream."""
        return {"mime": self._writer.mime, "latency": self._live.latency}

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hear(self, wave: NDArray[np.float32]) -> None:
        """Say ``wave`` (S,), 16 kHz. Raises :class:`InputError` if too much waits already.

        Short pieces come from a microphone, whose clock is not ours: where they pile up, silent ones are left out.
        """
        waiting = self._live.waiting
        if len(wave) <= PIECE and (waiting > FULL or (waiting > PILE and float(np.square(wave).mean()) < QUIET)):
            return
        if waiting + len(wave) / SAMPLE_RATE > self._most:
            raise InputError(f"at most {self._most:g} s of sound may wait to be spoken")
        self._live.hear(wave)

    def interrupt(self) -> None:
        """Say nothing more of what waits."""
        self._live.interrupt()

    def change(self, style: Style) -> None:
        """Go over to a style."""
        self._live.style = style

    def close(self) -> None:
        """End, and free everything."""
        self._ended.set()

    def join(self) -> None:
        """Wait until everything is freed."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._give(self._writer.beginning)
            self._speak()
        except Exception as error:
            self._tell({"error": f"the avatar has stopped: {error}"})
            raise
        finally:
            self._live.close()

    def _speak(self) -> None:
        start, number, row = time.monotonic(), 0, 0
        while not self._ended.is_set():
            late = time.monotonic() - (start + number / self._fps)
            if late < 0 and self._ended.wait(-late):
                return
            if late > BEHIND:
                start += late
                self.stalled += late
            if late > 1 / self._fps and number > 0 and row < LEFT_OUT:
                moment, row = self._live.skip(), row + 1
                self.left_out += 1
            else:
                moment, row = next(self._live), 0
            self._give(self._writer.write(moment.frame, moment.sound))
            number += 1
            if number % round(self._fps / 2) == 0:
                self._tell(
                    {
                        "moments": number,
                        "left_out": self.left_out,
                        "stalled": round(self.stalled, 3),
                        "waiting": round(self._live.waiting, 2),
                    }
                )
