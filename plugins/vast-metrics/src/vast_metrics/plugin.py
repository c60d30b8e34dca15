"""Declarations of vast-metrics; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vast_core import Component, StageSpec, hookimpl

from .config import (
    AVOffsetConfig,
    BlinkRateConfig,
    DetailConfig,
    EvaluateStage,
    FIDConfig,
    FlickerConfig,
    HeadMotionConfig,
    IdentityDriftConfig,
    LandmarkDistanceConfig,
    LipClosingConfig,
    LipCorrelationConfig,
    LipsInSilenceConfig,
    LipSizeConfig,
    LipVertexErrorConfig,
    LipYardstickStage,
    LPIPSConfig,
    LSEConfig,
    MotionStabilityConfig,
    MouthPSNRConfig,
    PSNRConfig,
    RestInSilenceConfig,
    RingConfig,
    SharpnessConfig,
    SSIMConfig,
    StyleDistanceConfig,
    StyleDiversityConfig,
    StyleOfPeopleStage,
    StyleRetrievalConfig,
    StyleSpaceStage,
    UpperFaceDynamicsConfig,
)
from .field.declared import field_components
from .networks.declared import network_components

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
            summary="mean over frames of the squared distance at the worst lip vertex, mm^2",
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
            name="lip_size",
            target="vast_metrics.lips:LipSize",
            config=LipSizeConfig,
            summary="deviation of inner-lip opening over time, relative to the reference's",
        ),
        Component(
            kind="metric",
            name="lip_closing",
            target="vast_metrics.lips:LipClosing",
            config=LipClosingConfig,
            summary="share of frames in which lips close as they should, and in which they wrongly do",
        ),
        Component(
            kind="metric",
            name="landmark_distance",
            target="vast_metrics.landmarks:LandmarkDistance",
            config=LandmarkDistanceConfig,
            summary="mean vertex distance over mouth and face, mm",
            reference="Chen et al. 2019, Hierarchical cross-modal talking face generation",
        ),
        Component(
            kind="metric",
            name="upper_face_dynamics",
            target="vast_metrics.motion:UpperFaceDynamics",
            config=UpperFaceDynamicsConfig,
            summary="motion of brows and lids, reference minus prediction (+ too little, - too much), mm^2",
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
            summary="milliseconds by which the lips lead the sound, by a time-shifted regression of lips on sound",
        ),
        Component(
            kind="metric",
            name="blink_rate",
            target="vast_metrics.blinks:BlinkRate",
            config=BlinkRateConfig,
            summary="blinks per minute, and the difference from the reference",
        ),
        Component(
            kind="metric",
            name="head_motion",
            target="vast_metrics.head_motion:HeadMotion",
            config=HeadMotionConfig,
            summary="speed of head rotation, deg/s, and the difference from the reference",
        ),
        Component(
            kind="metric",
            name="identity_drift",
            target="vast_metrics.identity:IdentityDrift",
            config=IdentityDriftConfig,
            summary="distance in mm of the shape above the mouth from the reference, and between first and last third",
        ),
        Component(
            kind="metric",
            name="lips_in_silence",
            target="vast_metrics.silence:LipsInSilence",
            config=LipsInSilenceConfig,
            summary="speed of the lips in silence, mm/s, and the difference from the reference",
        ),
        Component(
            kind="metric",
            name="rest_in_silence",
            target="vast_metrics.silence:RestInSilence",
            config=RestInSilenceConfig,
            summary="opening and motion of the lips in pauses, relative to the same speaker's own",
        ),
        Component(
            kind="metric",
            name="style_distance",
            target="vast_metrics.style:StyleDistance",
            config=StyleDistanceConfig,
            summary="distance between the styles of prediction and prompt, by a model-independent descriptor",
        ),
        Component(
            kind="metric",
            name="style_retrieval",
            target="vast_metrics.style:StyleRetrieval",
            config=StyleRetrievalConfig,
            summary="share of predictions whose own prompt is the nearest in style, and its chance level",
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
            weights_licence="BSD-2-Clause (the heads; the networks of torchvision are BSD-3-Clause)",
        ),
        Component(
            kind="metric",
            name="lse",
            target="vast_metrics.lse:LSE",
            config=LSEConfig,
            summary="lip-sync error by SyncNet: distance, confidence and offset",
            reference="Chung & Zisserman 2016; Prajwal et al. 2020",
            weights_licence="not stated by the authors of SyncNet; you decide",
        ),
        Component(
            kind="metric",
            name="fid",
            target="vast_metrics.fid:FID",
            config=FIDConfig,
            summary="Frechet inception distance between all drawn and all real frames",
            reference="Heusel et al. 2017",
            weights_licence="Apache-2.0 (the Inception network of 2015-12-05)",
        ),
        Component(
            kind="metric",
            name="sharpness",
            target="vast_metrics.sharpness:Sharpness",
            config=SharpnessConfig,
            summary="share of the face's edges that look sharp (CPBD), and the difference from the reference",
            reference="Narvekar and Karam 2011",
        ),
        Component(
            kind="metric",
            name="mouth_psnr",
            target="vast_metrics.telltales:MouthPSNR",
            config=MouthPSNRConfig,
            summary="peak signal-to-noise ratio over the mouth",
        ),
        Component(
            kind="metric",
            name="detail",
            target="vast_metrics.telltales:Detail",
            config=DetailConfig,
            summary="strength of fine detail over face and mouth, relative to the reference",
        ),
        Component(
            kind="metric",
            name="ring",
            target="vast_metrics.telltales:Ring",
            config=RingConfig,
            summary="error around the face, where a drawing ends, and the pattern of an upsampling",
        ),
        Component(
            kind="metric",
            name="flicker",
            target="vast_metrics.telltales:Flicker",
            config=FlickerConfig,
            summary="change from frame to frame that motion does not explain, relative to the reference",
        ),
        *field_components(),
        *network_components(),
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
            summary="measures the trained models on held-out clips",
        ),
        StageSpec(
            name="style_space",
            target="vast_metrics.stages.style_space",
            config=StyleSpaceStage,
            needs=("corpus", "face", "audio", "style", "flow", "decoder"),
            summary="measures how flat the space of style codes is",
        ),
        StageSpec(
            name="lip_yardstick",
            target="vast_metrics.stages.lip_yardstick",
            config=LipYardstickStage,
            needs=("corpus", "face", "audio"),
            summary="correlation of lips predicted from audio, and by the decoder, for speakers excluded from training",
        ),
        StageSpec(
            name="style_of_people",
            target="vast_metrics.stages.style_of_people",
            config=StyleOfPeopleStage,
            needs=("corpus", "face", "audio", "style", "flow", "decoder"),
            summary="how far an avatar follows the emotions of real people who were excluded from training",
        ),
    ]


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast eval`` and ``vast compare``."""
    from .evaluation.commands import evaluate
    from .evaluation.compare_commands import compare

    cli.add_command(evaluate)
    cli.add_command(compare)
