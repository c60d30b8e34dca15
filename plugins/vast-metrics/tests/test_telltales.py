"""Each measure of what gives a face away finds the fault that was made, and no other."""

import attrs
import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from vast_core.errors import NotComputed
from vast_core.interfaces import Performance
from vast_metrics.config import DetailConfig, FlickerConfig, MouthPSNRConfig, RingConfig
from vast_metrics.telltales import Detail, Flicker, MouthPSNR, Ring

SIZE, FRAMES = 96, 6


@pytest.fixture(scope="module")
def real():
    draw = torch.Generator().manual_seed(0)
    texture = gaussian_blur(torch.rand(1, 3, SIZE + FRAMES, SIZE + FRAMES, generator=draw), 5, 0.8)
    frames = torch.cat([texture[..., t : t + SIZE, t : t + SIZE] for t in range(FRAMES)])
    y, x = np.mgrid[:SIZE, :SIZE]
    region = torch.from_numpy(((x - 48) ** 2 + (y - 48) ** 2 < 30**2).astype(np.float32)).expand(FRAMES, 1, -1, -1)
    return Performance(
        face=None,
        fps=25.0,
        frames=frames,
        region=region,
        mouth=torch.tensor([48.0, 60.0, 24.0, 12.0]).expand(FRAMES, 4),
    )


@pytest.fixture
def measures(sizes):
    metrics = [
        MouthPSNR.from_config(MouthPSNRConfig(), sizes),
        Detail.from_config(DetailConfig(), sizes),
        Ring.from_config(RingConfig(), sizes),
        Flicker.from_config(FlickerConfig(), sizes),
    ]

    def found(drawn, real):
        values = {}
        for metric in metrics:
            values |= metric(drawn, real)
        return values

    return found


def changed(real, change):
    frames = real.frames.clone()
    change(frames)
    return attrs.evolve(real, frames=frames.clamp(0, 1))


def test_the_same_video_has_no_fault(measures, real):
    assert measures(real, real) == pytest.approx(
        {"mouth_psnr": 100, "face_detail": 1, "mouth_detail": 1, "ring_error": 0, "ring_pattern": 1, "flicker": 1}
    )


def test_a_soft_mouth_is_found_at_the_mouth(measures, real):
    def soften(frames):
        frames[..., 52:68, 34:62] = gaussian_blur(frames, 9, 2.0)[..., 52:68, 34:62]

    values = measures(changed(real, soften), real)
    assert values["mouth_detail"] < 0.3
    assert values["face_detail"] > 0.7
    assert values["mouth_psnr"] < 30
    assert values["ring_error"] == 0


def test_a_rim_is_found_in_the_ring(measures, real):
    def rim(frames):
        y, x = np.mgrid[:SIZE, :SIZE]
        away = np.hypot(x - 48, y - 48)
        frames[..., torch.from_numpy((away > 31) & (away < 34))] = 0

    values = measures(changed(real, rim), real)
    assert values["ring_error"] > 20
    assert values["mouth_psnr"] == 100
    assert values["face_detail"] == pytest.approx(1, abs=0.1)


def test_the_pattern_of_an_upsampling_is_found(measures, real):
    def stripes(frames):
        frames[..., ::4] += 0.06

    assert measures(changed(real, stripes), real)["ring_pattern"] > 2


def test_flicker_is_found_and_motion_is_not(measures, real):
    def flash(frames):
        frames[::2] += 0.08

    assert measures(changed(real, flash), real)["flicker"] > 1.5
    still = attrs.evolve(real, frames=real.frames[:1].expand(FRAMES, -1, -1, -1) + 0)
    assert measures(still, real)["flicker"] < 0.2


def test_without_a_mouth_that_of_the_face_is_left(sizes, real):
    unknown = attrs.evolve(real, mouth=None)
    assert set(Detail.from_config(DetailConfig(), sizes)(unknown, unknown)) == {"face_detail"}
    with pytest.raises(NotComputed, match="where the mouth is"):
        MouthPSNR.from_config(MouthPSNRConfig(), sizes)(unknown, unknown)
