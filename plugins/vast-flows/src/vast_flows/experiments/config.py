"""Options of the experiments; no torch here."""

from __future__ import annotations

from typing import Literal, get_args

import attrs
from attrs.validators import deep_iterable, ge, gt, in_, instance_of, min_len, optional

Density = Literal["ring", "wave", "split wave", "forked wave"]
"""U1 to U4 of Rezende & Mohamed 2015, table 1."""

_WHOLE = instance_of(int)


@attrs.frozen(kw_only=True)
class DensitiesStage:
    """Fits flows of several lengths to densities in the plane."""

    flow: str = "planar"
    """Name of a flow with the option ``steps``."""
    lengths: tuple[int, ...] = attrs.field(
        default=(2, 8, 32), validator=[min_len(1), deep_iterable(member_validator=[_WHOLE, ge(1)])]
    )
    """K, numbers of maps in the chain."""
    densities: tuple[Density, ...] = attrs.field(
        default=get_args(Density), validator=[min_len(1), deep_iterable(member_validator=in_(get_args(Density)))]
    )
    """Densities to fit."""
    steps: int = attrs.field(default=3000, validator=[_WHOLE, ge(1)])
    """Training steps of each fit."""
    batch: int = attrs.field(default=256, validator=[_WHOLE, ge(2)])
    """Samples per step."""
    learning_rate: float = attrs.field(default=2.0e-2, validator=gt(0))
    """Initial learning rate of Adam, with cosine decay to 0."""


@attrs.frozen(kw_only=True)
class DigitsStage:
    """A variational autoencoder of handwritten digits with a flow posterior."""

    flow: str = "none"
    """Name of the flow."""
    flow_steps: int | None = attrs.field(default=None, validator=optional([_WHOLE, ge(1)]))
    """K; None is the flow's own default."""
    code: int = attrs.field(default=8, validator=[_WHOLE, ge(2)])
    """Z, width of the code."""
    hidden: int = attrs.field(default=128, validator=[_WHOLE, ge(1)])
    """Units of the hidden layers of encoder and decoder, and H, the width of the flow's context."""
    epochs: int = attrs.field(default=100, validator=[_WHOLE, ge(1)])
    """Passes over the training digits."""
    batch: int = attrs.field(default=64, validator=[_WHOLE, ge(2)])
    """B, digits per step."""
    learning_rate: float = attrs.field(default=1.0e-3, validator=gt(0))
    """Initial learning rate of Adam, with cosine decay to 0."""
    samples: int = attrs.field(default=200, validator=[_WHOLE, ge(2)])
    """Samples per digit of the held-out bound."""
