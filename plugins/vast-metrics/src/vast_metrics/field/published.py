"""THEval's measures that need no network, as published: of landmarks in pixels, frame by frame.

They depend on the frame rate, which the protocol fixes, and on the shape of the picture. Pose, landmarks and the face's
box are those of the protocol's face component, where THEval takes pose and box from further networks; pauses are found
by level, where it uses a network.

References: N. Quignon et al., THEval: Evaluation Framework for Talking Head Video Generation, 2026 (arXiv 2511.04520).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from vast_core.errors import NotComputed
from vast_core.interfaces import Performance
from vast_core.mesh import canonical_face

from .measure import FieldMeasure, scored
from .signals import Doubles, angles, loudness, pauses, sound, speech

SQUARE = 256
"""Height and width in pixels to which two of the measures stretch a frame."""
UPPER = (191, 80, 81, 82, 13, 312, 311, 310)
LOWER = (95, 88, 178, 87, 14, 317, 402, 318)
"""Pairs of points of the inner lips, above and below."""
CORNERS = ((33, 133), (362, 263))
"""Corners of the right eye and of the left."""
LEAST_SPEECH = 0.1
"""Smallest share of a clip's frames with speech."""


def landmarks(performance: Performance) -> Doubles:
    """Landmarks (T, 468, 2) in the pixels of the whole video.

    Raises NotComputed if the mesh is another, or the whole video is not known.
    """
    if performance.landmarks is None or performance.size is None:
        raise NotComputed("the face's place in the whole video is not known: measure videos, or a run with --tracked")
    if performance.landmarks.shape[1] != len(canonical_face().vertices) or performance.face.template is not None:
        raise NotComputed("the definition names points of MediaPipe's face mesh, and this face has another")
    return np.asarray(performance.landmarks.detach().cpu().double().numpy())


def stretched(performance: Performance) -> Doubles:
    """Landmarks (T, 468, 2) in the video stretched to 256 x 256."""
    y, x = performance.size or (SQUARE, SQUARE)
    return landmarks(performance) * (SQUARE / np.array([x, y]))


class LipDynamics(FieldMeasure):
    """Lip dynamics: standard deviation over time of the distance of two lip points, mean over all pairs of 40, pixels.

    In the frame stretched to 256 x 256. Real videos of its set: 1.7166.
    """

    measures = scored("theval_lip_dynamics", "px")

    def value(self, performance: Performance) -> float:
        """Of at least two frames."""
        lips = stretched(performance)[:, canonical_face().lips]
        return float(np.stack([pdist(frame) for frame in lips]).std(0).mean())


class BrowDynamics(FieldMeasure):
    """Eyebrow dynamics: mean absolute change from frame to frame of the distance of brow and eye, both sides.

    The distance of the centre of a brow's ten points from that of the sixteen of its eye is divided by the distance of
    the eyes' centres. Real videos of its set: 0.00678.
    """

    measures = scored("theval_brow_dynamics")

    def value(self, performance: Performance) -> float:
        """Of at least two frames."""
        points, face = landmarks(performance), canonical_face()
        eyes = [points[:, ring].mean(1) for ring in (face.eye_right, face.eye_left)]
        brows = [points[:, face.brows[:10]].mean(1), points[:, face.brows[10:]].mean(1)]
        apart = np.linalg.norm(eyes[0] - eyes[1], axis=1)
        raised = [np.linalg.norm(b - e, axis=1) / apart for b, e in zip(brows, eyes, strict=True)]
        return float(np.mean([np.abs(np.diff(side)).mean() for side in _lasting(raised)]))


class HeadMotion(FieldMeasure):
    """Head motion dynamics: sqrt(mean std of the angles x mean variance of their changes + mean variance of the place).

    Pitch, yaw and roll in degrees, their changes from frame to frame, and x and y of the centre of the face's box in
    pixels. Real videos of its set: 18.468.
    """

    measures = scored("theval_head_motion")

    def value(self, performance: Performance) -> float:
        """Of at least two frames."""
        points = landmarks(performance)
        centre = (points.min(1) + points.max(1)) / 2
        return motion_of(angles(performance), centre)


def motion_of(turns: Doubles, centre: Doubles) -> float:
    """Head motion of angles (T, 3) in degrees and places (T, 2)."""
    _lasting([turns])
    jerks = np.diff(turns, axis=0).var(0).mean()
    return math.sqrt(turns.std(0).mean() * jerks + centre.var(0).mean())


class SilentLips(FieldMeasure):
    """Silent lip stability: median distance of the lips' opening from its mean in pauses of at least 0.3 s.

    The opening is the mean vertical distance of eight pairs of points of the inner lips over the distance of the outer
    eye corners, in the frame stretched to 256 x 256. Real videos of its set: 0.0263.
    """

    measures = scored("theval_silent_lips")

    def value(self, performance: Performance) -> float:
        """Raises NotComputed without sound or pauses."""
        points = stretched(performance)
        apart = np.linalg.norm(points[:, 33] - points[:, 263], axis=1)
        opening = np.abs(points[:, UPPER, 1] - points[:, LOWER, 1]).mean(1) / apart
        quiet = pauses(sound(performance), len(points), performance.fps)
        if quiet.sum() < 2:
            raise NotComputed("the sound has no pause of 0.3 s")
        return float(np.median(np.abs(opening[quiet] - opening[quiet].mean())))


class LipSync(FieldMeasure):
    """Lip sync: mean absolute difference of the lips' opening and loudness while there is speech.

    The opening is the vertical distance of the means of eight upper and eight lower points of the inner lips, as a
    share of the frame's height, over the horizontal distance of the eyes' centres, as a share of its width. Loudness is
    the root mean square of windows of 50 ms. Both are brought to [0, 1] by their minimum and maximum. Real videos of
    its set: 0.2528.
    """

    measures = scored("theval_lip_sync")

    def value(self, performance: Performance) -> float:
        """Raises NotComputed without sound, or if less than a tenth of the frames have speech."""
        points = stretched(performance)
        upper, lower = (points[:, side, 1].mean(1) for side in (UPPER, LOWER))
        right, left = (points[:, side, 0].mean(1) for side in CORNERS)
        opening, wave = np.abs(upper - lower) / np.abs(left - right), sound(performance)
        spoken = speech(wave, len(points), performance.fps)
        if spoken.mean() < LEAST_SPEECH or spoken.sum() < 2:
            raise NotComputed("less than a tenth of the clip has speech")
        heard = loudness(wave, len(points), performance.fps)
        own, other = (_to_unit(side[spoken]) for side in (opening, heard))
        return float(np.abs(own - other).mean())


def _to_unit(values: Doubles) -> Doubles:
    return np.asarray((values - values.min()) / (np.ptp(values) + 1e-8))


def _lasting(signals: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    if len(signals[0]) < 2:
        raise NotComputed("the clip has a single frame")
    return signals
