"""Lip motion in silence."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import SAMPLE_RATE, Measure, Metric, Performance, Sizes

from . import pairs
from .config import LipsInSilenceConfig

SPEECH_QUANTILE = 0.9
"""Quantile of the frames' levels that represents the level of speech."""
HUSH = 1e-4
"""RMS of a wave in [-1, 1] below which everything is silence, whatever the level of speech: -80 dB."""


class LipsInSilence(Metric):
    """RMS speed of the lips in silence, in mm/s, and the difference from the reference (+ more, - less).

    speed = fps sqrt(1/(|Q| |L|) sum_(t in Q) sum_(v in lips) |p_(t+1),v - p_tv|^2)

    with Q the frames that, like the next one, are silent: the wave's level in the frame is ``below`` dB below that of
    speech (90 % quantile over frames) or below -80 dB, also ``hangover`` seconds before and after, because lips open
    before the sound and close after it. A sound that ends early is silent from there. Our choice.

    The sound is the prediction's, otherwise the reference's. Real lips also move in silence (breath, a smile,
    preparation): 7 to 14 mm/s in six clips of real talkers tracked by ``face/landmarks``, 29 to 42 mm/s in the rest of
    these clips. The deviation is therefore the fair figure. A completely silent sound track is all silence.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (
        Measure(name="lips_in_silence", better="neither", unit="mm/s"),
        Measure(name="lips_in_silence_deviation", better="closer to 0", unit="mm/s"),
    )

    def __init__(self, config: LipsInSilenceConfig) -> None:
        self.config = config

    @classmethod
    def from_config(cls, config: LipsInSilenceConfig, sizes: Sizes) -> Self:
        """Build with the config's thresholds."""
        return cls(config)

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """Both figures for vertices (T, V, 3) with T >= 2; the deviation is 0 for an identical pair.

        Raises :class:`vast_core.errors.NotComputed` if there is no sound, or less silence than ``least`` seconds.
        """
        x, y = pairs.vertices(prediction, reference, "lips_in_silence", frames=2)
        fps = pairs.rate(prediction, reference, "lips_in_silence")
        wave = prediction.wave if prediction.wave is not None else reference.wave
        if wave is None:
            raise NotComputed("the clip has no sound")
        silent = self.silent(wave, len(y), fps)
        steps = silent[:-1] & silent[1:]
        if (seconds := float(steps.sum()) / fps) < self.config.least:
            raise NotComputed(f"the sound is silent for {seconds:.2f} s, but {self.config.least:g} s are needed")
        lips = torch.as_tensor(reference.face.lips)
        ours, theirs = (fps * float(side[:, lips].diff(dim=0)[steps].square().sum(-1).mean().sqrt()) for side in (x, y))
        return {"lips_in_silence": ours, "lips_in_silence_deviation": ours - theirs}

    def silent(self, wave: Tensor, frames: int, fps: float) -> Tensor:
        """Silent frames (T,) in the wave (S,), including ``hangover`` seconds before and after."""
        exact = wave.detach().to("cpu", torch.float64)
        if exact.ndim != 1 or not torch.isfinite(exact).all():
            raise ValueError(f"lips_in_silence: the wave {tuple(exact.shape)} must be (S,) and finite")
        edges = [round(at * SAMPLE_RATE / fps) for at in range(frames + 1)]
        padded = torch.nn.functional.pad(exact, (0, max(0, edges[-1] - len(exact))))
        powers = [padded[start:stop].square().mean() for start, stop in pairwise(edges)]
        level = torch.stack(powers).sqrt()
        threshold = max(HUSH, float(torch.quantile(level, SPEECH_QUANTILE)) * 10 ** (-self.config.below / 20))
        sounding = (level >= threshold).double()[None, None]
        reach = round(self.config.hangover * fps)
        near = torch.nn.functional.max_pool1d(sounding, 2 * reach + 1, stride=1, padding=reach)[0, 0]
        return near == 0
