"""Options of the flows; no torch here."""

from __future__ import annotations

from typing import Literal, get_args

import attrs
from attrs import validators

HouseholderForm = Literal["chain", "compact"]


@attrs.frozen(kw_only=True)
class NoFlowConfig:
    """``flow/none`` has no options."""


@attrs.frozen(kw_only=True)
class HouseholderConfig:
    """Options of ``flow/householder``."""

    steps: int = attrs.field(default=8, validator=[validators.instance_of(int), validators.ge(1)])
    """K, number of reflections; an even number starts as the identity."""
    form: HouseholderForm = attrs.field(default="compact", validator=validators.in_(get_args(HouseholderForm)))
    """``chain`` applies one reflection after the other, ``compact`` up to 8 at once, which is faster for small batches;
    the results are the same."""


@attrs.frozen(kw_only=True)
class PlanarConfig:
    """Options of ``flow/planar``."""

    steps: int = attrs.field(default=8, validator=[validators.instance_of(int), validators.ge(1)])
    """K, number of planar maps."""


@attrs.frozen(kw_only=True)
class RadialConfig:
    """Options of ``flow/radial``."""

    steps: int = attrs.field(default=8, validator=[validators.instance_of(int), validators.ge(1)])
    """K, number of radial maps."""


SylvesterVariant = Literal["orthogonal", "householder", "triangular"]


def _check_variant(config: SylvesterConfig, field: attrs.Attribute[int | None], value: int | None) -> None:
    owner = {"rank": "orthogonal", "reflections": "householder"}[field.name]
    if value is not None and config.variant != owner:
        raise ValueError(f"{field.name} is only an option of the variant {owner!r}, not of {config.variant!r}")


@attrs.frozen(kw_only=True)
class SylvesterConfig:
    """Options of ``flow/sylvester``."""

    steps: int = attrs.field(default=4, validator=[validators.instance_of(int), validators.ge(1)])
    """K, number of Sylvester maps."""
    variant: SylvesterVariant = attrs.field(default="orthogonal", validator=validators.in_(get_args(SylvesterVariant)))
    """Construction of Q: iterative orthogonalisation, reflections, or permutations."""
    rank: int | None = attrs.field(
        default=None, validator=[validators.optional([validators.instance_of(int), validators.ge(1)]), _check_variant]
    )
    """M, columns of Q, at most Z; None is the smaller of 8 and Z. Only for ``orthogonal``."""
    reflections: int | None = attrs.field(
        default=None, validator=[validators.optional([validators.instance_of(int), validators.ge(1)]), _check_variant]
    )
    """Number of reflections in Q; None is 8. Only for ``householder``."""


@attrs.frozen(kw_only=True)
class IAFConfig:
    """Options of ``flow/iaf``."""

    steps: int = attrs.field(default=4, validator=[validators.instance_of(int), validators.ge(1)])
    """K, number of gated maps; every second one processes the components in reverse order."""
    hidden: int = attrs.field(default=64, validator=[validators.instance_of(int), validators.ge(1)])
    """Units in each of the two hidden layers of a step's masked network; with fewer than Z, components share units."""


@attrs.frozen(kw_only=True)
class CouplingConfig:
    """Options of ``flow/coupling``."""

    steps: int = attrs.field(default=4, validator=[validators.instance_of(int), validators.ge(1)])
    """K, number of couplings; two of them move every component."""
    hidden: int = attrs.field(default=64, validator=[validators.instance_of(int), validators.ge(1)])
    """Units in each of the two hidden layers of a step's network."""
