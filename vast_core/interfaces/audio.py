"""Audio features: the spoken content, one row per video frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .sizes import Sizes


class AudioFeatures(nn.Module, ABC):
    """Features of the spoken content, one row per video frame."""

    context: float
    """Seconds of sound before and after a frame that its row may depend on; used for chunked synthesis."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def forward(self, wave: Tensor, frames: int) -> Tensor:
        """Features (B, T, A) of ``wave`` (B, S) at 16 kHz; T is ``frames``, and row t belongs to t / fps seconds.

        After the end of the sound, rows are those of silence; sound beyond the last frame is ignored.
        """


SILENCE_RMS = 10 ** (-60 / 20)
"""Root mean square over a clip, for a full scale of 1, below which the clip counts as having no sound (-60 dB)."""


@torch.no_grad()
def listen(audio: AudioFeatures, wave: NDArray[np.float32], frames: int, device: torch.device) -> Tensor:
    """Audio features (T, A) of one wave (S,) on the CPU."""
    rows: Tensor = audio(torch.from_numpy(wave)[None].to(device), frames)
    return rows[0].float().cpu()
