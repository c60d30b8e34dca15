"""Whether the drawn face shows the emotion that it should, by a network that tells emotions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import ClassVar

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vast_core.errors import WeightsError
from vast_core.interfaces import Measure, Performance, PooledMetric

from .. import pairs
from ..config import EmotionAccuracyConfig
from .brought import Brought, ByNetwork, standardised

SIDE = 224
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FACE = Brought(
    what="a network that tells emotions (HSEmotion's enet_b0_8_best_afew.onnx: Apache-2.0, trained on AffectNet)",
    file="emotion.onnx",
    axes=(None, 3, SIDE, SIDE),
    says=f"input (N, 3, {SIDE}, {SIDE}), RGB, the face's box, normalised as ImageNet; output (N, emotions)",
)
NOUNS: Mapping[str, str] = {
    "angry": "anger",
    "disgusted": "disgust",
    "happy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
    "fearful": "fear",
    "afraid": "fear",
}
"""Names of emotions as a style may have them."""
BATCH = 16


@attrs.frozen
class Shown:
    """The emotion that a clip shows, and the one that it should."""

    seen: str
    wanted: str


class EmotionAccuracy(ByNetwork, PooledMetric):
    """Share of clips whose drawn face shows the emotion that it should.

    That is the clip's style, if its name is an emotion of the network, otherwise what the network sees in the
    reference. What it sees in a clip is the emotion with the largest mean probability over every ``every``-th frame.
    """

    config: EmotionAccuracyConfig
    brought = FACE
    resampled: ClassVar[bool] = True
    measures = (Measure(name="emotion_accuracy", better="higher"),)

    def part(self, prediction: Performance, reference: Performance) -> Shown:
        """What one clip shows and should show."""
        x, y, inside = pairs.frames(prediction, reference, "emotion_accuracy")
        style = NOUNS.get(reference.style.lower(), reference.style.lower())
        wanted = style if style in self.config.emotions else self._seen(y, inside)
        return Shown(self._seen(x, inside), wanted)

    def pool(self, parts: Sequence[Shown]) -> dict[str, float]:
        """The share of all clips."""
        return {"emotion_accuracy": fmean(float(part.seen == part.wanted) for part in parts)}

    def each(self, parts: Sequence[Shown]) -> Sequence[Mapping[str, float]]:
        """1 for each clip that shows it, 0 for each other."""
        return [{"emotion_accuracy": float(part.seen == part.wanted)} for part in parts]

    def _seen(self, frames: Tensor, inside: Tensor) -> str:
        every = [(f, i) for f, i in zip(frames, inside, strict=True) if i.any()][:: self.config.every]
        faces = np.concatenate([_box(frame, where).numpy() for frame, where in every])
        logits = torch.from_numpy(self.network.each(standardised(faces, MEAN, DEVIATION), BATCH))
        names = self.config.emotions
        if logits.ndim != 2 or logits.shape[1] != len(names):
            raise WeightsError(
                f"{self.network.file}: its output is {tuple(logits.shape)}, but there are {len(names)} names of "
                "emotions; set the option `emotions` to the network's own, in their order"
            )
        return names[int(logits.softmax(1).mean(0).argmax())]


def _box(frame: Tensor, inside: Tensor) -> Tensor:
    """The box (1, 3, 224, 224) of a region (1, Y, X) in a frame (3, Y, X)."""
    rows, columns = inside[0].any(1).nonzero()[:, 0], inside[0].any(0).nonzero()[:, 0]
    shown = frame[None, :, int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
    return functional.interpolate(shown, size=(SIDE, SIDE), mode="bilinear", antialias=True)
