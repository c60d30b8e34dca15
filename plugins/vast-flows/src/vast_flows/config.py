"""Options of the flows; no torch here."""

from __future__ import annotations

from typing import Literal, get_args

import attrs
from attrs import validators

HouseholderForm = Literal["chain", "compact"]


@attrs.frozen(kw_only=True)
class NoFlowConfig:
    """Options of ``flow/none``: there are none."""


@attrs.frozen(kw_only=True)
class HouseholderConfig:
    """Options of ``flow/householder``."""

    steps: int = attrs.field(default=8, validator=[validators.instance_of(int), validators.ge(1)])
    """K, reflections in the chain; an even number starts as the identity."""
    form: HouseholderForm = attrs.field(default="compact", validator=validators.in_(get_args(HouseholderForm)))
    """One reflection after the other, or up to 8 at once: the same numbers; ``compact`` is faster in small batches."""


@attrs.frozen(kw_only=True)
class PlanarConfig:
    """Options of ``flow/planar``."""

    steps: int = attrs.field(default=8, validator=[validators.instance_of(int), validators.ge(1)])
    """K, planar maps in the chain."""


@attrs.frozen(kw_only=True)
class RadialConfig:
    """Options of ``flow/radial``."""

    steps: int = attrs.field(default=8, validator=[validators.instance_of(int), validators.ge(1)])
    """K, radial maps in the chain."""


SylvesterVariant = Literal["orthogonal", "householder", "triangular"]


def _check_variant(config: SylvesterConfig, field: attrs.Attribute[int | None], value: int | None) -> None:
    owner = {"rank": "orthogonal", "reflections": "householder"}[field.name]
    if value is not None and config.variant != owner:
        raise ValueError(f"{field.name} is an option of the variant {owner!r} alone, not of {config.variant!r}")


@attrs.frozen(kw_only=True)
class SylvesterConfig:
    """Options of ``flow/sylvester``."""

    steps: int = attrs.field(default=4, validator=[validators.instance_of(int), validators.ge(1)])
    """K, Sylvester maps in the chain."""
    variant: SylvesterVariant = attrs.field(default="orthogonal", validator=validators.in_(get_args(SylvesterVariant)))
    """What Q is made by: an iterative orthogonalisation, reflections, or permutations."""
    rank: int | None = attrs.field(
        default=None, validator=[validators.optional([validators.instance_of(int), validators.ge(1)]), _check_variant]
    )
    """M, columns of Q, at most Z; the lesser of 8 and Z where none is given; of ``orthogonal`` alone."""
    reflections: int | None = attrs.field(
        default=None, validator=[validators.optional([validators.instance_of(int), validators.ge(1)]), _check_variant]
    )
    """Reflections that make up Q, 8 where none is given; of ``householder`` alone."""


@attrs.frozen(kw_only=True)
class IAFConfig:
    """Options of ``flow/iaf``."""

    steps: int = attrs.field(default=4, validator=[validators.instance_of(int), validators.ge(1)])
    """K, gated maps in the chain; every second one goes through the components in the opposite order."""
    hidden: int = attrs.field(default=64, validator=[validators.instance_of(int), validators.ge(1)])
    """Units in each of the two hidden layers of a step's masked network; with fewer than Z, components share them."""


@attrs.frozen(kw_only=True)
class CouplingConfig:
    """Options of ``flow/coupling``."""

    steps: int = attrs.field(default=4, validator=[validators.instance_of(int), validators.ge(1)])
    """K, couplings in the chain; two of them move every component."""
    hidden: int = attrs.field(default=64, validator=[validators.instance_of(int), validators.ge(1)])
    """Units in each of the two hidden layers of a step's network."""
