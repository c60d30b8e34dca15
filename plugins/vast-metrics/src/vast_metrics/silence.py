"""Lips in silence: how fast they move, and whether they rest as the speaker's own do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import ClassVar, Literal, Self

import attrs
import torch
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import SAMPLE_RATE, Measure, Metric, Performance, PooledMetric, Sizes

from . import pairs
from .config import LipsInSilenceConfig, RestInSilenceConfig

SPEECH_QUANTILE = 0.9
"""Quantile of the frames' levels that represents the level of speech."""
HUSH = 1e-4
"""RMS of a wave in [-1, 1] below which everything is silence, whatever the level of speech: -80 dB."""
STILL = 1e-6
"""Opening relative to the distance of the eyes, and motion in mm^2, below which own lips are shut and still."""


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
        """Silent frames (T,) in the wave (S,), without ``hangover`` seconds after and before sound."""
        return away_from(~quiet_frames(wave, frames, fps, self.config.below), round(self.config.hangover * fps))


class RestInSilence(PooledMetric):
    """Lips in pauses, relative to the same speaker's own: how far they are open, and how much they move.

    opening = mean_(t in R) a_t / mean_(t in R') b_t,    motion = mean_(t in R) |dx_t|^2 / mean_(t in R') |dy_t|^2

    with a and b the inner-lip openings of prediction and reference by ``Face.lip_opening``, dx and dy the movement of
    their lip vertices in a frame, R the frames of a clip that rest, and R' those of all clips of its speaker. Frames
    rest that lie in at least ``least`` seconds of silence, ``hangover`` seconds from any sound; see
    :class:`LipsInSilence`. 1 is right for the opening; motion should be at most 1. The mean over the clips of a
    speaker, then over speakers. Our choice.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    resampled: ClassVar[bool] = True
    measures = (
        Measure(name="rest_opening", better="neither"),
        Measure(name="rest_opening_deviation", better="closer to 0"),
        Measure(name="rest_motion", better="lower"),
    )

    def __init__(self, config: RestInSilenceConfig) -> None:
        self.config = config

    @classmethod
    def from_config(cls, config: RestInSilenceConfig, sizes: Sizes) -> Self:
        """Build with the config's thresholds."""
        return cls(config)

    @torch.no_grad()
    def part(self, prediction: Performance, reference: Performance) -> Rest:
        """The rests of one clip of T >= 2 frames.

        Raises :class:`vast_core.errors.NotComputed` if there is no sound, or no pause of ``least`` seconds.
        """
        x, y = pairs.vertices(prediction, reference, "rest_in_silence", frames=2)
        fps = pairs.rate(prediction, reference, "rest_in_silence")
        wave = prediction.wave if prediction.wave is not None else reference.wave
        if wave is None:
            raise NotComputed("the clip has no sound")
        rests = self.rests(wave, len(y), fps)
        steps = rests[:-1] & rests[1:]
        if not steps.any():
            raise NotComputed(f"the sound has no pause of {self.config.least:g} s")
        lips, face = torch.as_tensor(reference.face.lips), reference.face

        def opening(side: Tensor) -> float:
            return float(face.lip_opening(side / face.millimetres)[rests].mean())

        def motion(side: Tensor) -> float:
            return float(side[:, lips].diff(dim=0)[steps].square().sum(-1).mean())

        return Rest(
            speaker=reference.speaker,
            frames=int(rests.sum()),
            steps=int(steps.sum()),
            opening=(opening(x), opening(y)),
            motion=(motion(x), motion(y)),
        )

    def rests(self, wave: Tensor, frames: int, fps: float) -> Tensor:
        """The frames (T,) that rest."""
        quiet = quiet_frames(wave, frames, fps, self.config.below)
        long = torch.zeros_like(quiet)
        edges = [0, *(int(at) + 1 for at in (quiet[1:] != quiet[:-1]).nonzero()[:, 0]), frames]
        for start, stop in pairwise(edges):
            long[start:stop] = quiet[start] and stop - start >= self.config.least * fps
        return long & away_from(~quiet, round(self.config.hangover * fps))

    def pool(self, parts: Sequence[Rest]) -> dict[str, float]:
        """The mean over speakers of the mean over clips.

        Raises :class:`vast_core.errors.NotComputed` if no speaker's own lips open and move in rests.
        """
        by_speaker: dict[str, list[dict[str, float]]] = {}
        for part, own in zip(parts, self.each(parts), strict=True):
            if own:
                by_speaker.setdefault(part.speaker, []).append(dict(own))
        if not by_speaker:
            raise NotComputed("in no speaker's own pauses are the lips open at all, and move")
        names = [own.name for own in self.measures]
        means = [{name: fmean(row[name] for row in rows) for name in names} for rows in by_speaker.values()]
        return {name: fmean(own[name] for own in means) for name in names}

    def each(self, parts: Sequence[Rest]) -> Sequence[Mapping[str, float]]:
        """The figures of each clip; none if its speaker's own lips are shut or still in every rest."""
        rows: list[Mapping[str, float]] = []
        for part in parts:
            own = [other for other in parts if other.speaker == part.speaker]
            opening = sum(o.frames * o.opening[1] for o in own) / sum(o.frames for o in own)
            motion = sum(o.steps * o.motion[1] for o in own) / sum(o.steps for o in own)
            if opening < STILL or motion < STILL:
                rows.append({})
                continue
            ratio = part.opening[0] / opening
            found = (ratio, ratio - 1, part.motion[0] / motion)
            rows.append(dict(zip((m.name for m in self.measures), found, strict=True)))
        return rows


@attrs.frozen(kw_only=True)
class Rest:
    """The rests of one clip; pairs are of prediction and reference."""

    speaker: str
    frames: int
    steps: int
    """Pairs of neighbouring frames that rest."""
    opening: tuple[float, float]
    """Means."""
    motion: tuple[float, float]
    """Mean square movement of a lip vertex in a frame, mm^2."""


def quiet_frames(wave: Tensor, frames: int, fps: float, below: float) -> Tensor:
    """Frames (T,) of the wave (S,) whose level is ``below`` dB below that of speech, or below -80 dB.

    Raises ValueError if the wave is not finite or not (S,).
    """
    exact = wave.detach().to("cpu", torch.float64)
    if exact.ndim != 1 or not torch.isfinite(exact).all():
        raise ValueError(f"silence: the wave {tuple(exact.shape)} must be (S,) and finite")
    edges = [round(at * SAMPLE_RATE / fps) for at in range(frames + 1)]
    padded = torch.nn.functional.pad(exact, (0, max(0, edges[-1] - len(exact))))
    powers = [padded[start:stop].square().mean() for start, stop in pairwise(edges)]
    level = torch.stack(powers).sqrt()
    return level < max(HUSH, float(torch.quantile(level, SPEECH_QUANTILE)) * 10 ** (-below / 20))


def away_from(sounding: Tensor, reach: int) -> Tensor:
    """Frames (T,) that are more than ``reach`` frames away from every one that is ``sounding`` (T,)."""
    near = torch.nn.functional.max_pool1d(sounding.double()[None, None], 2 * reach + 1, stride=1, padding=reach)
    return near[0, 0] == 0
