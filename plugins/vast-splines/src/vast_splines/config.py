"""Options of the spline flow; no torch here."""

from __future__ import annotations

import math
from typing import Literal, get_args

import attrs
from attrs import validators

SplineForm = Literal["autoregressive", "coupling"]


@attrs.frozen(kw_only=True)
class SplineConfig:
    """Options of ``flow/spline``."""

    steps: int = attrs.field(default=2, validator=[validators.instance_of(int), validators.ge(1)])
    """K, number of maps; every second one processes the components in reverse order."""
    form: SplineForm = attrs.field(default="autoregressive", validator=validators.in_(get_args(SplineForm)))
    """What the spline of a component depends on, in addition to the prompt: all components before it, or the other
    half."""
    bins: int = attrs.field(default=8, validator=[validators.instance_of(int), validators.ge(2)])
    """Number of pieces of each spline."""
    bound: float = attrs.field(default=5.0, converter=float, validator=[validators.gt(0), validators.lt(math.inf)])
    """Components beyond [-bound, bound] are unchanged; the prior has a standard deviation of 1."""
    hidden: int = attrs.field(default=64, validator=[validators.instance_of(int), validators.ge(1)])
    """Units in each of the two hidden layers of a step's masked network."""
