"""One loss to minimise, for the training loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from torch import Tensor, nn


@attrs.frozen(eq=False)
class Objective:
    """One loss to minimise over some parameters; a step of training is a sequence of these."""

    name: str
    loss: Tensor
    """()."""
    parameters: Sequence[nn.Parameter]
    terms: Mapping[str, Tensor] = attrs.field(factory=dict)
    """Terms of the loss, each () and logged separately."""
