"""The same measures mended: they depend neither on frame rate nor on the picture's size and shape. Our choice.

Landmarks are freed of the head's pose, lengths are in distances of the eyes, times at 25 frames per second, whatever
the rate of the video; extremes of single frames do not count. They need of a face only what its interface has.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import Face, Performance, place
from vast_core.phones import PHONES, VISEME_OF

from .. import pairs
from ..face_parts import brows
from ..silence import away_from
from .measure import FieldMeasure, scored
from .published import LEAST_SPEECH, motion_of
from .signals import FPS, Doubles, angles, at_rate, loudness, pauses, sound, speech

EYES = 63.0
"""Millimetres between an adult's eyes: the unit of the head's place."""
HANGOVER = 0.16
"""Seconds before and after sound in which lips need not rest."""
LOW, HIGH = 5, 95
"""Percentiles that stand for closed and open lips, for quiet and loud sound."""
SHUT = [place for place, phone in enumerate(PHONES) if VISEME_OF[phone] == "PBM"]
"""Columns of a posteriorgram in which lips are shut, however loud they are."""


def eyes_of(face: Face, vertices: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (T, 3) of the right eye and of the left. Raises NotComputed if the face has none."""
    index = torch.tensor(face.eyes)
    across = vertices[:, index, 0].mean(0) if len(index) else vertices[0, :0, 0]
    right = across < across.mean() if len(index) else across.bool()
    if not right.any() or right.all():
        raise NotComputed("the face has no eyes by whose distance to measure")
    return vertices[:, index[right]].mean(1), vertices[:, index[~right]].mean(1)


def apart(face: Face, vertices: Tensor) -> float:
    """Median distance of the eyes' centres."""
    right, left = eyes_of(face, vertices)
    return float((right - left).norm(dim=-1).median())


class LipDynamics(FieldMeasure):
    """Standard deviation over time of the distance of two lip vertices, mean over pairs, in distances of the eyes."""

    measures = scored("lip_dynamics")

    def value(self, performance: Performance) -> float:
        """Of at least two frames."""
        vertices = pairs.alone(performance, "lip_dynamics", "clip", frames=2)
        lips = vertices[:, torch.tensor(performance.face.lips)]
        distances = torch.stack([torch.pdist(frame) for frame in lips]).numpy()
        return float(at_rate(distances, performance.fps).std(0).mean()) / apart(performance.face, vertices)


class BrowDynamics(FieldMeasure):
    """Mean speed of the distance of brow and eye, both sides, in distances of the eyes per second."""

    measures = scored("brow_dynamics", "1/s")

    def value(self, performance: Performance) -> float:
        """Of at least two frames."""
        vertices = pairs.alone(performance, "brow_dynamics", "clip", frames=2)
        sides = brows(performance.face, pairs.neutral(performance, "brow_dynamics", "clip"))
        raised = [
            (vertices[:, brow].mean(1) - eye).norm(dim=-1).numpy()
            for brow, eye in zip(sides, eyes_of(performance.face, vertices), strict=True)
        ]
        speeds = [np.abs(np.diff(at_rate(side, performance.fps))).mean() * FPS for side in raised]
        return float(np.mean(speeds)) / apart(performance.face, vertices)


class HeadDynamics(FieldMeasure):
    """As ``theval_head_motion``, with the place of the head in millimetres, if the eyes are 63 mm apart."""

    measures = scored("head_dynamics")

    def value(self, performance: Performance) -> float:
        """Of at least two frames. Raises NotComputed without a pose."""
        turns, vertices = angles(performance), pairs.alone(performance, "head_dynamics", "clip", frames=2)
        shown = place(vertices / performance.face.millimetres, _exact(performance.pose))
        centre = (shown[..., :2].amin(1) + shown[..., :2].amax(1)).numpy() / 2
        unit = EYES / apart(performance.face, shown)
        return motion_of(at_rate(turns, performance.fps), unit * at_rate(centre, performance.fps))


class SilentLips(FieldMeasure):
    """Median distance of the lips' opening from its median in pauses, at least 0.16 s from any sound."""

    measures = scored("silent_lips")

    def value(self, performance: Performance) -> float:
        """Raises NotComputed without sound or pauses."""
        opening, wave = _opening(performance, "silent_lips"), sound(performance)
        quiet = pauses(wave, len(opening), FPS)
        rest = quiet & away_from(torch.from_numpy(~quiet), round(HANGOVER * FPS)).numpy()
        if rest.sum() < 2:
            raise NotComputed("the sound has no pause of 0.3 s with rest")
        return float(np.median(np.abs(opening[rest] - np.median(opening[rest]))))


class LoudLips(FieldMeasure):
    """Mean absolute difference of the lips' opening and loudness while there is speech.

    Both are brought to [0, 1] by their 5th and 95th percentiles. Where audio features tell phones, loudness counts
    only as far as the sound is not P, B or M: lips are shut then.
    """

    measures = scored("loud_lips")

    def value(self, performance: Performance) -> float:
        """Raises NotComputed without sound, or if less than a tenth of the frames have speech."""
        opening, wave = _opening(performance, "loud_lips"), sound(performance)
        spoken = speech(wave, len(opening), FPS)
        if spoken.mean() < LEAST_SPEECH or spoken.sum() < 2:
            raise NotComputed("less than a tenth of the clip has speech")
        heard = loudness(wave, len(opening), FPS) * (1 - _shut(performance, len(opening)))
        own, other = (_to_unit(side[spoken]) for side in (opening, heard))
        return float(np.abs(own - other).mean())


def _opening(performance: Performance, name: str) -> Doubles:
    """The lips' opening (T,) at 25 frames per second."""
    vertices = pairs.alone(performance, name, "clip", frames=2) / performance.face.millimetres
    return at_rate(performance.face.lip_opening(vertices).double().numpy(), performance.fps)


def _shut(performance: Performance, frames: int) -> Doubles:
    """Probability (T,) of a phone with shut lips; 0 if the audio features are no posteriorgram."""
    audio = performance.audio
    if audio is None or audio.ndim != 2 or audio.shape[1] != len(PHONES):
        return np.zeros(frames)
    chances = audio.detach().double().cpu().numpy()
    if not np.allclose(chances.sum(1), 1, atol=1e-3):
        return np.zeros(frames)
    return at_rate(chances[:, SHUT].sum(1), performance.fps)


def _to_unit(values: Doubles) -> Doubles:
    low, high = np.percentile(values, [LOW, HIGH])
    return np.asarray(np.clip((values - low) / (high - low + 1e-8), 0, 1))


def _exact(pose: Tensor | None) -> Tensor:
    if pose is None:
        raise NotComputed("the head pose is not known")
    return pose.detach().to("cpu", torch.float64)
