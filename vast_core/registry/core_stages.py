"""The stages of the core and their options, declared in the same way as those of plugins."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import ge, gt, in_, le, lt

from .declarations import PARTS, StageSpec


@attrs.frozen(kw_only=True)
class PrepareStage:
    """Footage to tracks, expression and audio features."""

    held_out: float = attrs.field(default=0.2, validator=[ge(0), lt(1)])
    """Share of each clip that is held out, from its end, where the corpus does not state a split."""
    held_out_speakers: tuple[str, ...] = ()
    """Speakers whose clips are all held out, whatever the corpus states."""
    min_seconds: float = attrs.field(default=1.0, validator=gt(0))
    """Tracks shorter than this, in seconds, are left out."""
    synchronise: bool = False
    """Whether the offset between sound and lips is estimated and corrected in each clip."""
    max_offset_ms: float = attrs.field(default=400.0, validator=[gt(0), lt(math.inf)])
    """Largest offset that is searched for, early or late, in milliseconds."""
    face: Path | None = None
    """Another run's `weights/face.safetensors`, whose expression is used as it is; by default, the expression is
    learned from the corpus."""


@attrs.frozen(kw_only=True)
class TrainingStage:
    """What training stages have in common; the config of a plugin's own may be derived from it."""

    steps: int = attrs.field(default=2000, validator=ge(1))
    """Training steps."""
    batch: int = attrs.field(default=32, validator=ge(1))
    """Batch size, B, of a step, in all processes together."""
    accumulate: int = attrs.field(default=1, validator=ge(1))
    """Parts into which a process cuts its share of a batch; they are computed one after another, which needs less
    memory, and their gradients are averaged. The results are those of the whole batch, where the loss is a mean. The
    renderer's game keeps the forward passes of all parts until its last objective, and needs hardly less memory."""
    frames: int = attrs.field(default=64, validator=ge(2))
    """Length of a training window in video frames, T."""
    learning_rate: float = attrs.field(default=1.0e-3, validator=[gt(0), lt(math.inf)])
    """Learning rate at the end of the warm-up; it then falls to 0 along a cosine."""
    warmup: int = attrs.field(default=100, validator=ge(0))
    """Steps over which the learning rate rises from 0."""
    weight_decay: float = attrs.field(default=0.01, validator=ge(0))
    """Weight decay of AdamW."""
    clip_norm: float = attrs.field(default=1.0, validator=gt(0))
    """Gradients with a larger norm are scaled down to it."""
    ema: float = attrs.field(default=0.995, validator=[ge(0), lt(1)])
    """Decay of the exponential moving average of the weights, which is what is saved; 0 switches it off."""
    log_every: int = attrs.field(default=10, validator=ge(1))
    """Steps between two logged losses."""
    checkpoint_every: int = attrs.field(default=500, validator=ge(1))
    """Steps between two checkpoints, from which `--resume` continues."""


@attrs.frozen(kw_only=True)
class StyleStage(TrainingStage):
    """Training of style encoder, flow and decoder by the bound of VAST, eq. 7."""

    steps: int = attrs.field(default=2000, validator=ge(0))
    """Training steps; 0, for weights that start from those of another run, adapts only what needs no training."""
    start: Path | None = None
    """Another run's `weights/style.safetensors`, from which training starts; the decoder is adapted to the footage
    first. Needs the face of that run in `stages.prepare.face`. Without steps, the sliders beside it are kept."""
    enhancer: Literal["variational", "deterministic"] = attrs.field(
        default="variational", validator=in_(("variational", "deterministic"))
    )
    """`variational`: z0 is sampled from the posterior, and the KL divergence of eq. 7 is part of the loss.
    `deterministic`: z0 is the posterior's mean, which the flow maps as usual, and the loss has no KL divergence; `beta`
    and `free_bits` are unused."""
    reconstruct: Literal["zK", "z0"] = attrs.field(default="zK", validator=in_(("zK", "z0")))
    """The code that the decoder reads, in the first term of eq. 7 and whenever the avatar speaks: after the flow or
    before it. With `z0`, the flow affects only the KL divergence, and learns nothing if it is orthogonal or if the
    enhancer is deterministic."""
    prompt_frames: int = attrs.field(default=100, validator=ge(2))
    """Length of the style prompt in video frames."""
    beta: float = attrs.field(default=0.01, validator=ge(0))
    """Weight of the KL divergence after its warm-up."""
    beta_warmup: float = attrs.field(default=0.3, validator=[ge(0), le(1)])
    """Share of the training steps over which the weight `beta` rises from 0."""
    free_bits: float = attrs.field(default=0.05, validator=ge(0))
    """KL divergence below which a dimension of the style code costs nothing, in nats."""
    velocity: float = attrs.field(default=1.0, validator=ge(0))
    """Weight of the squared error of the expression's velocity, in nats per (coefficient per frame)²."""
    lips: float = attrs.field(default=1.0, validator=ge(0))
    """Weight of the mean squared error of the lip vertices, in nats per cm²."""
    cross_prompt: float = attrs.field(default=0.5, validator=[ge(0), le(1)])
    """Share of prompts drawn from another clip of the same speaker and style."""
    silent_prompt: float = attrs.field(default=0.2, validator=[ge(0), le(1)])
    """Share of training prompts given to the style encoder without their sound."""
    label_prompt: float = attrs.field(default=0.3, validator=[ge(0), le(1)])
    """Share of training prompts given as their style label alone, if the style encoder reads clips and labels."""
    restyled: float = attrs.field(default=0.0, validator=[ge(0), le(1)])
    """Share of training rows whose target and prompt are given a random lasting expression and amplitude, so that codes
    of unseen styles are not shrunk towards those of the footage."""
    any_sound: float = attrs.field(default=0.0, validator=ge(0))
    """Weight of the squared difference of mean, deviation and deviation of velocity between a prompt and its style
    spoken with the sound of another clip, in nats per coefficient². Prompts of this term include clips without sound.
    """
    any_sound_rows: int = attrs.field(default=8, validator=ge(1))
    """Rows of a batch for `any_sound`."""
    closing: float = attrs.field(default=0.0, validator=ge(0))
    """Weight of the squared opening of lips by which they miss being shut or parted, in nats per (tenth of the distance
    of the outer eye corners, about 9 mm)²."""
    audio_dropout: float = attrs.field(default=0.0, validator=[ge(0), lt(1)])
    """Share of the decoder's audio features set to zero in training, against overfitting to little footage."""

    @steps.validator
    def _none_only_with_a_start(self, attribute: attrs.Attribute[int], value: int) -> None:
        if not value and self.start is None:
            raise ValueError("0 steps train nothing; give stages.style.start weights to use as they are")

    def enhancer_in_words(self, flow: str, orthogonal: bool) -> str:
        """What `enhancer` and `reconstruct` mean with the flow called ``flow``, for the check and the report."""
        variational = self.enhancer == "variational"
        code = (
            "z0 is sampled from the posterior, and its KL divergence is part of the loss"
            if variational
            else "z0 is the posterior's mean, without sampling and without a KL divergence"
        )
        read = f"zK, the code after the flow {flow}"
        if self.reconstruct == "z0":
            effect = "affects only the KL divergence" if variational and not orthogonal else "learns nothing"
            read = f"z0, the code before the flow {flow}, which therefore {effect}"
        return f"{self.enhancer} style enhancer: {code}; the decoder reads {read}"


@attrs.frozen(kw_only=True)
class RendererStage(TrainingStage):
    """Training of the renderer on one avatar's footage."""

    avatar: str | None = None
    """The speaker to draw; None takes the one with the most footage."""
    steps: int = attrs.field(default=1500, validator=ge(1))
    """Training steps."""
    batch: int = attrs.field(default=2, validator=ge(1))
    """Batch size, B."""
    frames: int = attrs.field(default=16, validator=ge(2))
    """Length of a training sequence in video frames, T (VAST, supplementary, section 2)."""
    warmup: int = attrs.field(default=50, validator=ge(0))
    """Steps over which the learning rate rises from 0."""
    weight_decay: float = attrs.field(default=0.0, validator=ge(0))
    """Weight decay of AdamW."""
    margin: float = attrs.field(default=1.25, validator=ge(1))
    """Side of the square crop, as a multiple of the extent of the face in the clip."""
    close_up: float = attrs.field(default=2.0, validator=ge(1))
    """Side of the mouth's close-up, for renderers that draw it, as a multiple of the width of the mouth at rest; from
    about 4 it shows the whole face, so that the mouth has no pixels of its own."""
    max_seconds: float = attrs.field(default=60.0, validator=gt(0))
    """How much of the avatar's footage is used, in seconds."""


@attrs.frozen(kw_only=True)
class SynthesizeStage:
    """The sample video at the end of a run."""

    seconds: float = attrs.field(default=8.0, validator=gt(0))
    """Longest sample video, in seconds."""


CORE_STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        name="prepare",
        target="vast_core.stages.prepare",
        config=PrepareStage,
        needs=("corpus", "face", "audio"),
        summary="tracks faces, corrects the sound's offset, encodes expression and audio",
    ),
    StageSpec(
        name="style",
        target="vast_core.stages.style",
        config=StyleStage,
        needs=("corpus", "face", "audio", "style", "flow", "decoder"),
        summary="trains style encoder, flow and decoder",
    ),
    StageSpec(
        name="renderer",
        target="vast_core.stages.renderer",
        config=RendererStage,
        needs=("corpus", "face", "audio", "renderer"),
        summary="trains the renderer on one avatar",
    ),
    StageSpec(
        name="synthesize",
        target="vast_core.stages.synthesize",
        config=SynthesizeStage,
        needs=PARTS,
        summary="lets the avatar speak in an unseen style",
    ),
)
"""The core's stages in the order of the data."""

DEFAULT_RUN = ("prepare", "style", "renderer", "evaluate", "synthesize")
"""The stages that a recipe runs by default, as far as they are installed."""
