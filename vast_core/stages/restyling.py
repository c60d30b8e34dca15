"""Random styles for training: footage that is given another lasting expression and another amplitude.

Somebody who is filmed in one mood does not show that a style can be any other, and an encoder and decoder trained on
few moods shrink those they have not seen. So, with a probability, target and prompt of a training row are both changed
to

    centre + gain * (expression - centre) + offset,

where ``centre`` (E,) is the clip's mean. The offset is drawn from the normal distribution of the clips' means, the gain
is log-normal, one for the lower face and one for the rest. Both are unrelated to sound, so that only the style code can
carry them (our choice).
"""

from __future__ import annotations

import attrs
import numpy as np
import torch
from torch import Tensor

UPPER, LOWER = 0.35, 0.15
"""Standard deviation of ln gain of the rest of the face, and of the lower face."""


@attrs.frozen(eq=False)
class RandomStyle:
    """One change of style."""

    offset: Tensor
    """(E,)."""
    gain: Tensor
    """(E,)."""

    def of(self, expression: Tensor, centre: Tensor) -> Tensor:
        """Expression (T, E) in this style; ``centre`` (E,) is the mean of its clip."""
        return centre + self.gain * (expression - centre) + self.offset


class Restyling:
    """Draws random styles whose offsets are distributed like the means of clips."""

    def __init__(self, means: Tensor, lower_face: int) -> None:
        """``means`` (N, E) are those of training clips; the first ``lower_face`` coefficients move the lower face."""
        rows = means.double()
        covariance = (rows - rows.mean(0)).T @ (rows - rows.mean(0)) / len(rows)
        values, vectors = torch.linalg.eigh(covariance)
        self._root = (vectors * values.clamp_min(0).sqrt()).float()
        self._lower = lower_face

    def draw(self, chance: np.random.Generator) -> RandomStyle:
        """A random style."""
        width = len(self._root)
        offset = self._root @ torch.from_numpy(chance.standard_normal(width)).float()
        gain = torch.full((width,), float(np.exp(UPPER * chance.standard_normal())))
        gain[: self._lower] = float(np.exp(LOWER * chance.standard_normal()))
        return RandomStyle(offset, gain)
