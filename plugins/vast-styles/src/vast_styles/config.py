"""Options of the style encoders; no torch here."""

from __future__ import annotations

import attrs
from attrs import validators


@attrs.frozen(kw_only=True)
class AttentiveConfig:
    """Options of ``style/attentive``."""

    size: int = attrs.field(default=32, validator=[validators.instance_of(int), validators.ge(1)])
    """Z, width of the style code."""
    context: int = attrs.field(default=64, validator=[validators.instance_of(int), validators.ge(1)])
    """H, width of the context for the flow."""
    width: int = attrs.field(default=128, validator=[validators.instance_of(int), validators.ge(1)])
    """Width of the transformer; even, and a multiple of ``heads``."""
    layers: int = attrs.field(default=2, validator=[validators.instance_of(int), validators.ge(0)])
    """Layers of the transformer."""
    heads: int = attrs.field(default=4, validator=[validators.instance_of(int), validators.ge(1)])
    """Heads of self-attention and of the pooling."""
    dropout: float = attrs.field(default=0.1, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Probability of dropout in training."""
    window: int = attrs.field(default=250, validator=[validators.instance_of(int), validators.ge(1)])
    """Frames that attend to each other; a longer prompt is read in windows of this length, pooled together."""

    def __attrs_post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width is {self.width}; it must be a multiple of 2 * heads = {2 * self.heads}")

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes: Z and H."""
        return {"style": self.size, "context": self.context}
