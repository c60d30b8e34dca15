"""Options of the toys; no torch here."""

from __future__ import annotations

import attrs
from attrs.validators import and_, ge, instance_of

WHOLE = and_(instance_of(int), ge(1))
BLENDSHAPES = 6
VERTICES = 468


@attrs.frozen(kw_only=True)
class BlendshapesConfig:
    """Options of ``face/blendshapes``."""

    def sizes(self) -> dict[str, int]:
        """E and V; which coefficients move the lower face is not said."""
        return {"expression": BLENDSHAPES, "vertices": VERTICES}


@attrs.frozen(kw_only=True)
class MatchingConfig:
    """Options of ``decoder/matching``."""

    width: int = attrs.field(default=32, validator=WHOLE)
    """Of the hidden layer."""
    steps: int = attrs.field(default=4, validator=WHOLE)
    """From noise to a face."""


@attrs.frozen(kw_only=True)
class WarpConfig:
    """Options of ``renderer/warp``."""

    size: int = attrs.field(default=32, validator=and_(instance_of(int), ge(8)))
    """Y = X of the crop, in pixels."""

    def sizes(self) -> dict[str, int]:
        """Y = X."""
        return {"image": self.size}


@attrs.frozen(kw_only=True)
class LearnedConfig:
    """Options of ``audio/learned``."""

    width: int = attrs.field(default=8, validator=WHOLE)
    """A."""

    def sizes(self) -> dict[str, int]:
        """A."""
        return {"audio": self.width}


@attrs.frozen(kw_only=True)
class WordsConfig:
    """Options of ``style/words``."""

    size: int = attrs.field(default=4, validator=WHOLE)
    """Z."""

    def sizes(self) -> dict[str, int]:
        """Z, and H as wide."""
        return {"style": self.size, "context": self.size}


@attrs.frozen(kw_only=True)
class ManneredConfig:
    """Options of ``style/mannered``."""

    size: int = attrs.field(default=4, validator=WHOLE)
    """Z."""

    def sizes(self) -> dict[str, int]:
        """Z, and H as wide."""
        return {"style": self.size, "context": self.size}
