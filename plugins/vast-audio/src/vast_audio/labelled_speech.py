"""Speech with the time of every phone, to train and evaluate acoustic models, and its held-out part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.interfaces import Clip, Phone
from vast_core.phones import PHONE_INDEX

UNKNOWN = -100
"""Label of times without a phone; ignored by losses and figures."""


@attrs.frozen(kw_only=True, eq=False)
class Utterance:
    """An utterance and the times of its phones."""

    name: str
    """Name of its clip."""
    samples: NDArray[np.int16]
    """(S,), mono at 16 kHz; :attr:`wave` is the same in [-1, 1)."""
    phones: tuple[Phone, ...] = ()
    """Empty if unknown."""

    @property
    def source(self) -> str:
        """Source of the utterance, by which figures are grouped."""
        return source_of(self.name)

    @property
    def wave(self) -> NDArray[np.float32]:
        """(S,), mono at 16 kHz."""
        return self.samples.astype(np.float32) / np.float32(32768)

    def labels(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Index of the phone at each of ``seconds``; :data:`UNKNOWN` where there is none."""
        return labels(self.phones, seconds)


def quantised(wave: NDArray[np.float32]) -> NDArray[np.int16]:
    """``wave`` in 16 bits, which halves the memory; samples beyond full scale are clipped."""
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


def labels(phones: Sequence[Phone], seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the one of ``phones``, in ascending order, at each of ``seconds``; :data:`UNKNOWN` where there is
    none."""
    if not phones:
        return np.full(len(seconds), UNKNOWN)
    starts = np.array([phone.start for phone in phones])
    ends = np.array([phone.end for phone in phones])
    index = np.array([PHONE_INDEX[phone.label] for phone in phones])
    number = np.searchsorted(starts, seconds, side="right") - 1
    covered = (number >= 0) & (seconds < ends[number])
    return np.where(covered, index[number], UNKNOWN)


def source_of(name: str) -> str:
    """The first folder of a clip's name."""
    return name.split("/")[0]


def held_out(clips: Iterable[Clip]) -> set[str]:
    """The names of the clips excluded from training: those that the corpus holds out.

    If the corpus does not say, one speaker in ten is held out, by the SHA-256 of the name.
    """
    return {clip.name for clip in clips if (clip.split or _drawn(clip.speaker)) == "held_out"}


def _drawn(speaker: str) -> str:
    return "held_out" if int(hashlib.sha256(speaker.encode()).hexdigest(), 16) % 10 == 0 else "train"
