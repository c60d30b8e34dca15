"""Options of the face component; imports nothing heavy."""

from __future__ import annotations

import attrs
from attrs.validators import ge, gt, in_, instance_of, le, optional

VERTICES = 468
"""V of the canonical face."""


@attrs.frozen(kw_only=True)
class LandmarksConfig:
    """``face/landmarks``: the face landmarker, tracked, aligned to the canonical face and cut down to a basis."""

    coefficients: int = attrs.field(default=32, validator=[instance_of(int), ge(1), le(256)])
    """E."""
    lower_face: int = attrs.field(default=16, validator=[instance_of(int), ge(1)])
    """How many of them are given to the lower face, counted from the first."""
    weights: str | None = attrs.field(default=None, validator=optional(instance_of(str)))
    """``face_landmarker.task``, or a folder with it; else ``VAST_WEIGHTS``, the cache and the network are tried."""
    threads: int = attrs.field(default=2, validator=[instance_of(int), ge(1)])
    """Threads of each network."""
    faces: int = attrs.field(default=3, validator=[instance_of(int), ge(1)])
    """How many faces are followed at the same time, to keep the largest continuous one."""
    min_face: float = attrs.field(default=32.0, validator=ge(0))
    """Width in pixels below which a face is passed over."""
    confidence: float = attrs.field(default=0.5, validator=[gt(0), le(1)])
    """What detector and landmark network must be sure of."""
    gap: float = attrs.field(default=0.4, validator=ge(0))
    """Seconds without a face that are interpolated; a longer gap ends the track."""
    shortest: float = attrs.field(default=0.5, validator=gt(0))
    """Seconds of face that a track needs."""
    cut: float = attrs.field(default=0.04, validator=[gt(0), le(1)])
    """Mean difference of consecutive frames, of 0 to 1, that makes a cut where it also stands out in time."""
    lip_band: float = attrs.field(default=5.0, validator=ge(0))
    """Hz up to which lips and lids keep 98.5 % of their amplitude in smoothing; 0 leaves them as tracked."""
    face_band: float = attrs.field(default=3.0, validator=ge(0))
    """The same of the rest of the face."""
    head_band: float = attrs.field(default=3.0, validator=ge(0))
    """The same of the head pose."""
    texture: int = attrs.field(default=256, validator=in_((64, 128, 192, 256, 384, 512, 768, 1024)))
    """U, rows and columns of the mean texture."""

    @lower_face.validator
    def _no_more_than_coefficients(self, attribute: attrs.Attribute[int], value: int) -> None:
        if value > self.coefficients:
            raise ValueError(f"lower_face is {value}, but there are only {self.coefficients} coefficients")

    def sizes(self) -> dict[str, int]:
        """The widths that this component fixes."""
        return {"expression": self.coefficients, "lower_face": self.lower_face, "vertices": VERTICES}
