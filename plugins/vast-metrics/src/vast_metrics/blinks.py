"""Blink rate."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import Measure, Metric, Performance, Sizes

from . import pairs
from .config import BlinkRateConfig
from .face_parts import lids

OPEN_QUANTILE = 0.8
"""Quantile of the lid gap in the window that counts as open; eyes are open most of the time."""
FLOOR = 0.5
"""Lower bound of the open level, relative to the whole clip: a window with closed eyes has no open level of its own."""


class BlinkRate(Metric):
    """Blinks per minute of the prediction, and the difference from the reference (+ more, - fewer).

    g_t = mean over both eyes of the distance between the middles of upper and lower lid (canonical, without head pose),
    o_t = g_t / max(q_t, q / 2), with q_t the 80 % quantile of g within ``window`` seconds on either side, q of all g.
    A blink begins where o falls below ``closed`` and ends where it has risen above ``open`` again. It counts if it is
    at most ``longest`` seconds long (otherwise the eyes are held shut, or look down) and both beginning and end are
    visible.

    All of this is our choice; sides and lids are found on the neutral face (:mod:`vast_metrics.face_parts`). Blinks
    cannot be predicted from audio: a vast avatar takes its lids from its own footage, so this figure then describes
    that footage; a model's own vertices, before drawing, do not blink at all.

    Seven clips of five talkers, tracked by ``face/landmarks`` at 25 fps, have 12 to 44 blinks per minute (161 s
    in all, 79 blinks; compared with a plot of the gap, one closing is missed, after which the eyes stay narrowed).
    A blink that follows another within ``longest`` seconds, before the eyes have opened, is merged with it.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (
        Measure(name="blink_rate", better="neither", unit="1/min"),
        Measure(name="blink_rate_deviation", better="closer to 0", unit="1/min"),
    )

    def __init__(self, config: BlinkRateConfig) -> None:
        self.config = config

    @classmethod
    def from_config(cls, config: BlinkRateConfig, sizes: Sizes) -> Self:
        """Build with the config's thresholds."""
        return cls(config)

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """Both figures for vertices (T, V, 3); the deviation is 0 for an identical pair.

        Raises :class:`vast_core.errors.NotComputed` if the clip is shorter than ``shortest`` seconds, or the face does
        not distinguish upper and lower lids.
        """
        x, y = pairs.vertices(prediction, reference, "blink_rate")
        fps = pairs.rate(prediction, reference, "blink_rate")
        neutral = pairs.neutral(reference, "blink_rate")
        if len(y) < self.config.shortest * fps:
            raise NotComputed(f"the clip has {len(y) / fps:.1f} s, but a blink rate needs {self.config.shortest:g} s")
        eyes = lids(reference.face, neutral)
        ours, theirs = (
            60 * fps * len(self.blinks(torch.stack([eye.gap(side) for eye in eyes]).mean(0), fps)) / len(side)
            for side in (x, y)
        )
        return {"blink_rate": ours, "blink_rate_deviation": ours - theirs}

    def blinks(self, gap: Tensor, fps: float) -> list[tuple[int, int]]:
        """First frame of each blink and the first frame after it, from the lid gap (T,) in any unit."""
        openness = (gap / _open_level(gap, round(self.config.window * fps))).tolist()
        found: list[tuple[int, int]] = []
        began: int | None = None
        was_open = False
        for frame, share in enumerate(openness):
            if share > self.config.open:
                if began is not None and frame - began <= self.config.longest * fps:
                    found.append((began, frame))
                began, was_open = None, True
            elif share < self.config.closed and began is None and was_open:
                began = frame
        return found


def _open_level(gap: Tensor, reach: int) -> Tensor:
    """Lid gap of open eyes (T,), around each frame; never 0."""
    overall = torch.quantile(gap, OPEN_QUANTILE)
    around = [torch.quantile(gap[max(0, at - reach) : at + reach + 1], OPEN_QUANTILE) for at in range(len(gap))]
    return torch.stack(around).clamp(min=max(float(FLOOR * overall), 1e-9))
