"""The options of the renderers, and the widths that they fix."""

from __future__ import annotations

from typing import Any

import attrs
from attrs import validators


def _multiple_of_eight(instance: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if value % 8 or value < 32:
        raise ValueError(
            f"{attribute.name} must be a multiple of 8, at least 32, because three stride-2 convolutions "
            f"halve it three times; got {value}"
        )


_share = [validators.ge(0.0), validators.le(1.0)]


@attrs.frozen(kw_only=True)
class CganConvLstmConfig:
    """Options of ``renderer/cgan_convlstm``; ``texture``, ``skips`` and ``residual`` off is the paper to the letter."""

    size: int = attrs.field(default=128, validator=_multiple_of_eight)
    """Y = X of the crop, in pixels."""
    width: int = attrs.field(default=32, validator=validators.ge(8))
    """Channels after the first convolution; the bottleneck has four times as many."""
    texture: bool = True
    """Concatenate the mesh drawn with the avatar's mean texture to the images (ours)."""
    skips: bool = True
    """Lead encoder features and the images themselves past the bottleneck (ours)."""
    residual: bool = True
    """Predict what to add to the composite of mesh and background, not the picture (ours)."""
    l1: float = attrs.field(default=1.0, validator=validators.gt(0.0))
    """Weight of the mean absolute error."""
    face: float = attrs.field(default=1.0, validator=validators.ge(0.0))
    """How much more an error over the face counts than one in the rest of the hole, which counts 1."""
    mouth: float = attrs.field(default=4.0, validator=validators.ge(0.0))
    """How much more again an error over the mouth counts."""
    eyes: float = attrs.field(default=4.0, validator=validators.ge(0.0))
    """How much more again an error over the eyes counts."""
    adversarial: float = attrs.field(default=0.01, validator=validators.ge(0.0))
    """Weight of the adversarial loss; with ``feature_matching`` 0 as well, no discriminator is built."""
    feature_matching: float = attrs.field(default=0.1, validator=validators.ge(0.0))
    """Weight of the distance between the discriminators' features of real and of drawn frames."""
    adversarial_start: float = attrs.field(default=0.5, validator=_share)
    """Share of training after which the adversarial game starts; before it, only L1."""
    discriminator_width: int = attrs.field(default=16, validator=validators.ge(4))
    """Channels after a discriminator's first convolution."""
    discriminator_scales: int = attrs.field(default=2, validator=[validators.ge(1), validators.le(4)])
    """Resolutions at which the discriminators look: full, half, ..."""

    def sizes(self) -> dict[str, int]:
        """The widths that this config fixes."""
        return {"image": self.size}


@attrs.frozen(kw_only=True)
class MeshConfig:
    """Options of ``renderer/mesh``."""

    size: int = attrs.field(default=128, validator=_multiple_of_eight)
    """Y = X of the crop, in pixels."""

    def sizes(self) -> dict[str, int]:
        """The widths that this config fixes."""
        return {"image": self.size}
