"""Options of the decoders; no torch here."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs import validators


def _dilations(instance: object, attribute: attrs.Attribute[tuple[int, ...]], value: tuple[int, ...]) -> None:
    if not isinstance(value, tuple) or not all(type(number) is int and number > 0 for number in value):
        raise ValueError(f"{attribute.name} is {value!r}; it must be a list of positive integers")


@attrs.frozen(kw_only=True)
class HybridConfig:
    """Options of ``decoder/hybrid``."""

    width: int = attrs.field(default=128, validator=[validators.instance_of(int), validators.ge(1)])
    """Channels of the trunk."""
    symmetric: tuple[int, ...] = attrs.field(default=(1, 2, 3), validator=_dilations)
    """Dilations of the first blocks of the trunk, which see past and future; their sum is the look-ahead in frames."""
    causal: tuple[int, ...] = attrs.field(default=(2, 4), validator=_dilations)
    """Dilations of the blocks after them, which see only the past, up to twice the dilation."""
    linear_reach: int = attrs.field(default=6, validator=[validators.instance_of(int), validators.ge(0)])
    """Frames on either side that the linear path reads; at most as many as the trunk sees."""
    linear_trained: bool = True
    """Whether the linear path is trained further after its regression start. With minutes of footage this undoes the
    penalty of the regression, and the lips of unseen people follow less well."""
    parts: Literal["linear", "trunk", "all"] = "all"
    """Which parts predict: the linear path alone, trunk and linear path, or these refined by head and post-net. With
    minutes of footage each further part overfits, and the lips of unseen people follow less well."""
    enlarged: float = attrs.field(default=1.0, converter=float, validator=[validators.ge(1.0), validators.le(3.0)])
    """Largest factor by which the motion of a coefficient is enlarged to that of the footage; 1 leaves the regression,
    which moves less."""
    recurrent: int = attrs.field(default=96, validator=[validators.instance_of(int), validators.ge(1)])
    """Width of the autoregressive head."""
    forcing: float = attrs.field(default=0.7, validator=[validators.ge(0.0), validators.le(1.0)])
    """Share of the training, in [0, 1], over which the probability of teacher forcing falls from 1 to 0."""
    postnet: int = attrs.field(default=5, validator=[validators.instance_of(int), validators.ge(2)])
    """Frames that each of the two convolutions of the post-net sees."""
    dropout: float = attrs.field(default=0.1, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Probability of dropout in training."""
