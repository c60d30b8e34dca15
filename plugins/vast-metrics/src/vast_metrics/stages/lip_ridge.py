"""The baseline of the report: ridge regression of lip opening on the audio features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import attrs
import numpy as np

from vast_core.media import LipSync, pearson
from vast_core.media.lip_regression import CONTEXT, EVERYTHING, FOLDS, LipSample, Moments, Reduction, Ridge

PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Ridge penalties per row of standardised features, from which the best is chosen."""


@attrs.frozen(eq=False)
class LipRidge:
    """Ridge regression of lip opening on 13 frames of standardised audio features.

    Each clip's opening is also standardised, so that wide and small mouths have equal weight.
    """

    reduction: Reduction
    model: Ridge

    @classmethod
    def fit(cls, train: Sequence[LipSync]) -> Self:
        """Train on ``train``; the penalty is chosen by cross-validation over clips."""
        reduction = Reduction.fit(train)
        pieces = [LipSample.of(clip, reduction, number % FOLDS) for number, clip in enumerate(train)]
        if len(pieces) == 1:
            pieces = [pieces[0].blocks()]
        still = np.zeros(len(pieces))
        moments = Moments.of(pieces, still, CONTEXT)
        models = [Ridge.solve(moments, penalty, CONTEXT) for penalty in PENALTIES]
        return cls(reduction, max(models, key=lambda model: pearson(*model.judge(pieces, still))))

    def correlation(self, test: LipSync) -> float:
        """Correlation of predicted and tracked opening over the valid frames of a clip outside the training set."""
        piece = LipSample.of(test, self.reduction, EVERYTHING)
        return pearson(*self.model.judge([piece], np.zeros(1)))
