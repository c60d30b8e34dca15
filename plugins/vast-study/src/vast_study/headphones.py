"""A check that headphones are worn: the judge names the quietest of three tones.

One of the louder tones is in antiphase between the ears. With loudspeakers it cancels in the air, so that it seems
the quietest; with headphones it does not. After Woods, Siegel, Traer and McDermott, "Headphone screening to facilitate
web-based auditory experiments", Attention, Perception, & Psychophysics 79 (2017), from which the tones, the six trials
and the rule are taken.
"""

from __future__ import annotations

import functools
import io
import itertools
import random
import wave
from collections.abc import Sequence

import attrs
import numpy as np

RATE = 16_000
"""Sample rate of the sound in Hz."""

_HERTZ, _TONE, _RAMP, _PAUSE, _QUIETER = 200.0, 1.0, 0.1, 0.5, 6.0
_LOUD = 0.25
"""Amplitude of the louder tones, of 1: not painful at any volume at which speech is audible."""

REQUIRED = 5
"""Correct answers, of six, needed to pass."""


@attrs.frozen
class Trial:
    """Three tones; ``answer`` and ``antiphase`` are their numbers, counted from 1."""

    answer: int
    """The quietest tone."""
    antiphase: int
    """The tone whose right channel is inverted; never the quietest."""

    def wav(self) -> bytes:
        """The sound as a WAV file: two channels of 16 bits, 4 seconds."""
        return _sound(self.answer, self.antiphase)


def trials(seed: int, judge: int, attempt: int = 0) -> tuple[Trial, ...]:
    """The six trials of a judge: each of the six possible ones once, in an individual order."""
    every = [Trial(quiet, other) for quiet, other in itertools.permutations((1, 2, 3), 2)]
    random.Random(f"headphones {seed} {judge} {attempt}").shuffle(every)
    return tuple(every)


def passed(asked: Sequence[Trial], answers: Sequence[int]) -> bool:
    """Whether at least :data:`REQUIRED` answers are correct; guessing passes once in 56 times (13 / 729).

    Raises ValueError if the numbers of answers and trials differ.
    """
    return sum(trial.answer == answer for trial, answer in zip(asked, answers, strict=True)) >= REQUIRED


@functools.cache
def _sound(quiet: int, antiphase: int) -> bytes:
    time = np.arange(round(_TONE * RATE)) / RATE
    ramp = np.clip(np.minimum(time, _TONE - time) / _RAMP, 0, 1)
    tone = _LOUD * np.sin(2 * np.pi * _HERTZ * time) * np.sin(0.5 * np.pi * ramp) ** 2
    parts = []
    for number in (1, 2, 3):
        left = tone * (10 ** (-_QUIETER / 20) if number == quiet else 1)
        parts += [np.stack([left, -left if number == antiphase else left], 1), np.zeros((round(_PAUSE * RATE), 2))]
    samples = np.round(np.concatenate(parts[:-1]) * 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()
