"""What the plugin declares."""

from __future__ import annotations

import subprocess
import sys

import attrs

from vast_core.interfaces import Metric
from vast_metrics.plugin import vast_components

NAMES = {
    "av_offset",
    "blink_rate",
    "brow_dynamics",
    "csim",
    "detail",
    "emotion_accuracy",
    "fid",
    "flicker",
    "fvd",
    "head_dynamics",
    "head_motion",
    "identity_drift",
    "landmark_distance",
    "lip_closing",
    "lip_correlation",
    "lip_dynamics",
    "lip_reading",
    "lip_size",
    "lip_vertex_error",
    "lips_in_silence",
    "liveliness",
    "loud_lips",
    "lpips",
    "lse",
    "motion_stability",
    "mouth_psnr",
    "psnr",
    "rest_in_silence",
    "ring",
    "sharpness",
    "silent_lips",
    "ssim",
    "style_distance",
    "style_diversity",
    "style_retrieval",
    "theval",
    "theval_aesthetics",
    "theval_brow_dynamics",
    "theval_face_quality",
    "theval_head_motion",
    "theval_lip_dynamics",
    "theval_lip_sync",
    "theval_mouth_quality",
    "theval_silent_lips",
    "upper_face_dynamics",
}


def test_every_component_is_made_from_its_default_config(sizes):
    components = list(vast_components())
    assert {component.name for component in components} == NAMES
    names = []
    for component in components:
        assert component.kind == "metric"
        assert attrs.has(component.config)
        metric = component.load().from_config(component.config(), sizes)
        assert isinstance(metric, Metric)
        assert metric.needs in ("vertices", "frames")
        names += [measure.name for measure in metric.measures]
    assert len(set(names)) == len(names)  # One report column each.


def test_the_declaration_is_light():
    program = "import sys, vast_metrics.plugin; print(sorted({'torch', 'numpy', 'torchmetrics'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
