"""Blinks, head motion, identity and lips in silence, against lids, heads and sounds made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vast_core.errors import NotComputed
from vast_core.interfaces import SAMPLE_RATE
from vast_core.mesh import canonical_face
from vast_faces.config import LandmarksConfig
from vast_faces.landmarks import LandmarkFace
from vast_metrics.blinks import BlinkRate
from vast_metrics.config import BlinkRateConfig, IdentityDriftConfig, LipsInSilenceConfig, RestInSilenceConfig
from vast_metrics.face_parts import brows, lids, mouth
from vast_metrics.head_motion import HeadMotion
from vast_metrics.identity import IdentityDrift, steady_vertices
from vast_metrics.silence import LipsInSilence, RestInSilence

FPS = 25.0
CANONICAL = canonical_face()
UPPER_LIDS = (CANONICAL.eye_right[9:], CANONICAL.eye_left[9:])


@pytest.fixture(scope="module")
def real_face():
    return LandmarkFace(LandmarksConfig())


@pytest.fixture
def person(real_face):
    return torch.from_numpy(CANONICAL.vertices.copy())


@pytest.fixture
def seen(performance, real_face, person):
    def make(vertices=None, **rest):
        return performance(vertices, **{"face": real_face, "neutral": person} | rest)

    return make


def stills(person, frames):
    return person.repeat(frames, 1, 1)


# ------------------------------------------------------------------------------------- parts of the face


def test_lids_are_those_of_the_mesh(real_face, person):
    right, left = lids(real_face, person)
    for found, ring in ((right, CANONICAL.eye_right), (left, CANONICAL.eye_left)):
        assert set(found.upper.tolist()) <= set(ring[9:].tolist())
        assert set(found.lower.tolist()) <= set(ring[1:8].tolist())
        assert len(found.upper) == len(found.lower) == 3


def test_mouth_and_brows_are_those_of_the_mesh(real_face, person):
    found = mouth(real_face, person)
    assert (found.right, found.left) == (61, 291)
    assert 13 in found.upper
    assert 14 in found.lower
    right, left = brows(real_face, person)
    assert set(CANONICAL.brows[:10].tolist()) <= set(right.tolist())
    assert set(CANONICAL.brows[10:].tolist()) <= set(left.tolist())


def test_a_face_that_tells_no_lids_has_no_blinks(performance, speech, face):
    face.eyes = np.array([8, 9])
    with pytest.raises(NotComputed, match="2 vertices on the edges of the lids"):
        BlinkRate(BlinkRateConfig())(performance(speech), performance(speech))


# ------------------------------------------------------------------------------------------------ blinks


def blinking(person, moments, frames, seconds=0.24, depth=0.9, squint=0.0):
    """Upper lids that come down by ``depth`` of the gap around each moment (s), on slowly narrowing eyes."""
    time = np.arange(frames) / FPS
    closed = squint * time / time[-1]
    for moment in moments:
        closed = np.maximum(closed, depth * np.clip(1.5 * (1 - np.abs(time - moment) / (seconds / 2)), 0, 1))
    vertices = stills(person, frames).clone()
    for upper, ring in zip(UPPER_LIDS, (CANONICAL.eye_right, CANONICAL.eye_left), strict=True):
        down = vertices[0, ring[1:8].copy()].flip(0) - vertices[0, upper.copy()]
        vertices[:, upper.copy()] += torch.from_numpy(closed).float()[:, None, None] * down
    return vertices + 0.01 * torch.randn(vertices.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("squint", [0.0, 0.35])
@pytest.mark.parametrize("moments", [(), (3.0,), (1.0, 2.5, 2.9, 7.0, 11.0)])
def test_blinks_are_counted(seen, person, moments, squint):
    clip, still = blinking(person, moments, 300, squint=squint), stills(person, 300)
    found = BlinkRate(BlinkRateConfig())(seen(clip), seen(still))
    assert found == {"blink_rate": 5.0 * len(moments), "blink_rate_deviation": 5.0 * len(moments)}
    assert BlinkRate(BlinkRateConfig())(seen(still), seen(clip))["blink_rate_deviation"] == -5.0 * len(moments)


@pytest.mark.parametrize("odd", [{"seconds": 2.5}, {"depth": 0.25}])
def test_eyes_held_shut_and_half_blinks_are_none(seen, person, odd):
    clip = blinking(person, (4.0, 8.0), 300, **odd)
    assert BlinkRate(BlinkRateConfig())(seen(clip), seen(clip))["blink_rate"] == 0


def test_a_blink_cut_by_the_clip_is_none(seen, person):
    clip = blinking(person, (0.0, 5.0, 11.96), 300)
    assert BlinkRate(BlinkRateConfig())(seen(clip), seen(clip))["blink_rate"] == 5.0


def test_short_clips_have_no_rate(seen, person):
    with pytest.raises(NotComputed, match=r"has 1\.0 s, but a blink rate needs 2 s"):
        BlinkRate(BlinkRateConfig())(seen(stills(person, 25)), seen(stills(person, 25)))
    with pytest.raises(ValueError, match=r"closed is 0\.8 and open 0\.75"):
        BlinkRateConfig(closed=0.8)


# ------------------------------------------------------------------------------------------- head motion


def nodding(degrees, frames, scale=37.0):
    """A head turned by so many degrees a frame about the axis (1, 2, 2) / 3, drifting and growing."""
    a, (x, y, z) = np.radians(degrees) * np.arange(frames), np.array([1, 2, 2]) / 3
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.eye(3) + np.sin(a)[:, None, None] * cross + (1 - np.cos(a))[:, None, None] * cross @ cross
    grown = scale * np.linspace(1, 1.5, frames)[:, None, None] * (np.diag([1.0, -1, -1]) @ turn)
    return torch.from_numpy(np.concatenate([grown, np.arange(frames)[:, None, None] + np.ones((1, 3, 1))], -1))


@pytest.mark.parametrize("degrees", [0.0, 1e-5, 0.4, 90.0, 179.0])
def test_head_motion_is_the_angle(performance, degrees):
    found = HeadMotion()(performance(pose=nodding(degrees, 30)), performance(pose=nodding(1.0, 30)))
    assert found["head_motion"] == pytest.approx(FPS * degrees, rel=1e-6, abs=1e-6)
    assert found["head_motion_deviation"] == pytest.approx(FPS * (degrees - 1), rel=1e-6)


def test_head_motion_needs_poses_that_fit(performance):
    pose = nodding(1.0, 30)
    with pytest.raises(NotComputed, match="the head pose of the reference is not known"):
        HeadMotion()(performance(pose=pose), performance())
    with pytest.raises(ValueError, match=r"\(30, 3, 4\), the reference's \(29, 3, 4\)"):
        HeadMotion()(performance(pose=pose), performance(pose=pose[:29]))
    with pytest.raises(ValueError, match="prediction are not finite"):
        HeadMotion()(performance(pose=pose * math.nan), performance(pose=pose))
    with pytest.raises(ValueError, match=r"25\.0 fps, the reference 30\.0"):
        HeadMotion()(performance(pose=pose), performance(pose=pose, fps=30.0))


# ---------------------------------------------------------------------------------------------- identity


def talking(person, frames=75, seed=0):
    """Lips, jaw and brows move by up to 8 mm."""
    moving = np.union1d(CANONICAL.lower_face, CANONICAL.upper_face)
    time, draw = torch.arange(frames)[:, None, None] / FPS, torch.Generator().manual_seed(seed)
    phase = 6.28 * torch.rand(1, len(moving), 3, generator=draw)
    vertices = stills(person, frames).clone()
    vertices[:, moving] += 0.8 * torch.sin(6.28 * 2 * time + phase)
    return vertices


def other_person(person):
    """Longer nose bridge, wider cheeks: by 4 mm at most."""
    smooth = 0.4 * torch.sin(person * torch.tensor([0.5, 0.7, 0.3]) + 1)
    return person + smooth.flip(-1)


def test_identity_is_blind_to_speech_and_sees_another_face(seen, person):
    metric = IdentityDrift.from_config(IdentityDriftConfig(), None)
    one, again = seen(talking(person)), seen(talking(person, seed=1))
    other = seen(talking(other_person(person)))
    assert metric(again, one) == pytest.approx({"identity_distance": 0.0, "identity_drift": 0.0}, abs=1e-4)
    assert metric(other, one)["identity_distance"] > 1
    assert metric(other, one)["identity_drift"] == pytest.approx(0, abs=1e-4)


def test_identity_is_blind_to_pose_and_size(seen, person):
    turned = 1.1 * person @ nodding(20.0, 2, scale=1.0)[1, :, :3].float().mT + 3
    found = IdentityDrift(1.0)(seen(stills(turned, 30)), seen(stills(person, 30)))
    assert found["identity_distance"] == pytest.approx(0, abs=1e-4)


def test_drift_is_what_lies_between_first_and_last_third(seen, person):
    steady, share = steady_vertices(LandmarkFace(LandmarksConfig()), person), torch.linspace(0, 1, 90)[:, None, None]
    wandering = stills(person, 90) + share * (other_person(person) - person)
    one, other = seen(wandering), seen(stills(person, 90))
    found = IdentityDrift(1.0)(one, other)
    assert found["identity_drift"] == pytest.approx(2 * found["identity_distance"] * (59.5 / 89), rel=0.05)
    assert not {*CANONICAL.lips, *CANONICAL.upper_face, *CANONICAL.lower_face} & set(steady.tolist())


def test_identity_needs_some_time(seen, person):
    with pytest.raises(NotComputed, match=r"0\.8 s, but a shape needs 1 s"):
        IdentityDrift(1.0)(seen(stills(person, 20)), seen(stills(person, 20)))


# --------------------------------------------------------------------------------------- lips in silence


def sound(loud, frames=100, quiet=0.0, level=0.1):
    """Noise, loud in the given frames and ``quiet`` times as loud elsewhere."""
    samples = round(SAMPLE_RATE / FPS)
    gain = torch.full((frames,), quiet)
    gain[loud] = 1.0
    noise = torch.randn(frames * samples, generator=torch.Generator().manual_seed(0))
    return level * noise * gain.repeat_interleave(samples)


def sliding(person, millimetres):
    """Lips that move by so many millimetres from each frame to the next, to and fro."""
    vertices = stills(person, len(millimetres)).clone()
    at = torch.cumsum(torch.tensor(millimetres) / 10 * torch.tensor([1.0, -1.0]).repeat(len(millimetres) // 2), 0)
    vertices[:, CANONICAL.lips.copy(), 1] += at[:, None]
    return vertices


@pytest.mark.parametrize("quiet", [0.0, 10 ** (-40 / 20)])
def test_speed_is_that_of_the_lips_where_nothing_is_heard(seen, person, quiet):
    # Sound in 0..39 and 80..99; silence after 4 frames of hangover: 44..75, with 31 steps.
    wave = sound([*range(40), *range(80, 100)], quiet=quiet)
    x, y = ([5.0] * 45 + [inside] * 31 + [5.0] * 24 for inside in (0.8, 0.2))
    found = LipsInSilence(LipsInSilenceConfig())(seen(sliding(person, x), wave=wave), seen(sliding(person, y)))
    assert found["lips_in_silence"] == pytest.approx(0.8 * FPS, rel=1e-4)
    assert found["lips_in_silence_deviation"] == pytest.approx(0.6 * FPS, rel=1e-4)


def test_the_level_of_the_recording_does_not_matter(seen, person):
    metric, loud = LipsInSilence(LipsInSilenceConfig()), [*range(40), *range(80, 100)]
    for level in (0.3, 0.003):
        silent = metric.silent(sound(loud, quiet=0.003, level=level), 100, FPS)
        assert silent.nonzero()[:, 0].tolist() == list(range(44, 76))


def test_sound_that_ends_early_is_silent_from_there_and_no_sound_is_all_silence():
    metric = LipsInSilence(LipsInSilenceConfig())
    assert metric.silent(sound(range(50), 50), 100, FPS).nonzero()[:, 0].tolist() == list(range(54, 100))
    assert metric.silent(torch.zeros(16000), 25, FPS).all()


def test_no_sound_or_no_silence_gives_no_number(seen, person):
    lips = sliding(person, [1.0] * 100)
    with pytest.raises(NotComputed, match="the clip has no sound"):
        LipsInSilence(LipsInSilenceConfig())(seen(lips), seen(lips))
    with pytest.raises(NotComputed, match=r"silent for 0\.00 s, but 0\.08 s are needed"):
        LipsInSilence(LipsInSilenceConfig())(seen(lips, wave=sound(range(100))), seen(lips))


# --------------------------------------------------------------------------------------- rest in silence


def resting(person, opening, millimetres):
    """Lips that slide in every frame, the lower inner lip ``opening`` (T,) times the distance of the eyes below."""
    vertices = sliding(person, millimetres)
    upper, lower = CANONICAL.inner_lip_pair.tolist()
    right, left = CANONICAL.eye_corners.tolist()
    eyes = (person[right] - person[left]).norm()
    vertices[:, lower] = vertices[:, upper]
    vertices[:, lower, 1] -= torch.tensor(opening) * eyes
    return vertices


@pytest.fixture
def paused(seen, person):
    """The part of a clip with sound in 0..39 and 80..99: 44..75 rest; lips there as given, other lips elsewhere."""

    def part(ours, theirs, speaker="ann"):
        sides = [
            resting(person, [0.9] * 44 + [opening] * 32 + [0.9] * 24, [5.0] * 45 + [speed] * 31 + [5.0] * 24)
            for opening, speed in (ours, theirs)
        ]
        wave = sound([*range(40), *range(80, 100)])
        return RestInSilence(RestInSilenceConfig()).part(
            seen(sides[0], wave=wave, speaker=speaker), seen(sides[1], speaker=speaker)
        )

    return part


def test_rests_are_compared_with_the_speakers_own(paused):
    found = RestInSilence(RestInSilenceConfig()).pool([paused((0.3, 0.4), (0.2, 0.8))])
    assert found["rest_opening"] == pytest.approx(1.5, rel=1e-4)
    assert found["rest_opening_deviation"] == pytest.approx(0.5, rel=1e-3)
    assert found["rest_motion"] == pytest.approx(0.25, rel=1e-3)


def test_all_rests_of_a_speaker_are_one_reference_and_speakers_count_alike(paused):
    metric = RestInSilence(RestInSilenceConfig())
    ann = [paused((0.3, 1.0), (0.1, 1.0)), paused((0.3, 1.0), (0.3, 1.0))]
    bo = [paused((0.1, 1.0), (0.1, 1.0), "bo")]
    assert [row["rest_opening"] for row in metric.each(ann)] == pytest.approx([1.5, 1.5], rel=1e-4)
    assert metric.pool([*ann, *bo])["rest_opening"] == pytest.approx(1.25, rel=1e-4)


def test_short_silences_are_no_rests(seen, person):
    metric, lips = RestInSilence(RestInSilenceConfig()), sliding(person, [1.0] * 100)
    loud = [*range(20), *range(32, 60), *range(73, 100)]  # 12 and 13 frames of silence: 0.48 and 0.52 s
    assert metric.rests(sound(loud), 100, FPS).nonzero()[:, 0].tolist() == list(range(64, 69))
    with pytest.raises(NotComputed, match=r"no pause of 0\.5 s"):
        metric.part(seen(lips, wave=sound([*range(45), *range(55, 100)])), seen(lips))
    with pytest.raises(NotComputed, match="no sound"):
        metric.part(seen(lips), seen(lips))


def test_own_lips_that_are_shut_and_still_give_no_ratio(paused):
    metric = RestInSilence(RestInSilenceConfig())
    shut = paused((0.3, 1.0), (0.0, 0.0))
    assert metric.each([shut]) == [{}]
    with pytest.raises(NotComputed, match="in no speaker's own pauses"):
        metric.pool([shut])
    assert metric.pool([shut, paused((0.2, 1.0), (0.2, 1.0), "bo")])["rest_opening"] == pytest.approx(1, rel=1e-4)


# ------------------------------------------------------------------------------- thresholds, by their stated values


def test_open_eyes_are_the_upper_fifth_of_the_window_and_at_least_half_of_the_clips(seen, person):
    """The gap in numbers: 1 at first, then .45 for good, which is below half, so the eyes count as half open."""
    metric = BlinkRate(BlinkRateConfig())
    gap = torch.cat([torch.ones(200), torch.full((100,), 0.45)])
    gap[100:105] = 0.5  # a blink of open eyes: below .6
    gap[270:275] = 0.31  # .31 / .5 of eyes that are held narrow: no blink, but .31 / .45 would not be one either
    assert metric.blinks(gap, 25.0) == [(100, 105)]
    gap[270:275] = 0.29  # .58 of the half-open level begins one, but .45 / .5 = .9 ends it
    assert metric.blinks(gap, 25.0) == [(100, 105), (270, 275)]
    sharp = torch.linspace(0, 1, 101)[torch.randperm(101, generator=torch.Generator().manual_seed(0))]
    sharp[50] = 0.5
    level = float(torch.quantile(sharp, 0.8))  # the window of 2 s on either side holds all
    assert metric.blinks(torch.cat([sharp, sharp]), 25.0) == metric.blinks(torch.cat([sharp, sharp]) / level, 25.0)


def test_two_frames_have_a_speed_of_the_head(performance):
    found = HeadMotion()(performance(pose=nodding(3.0, 2)), performance(pose=nodding(3.0, 2)))
    assert found["head_motion"] == pytest.approx(FPS * 3)
    with pytest.raises(ValueError, match="T > 1"):
        HeadMotion()(performance(pose=nodding(3.0, 1)), performance(pose=nodding(3.0, 1)))
