"""The baseline of the report on lips that are a known function of their sound."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from vast_core.media import LipSync
from vast_metrics.stages.lip_ridge import LipRidge

BANDS = 12
VOICE = np.random.default_rng(7).normal(size=BANDS)
"""How audio bands move the lips, the same for all clips."""


def clip(seed, *, ahead=0, noise=0.7, related=True, frames=500):
    """Lips that move ``ahead`` frames before their sound, with noise of ``noise`` times their deviation."""
    rng = np.random.default_rng(seed)
    said, other = (gaussian_filter1d(rng.normal(size=(frames + 60, BANDS)), 1.2, axis=0) for _ in range(2))
    said, other = said / said.std(), other / other.std()
    at = 30 + np.arange(frames)
    moved = (said if related else other)[at + ahead] @ VOICE / np.linalg.norm(VOICE)
    opening = moved + noise * rng.normal(size=frames)
    return LipSync(str(seed), said[at].astype(np.float32), opening.astype(np.float32), np.ones(frames, bool))


def clips(**options):
    return [clip(seed, **options) for seed in range(6)]


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_it_reaches_what_noise_allows(noise):
    """Lips that are a linear function of the sound plus noise: r = 1 / sqrt(1 + noise^2)."""
    found = LipRidge.fit(clips(noise=noise)).correlation(clip(99, noise=noise, frames=1500))
    assert found == pytest.approx(1 / np.sqrt(1 + noise**2), abs=0.04)


def test_it_finds_nothing_where_nothing_is():
    fitted = LipRidge.fit(clips(related=False))
    assert abs(fitted.correlation(clip(99, related=False, frames=1500))) < 0.2


@pytest.mark.parametrize(("ahead", "least", "most"), [(5, 0.6, 1.0), (-5, 0.6, 1.0), (13, -0.2, 0.25)])
def test_it_sees_six_frames_ahead_and_behind_and_no_more(ahead, least, most):
    fitted = LipRidge.fit(clips(ahead=ahead, noise=0.3))
    assert least < fitted.correlation(clip(99, ahead=ahead, noise=0.3, frames=1500)) < most


def test_it_equals_augmented_least_squares():
    """Ridge as plain least squares with sqrt(penalty) I appended to the rows."""
    train, test = clips()[:3], clip(99)
    fitted = LipRidge.fit(train)
    rows, target = [], []
    for one in train:
        padded = np.pad(fitted.reduction(one.audio), ((6, 6), (0, 0)), mode="edge")
        rows.append(np.hstack([padded[k : k + len(one.audio)] for k in range(13)]))
        target.append((one.opening - one.opening.mean()) / one.opening.std())
    rows, target = np.concatenate(rows), np.concatenate(target)
    padded = np.pad(fitted.reduction(test.audio), ((6, 6), (0, 0)), mode="edge")
    asked = np.hstack([padded[k : k + len(test.audio)] for k in range(13)])
    reached = []
    for penalty in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
        extra = np.sqrt(penalty * len(rows)) * np.eye(rows.shape[1])
        longer = np.concatenate([target, np.zeros(len(extra))])
        weights = np.linalg.lstsq(np.vstack([rows, extra]), longer, rcond=None)[0]
        reached.append(np.corrcoef(asked @ weights, test.opening)[0, 1])
    assert np.abs(np.array(reached) - fitted.correlation(test)).min() < 1e-6
