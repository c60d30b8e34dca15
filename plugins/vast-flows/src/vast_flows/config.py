"""Options of the flows; no torch here."""

from __future__ import annotations

import attrs
from attrs import validators


@attrs.frozen(kw_only=True)
class NoFlowConfig:
    """Options of ``flow/none``: there are none."""


@attrs.frozen(kw_only=True)
class HouseholderConfig:
    """Options of ``flow/householder``."""

    steps: int = attrs.field(default=8, validator=[validators.instance_of(int), validators.ge(1)])
    """K, reflections in the chain; an even number starts as the identity."""


@attrs.frozen(kw_only=True)
class PlanarConfig:
    """Options of ``flow/planar``."""

    steps: int = attrs.field(default=8, validator=[validators.instance_of(int), validators.ge(1)])
    """K, planar maps in the chain."""
