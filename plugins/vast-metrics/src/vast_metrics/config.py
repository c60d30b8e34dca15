"""The options of each metric and stage; imports no torch."""

from __future__ import annotations

import attrs
from attrs.validators import and_, ge, gt, instance_of, min_len


@attrs.frozen(kw_only=True)
class LipVertexErrorConfig:
    """``lip_vertex_error`` has no options."""


@attrs.frozen(kw_only=True)
class LipCorrelationConfig:
    """``lip_correlation`` has no options."""


@attrs.frozen(kw_only=True)
class LandmarkDistanceConfig:
    """``landmark_distance`` has no options."""


@attrs.frozen(kw_only=True)
class UpperFaceDynamicsConfig:
    """``upper_face_dynamics`` has no options."""


@attrs.frozen(kw_only=True)
class MotionStabilityConfig:
    """Options of ``motion_stability``."""

    floor: float = attrs.field(default=1e-6, validator=and_(instance_of(float), gt(0.0)))
    """Smallest variance of acceleration told apart from stillness, in (m/s^2)^2: the index stops at 1 / floor."""


@attrs.frozen(kw_only=True)
class PSNRConfig:
    """``psnr`` has no options."""


@attrs.frozen(kw_only=True)
class SSIMConfig:
    """``ssim`` has no options."""


def _odd(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value % 2 == 0:
        raise ValueError(f"{attribute.name} is {value}; it must be odd: the frame itself and as many on either side")


@attrs.frozen(kw_only=True)
class LipYardstickStage:
    """Options of the stage ``lip_yardstick``."""

    audio: tuple[str, ...] = ("mel",)
    """Audio components, with their defaults, that stand beside the recipe's own."""
    context: int = attrs.field(default=13, validator=and_(ge(1), _odd))
    """Frames of features that the regression sees."""
    decoder: bool = False
    """Whether style encoder, flow and decoder are trained, too, without each speaker in turn."""
    seeds: tuple[int, ...] = attrs.field(default=(1,), validator=min_len(1))
    """With each of which they are trained."""
