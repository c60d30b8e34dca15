"""Options of all metrics and stages; imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import and_, ge, gt, in_, instance_of, lt, min_len, optional


@attrs.frozen(kw_only=True)
class LipVertexErrorConfig:
    """``lip_vertex_error`` has no options."""


@attrs.frozen(kw_only=True)
class LipCorrelationConfig:
    """``lip_correlation`` has no options."""


@attrs.frozen(kw_only=True)
class LipSizeConfig:
    """``lip_size`` has no options."""


@attrs.frozen(kw_only=True)
class LipClosingConfig:
    """``lip_closing`` has no options."""


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
    """Smallest variance of acceleration that is distinguished from stillness, in (m/s^2)^2: the index is at most 1 /
    floor."""


@attrs.frozen(kw_only=True)
class AVOffsetConfig:
    """Options of ``av_offset``."""

    reach_ms: float = attrs.field(default=400.0, validator=and_(instance_of(float), gt(0.0)))
    """Range of the search on either side, in milliseconds."""


@attrs.frozen(kw_only=True)
class BlinkRateConfig:
    """Options of ``blink_rate``."""

    closed: float = attrs.field(default=0.6, validator=and_(instance_of(float), gt(0.0), lt(1.0)))
    """Lid gap, relative to that of open eyes, below which a blink begins."""
    open: float = attrs.field(default=0.75, validator=and_(instance_of(float), gt(0.0), lt(1.0)))
    """Lid gap, relative to that of open eyes, above which it ends."""
    longest: float = attrs.field(default=0.6, validator=and_(instance_of(float), gt(0.0)))
    """Maximum duration of a blink in seconds."""
    window: float = attrs.field(default=2.0, validator=and_(instance_of(float), gt(0.0)))
    """Seconds on either side of a frame from which the gap of open eyes is estimated."""
    shortest: float = attrs.field(default=2.0, validator=and_(instance_of(float), gt(0.0)))
    """Minimum duration of a clip in seconds."""

    def __attrs_post_init__(self) -> None:
        if self.closed >= self.open:
            raise ValueError(f"closed is {self.closed:g} and open {self.open:g}; closed must be below open")


@attrs.frozen(kw_only=True)
class HeadMotionConfig:
    """``head_motion`` has no options."""


@attrs.frozen(kw_only=True)
class IdentityDriftConfig:
    """Options of ``identity_drift``."""

    shortest: float = attrs.field(default=1.0, validator=and_(instance_of(float), gt(0.0)))
    """Minimum duration of a clip in seconds, of which first and last third are compared."""


@attrs.frozen(kw_only=True)
class LipsInSilenceConfig:
    """Options of ``lips_in_silence``."""

    below: float = attrs.field(default=30.0, validator=and_(instance_of(float), gt(0.0)))
    """Level below that of speech, in dB, at which a frame is silent."""
    hangover: float = attrs.field(default=0.16, validator=and_(instance_of(float), ge(0.0)))
    """Seconds before and after sound that do not count as silence."""
    least: float = attrs.field(default=0.08, validator=and_(instance_of(float), gt(0.0)))
    """Minimum silence in a clip, in seconds: two steps at 25 fps, because short sentences have no more."""


@attrs.frozen(kw_only=True)
class RestInSilenceConfig:
    """Options of ``rest_in_silence``."""

    below: float = attrs.field(default=30.0, validator=and_(instance_of(float), gt(0.0)))
    """Level below that of speech, in dB, at which a frame is silent."""
    hangover: float = attrs.field(default=0.16, validator=and_(instance_of(float), ge(0.0)))
    """Seconds before and after sound in which lips need not rest."""
    least: float = attrs.field(default=0.5, validator=and_(instance_of(float), gt(0.0)))
    """Shortest silence, in seconds, that counts as a pause."""


@attrs.frozen(kw_only=True)
class StyleDistanceConfig:
    """``style_distance`` has no options."""


@attrs.frozen(kw_only=True)
class StyleRetrievalConfig:
    """``style_retrieval`` has no options."""


@attrs.frozen(kw_only=True)
class StyleDiversityConfig:
    """``style_diversity`` has no options."""


@attrs.frozen(kw_only=True)
class PSNRConfig:
    """``psnr`` has no options."""


@attrs.frozen(kw_only=True)
class SSIMConfig:
    """``ssim`` has no options."""


@attrs.frozen(kw_only=True)
class LPIPSConfig:
    """Options of ``lpips``."""

    backbone: Literal["alexnet", "vgg16"] = attrs.field(default="alexnet", validator=in_(("alexnet", "vgg16")))
    """Network whose features are compared; its authors report results with AlexNet."""
    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """The network as safetensors, or a folder with ``alexnet.safetensors`` or ``vgg16.safetensors``; None searches
    ``VAST_WEIGHTS`` and the cache."""


@attrs.frozen(kw_only=True)
class LSEConfig:
    """Options of ``lse``."""

    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """SyncNet as safetensors, or a folder with ``syncnet_v2.safetensors``; None searches ``VAST_WEIGHTS`` and the
    cache."""


@attrs.frozen(kw_only=True)
class FIDConfig:
    """Options of ``fid``."""

    min_frames: int = attrs.field(default=2049, validator=ge(2))
    """Minimum number of frames in all clips together: n frames determine the covariance of n - 1 features, and there
    are 2048."""
    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """The Inception network of FID as safetensors, or a folder with ``inception-2015-12-05.safetensors``; None searches
    ``VAST_WEIGHTS`` and the cache."""


@attrs.frozen(kw_only=True)
class MouthPSNRConfig:
    """``mouth_psnr`` has no options."""


@attrs.frozen(kw_only=True)
class DetailConfig:
    """``detail`` has no options."""


@attrs.frozen(kw_only=True)
class RingConfig:
    """``ring`` has no options."""


@attrs.frozen(kw_only=True)
class FlickerConfig:
    """``flicker`` has no options."""


@attrs.frozen(kw_only=True)
class FieldConfig:
    """The measures of the field have no options."""


@attrs.frozen(kw_only=True)
class QualityConfig:
    """Options of the measures of the field that judge pictures by networks."""

    every: int = attrs.field(default=5, validator=ge(1))
    """Every how many frames one is judged; THEval judges all."""


@attrs.frozen(kw_only=True)
class CSIMConfig:
    """Options of ``csim``."""

    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """The network as ONNX, or a folder with ``arcface.onnx``; None searches ``VAST_WEIGHTS`` and the cache."""
    every: int = attrs.field(default=5, validator=ge(1))
    """Every how many frames one is compared."""


@attrs.frozen(kw_only=True)
class EmotionAccuracyConfig:
    """Options of ``emotion_accuracy``."""

    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """The network as ONNX, or a folder with ``emotion.onnx``; None searches ``VAST_WEIGHTS`` and the cache."""
    emotions: tuple[str, ...] = attrs.field(
        default=("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
        validator=min_len(2),
    )
    """Names of the network's outputs, in their order; the default is that of HSEmotion."""
    every: int = attrs.field(default=5, validator=ge(1))
    """Every how many frames one is looked at."""


@attrs.frozen(kw_only=True)
class LipReadingConfig:
    """Options of ``lip_reading``."""

    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """The network as ONNX, or a folder with ``lip_reading.onnx``; None searches ``VAST_WEIGHTS`` and the cache."""


@attrs.frozen(kw_only=True)
class FVDConfig:
    """Options of ``fvd``."""

    weights: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """The network as ONNX, or a folder with ``i3d.onnx``; None searches ``VAST_WEIGHTS`` and the cache."""
    min_windows: int = attrs.field(default=401, validator=ge(2))
    """Minimum number of windows in all clips together: n windows determine the covariance of n - 1 features, and I3D
    has 400."""


@attrs.frozen(kw_only=True)
class SharpnessConfig:
    """``sharpness`` has no options."""


@attrs.frozen(kw_only=True)
class EvaluateStage:
    """Options of the stage ``evaluate``, which measures the run on held-out clips for the report."""

    max_clips: int = attrs.field(default=24, validator=ge(1))
    """Maximum number of held-out clips."""
    max_pairs: int = attrs.field(default=48, validator=ge(1))
    """Maximum number of pairs of a held-out sentence and a held-out style."""
    max_slider_clips: int = attrs.field(default=6, validator=ge(1))
    """Maximum number of held-out clips on which the sliders are measured."""
    ridge: bool = True
    """Whether a ridge regression of lip opening on the audio features is fitted for comparison."""
    compare: tuple[Path, ...] = ()
    """Folders of other runs whose renderer's figures and frames are shown in the report for comparison."""


@attrs.frozen(kw_only=True)
class StyleSpaceStage:
    """Options of the stage ``style_space``."""

    sentences: int = attrs.field(default=4, validator=ge(1))
    """Maximum number of held-out clips that are spoken."""
    prompts: int = attrs.field(default=6, validator=ge(2))
    """Maximum number of held-out prompts, each of another style."""
    samples: int = attrs.field(default=8, validator=ge(2))
    """Number of codes drawn from their density."""
    clips: int = attrs.field(default=24, validator=ge(1))
    """Maximum number of real clips for the error that the code explains."""
    faces: int = attrs.field(default=4000, validator=ge(8))
    """Maximum number of the corpus's faces in the range of plausible faces."""


def _odd(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value % 2 == 0:
        raise ValueError(
            f"{attribute.name} is {value}; it must be odd: the frame itself and equally many on either side"
        )


@attrs.frozen(kw_only=True)
class LipYardstickStage:
    """Options of the stage ``lip_yardstick``."""

    audio: tuple[str, ...] = ("mel",)
    """Audio components, with default options, that are compared with the recipe's own."""
    context: int = attrs.field(default=13, validator=and_(ge(1), _odd))
    """Number of frames of features in the regression."""
    decoder: bool = False
    """Whether style encoder, flow and decoder are also trained without each speaker in turn."""
    folds: int | None = attrs.field(default=None, validator=optional(ge(2)))
    """Number of groups of speakers of which one at a time is left out of these trainings; by default each speaker is
    left out alone."""
    seeds: tuple[int, ...] = attrs.field(default=(1,), validator=min_len(1))
    """Random seeds of these trainings, each run once per seed."""


@attrs.frozen(kw_only=True)
class StyleOfPeopleStage:
    """Options of the stage ``style_of_people``."""

    clips: Path
    """A folder of labelled prompts: videos called SPEAKER_EMOTION_NUMBER, such as ``M030_happy_1`` and
    ``M030_front_neutral_level1_001``, or listed in its ``manifest.csv`` or ``manifest.tsv`` (columns file, speaker,
    style). Each speaker has a neutral clip and at least two other emotions."""
    speakers: tuple[str, ...] = ()
    """Speakers that are measured; by default all that have enough clips."""
    sound: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """A sound file that the avatar says; by default clips of the corpus, one after another."""
    seconds: float = attrs.field(default=8.0, validator=and_(instance_of(float), ge(1.0)))
    """Seconds of it that are said."""
    seeds: tuple[int, ...] = attrs.field(default=(1,), validator=min_len(1))
    """Random seeds of the trainings, each run once per seed."""
