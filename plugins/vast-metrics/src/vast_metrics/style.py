"""Whether a performance has the style of its prompt, by a descriptor that is independent of any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import ClassVar, Literal, Self

import attrs
import torch
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import Measure, Metric, Performance, PooledMetric, Sizes

from . import pairs
from .config import StyleDistanceConfig, StyleDiversityConfig, StyleRetrievalConfig
from .face_parts import brows, lids, mouth

CHANNELS: Mapping[str, float] = {
    "opening": 1.25,
    "width": 2.25,
    "corners": 1.25,
    "corners_slant": 0.5,
    "upper_lip": 1.0,
    "protrusion": 0.75,
    "sideways": 0.5,
    "brows": 0.5,
    "brows_slant": 0.25,
    "lids": 0.75,
}
"""Channels over time, and the millimetres that count as one unit of their mean. The lids come last."""
LOG_SCALE = 0.3
"""Nats that count as one unit of the logarithm of spread or speed."""
STILL, SLOW = 0.05, 0.5
"""mm and mm/s added before the logarithm; smaller values are tracker noise."""
DESCRIPTOR = 3 * len(CHANNELS) - 2
"""Numbers in a descriptor: for the lids only the mean, because the rest is blinks."""


def descriptor(performance: Performance, metric: str, side: str) -> Tensor:
    """The style (D,) of a performance: for each channel mean, log standard deviation and log RMS speed, scaled.

    D = 28: three numbers for each of :data:`CHANNELS`, but only the mean for the lids (the rest is blinks), in fixed
    units. A channel is measured in mm from the performer's own neutral face, so that it describes style, not shape:
    opening (middles of upper and lower lip), width, height of the mouth's corners (mean; left minus right), height of
    the upper lip, protrusion and sideways shift of the lips, height of the brows (mean; left minus right), gap of the
    lids. The channels, statistics and scales are our choice, the same for everybody; the scales are the root mean
    square differences between two halves of one real clip, divided by the root of 2 (35 clips of 14 people), rounded.

    Raises ValueError if vertices or the neutral face are missing, NotComputed if the face has no lids or brows.
    """
    x = pairs.alone(performance, metric, side, frames=2)
    neutral = pairs.neutral(performance, metric, side)
    courses = _channels(x - neutral, performance, neutral)
    speed = courses.diff(dim=0).square().mean(0).sqrt() * performance.fps
    spread = courses.std(0, correction=0)
    scale = torch.tensor(list(CHANNELS.values()), dtype=courses.dtype)
    logs = torch.log(torch.cat([spread[:-1] + STILL, speed[:-1] + SLOW])) / LOG_SCALE
    return torch.cat([courses.mean(0) / scale, logs])


def _channels(moved: Tensor, performance: Performance, neutral: Tensor) -> Tensor:
    """Channels over time (T, len(CHANNELS)) in mm, from displacements (T, V, 3) and the neutral face (V, 3)."""
    lips, (right, left) = mouth(performance.face, neutral), brows(performance.face, neutral)
    between = torch.cat([lips.upper, lips.lower])

    def height(index: Tensor) -> Tensor:
        return moved[:, index, 1].mean(1)

    corners, forehead = moved[:, [lips.right, lips.left]], torch.stack([height(right), height(left)], 1)
    courses = {
        "opening": height(lips.upper) - height(lips.lower),
        "width": corners[:, 1, 0] - corners[:, 0, 0],
        "corners": corners[..., 1].mean(1),
        "corners_slant": corners[:, 1, 1] - corners[:, 0, 1],
        "upper_lip": height(lips.upper),
        "protrusion": moved[:, between, 2].mean(1),
        "sideways": moved[:, between, 0].mean(1),
        "brows": forehead.mean(1),
        "brows_slant": forehead[:, 1] - forehead[:, 0],
        "lids": torch.stack([height(eye.upper) - height(eye.lower) for eye in lids(performance.face, neutral)]).mean(0),
    }
    return torch.stack([courses[name] for name in CHANNELS], 1)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Root mean square difference (...,) of descriptors (..., D)."""
    return (one - other).square().mean(-1).sqrt()


def _prompt(prediction: Performance, reference: Performance) -> tuple[Performance, Performance]:
    """The prediction with a neutral face, and its prompt."""
    prompt = prediction.prompt
    if prompt is None:
        raise NotComputed("the prompt of the prediction is not known")
    if prediction.neutral is None:
        prediction = attrs.evolve(prediction, neutral=reference.neutral)
    return prediction, prompt


class StyleDistance(Metric):
    """Distance between the styles of the prediction and its prompt.

    ||d(prediction) - d(prompt)|| / sqrt(D), with d of :func:`descriptor`; 0 is best. On footage tracked by
    ``face/landmarks``, two halves of a talker's clip of 15 to 30 s differ by 0.5, halves of two talkers' clips by 1.0
    (seven clips); halves of one actor's clip of 4 s by 1.1, halves of two of 16 clips by two actors in eight emotions
    by 2.7.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (Measure(name="style_distance", better="lower"),)

    @classmethod
    def from_config(cls, config: StyleDistanceConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """The distance; without a neutral face of its own, the prediction uses the reference's.

        Raises :class:`vast_core.errors.NotComputed` if no prompt is known.
        """
        given, prompt = _prompt(prediction, reference)
        ours, theirs = (
            descriptor(one, "style_distance", side) for one, side in ((given, "prediction"), (prompt, "prompt"))
        )
        return {"style_distance": float(distance(ours, theirs))}


@attrs.frozen(eq=False)
class StylePart:
    """One prediction and its prompt, as ``style_retrieval`` stores them."""

    prediction: Tensor
    prompt: Tensor
    """(D,) each."""
    name: str
    """Name of the prompt; equal names are one prompt."""
    style: str
    """Style of the prompt; prompts of one style are equally correct."""


class StyleRetrieval(PooledMetric):
    """Share of predictions whose style is nearest to that of their own prompt, among all prompts of the set.

    Distances are those of ``style_distance``. A prompt counts once, even if it is used repeatedly; it is identified by
    its name or, without one, by its descriptor. If the corpus has style labels (``Performance.style``), other prompts
    of the same style are also correct. ``style_retrieval_chance`` is the accuracy of guessing: the mean over
    predictions of the share of correct prompts.

    Its limits, with real clips as perfect predictions (``pytest -m slow test_metrics_style.py``):

    * the other half of the same clip: 14 of 14 halves of seven clips of five talkers (chance 0.14), 29 of 32 halves of
      16 clips of 4 s by two actors in eight emotions (chance 0.06). The descriptor's scales were set on the same clips;
    * the same emotion by the other actor: 11 of 16 (chance 0.13);
    * ``corpus/synthetic`` with its defaults, true tracks: another sentence by another speaker in the same one of 30
      styles: 0.99 (chance 0.03).
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (
        Measure(name="style_retrieval", better="higher"),
        Measure(name="style_retrieval_chance", better="neither"),
    )
    resampled: ClassVar[bool] = False

    @classmethod
    def from_config(cls, config: StyleRetrievalConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def part(self, prediction: Performance, reference: Performance) -> StylePart:
        """Descriptors of prediction and prompt; raises NotComputed if no prompt is known."""
        given, prompt = _prompt(prediction, reference)
        return StylePart(
            prediction=descriptor(given, "style_retrieval", "prediction"),
            prompt=descriptor(prompt, "style_retrieval", "prompt"),
            name=prompt.name,
            style=prompt.style,
        )

    def pool(self, parts: Sequence[StylePart]) -> dict[str, float]:
        """Accuracy and chance; raises NotComputed if all predictions have the same style."""
        right, nearest = self._ranked(parts)
        hits = right.gather(1, nearest[:, None]).double()
        return {"style_retrieval": float(hits.mean()), "style_retrieval_chance": float(right.double().mean())}

    def each(self, parts: Sequence[StylePart]) -> Sequence[Mapping[str, float]]:
        """1 if the nearest prompt is correct, otherwise 0."""
        right, nearest = self._ranked(parts)
        hits = right.gather(1, nearest[:, None])[:, 0]
        return [{"style_retrieval": float(hit)} for hit in hits]

    def _ranked(self, parts: Sequence[StylePart]) -> tuple[Tensor, Tensor]:
        """Which prompts are correct (N, P), and which is nearest (N,)."""
        prompts = {part.name or tuple(part.prompt.tolist()): part for part in parts}
        keys, kept = list(prompts), list(prompts.values())
        right = torch.tensor(
            [
                [key == (part.name or tuple(part.prompt.tolist())) or bool(part.style and part.style == other.style)]
                for part in parts
                for key, other in zip(keys, kept, strict=True)
            ]
        ).reshape(len(parts), len(kept))
        if right.all():
            raise NotComputed("all prompts are the same, or of one style: there is nothing to distinguish")
        ours, theirs = (torch.stack(rows) for rows in ([p.prediction for p in parts], [p.prompt for p in kept]))
        return right, distance(ours[:, None], theirs[None]).argmin(1)


class StyleDiversity(Metric):
    """Diversity of performances of the same words with styles drawn from the prior: mean pairwise distance in mm.

    2 / (N (N - 1)) sum_(i < j) 1/(T V) sum_tv |x^i_tv - x^j_tv|, over the N ``takes``, as in diverse motion generation
    (average pairwise distance; here per vertex). It does not measure quality: a shaking face is diverse.

    References: Y. Yuan, K. Kitani, DLow: Diversifying Latent Flows for Diverse Human Motion Prediction, 2020.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (Measure(name="style_diversity", better="higher", unit="mm"),)

    @classmethod
    def from_config(cls, config: StyleDiversityConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """The mean distance of ``prediction.takes``, (T, V, 3) each; raises NotComputed for fewer than 2."""
        if len(prediction.takes) < 2:
            raise NotComputed(f"it needs 2 takes with styles drawn from the prior, but got {len(prediction.takes)}")
        takes = [
            pairs.alone(attrs.evolve(prediction, vertices=take), "style_diversity", f"take {number}")
            for number, take in enumerate(prediction.takes, 1)
        ]
        shapes = {tuple(take.shape) for take in takes}
        if len(shapes) > 1:
            raise ValueError(f"style_diversity: takes of one clip must have the same shape, not {sorted(shapes)}")
        apart = [torch.linalg.vector_norm(one - other, dim=-1).mean() for one, other in combinations(takes, 2)]
        return {"style_diversity": float(torch.stack(apart).mean())}
