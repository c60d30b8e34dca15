"""The A/V offset against shifts that are known, made and real."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from vast_core.errors import NotComputed
from vast_core.interfaces import Performance, Sizes
from vast_core.media import shift_wave
from vast_metrics.av_offset import AVOffset

FPS = 25.0
BY_ANOTHER_REGRESSION = {"KristiNoem": 67.0, "Obama_clip1": 133.0, "Obama_clip2": 67.0, "reagan_clip1": -33.0}
"""Milliseconds, in whole frames of 30 a second; of the other talkers, 0 within a frame."""
TALKERS = Path(__file__).parents[4] / "shared" / "footage" / "talkers"
KNOWN = (*BY_ANOTHER_REGRESSION, "andrew_clip_1", "andrew_clip_2", "feifeili_clip2_short")
"""Talkers whose offsets were measured in another way."""


@pytest.fixture
def metric():
    return AVOffset(reach_ms=400.0)


def clip(face, neutral, number, late=0, frames=300, speaker=None):
    """Lips that follow smooth features, whose rows come ``late`` frames after them."""
    draw = np.random.default_rng(number)
    smooth = np.apply_along_axis(
        lambda row: np.convolve(row, np.hanning(7) / 3, "same"), 0, draw.normal(size=(frames, 8))
    )
    opening = 0.3 + 0.1 * smooth @ np.array([1, -0.5, 0.3, 0, 0, 0.2, 0, 0]) + 0.02 * draw.normal(size=frames)
    vertices = neutral.expand(frames, -1, -1).clone()
    vertices[:, 0], vertices[:, 1] = vertices[:, 2], vertices[:, 2]
    width = (neutral[8] - neutral[9]).norm()
    vertices[:, 0, 1] += torch.from_numpy(opening).float() * width
    audio = torch.from_numpy(np.roll(smooth, late, 0)).float()
    name = f"clip {number}"
    return Performance(face=face, fps=FPS, vertices=vertices, audio=audio, name=name, speaker=speaker or name)


def late(performance, frames):
    """The same with lips ``frames`` earlier, so that the sound is late."""
    return attrs.evolve(performance, vertices=performance.vertices.roll(-frames, 0))


@pytest.mark.parametrize("frames", [-5, -2, 0, 1, 4])
def test_a_shift_is_told_in_milliseconds(metric, face, neutral, frames):
    references = [clip(face, neutral, number) for number in range(5)]
    found = metric.pool([metric.part(late(one, frames), one) for one in references])
    assert found["av_offset_deviation"] == pytest.approx(frames * 40, abs=4)
    assert found["av_offset"] == pytest.approx(frames * 40 - 20, abs=6), "and lips lead by 20 ms, as talkers' do"
    assert found["av_offset_confidence"] > 0.8


def test_an_identical_pair_has_no_deviation(metric, face, neutral):
    references = [clip(face, neutral, number, late=number) for number in range(4)]
    parts = [metric.part(one, one) for one in references]
    assert metric.pool(parts)["av_offset_deviation"] == 0
    own = [row["av_offset"] for row in metric.each(parts)]
    assert np.diff(own) == pytest.approx([40, 40, 40], abs=6), "each reference is late by one frame more"


@pytest.mark.parametrize("speakers", [("one",) * 3, ("one", "two", "two")])
def test_few_speakers(metric, face, neutral, speakers):
    references = [clip(face, neutral, number, speaker=speaker) for number, speaker in enumerate(speakers)]
    found = metric.pool([metric.part(late(one, 3), one) for one in references])
    assert found["av_offset_deviation"] == pytest.approx(120, abs=4)


def test_a_single_clip_is_judged_by_blocks_of_itself(metric, face, neutral):
    reference = clip(face, neutral, 0, frames=600)
    assert metric(late(reference, 2), reference)["av_offset_deviation"] == pytest.approx(80, abs=4)


def test_unrelated_sound_and_frozen_lips_have_no_offset(metric, face, neutral):
    references = [clip(face, neutral, number) for number in range(6)]
    strangers = [
        attrs.evolve(one, audio=other.audio)
        for one, other in zip(references, references[1:] + references[:1], strict=True)
    ]
    rows = metric.each([metric.part(one, other) for one, other in zip(strangers, references, strict=True)])
    assert sum("av_offset" in row for row in rows) <= 1
    assert all(row["av_offset_confidence"] < 0.5 for row in rows)
    frozen = [attrs.evolve(one, vertices=one.vertices[:1].expand_as(one.vertices)) for one in references]
    with pytest.raises(NotComputed, match="none of 6 clips"):
        metric.pool([metric.part(one, other) for one, other in zip(frozen, references, strict=True)])


def test_a_recording_out_of_sync_leaves_its_prediction_an_offset_alone(metric, face, neutral):
    """The second reference has the sound of another clip, and its prediction its own."""
    own = [clip(face, neutral, number) for number in range(5)]
    references = [own[0], attrs.evolve(own[1], audio=clip(face, neutral, 9).audio), *own[2:]]
    parts = [metric.part(late(one, 2), other) for one, other in zip(own, references, strict=True)]
    rows = metric.each(parts)
    assert ["av_offset_deviation" in row for row in rows] == [True, False, True, True, True]
    assert all(row["av_offset"] == pytest.approx(60, abs=6) for row in rows)
    assert metric.pool(parts)["av_offset_deviation"] == pytest.approx(80, abs=4)
    assert metric.pool(parts[::-1])["av_offset_deviation"] == pytest.approx(80, abs=4)


def test_signs_do_not_cancel(metric, face, neutral):
    references = [clip(face, neutral, number) for number in range(4)]
    moved = [late(one, 3 * sign) for one, sign in zip(references, (1, -1, 1, -1), strict=True)]
    found = metric.pool([metric.part(one, other) for one, other in zip(moved, references, strict=True)])
    assert found["av_offset_deviation"] == pytest.approx(0, abs=4)
    assert found["av_offset_size"] == pytest.approx(120, abs=6)


def test_without_sound_it_is_not_computed(metric, face, neutral):
    one = clip(face, neutral, 0)
    with pytest.raises(NotComputed, match="the prediction has no sound"):
        metric.part(attrs.evolve(one, audio=None), one)
    with pytest.raises(NotComputed, match="none of 1 recordings"):
        metric(*[attrs.evolve(one, audio=torch.zeros_like(one.audio))] * 2)


def landmarks_and_ppg():
    """The face component, and what gives a performance the phonetic features of a wave (S,)."""
    from vast_audio.config import PpgConfig
    from vast_audio.ppg import Ppg
    from vast_faces.config import LandmarksConfig
    from vast_faces.landmarks import LandmarkFace

    config = PpgConfig()
    sizes = Sizes(fps=FPS, **config.sizes())
    audio = Ppg.from_config(config, sizes).eval()

    @torch.no_grad()
    def heard(performance, wave):
        rows = audio(torch.from_numpy(np.ascontiguousarray(wave))[None], len(performance.vertices))[0]
        return attrs.evolve(performance, audio=rows)

    return LandmarkFace.from_config(LandmarksConfig(), sizes), heard


@pytest.mark.slow
def test_the_lag_of_styles_is_told(metric):
    """Lips of the synthetic corpus lag by what their style says, and the sound is early by so much."""
    from vast_core.interfaces import unposed
    from vast_corpora.config import SyntheticConfig
    from vast_corpora.synthetic import SyntheticCorpus

    face, heard = landmarks_and_ppg()
    corpus = SyntheticCorpus(SyntheticConfig(styles=24, held_out_styles=0, sentences=1, avatar_seconds=0.0), FPS)
    parts, lags = [], []
    for clip in (clip for clip in corpus.clips() if clip.split == "train"):
        shape = Performance(face=face, fps=FPS, vertices=unposed(clip.track), name=clip.name, speaker=clip.speaker)
        one = heard(shape, clip.footage.wave())
        parts.append(metric.part(one, one))
        lags.append(1000 * clip.factors["lag"])
    rows = metric.each(parts)
    told = [number for number, row in enumerate(rows) if "av_offset" in row]
    early = np.array([rows[number]["av_offset"] + lags[number] for number in told])
    print(
        f"{len(told)} of {len(parts)} told; off by {early.mean():.1f} ms, RMS {early.std():.1f} about that, at most "
        f"{abs(early - early.mean()).max():.1f}; lags from {min(lags):.0f} to {max(lags):.0f} ms"
    )
    assert len(told) >= 0.95 * len(parts)
    assert early.std() < 15
    assert early.mean() == pytest.approx(-20, abs=10), "LEAD_MS, as these lips have no lead of their own"


@pytest.mark.slow
@pytest.mark.skipif(not TALKERS.is_dir(), reason=f"no footage of talkers at {TALKERS}")
@pytest.mark.skipif("VAST_WEIGHTS" not in os.environ, reason="VAST_WEIGHTS names no folder with the face tracker")
def test_real_sound_that_was_moved():
    """Sound moved by -200 to 200 ms is told to some milliseconds; that of other speakers is not taken for in sync."""
    from vast_core.interfaces import unposed
    from vast_core.media import VideoFile

    face, heard = landmarks_and_ppg()
    clips, waves = [], []
    for path in sorted(TALKERS / f"{name}.mp4" for name in KNOWN):
        video = VideoFile(path, FPS)
        track = max(face.track(video.frames(), FPS), key=len)
        waves.append(video.wave()[round(track.start / FPS * 16_000) :])
        shape = Performance(
            face=face, fps=FPS, vertices=unposed(track), name=path.stem, speaker=path.stem.partition("_")[0]
        )
        clips.append(heard(shape, waves[-1]))
    metric, errors, told = AVOffset(reach_ms=400.0), [], 0
    own = metric.each([metric.part(one, one) for one in clips])
    for one, row in zip(clips, own, strict=True):
        print(f"{one.name}: {row['av_offset']:.0f} ms")
        assert row["av_offset"] == pytest.approx(BY_ANOTHER_REGRESSION.get(one.name, 0.0), abs=45), one.name
    for ms in range(-200, 201, 100):
        moved = [heard(one, shift_wave(wave, -ms)) for one, wave in zip(clips, waves, strict=True)]
        rows = metric.each([metric.part(one, other) for one, other in zip(moved, clips, strict=True)])
        found = [row["av_offset_deviation"] for row in rows if "av_offset_deviation" in row]
        told += len(found)
        errors += [abs(value - ms) for value in found]
    print(f"{told} of {5 * len(clips)} told, within {max(errors):.2f} ms, median {np.median(errors):.2f}")
    assert told >= 0.95 * 5 * len(clips)
    assert max(errors) < 5
    wrong = 0
    for one, other in itertools.permutations(clips, 2):
        if one.speaker != other.speaker:
            frames = min(len(one.vertices), len(other.vertices))
            stranger = attrs.evolve(one, vertices=one.vertices[:frames], audio=other.audio[:frames])
            parts = [metric.part(clip, clip) for clip in clips if clip is not one]
            own = attrs.evolve(one, vertices=one.vertices[:frames], audio=one.audio[:frames])
            wrong += "av_offset" in metric.each([metric.part(stranger, own), *parts])[0]
    print(f"{wrong} of other speakers' taken for in sync")
    assert wrong <= 4
