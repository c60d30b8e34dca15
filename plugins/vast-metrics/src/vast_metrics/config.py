"""The options of each metric; imports no torch."""

from __future__ import annotations

import attrs
from attrs.validators import and_, gt, instance_of


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
