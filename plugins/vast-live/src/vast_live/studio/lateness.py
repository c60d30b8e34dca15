"""How late the sound of one clip is, judged by lips of speakers that are known already.

A style model that was trained on other speakers predicts from the clip's sound how far the lips open. The lag at which
this correlates best with the tracked lips tells how late the sound is. One clip alone teaches too little for that; a
model brings it along.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vast_core.interfaces import FaceTrack, listen, unposed
from vast_core.media import LEAD_MS, pearson
from vast_core.pipeline import Pipeline
from vast_core.speak.style_model import StyleModel, decode_whole

__all__ = ["lateness"]

LONGEST = 0.6
"""Largest lag that is searched, seconds."""
LEAST, ABOVE = 0.35, 0.15
"""Lowest correlation at which a lag counts, and how far it must be above those that are more than a syllable away.

Of five clips of people, four reach them; the sound of the fifth belongs to other lips."""
SYLLABLE = 0.2
"""Seconds."""


@torch.no_grad()
def lateness(track: FaceTrack, wave: NDArray[np.float32], pipeline: Pipeline, model: StyleModel) -> float | None:
    """Seconds by which the sound (S,), which begins with the clip, follows the lips; None if they do not fit."""
    face, fps, device = pipeline.face, pipeline.sizes.fps, pipeline.device
    rows = listen(pipeline.audio, wave, track.start + len(track), device)
    expression = decode_whole(model, rows, torch.zeros(1, pipeline.sizes.style, device=device))[track.start :]
    shape = torch.from_numpy(face.identity([track]))
    predicted = face.lip_opening(face.decode(expression, shape)).numpy()
    seen = face.lip_opening(unposed(track)).numpy()
    lags = np.arange(-round(LONGEST * fps), round(LONGEST * fps) + 1)
    fit = np.array([_fit(predicted, seen, track.valid, int(lag)) for lag in lags])
    top = int(fit.argmax())
    elsewhere = fit[np.abs(lags - lags[top]) > SYLLABLE * fps]
    if not 0 < top < len(lags) - 1 or fit[top] < max(LEAST, float(elsewhere.max()) + ABOVE):
        return None
    left, middle, right = fit[top - 1 : top + 2]
    between = 0.5 * (left - right) / min(left - 2 * middle + right, -1e-12)
    return float((lags[top] + between) / fps - LEAD_MS / 1000)


def _fit(predicted: NDArray[np.float32], seen: NDArray[np.float32], valid: NDArray[np.bool_], lag: int) -> float:
    """Correlation of the lips at each frame with those predicted from the sound ``lag`` frames later; 0 of too few."""
    frames = np.flatnonzero(valid)
    frames = frames[(frames + lag >= 0) & (frames + lag < len(predicted))]
    return float(pearson(predicted[frames + lag], seen[frames])) if len(frames) > 2 * SYLLABLE * 25 else 0.0
