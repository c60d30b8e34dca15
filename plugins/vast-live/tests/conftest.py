"""An avatar for tests of the server: its picture is as bright as its sound is loud, which tests can see."""

from __future__ import annotations

import math
import time
from collections import deque
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from vast_core.api import Factor, Marks, Moment, Style
from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE
from vast_live.limits import Limits
from vast_live.serving import served

FPS, SIZE = 25, (64, 48)
FRAME = SAMPLE_RATE // FPS


def picture(sound, code):
    """A frame whose middle is bright where sound is loud, and whose corner shows the style."""
    frame = np.full((*SIZE, 3), 40, np.uint8)
    loud = min(1.0, 4 * float(np.sqrt(np.square(sound).mean()))) if len(sound) else 0.0
    frame[20:44, 12:36] = 40 + round(200 * loud)
    frame[:8, :8] = np.clip(128 + 100 * code, 0, 255)
    return frame


class BrightLive:
    """As :class:`vast_core.api.Live`; the picture comes ``late`` frames after its sound."""

    latency = 0.2

    def __init__(self, style, late, seconds, alive):
        self.style, self._waiting, self._late, self._seconds, self._alive = (
            style,
            np.zeros(0, np.float32),
            late,
            seconds,
            alive,
        )
        self._before = deque([np.zeros(FRAME, np.float32)] * (late + 1), maxlen=late + 1)
        self._alive.add(self)
        self._pieces = deque()

    @property
    def waiting(self):
        return (len(self._waiting) + sum(map(len, list(self._pieces)))) / SAMPLE_RATE

    def hear(self, wave):
        self._pieces.append(wave)

    def interrupt(self):
        self._pieces.clear()
        self._waiting = self._waiting[:0]

    def close(self):
        self._alive.discard(self)

    def __next__(self):
        time.sleep(self._seconds)
        return self.skip(drawn=True)

    def skip(self, drawn=False):
        pieces = [self._pieces.popleft() for _ in range(len(self._pieces))]
        self._waiting = np.concatenate([self._waiting, *pieces])
        sound = np.zeros(FRAME, np.float32)
        sound[: len(self._waiting[:FRAME])] = self._waiting[:FRAME]
        self._waiting = self._waiting[FRAME:]
        self._before.append(sound)
        return Moment(picture(self._before[0], float(self.style.code[0])) if drawn else None, sound)


class BrightStream:
    """As :class:`vast_core.api.Stream`."""

    def __init__(self, wave, style, seconds, alive):
        self._frames = iter(
            picture(wave[at : at + FRAME], float(style.code[0]))
            for at in range(0, math.ceil(len(wave) / FRAME) * FRAME, FRAME)
        )
        self._seconds, self._alive = seconds, alive
        alive.add(self)

    def __iter__(self):
        return self

    def __next__(self):
        time.sleep(self._seconds)
        return next(self._frames)

    def close(self):
        self._alive.discard(self)


@attrs.define(eq=False)
class BrightAvatar:
    """As :class:`vast_core.api.Avatar`, as far as a server needs it."""

    late: int = 0
    """Frames by which pictures follow their sound."""
    seconds: float = 0.0
    """Time that each picture takes."""
    alive: set = attrs.field(factory=set)
    """Streams that are not closed."""
    name: str = "bright"
    fps: float = FPS
    size: tuple = SIZE
    latency: float = 0.2
    marks: Marks = attrs.field(factory=Marks)

    @property
    def styles(self):
        return {"happy": self.style("happy"), "sad": self.style("sad")}

    @property
    def factors(self):
        return {"smile": Factor(low=-1.0, high=1.0, r2=0.9), "inner_brow": Factor(low=-1.0, high=1.0, r2=0.9)}

    def style(self, *prompts, strength=1.0, factors=None):
        codes = {"happy": 1.0, "sad": -1.0, "sample": 0.5}
        code = 0.0
        for prompt in prompts:
            if str(prompt).endswith(".safetensors"):
                code += float(Style.load(prompt).code[0])
            elif str(prompt).startswith("/"):
                if not Path(prompt).read_bytes().startswith(b"a clip"):
                    raise InputError(f"{prompt}: shows no face")
                code += 0.8
            elif prompt in codes:
                code += codes[prompt]
            else:
                raise InputError(f"this avatar has no style {prompt!r}")
        code = strength * code + sum((factors or {}).values())
        return Style(code=torch.tensor([code]), model="bright", source="a test")

    def live(self, style, seed=0):
        return BrightLive(style, self.late, self.seconds, self.alive)

    def speak(self, sound, style, at_once=None):
        return BrightStream(sound, style, self.seconds, self.alive)


@pytest.fixture
def bright():
    return BrightAvatar()


@pytest.fixture
def serve(bright):
    """Serve the bright avatar, with other limits or slowness."""
    opened = []

    def start(limits=None, **options):
        for name, value in options.items():
            setattr(bright, name, value)
        opened.append(served(bright, limits or Limits()))
        return opened[-1].__enter__()

    yield start
    for server in opened:
        server.__exit__(None, None, None)
