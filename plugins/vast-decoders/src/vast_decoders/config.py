"""Options of the decoders; no torch here."""

from __future__ import annotations

import attrs
from attrs import validators


def _dilations(instance: object, attribute: attrs.Attribute[tuple[int, ...]], value: tuple[int, ...]) -> None:
    if not isinstance(value, tuple) or not all(type(number) is int and number > 0 for number in value):
        raise ValueError(f"{attribute.name} is {value!r}; it must be a list of whole numbers above 0")


@attrs.frozen(kw_only=True)
class HybridConfig:
    """Options of ``decoder/hybrid``."""

    width: int = attrs.field(default=128, validator=[validators.instance_of(int), validators.ge(1)])
    """Of the trunk."""
    symmetric: tuple[int, ...] = attrs.field(default=(1, 2, 3), validator=_dilations)
    """Dilations of the trunk's first blocks, which look both ways; their sum is the look-ahead in frames."""
    causal: tuple[int, ...] = attrs.field(default=(2, 4), validator=_dilations)
    """Dilations of the blocks after them, which look back only, each twice as far as its dilation."""
    linear_reach: int = attrs.field(default=6, validator=[validators.instance_of(int), validators.ge(0)])
    """Frames to either side that the linear path reads; no more than the trunk sees."""
    linear_trained: bool = True
    """Whether the linear path learns on after its start from a regression. On minutes of footage that undoes the
    regression's penalty, and the lips of people never seen follow worse."""
    recurrent: int = attrs.field(default=96, validator=[validators.instance_of(int), validators.ge(1)])
    """Width of the autoregressive head."""
    forcing: float = attrs.field(default=0.7, validator=[validators.ge(0.0), validators.le(1.0)])
    """Share of the training over which teacher forcing falls from 1 to 0."""
    postnet: int = attrs.field(default=5, validator=[validators.instance_of(int), validators.ge(2)])
    """Frames that each of the post-net's two convolutions sees."""
    dropout: float = attrs.field(default=0.1, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Share of activations dropped in training."""
