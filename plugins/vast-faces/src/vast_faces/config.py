"""Options of the face component; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

import attrs
from attrs.validators import ge, gt, in_, instance_of, le

VERTICES = 468
"""V, vertices of the canonical face."""


@attrs.frozen(kw_only=True)
class LandmarksConfig:
    """``face/landmarks``: the face landmarker, tracked, aligned to the canonical face and reduced to a basis."""

    coefficients: int = attrs.field(default=32, validator=[instance_of(int), ge(1), le(256)])
    """E, number of expression coefficients."""
    lower_face: int = attrs.field(default=16, validator=[instance_of(int), ge(1)])
    """Number of coefficients for the lower face, counted from the first."""
    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """``face_landmarker.task``, or a folder with it; by default ``VAST_WEIGHTS``, the cache and a download are
    tried."""
    threads: int = attrs.field(default=2, validator=[instance_of(int), ge(1)])
    """CPU threads of each network."""
    faces: int = attrs.field(default=3, validator=[instance_of(int), ge(1)])
    """Number of faces followed at the same time, of which the largest continuous one is kept."""
    min_face: float = attrs.field(default=32.0, validator=ge(0))
    """Minimum width of a face in pixels; narrower faces are ignored."""
    confidence: float = attrs.field(default=0.5, validator=[gt(0), le(1)])
    """Minimum confidence, in (0, 1], of the detector and the landmark network."""
    mouth: float = attrs.field(default=0.5, validator=[ge(0), le(1)])
    """Minimum confidence, in [0, 1], that the mouth is visible; frames below it, in which a hand, a mask or a
    microphone covers it, teach nothing. 0 takes all."""
    gap: float = attrs.field(default=0.4, validator=ge(0))
    """Longest gap without a face, in seconds, that is interpolated; a longer gap ends the track."""
    shortest: float = attrs.field(default=0.5, validator=gt(0))
    """Minimum duration of a track in seconds."""
    cut: float = attrs.field(default=0.04, validator=[gt(0), le(1)])
    """Mean difference of consecutive frames, in (0, 1], that makes a cut if it also stands out in time."""
    lip_band: float = attrs.field(default=5.0, validator=ge(0))
    """Frequency in Hz up to which smoothing keeps 98.5 % of the amplitude of lips and lids; 0 disables smoothing."""
    face_band: float = attrs.field(default=3.0, validator=ge(0))
    """The same for the rest of the face, in Hz."""
    head_band: float = attrs.field(default=3.0, validator=ge(0))
    """The same for the head pose, in Hz."""
    texture: int = attrs.field(default=256, validator=in_((64, 128, 192, 256, 384, 512, 768, 1024)))
    """U, rows and columns of the mean texture, in texels."""

    @lower_face.validator
    def _no_more_than_coefficients(self, attribute: attrs.Attribute[int], value: int) -> None:
        if value > self.coefficients:
            raise ValueError(f"lower_face is {value}, but there are only {self.coefficients} coefficients")

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes."""
        return {"expression": self.coefficients, "lower_face": self.lower_face, "vertices": VERTICES}
