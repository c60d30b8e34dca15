"""Audio features: the spoken content, one row per video frame."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .sizes import SAMPLE_RATE, Sizes


class AudioFeatures(nn.Module, ABC):
    """Features of the spoken content, one row per video frame."""

    trainable: ClassVar[bool] = False
    """True if the features are trained in the style stage, from waves; they are then saved with its weights."""
    receptive_field: float
    """Seconds before and after a frame within which sound may change its row."""
    look_ahead: float | None = None
    """Seconds after a frame within which sound may change its row, where these are fewer than ``receptive_field``."""
    block: int = 1
    """Frames per block, if rows are computed in blocks of frames. A chunk of sound that begins at a multiple of it, and
    includes ``receptive_field`` seconds around its rows, gives the rows of the whole."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def forward(self, wave: Tensor, frames: int) -> Tensor:
        """Features (B, T, A) of ``wave`` (B, S) at 16 kHz; T is ``frames``, and row t belongs to t / fps seconds.

        After the end of the sound, rows are those of silence; sound beyond the last frame is ignored.
        """

    def rows(self, wave: Tensor, start: int, stop: int) -> Tensor:
        """The features (B, T, A) of the frames from ``start`` to ``stop`` alone.

        By default all are computed that come before. Where rows do not depend on each other, this can be avoided.
        """
        features: Tensor = self(wave, stop)
        return features[:, start:]


SILENCE_RMS = 10 ** (-60 / 20)
"""Root mean square over a clip, for a full scale of 1, below which the clip counts as having no sound (-60 dB)."""


@torch.no_grad()
def listen(audio: AudioFeatures, wave: NDArray[np.float32], frames: int, device: torch.device) -> Tensor:
    """Audio features (T, A) of one wave (S,) on the CPU."""
    rows: Tensor = audio(torch.from_numpy(wave)[None].to(device), frames)
    return rows[0].float().cpu()


def listen_between(
    audio: AudioFeatures, wave: Tensor, start: int, stop: int, fps: float, device: torch.device
) -> Tensor:
    """Audio features (B, T, A) of the frames from ``start`` to ``stop`` of a wave (B, S), on ``device``.

    Only the sound that these rows depend on is moved to the device, so memory does not grow with the wave.
    """
    first, low, high = sound_around(audio, start, stop, fps)
    return audio.rows(wave[:, low:high].to(device), start - first, stop - first)


def ahead_of(audio: AudioFeatures) -> float:
    """Seconds after a frame within which sound may change its row."""
    return audio.receptive_field if audio.look_ahead is None else audio.look_ahead


def sound_around(audio: AudioFeatures, start: int, stop: int, fps: float) -> tuple[int, int, int]:
    """The sound that the feature rows from ``start`` to ``stop`` depend on: its first frame and its range of samples.

    Returns the number of the frame, of the first sample, and of the sample after the last.
    """
    margin = math.ceil(audio.receptive_field * fps) + 1  # one more frame, because the ends are rounded
    first = max(0, start - margin) // audio.block * audio.block
    after = math.ceil(ahead_of(audio) * SAMPLE_RATE) + 2  # two more samples, for the same reason
    return first, round(first / fps * SAMPLE_RATE), round((stop - 1) / fps * SAMPLE_RATE) + after
