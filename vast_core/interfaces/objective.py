"""One loss to minimise, for the training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
from torch import Tensor, nn
from torch.optim import Optimizer


@attrs.frozen(eq=False)
class Objective:
    """One loss to minimise over some parameters; a step of training is a sequence of these."""

    name: str
    loss: Tensor
    """()."""
    parameters: Sequence[nn.Parameter]
    terms: Mapping[str, Tensor] = attrs.field(factory=dict)
    """Terms of the loss, each () and logged separately."""
    optimiser: Callable[[Sequence[nn.Parameter]], Optimizer] | None = None
    """Makes the objective's own optimiser of ``parameters``; called once, at the first step. The stage does not change
    its learning rates. None means the stage's AdamW with warm-up and cosine decay.

    Its state must be per parameter and consist of tensors or numbers, as with AdamW and SGD, so that checkpoints keep
    it."""
