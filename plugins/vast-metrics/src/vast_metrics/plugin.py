"""The components, stages and commands of vast-metrics, declared without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vast_core import Component, StageSpec, hookimpl

from .config import (
    AVOffsetConfig,
    BlinkRateConfig,
    EvaluateStage,
    FIDConfig,
    HeadMotionConfig,
    IdentityDriftConfig,
    LandmarkDistanceConfig,
    LipCorrelationConfig,
    LipsInSilenceConfig,
    LipVertexErrorConfig,
    LipYardstickStage,
    LPIPSConfig,
    LSEConfig,
    MotionStabilityConfig,
    PSNRConfig,
    SharpnessConfig,
    SSIMConfig,
    StyleDistanceConfig,
    StyleDiversityConfig,
    StyleRetrievalConfig,
    UpperFaceDynamicsConfig,
)

if TYPE_CHECKING:
    import click


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's components."""
    return [
        Component(
            kind="metric",
            name="lip_vertex_error",
            target="vast_metrics.lips:LipVertexError",
            config=LipVertexErrorConfig,
            summary="mean over frames of the worst lip vertex's squared distance, mm^2",
            reference="Richard et al. 2021, MeshTalk",
        ),
        Component(
            kind="metric",
            name="lip_correlation",
            target="vast_metrics.lips:LipCorrelation",
            config=LipCorrelationConfig,
            summary="Pearson correlation of inner-lip opening over time",
        ),
        Component(
            kind="metric",
            name="landmark_distance",
            target="vast_metrics.landmarks:LandmarkDistance",
            config=LandmarkDistanceConfig,
            summary="mean vertex distance of mouth and of face, mm",
            reference="Chen et al. 2019, Hierarchical cross-modal talking face generation",
        ),
        Component(
            kind="metric",
            name="upper_face_dynamics",
            target="vast_metrics.motion:UpperFaceDynamics",
            config=UpperFaceDynamicsConfig,
            summary="how much less (+) or more (-) brows and lids move than they should, mm^2",
            reference="Xing et al. 2023, CodeTalker",
        ),
        Component(
            kind="metric",
            name="motion_stability",
            target="vast_metrics.motion:MotionStability",
            config=MotionStabilityConfig,
            summary="reciprocal of the variance of the lips' acceleration, and its ratio to the reference's in dB",
            reference="Ling et al. 2022, StableFace",
        ),
        Component(
            kind="metric",
            name="av_offset",
            target="vast_metrics.av_offset:AVOffset",
            config=AVOffsetConfig,
            summary="how late the sound is after the lips, ms, by a regression of lips on it that is slid in time",
        ),
        Component(
            kind="metric",
            name="blink_rate",
            target="vast_metrics.blinks:BlinkRate",
            config=BlinkRateConfig,
            summary="blinks a minute, and how many more or fewer than in the reference",
        ),
        Component(
            kind="metric",
            name="head_motion",
            target="vast_metrics.head_motion:HeadMotion",
            config=HeadMotionConfig,
            summary="speed of the head's rotation, deg/s, and how much more or less than the reference's",
        ),
        Component(
            kind="metric",
            name="identity_drift",
            target="vast_metrics.identity:IdentityDrift",
            config=IdentityDriftConfig,
            summary="distance in mm of the shape above the mouth from the reference's, and from first to last third",
        ),
        Component(
            kind="metric",
            name="lips_in_silence",
            target="vast_metrics.silence:LipsInSilence",
            config=LipsInSilenceConfig,
            summary="speed of the lips where the sound is silent, mm/s, and how much more or less than the reference's",
        ),
        Component(
            kind="metric",
            name="style_distance",
            target="vast_metrics.style:StyleDistance",
            config=StyleDistanceConfig,
            summary="distance of the prediction's style to its prompt's, by a descriptor that no model made",
        ),
        Component(
            kind="metric",
            name="style_retrieval",
            target="vast_metrics.style:StyleRetrieval",
            config=StyleRetrievalConfig,
            summary="how often the right prompt is the nearest of all in style, beside chance",
        ),
        Component(
            kind="metric",
            name="style_diversity",
            target="vast_metrics.style:StyleDiversity",
            config=StyleDiversityConfig,
            summary="mean pairwise distance of takes with styles drawn from the prior, mm",
            reference="Yuan & Kitani 2020, DLow",
        ),
        Component(
            kind="metric",
            name="psnr",
            target="vast_metrics.images:PSNR",
            config=PSNRConfig,
            summary="peak signal-to-noise ratio over the face, dB",
        ),
        Component(
            kind="metric",
            name="ssim",
            target="vast_metrics.images:SSIM",
            config=SSIMConfig,
            summary="structural similarity over the face",
            reference="Wang et al. 2004",
        ),
        Component(
            kind="metric",
            name="lpips",
            target="vast_metrics.lpips:LPIPS",
            config=LPIPSConfig,
            summary="learned perceptual image patch similarity over the face",
            reference="Zhang et al. 2018",
        ),
        Component(
            kind="metric",
            name="lse",
            target="vast_metrics.lse:LSE",
            config=LSEConfig,
            summary="lip-sync error by SyncNet: distance, confidence and offset",
            reference="Chung & Zisserman 2016; Prajwal et al. 2020",
        ),
        Component(
            kind="metric",
            name="fid",
            target="vast_metrics.fid:FID",
            config=FIDConfig,
            summary="Frechet inception distance of all drawn frames from all real ones",
            reference="Heusel et al. 2017",
        ),
        Component(
            kind="metric",
            name="sharpness",
            target="vast_metrics.sharpness:Sharpness",
            config=SharpnessConfig,
            summary="share of the face's edges that look sharp (CPBD), and its difference from the reference",
            reference="Narvekar and Karam 2011",
        ),
    ]


@hookimpl
def vast_stages() -> Iterable[StageSpec]:
    """Declare this package's stages."""
    return [
        StageSpec(
            name="evaluate",
            target="vast_metrics.stages.evaluate",
            config=EvaluateStage,
            needs=("corpus", "face", "audio", "style", "flow", "decoder"),
            summary="measures what was learned on held-out clips",
        ),
        StageSpec(
            name="lip_yardstick",
            target="vast_metrics.stages.lip_yardstick",
            config=LipYardstickStage,
            needs=("corpus", "face", "audio"),
            summary="correlates lips with what audio features, and the decoder, tell of speakers never seen",
        ),
    ]


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast eval`` and ``vast compare``."""
    from .evaluation.commands import evaluate
    from .evaluation.compare_commands import compare

    cli.add_command(evaluate)
    cli.add_command(compare)
