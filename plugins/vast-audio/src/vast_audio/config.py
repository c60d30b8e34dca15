"""Options of the audio features; no torch here."""

from __future__ import annotations

from pathlib import Path

import attrs
from attrs import validators

from vast_core.phones import PHONES


@attrs.frozen(kw_only=True)
class MelConfig:
    """Options of ``audio/mel``."""

    bands: int = attrs.field(default=40, validator=[validators.instance_of(int), validators.ge(8), validators.le(80)])
    """A, mel bands from 60 Hz to 7.6 kHz; 80 is the most that windows of 25 ms resolve."""

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes."""
        return {"audio": self.bands}


@attrs.frozen(kw_only=True)
class PpgConfig:
    """Options of ``audio/ppg``."""

    temperature: float = attrs.field(default=1.0, converter=float, validator=validators.gt(0.0))
    """Divides the logits: above 1 softens the posteriors, below 1 sharpens them."""
    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """File written by ``python -m vast_audio.training``; None takes the one inside the package."""

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes."""
        return {"audio": len(PHONES)}
