"""Windows of analysis steps around blocks of video frames, for a network that hears a whole window at once."""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs
import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE

from .acoustic_model import BANDS, STEP_RATE
from .blocks import BLOCK
from .spectrum import WINDOW, MelEnergy, steps_per_frame
from .whisper import mel_filters

MARGIN = 24
"""Steps at either end of a window that are input, but whose logits are not used: they lack context."""
PAST = 64
"""Steps before a frame that are input where sound is heard as it comes (32: visemes .803 for .814, a third faster)."""
_AT_ONCE = 900
"""Steps of each wave per batch."""


@attrs.frozen
class StepClock:
    """Positions of the analysis steps in a wave at a frame rate."""

    fps: float

    @property
    def per_frame(self) -> int:
        """Steps per video frame."""
        return steps_per_frame(self.fps, STEP_RATE)

    @property
    def hop(self) -> float:
        """Samples between steps."""
        return SAMPLE_RATE / (self.fps * self.per_frame)

    def samples(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Centres of the two windows of every step: on the step, and half way to the next."""
        pairs = np.stack([steps, steps + 0.5], axis=1).ravel() * self.hop
        return np.rint(pairs).astype(np.int64)


@attrs.frozen
class StepWindows:
    """Windows of a block of frames, one frame around it, and ``before`` and ``after`` steps of context."""

    clock: StepClock
    block: int
    before: int
    after: int

    @classmethod
    def of(cls, fps: float, look_ahead: float | None) -> StepWindows:
        """Blocks of 32 frames, or single frames that hear ``look_ahead`` seconds of later sound.

        Raises :class:`vast_core.errors.InputError` if ``look_ahead`` is less than the frame itself needs.
        """
        clock = StepClock(fps)
        if look_ahead is None:
            return cls(clock, BLOCK, MARGIN, MARGIN)
        after = math.floor((look_ahead * SAMPLE_RATE - cls(clock, 1, PAST, 0).ahead) / clock.hop + 1e-9)
        if after < 0:
            least = cls(clock, 1, PAST, 0).ahead / SAMPLE_RATE
            raise InputError(f"look_ahead is {look_ahead:g} s; a frame needs at least {least:.3f} s at {fps:g} fps")
        return cls(clock, 1, PAST, after)

    @property
    def steps(self) -> int:
        """Steps of a window."""
        return (self.block + 1) * self.clock.per_frame - 1 + self.before + self.after

    @property
    def ahead(self) -> float:
        """Samples after the first frame of a block that its row depends on."""
        return (self.block * self.clock.per_frame + self.after - 0.5) * self.clock.hop + WINDOW / 2

    @property
    def past(self) -> float:
        """Samples before the last frame of a block that its row depends on."""
        return (self.block * self.clock.per_frame + self.before - 1) * self.clock.hop + WINDOW / 2

    def batches(self, energy: MelEnergy, wave: Tensor, begin: int, frames: int) -> Iterator[tuple[Tensor, int]]:
        """Energies (B * W, N, 2, bands) of the windows of wave (B, S), W at a time, and W.

        The windows are those of the frames from ``begin``, which starts a block, to ``frames``.
        """
        stride = self.block * self.clock.per_frame
        most = max(1, _AT_ONCE // self.steps)
        for first in range(begin, frames, self.block * most):
            count = min(most, -(-(frames - first) // self.block))
            start = (first - 1) * self.clock.per_frame + 1 - self.before
            numbers = np.arange(start, start + (count - 1) * stride + self.steps)
            heard = energy(wave, self.clock.samples(numbers)).unflatten(1, (len(numbers), 2))
            windows = heard.unfold(1, self.steps, stride)
            yield rearrange(windows, "b block two band n -> (b block) n two band"), count


def mel_energy() -> MelEnergy:
    """The bands that the acoustic model hears."""
    return MelEnergy(mel_filters(BANDS).numpy())
