"""Options of the audio features; no torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import validators

from vast_core.phones import PHONES
from vast_core.registry import TrainingStage

from .wav2vec2_bundles import BUNDLES

ACOUSTIC_WIDTH = 384
"""Width of the acoustic model, that of Whisper tiny."""


def _look_ahead() -> Any:
    return attrs.field(
        default=None,
        converter=attrs.converters.optional(float),
        validator=validators.optional([validators.gt(0.0), validators.le(10.0)]),
    )


@attrs.frozen(kw_only=True)
class MelConfig:
    """Options of ``audio/mel``."""

    bands: int = attrs.field(default=40, validator=[validators.instance_of(int), validators.ge(8), validators.le(80)])
    """A, number of mel bands from 60 Hz to 7.6 kHz; windows of 25 ms resolve at most 80."""

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes."""
        return {"audio": self.bands}


@attrs.frozen(kw_only=True)
class PpgConfig:
    """Options of ``audio/ppg``."""

    temperature: float = attrs.field(default=1.0, converter=float, validator=validators.gt(0.0))
    """Divides the logits: above 1 softens the posteriors, below 1 sharpens them."""
    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """File of weights written by the stage ``acoustic``; None uses the one inside the package."""
    look_ahead: float | None = _look_ahead()
    """Seconds of later sound that a row may depend on, for sound that is heard as it comes; None computes blocks of 32
    frames together, which is more accurate and faster."""

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes."""
        return {"audio": len(PHONES)}


@attrs.frozen(kw_only=True)
class AcousticConfig:
    """Options of ``audio/acoustic``."""

    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """File of weights written by the stage ``acoustic``; None uses the one inside the package."""
    look_ahead: float | None = _look_ahead()
    """As for ``audio/ppg``."""

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes."""
        return {"audio": ACOUSTIC_WIDTH}


@attrs.frozen(kw_only=True)
class PpgWhisperConfig:
    """Options of ``audio/ppg_whisper``."""

    temperature: float = attrs.field(default=1.0, converter=float, validator=validators.gt(0.0))
    """Divides the logits: above 1 softens the posteriors, below 1 sharpens them."""
    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """``model.safetensors`` of ``openai/whisper-tiny.en``, or a folder with it; None searches ``VAST_WEIGHTS`` and the
    cache."""

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes."""
        return {"audio": len(PHONES)}


@attrs.frozen(kw_only=True)
class Wav2Vec2Config:
    """Options of ``audio/wav2vec2``."""

    bundle: str = attrs.field(default="WAV2VEC2_ASR_BASE_960H", validator=validators.in_(BUNDLES))
    """Name of a pretrained model in ``torchaudio.pipelines``."""
    layer: int | None = attrs.field(default=None, validator=validators.optional(validators.ge(1)))
    """Hidden layer whose output is used, counted from 1; None uses the letter logits."""
    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """File of safetensors, or a folder with it; None searches ``VAST_WEIGHTS`` and the cache."""

    def __attrs_post_init__(self) -> None:
        known = BUNDLES[self.bundle]
        if self.layer is None and known.letters is None:
            raise ValueError(f"layer: {self.bundle} has no logits; choose a layer from 1 to {known.layers}")
        if self.layer is not None and self.layer > known.layers:
            raise ValueError(f"layer: {self.layer} is too large; {self.bundle} has {known.layers} layers")

    def sizes(self) -> dict[str, int]:
        """Widths that this component fixes."""
        known = BUNDLES[self.bundle]
        return {"audio": known.width if self.layer is not None or known.letters is None else known.letters}


@attrs.frozen(kw_only=True)
class AcousticStage(TrainingStage):
    """Training of the acoustic model of ``audio/ppg`` on the speech of a corpus."""

    steps: int = attrs.field(default=2000, validator=validators.ge(1))
    """Training steps."""
    batch: int = attrs.field(default=12, validator=validators.ge(1))
    """B, pieces of speech per step."""
    frames: int = attrs.field(default=200, validator=[validators.ge(50), validators.le(1500)])
    """Steps of 20 ms in a piece, which is processed as one window."""
    learning_rate: float = attrs.field(default=3e-4, validator=validators.gt(0))
    """Learning rate of the lower end after the warm-up, followed by a cosine decay to 0; the head learns 8 times as
    fast."""
    weight_decay: float = attrs.field(default=0.02, validator=validators.ge(0))
    """Weight decay of AdamW."""
    clip_norm: float = attrs.field(default=2.0, validator=validators.gt(0))
    """Maximum norm of the gradient."""
    ema: float = attrs.field(default=0.999, validator=[validators.ge(0), validators.lt(1)])
    """Decay of the exponential moving average of the weights, which is saved; 0 disables it."""
    teacher: bool = True
    """Whether the Whisper head of ``audio/ppg_whisper`` provides targets; if not, only aligned phones do."""
    trust: float = attrs.field(default=0.5, validator=[validators.ge(0), validators.le(1)])
    """Weight of the teacher, in [0, 1], in the targets where phones are known; it is 1 where they are not."""
    distrusted: tuple[str, ...] = ()
    """Sources, such as damaged recordings, in which the teacher has a fifth of that weight."""
    imitation: float = attrs.field(default=1.0, validator=validators.ge(0))
    """Weight of the mean square error between normalised hidden activations of the network and of Whisper."""
    smoothing: float = attrs.field(default=0.05, validator=[validators.ge(0), validators.lt(1)])
    """Label smoothing of the aligned phones, in [0, 1), because aligners disagree."""
    draw: Mapping[str, float] = attrs.field(
        factory=dict, validator=validators.deep_mapping(validators.instance_of(str), validators.ge(0))
    )
    """Relative frequency with which each source is drawn, multiplied by its length; 1 by default."""
    stretch: float = attrs.field(default=0.09, validator=validators.ge(0))
    """Standard deviation of the logarithm of the playback speed."""
    closures: float = attrs.field(default=1.5, validator=validators.gt(0))
    """Weight of steps at which the lips close (P, B, M), relative to others; a missed closure is noticed at once."""
    about: tuple[str, ...] = ()
    """Lines for the header of the weights: data, authors and licences."""
