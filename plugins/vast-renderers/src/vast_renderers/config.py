"""Options of the renderers, and the widths that they fix."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from attrs import validators

REMEMBERED = 3
"""Number of remembered mouths in a scene."""


def _multiple_of_eight(instance: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if value % 8 or value < 32:
        raise ValueError(
            f"{attribute.name} must be a multiple of 8, at least 32, because three stride-2 convolutions "
            f"halve it three times; got {value}"
        )


_share = [validators.ge(0.0), validators.le(1.0)]


@attrs.frozen(kw_only=True)
class CganConvLstmConfig:
    """Options of ``renderer/cgan_convlstm``.

    Without ``texture``, ``skips`` and ``residual``, and with transposed convolutions, it follows the paper.
    """

    size: int = attrs.field(default=128, validator=_multiple_of_eight)
    """Height and width (Y = X) of the crop, in pixels."""
    width: int = attrs.field(default=32, validator=validators.ge(8))
    """Channels after the first convolution; the bottleneck has four times as many."""
    texture: bool = True
    """Concatenate the mesh drawn with the avatar's mean texture to the images (ours)."""
    skips: bool = True
    """Pass encoder features and the images themselves around the bottleneck (ours)."""
    residual: bool = True
    """Predict a correction of the composite of mesh and background instead of the picture (ours)."""
    upsampling: Literal["shuffle", "transposed"] = attrs.field(
        default="shuffle", validator=validators.in_(("shuffle", "transposed"))
    )
    """`shuffle`: convolutions and pixel shuffles (ours). `transposed`: the paper's transposed convolutions, which leave
    the pattern of their grid as specks at edges."""
    l1: float = attrs.field(default=1.0, validator=validators.gt(0.0))
    """Weight of the mean absolute error (of colours in [0, 1])."""
    face: float = attrs.field(default=1.0, validator=validators.ge(0.0))
    """Additional weight of errors over the face, relative to 1 in the whole hole."""
    mouth: float = attrs.field(default=4.0, validator=validators.ge(0.0))
    """Further additional weight of errors over the mouth."""
    eyes: float = attrs.field(default=4.0, validator=validators.ge(0.0))
    """Further additional weight of errors over the eyes."""
    adversarial: float = attrs.field(default=0.01, validator=validators.ge(0.0))
    """Weight of the adversarial loss; if ``feature_matching`` is also 0, no discriminators are built."""
    feature_matching: float = attrs.field(default=0.1, validator=validators.ge(0.0))
    """Weight of the distance between the discriminators' features of real and drawn frames."""
    adversarial_start: float = attrs.field(default=0.5, validator=_share)
    """Share of training, in [0, 1], after which the adversarial loss is used; before it, only L1."""
    discriminator_width: int = attrs.field(default=16, validator=validators.ge(4))
    """Channels after a discriminator's first convolution."""
    discriminator_scales: int = attrs.field(default=2, validator=[validators.ge(1), validators.le(4)])
    """Number of resolutions of the discriminators: full, half, ..."""

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes."""
        return {"image": self.size}


@attrs.frozen(kw_only=True)
class OwnFrameConfig:
    """Options of ``renderer/own_frame``."""

    size: int = attrs.field(default=128, validator=_multiple_of_eight)
    """Height and width (Y = X) of the mouth's close-up, in pixels."""
    width: int = attrs.field(default=32, validator=validators.ge(8))
    """Half the channels at half the size; the bottleneck has twice as many."""
    remembered: int = attrs.field(default=3, validator=[validators.ge(0), validators.le(REMEMBERED)])
    """Number of remembered mouths that the network sees; with 0 it paints from the own frame alone."""
    l1: float = attrs.field(default=1.0, validator=validators.gt(0.0))
    """Weight of the mean absolute error (of colours in [0, 1])."""
    detail: float = attrs.field(default=1.0, validator=validators.ge(0.0))
    """Weight of the mean absolute error of differences between neighbouring pixels."""
    sharpness: float = attrs.field(default=1.0, validator=validators.ge(0.0))
    """Weight of the mean absolute error of the strength of fine detail around each pixel."""
    opening: float = attrs.field(default=4.0, validator=validators.ge(0.0))
    """Additional weight of errors between the lips, relative to 1 in the whole region."""
    lips: float = attrs.field(default=2.0, validator=validators.ge(0.0))
    """Additional weight of errors over the lips and between them."""
    adversarial: float = attrs.field(default=0.05, validator=validators.ge(0.0))
    """Weight of the adversarial loss; if ``feature_matching`` is also 0, no discriminators are built."""
    feature_matching: float = attrs.field(default=0.5, validator=validators.ge(0.0))
    """Weight of the distance between the discriminators' features of real and drawn close-ups."""
    adversarial_start: float = attrs.field(default=0.5, validator=_share)
    """Share of training, in [0, 1], after which the adversarial loss is used."""
    discriminator_width: int = attrs.field(default=16, validator=validators.ge(4))
    """Channels after a discriminator's first convolution."""
    discriminator_scales: int = attrs.field(default=2, validator=[validators.ge(1), validators.le(4)])
    """Number of resolutions of the discriminators: full, half, ..."""

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes."""
        return {"image": self.size}


@attrs.frozen(kw_only=True)
class MeshConfig:
    """Options of ``renderer/mesh``."""

    size: int = attrs.field(default=128, validator=_multiple_of_eight)
    """Height and width (Y = X) of the crop, in pixels."""

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes."""
        return {"image": self.size}
