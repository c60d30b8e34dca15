"""The five stages of the core, declared as a plugin declares its own, and what a recipe may say about each."""

from __future__ import annotations

import attrs
from attrs.validators import ge, gt, le, lt

from .declarations import PARTS, StageSpec


@attrs.frozen(kw_only=True)
class PrepareStage:
    """Footage to tracks, expression and audio features."""

    held_out: float = attrs.field(default=0.2, validator=[ge(0), lt(1)])
    """Share of each clip's end that is held out, where the corpus did not say."""
    held_out_speakers: tuple[str, ...] = ()
    """Speakers that are held out whole, whatever the corpus says."""
    min_seconds: float = attrs.field(default=1.0, validator=gt(0))
    """Shorter tracks are left out."""
    synchronise: bool = False
    """Whether the offset of the sound is estimated and corrected, clip by clip."""
    max_offset_ms: float = attrs.field(default=400.0, validator=gt(0))
    """Offsets are looked for up to this, early or late."""


@attrs.frozen(kw_only=True)
class TrainingStage:
    """What training stages have in common; the config of a plugin's own may be derived from it."""

    steps: int = attrs.field(default=2000, validator=ge(1))
    batch: int = attrs.field(default=32, validator=ge(1))
    """B."""
    frames: int = attrs.field(default=64, validator=ge(2))
    """T of a training window."""
    learning_rate: float = attrs.field(default=1.0e-3, validator=gt(0))
    """At the end of the warm-up; a cosine brings it down to 0."""
    warmup: int = attrs.field(default=100, validator=ge(0))
    """Steps over which the learning rate rises."""
    weight_decay: float = attrs.field(default=0.01, validator=ge(0))
    clip_norm: float = attrs.field(default=1.0, validator=gt(0))
    """Largest norm of the gradient."""
    ema: float = attrs.field(default=0.995, validator=[ge(0), lt(1)])
    """Decay of the moving average of the weights, which is what is saved; 0 switches it off."""
    log_every: int = attrs.field(default=10, validator=ge(1))
    """Steps."""
    checkpoint_every: int = attrs.field(default=500, validator=ge(1))
    """Steps."""


@attrs.frozen(kw_only=True)
class StyleStage(TrainingStage):
    """Training of style encoder, flow and decoder by the bound of VAST, eq. 7."""

    prompt_frames: int = attrs.field(default=100, validator=ge(2))
    """T of the prompt."""
    beta: float = attrs.field(default=0.01, validator=ge(0))
    """Weight of the KL divergence, once warmed up."""
    beta_warmup: float = attrs.field(default=0.3, validator=[ge(0), le(1)])
    """Share of the steps over which that weight rises from 0."""
    free_bits: float = attrs.field(default=0.05, validator=ge(0))
    """Nats a dimension of the style code that cost nothing."""
    velocity: float = attrs.field(default=1.0, validator=ge(0))
    """Weight of the loss on the expression's velocity."""
    lips: float = attrs.field(default=1.0, validator=ge(0))
    """Weight of the loss on the lip vertices."""
    cross_prompt: float = attrs.field(default=0.5, validator=[ge(0), le(1)])
    """Share of prompts drawn from another clip of the same speaker and style."""
    silent_prompt: float = attrs.field(default=0.2, validator=[ge(0), le(1)])
    """Share of prompts whose sound is withheld."""
    audio_dropout: float = attrs.field(default=0.0, validator=[ge(0), lt(1)])
    """Share of the decoder's audio features that are blanked in training, against overfitting to little footage."""


@attrs.frozen(kw_only=True)
class RendererStage(TrainingStage):
    """Training of the renderer on one avatar's footage."""

    avatar: str | None = None
    """The speaker to draw; None takes the one with most footage."""
    steps: int = attrs.field(default=1500, validator=ge(1))
    batch: int = attrs.field(default=2, validator=ge(1))
    """B."""
    frames: int = attrs.field(default=16, validator=ge(2))
    """T of a training sequence (VAST, supplementary, section 2)."""
    warmup: int = attrs.field(default=50, validator=ge(0))
    """Steps over which the learning rate rises."""
    weight_decay: float = attrs.field(default=0.0, validator=ge(0))
    margin: float = attrs.field(default=1.25, validator=ge(1))
    """Side of the crop over the extent of the face in the clip."""
    max_seconds: float = attrs.field(default=60.0, validator=gt(0))
    """Of the avatar's footage, how much is used."""


@attrs.frozen(kw_only=True)
class EvaluateStage:
    """Figures of the report, on held-out clips."""

    max_clips: int = attrs.field(default=24, validator=ge(1))
    ridge: bool = True
    """Whether a ridge regression of lip opening on the audio features is fitted for comparison."""
    compare: tuple[str, ...] = ()
    """Folders of other runs whose renderer's figures and frames stand beside this one's in the report."""


@attrs.frozen(kw_only=True)
class SynthesizeStage:
    """The sample video at the end of a run."""

    seconds: float = attrs.field(default=8.0, validator=gt(0))


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
        name="evaluate",
        target="vast_core.stages.evaluate",
        config=EvaluateStage,
        needs=("corpus", "face", "audio", "style", "flow", "decoder"),
        summary="measures what was learned on held-out clips",
    ),
    StageSpec(
        name="synthesize",
        target="vast_core.stages.synthesize",
        config=SynthesizeStage,
        needs=PARTS,
        summary="lets the avatar speak in an unseen style",
    ),
)
"""In the order in which a recipe runs them unless it says otherwise."""
