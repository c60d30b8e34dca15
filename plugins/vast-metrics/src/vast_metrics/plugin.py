"""The components and stages of vast-metrics, declared without importing torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, StageSpec, hookimpl

from .config import (
    LandmarkDistanceConfig,
    LipCorrelationConfig,
    LipVertexErrorConfig,
    LipYardstickStage,
    MotionStabilityConfig,
    PSNRConfig,
    SSIMConfig,
    UpperFaceDynamicsConfig,
)


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
    ]


@hookimpl
def vast_stages() -> Iterable[StageSpec]:
    """Declare this package's stages."""
    return [
        StageSpec(
            name="lip_yardstick",
            target="vast_metrics.lip_yardstick",
            config=LipYardstickStage,
            needs=("corpus", "face", "audio"),
            summary="correlates lips with what audio features, and the decoder, tell of speakers never seen",
        ),
    ]
