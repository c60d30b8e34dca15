"""Sound and lips with a known delay, on a grid finer than frames."""

import numpy as np
import pytest
from scipy.signal import lfilter

from vast_core.interfaces import SAMPLE_RATE
from vast_core.media import LEAD_MS, LipSync, estimate_offsets, lip_regression, shift_wave
from vast_core.media.sync import _deviation

FPS = 25.0
FINE = 40
"""Grid points per frame: one per millisecond."""
BANDS = 12
VOICE = np.random.default_rng(7).normal(size=BANDS)
"""Weights with which audio bands move the lips, the same for all clips."""


def smooth(rng, count, width):
    """Unit-variance Gaussian noise of about 6 Hz on the fine grid, (count, width)."""
    kernel = np.hanning(4 * FINE)
    noise = rng.normal(size=(count + 2 * len(kernel), width))
    low = lfilter(kernel, 1, noise, axis=0)[2 * len(kernel) :]
    return low / low.std(0)


def clip(name, delay_ms, *, seed, seconds=12.0, noise=0.7, related=True, fps=FPS):
    """Lips that open LEAD_MS ahead of their sound, which then comes ``delay_ms`` late."""
    rng = np.random.default_rng(seed)
    margin = 1000
    said = smooth(rng, round(seconds * 1000) + 2 * margin, BANDS)
    at = margin + np.round(np.arange(round(seconds * fps)) * 1000 / fps).astype(int)
    moved = (said if related else smooth(rng, len(said), BANDS)) @ VOICE / np.linalg.norm(VOICE)
    opening = moved[at + round(LEAD_MS)] + noise * rng.normal(size=len(at))
    audio = said[at - round(delay_ms)]
    return LipSync(name, audio.astype(np.float32), (0.1 + 0.03 * opening).astype(np.float32), np.ones(len(at), bool))


def planted(delays, **options):
    return [clip(f"clip {number}", delay, seed=number, **options) for number, delay in enumerate(delays)]


def test_planted_delays_are_found():
    delays = [0, 133, -95, 67, 14, -226, 310, -8]
    found = estimate_offsets(planted(delays), FPS, 400)
    assert [round(offset.milliseconds) for offset in found] == pytest.approx(delays, abs=10)
    assert all(offset.confident and offset.correlation > 0.5 for offset in found)


@pytest.mark.parametrize("fps", [22.13, 30.0, 60.0])
def test_milliseconds_do_not_depend_on_the_frame_rate(fps):
    delays = [0, 133, -95, 67]
    found = estimate_offsets(planted(delays, fps=fps), fps, 400)
    assert [offset.milliseconds for offset in found] == pytest.approx(delays, abs=10)


@pytest.mark.parametrize("delay", [-150, 0, 90, 260])
def test_what_all_clips_share_is_found_too(delay):
    found = estimate_offsets(planted([delay] * 5), FPS, 400)
    assert [offset.milliseconds for offset in found] == pytest.approx([delay] * 5, abs=10)


@pytest.mark.parametrize("delay", [-150, 0, 133])
def test_one_clip_alone_is_judged_by_its_blocks(delay):
    (found,) = estimate_offsets(planted([delay], seconds=20), FPS, 400)
    assert found.milliseconds == pytest.approx(delay, abs=10)
    assert found.confident


def test_clips_too_noisy_to_be_judged_alone_support_each_other():
    delays = [0, 133, -95, 67, 14, -226, 310, -8, 50, -60, 20, 100]
    clips = planted(delays, noise=2.0, seconds=6)
    assert sum(estimate_offsets([clip], FPS, 400)[0].confident for clip in clips) <= 8
    found = estimate_offsets(clips, FPS, 400)
    assert all(offset.confident for offset in found)
    assert np.median(np.abs([offset.milliseconds - delay for offset, delay in zip(found, delays, strict=True)])) < 10


def test_what_they_share_is_found_where_none_can_be_judged_alone():
    clips = planted([160] * 24, noise=1.5, seconds=2.5)
    assert not any(estimate_offsets([clip], FPS, 400)[0].confident for clip in clips)
    trusted = [offset.milliseconds for offset in estimate_offsets(clips, FPS, 400) if offset.confident]
    assert len(trusted) >= 12
    assert np.median(trusted) == pytest.approx(160, abs=10)


def test_unrelated_sound_is_not_trusted_and_spoils_nothing():
    delays = [0, 133, -50, 67, 20]
    clips = [*planted(delays), *(clip(f"dub {n}", 0, seed=50 + n, related=False, seconds=7) for n in range(4))]
    found = estimate_offsets(clips, FPS, 400)
    assert [offset.confident for offset in found] == [True] * 5 + [False] * 4
    assert [offset.milliseconds for offset in found[:5]] == pytest.approx(delays, abs=10)


def test_a_good_clip_among_bad_ones_only_is_judged_by_itself():
    found = estimate_offsets([clip("dub", 0, seed=1, related=False), clip("good", 120, seed=2)], FPS, 400)
    assert [offset.confident for offset in found] == [False, True]
    assert found[1].milliseconds == pytest.approx(120, abs=10)


def test_chance_is_seldom_trusted():
    """At most 2 of 40 dubbed clips pass alone: the search range allows several chances at 3 deviations."""
    dubs = [clip("dub", 0, seed=seed, related=False, seconds=8) for seed in range(100, 140)]
    assert sum(estimate_offsets([dub], FPS, 400)[0].confident for dub in dubs) <= 2


@pytest.mark.parametrize("delay", [520, -520, 420, -420])
def test_a_delay_beyond_the_range_is_not_trusted(delay):
    found = estimate_offsets(planted([0, 10, -20, 30, delay]), FPS, 400)
    assert [offset.confident for offset in found] == [True] * 4 + [False]


def test_frames_without_a_face_count_for_nothing():
    clips = planted([0, 133, -50, 67])
    spoiled = []
    for number, whole in enumerate(clips):
        rng = np.random.default_rng(number)
        valid = rng.random(len(whole.valid)) > 0.2
        opening = np.where(valid, whole.opening, 50.0).astype(np.float32)
        spoiled.append(LipSync(whole.name, whole.audio, opening, valid))
    found = estimate_offsets(spoiled, FPS, 400)
    assert [offset.milliseconds for offset in found] == pytest.approx([0, 133, -50, 67], abs=10)


def test_still_lips_short_clips_and_none_at_all():
    assert estimate_offsets([], FPS, 400) == []
    good = planted([0, 40, -40])
    still = LipSync("still", good[0].audio, np.zeros_like(good[0].opening), good[0].valid)
    unseen = LipSync("unseen", good[0].audio, good[0].opening, np.zeros_like(good[0].valid))
    short = LipSync("short", good[0].audio[:5], good[0].opening[:5], good[0].valid[:5])
    found = estimate_offsets([*good, still, unseen, short], FPS, 400)
    assert [offset.confident for offset in found] == [True] * 3 + [False] * 3
    assert all(np.isfinite(offset.milliseconds) for offset in found)


def test_wide_features_are_reduced():
    mixing = np.random.default_rng(3).normal(size=(BANDS, 200)).astype(np.float32)
    clips = [LipSync(c.name, c.audio @ mixing, c.opening, c.valid) for c in planted([0, 133, -50, 67])]
    found = estimate_offsets(clips, FPS, 400)
    assert [offset.milliseconds for offset in found] == pytest.approx([0, 133, -50, 67], abs=10)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"odd: audio \(9, 2\), opening \(10,\)"):
        LipSync("odd", np.zeros((9, 2), np.float32), np.zeros(10, np.float32), np.ones(10, bool))


def test_late_sound_is_moved_to_the_front():
    wave = np.zeros(SAMPLE_RATE, np.float32)
    wave[8000] = 1.0  # heard at 500 ms
    for late, heard in [(0.0, 8000), (125.0, 6000), (-250.0, 12_000)]:
        shifted = shift_wave(wave, late)
        assert shifted.shape == wave.shape
        assert np.flatnonzero(shifted).tolist() == [heard]
    assert not shift_wave(wave, 2000.0).any()
    assert not shift_wave(wave, -2000.0).any()
    assert shift_wave(wave, 500.0)[0] == 1.0


def test_deviation_of_unrelated_smooth_series():
    """Against a thousand draws of two independent AR(1) series, whose correlation scatters far beyond 1 / sqrt(T)."""
    rng = np.random.default_rng(0)
    draws = lfilter([1.0], [1.0, -0.9], rng.normal(size=(1000, 2, 500)), axis=-1)[:, :, 100:]
    scatter = np.std([np.corrcoef(a, b)[0, 1] for a, b in draws])
    expected = np.mean([_deviation(a, b) for a, b in draws])
    assert scatter > 2.5 / np.sqrt(400)
    assert expected == pytest.approx(scatter, rel=0.15)


def test_the_regression_is_a_ridge_of_thirteen_frames(monkeypatch):
    """Weights from all folds by the normal equations of augmented rows, with a penalty of .3 a row."""
    rng = np.random.default_rng(3)
    clips = [
        LipSync(
            f"c{n}",
            rng.standard_normal((80, 5)).astype(np.float32),
            rng.standard_normal(80).astype(np.float32),
            np.ones(80, bool),
        )
        for n in range(3)
    ]
    reduction = lip_regression.Reduction.fit(clips)
    pieces = [lip_regression.LipSample.of(clip, reduction, n) for n, clip in enumerate(clips)]
    ridge = lip_regression.Ridge.fit(pieces, np.zeros(3), lip_regression.CONTEXT)
    rows, targets = [], []
    every = np.concatenate([clip.audio for clip in clips]).astype(float)
    for clip in clips:
        heard = (clip.audio - every.mean(0)) / (every.std(0) + 1e-6)
        rows += [np.concatenate([heard[min(max(t + k, 0), 79)] for k in range(-6, 7)]) for t in range(80)]
        targets += list((clip.opening - clip.opening.mean()) / clip.opening.std())
    added = np.sqrt(0.3 * 240) * np.eye(65)
    expected = np.linalg.lstsq(np.concatenate([rows, added]), np.concatenate([targets, np.zeros(65)]), rcond=None)[0]
    assert ridge.weights[lip_regression.EVERYTHING] == pytest.approx(expected, abs=1e-5)
    assert np.bincount(pieces[0].blocks().fold).tolist() == [14, 13, 13, 14, 13, 13]


def test_wide_features_keep_sixty_four_components():
    rng = np.random.default_rng(1)
    clip = LipSync(
        "c", rng.standard_normal((300, 100)).astype(np.float32), np.arange(300, dtype=np.float32), np.ones(300, bool)
    )
    assert lip_regression.Reduction.fit([clip])(clip.audio).shape == (300, 64)
    narrow = LipSync("c", clip.audio[:, :64], clip.opening, clip.valid)
    assert lip_regression.Reduction.fit([narrow]).basis == pytest.approx(np.eye(64))


def test_a_series_that_hardly_varies_has_no_correlation():
    ramp = np.arange(10.0)
    assert lip_regression.pearson(ramp, 2 * ramp + 1) == pytest.approx(1)
    assert lip_regression.pearson(ramp, 1e-9 * ramp) == 0
    assert lip_regression.pearson(ramp, 1e-6 * ramp) == pytest.approx(1)
    assert lip_regression.pearson(ramp[:2], ramp[:2]) == pytest.approx(1)
    assert lip_regression.pearson(ramp[:1], ramp[:1]) == 0
