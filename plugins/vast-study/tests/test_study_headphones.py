"""The tones of the headphones check, heard with another program's ears."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from scipy.io import wavfile

from vast_study.headphones import REQUIRED, Trial, passed, trials


def heard(trial):
    """The three tones (3, S, 2), without their ramps."""
    rate, samples = wavfile.read(io.BytesIO(trial.wav()))
    assert rate == 16_000
    assert samples.shape == (4 * rate, 2)
    tones = [samples[int((1.5 * i + 0.1) * rate) : int((1.5 * i + 0.9) * rate)] for i in range(3)]
    return np.stack(tones) / 32768


@pytest.mark.parametrize(("answer", "antiphase"), list(itertools.permutations((1, 2, 3), 2)))
def test_one_tone_is_quieter_and_another_in_antiphase(answer, antiphase):
    tones = heard(Trial(answer, antiphase))
    level = 20 * np.log10(np.sqrt((tones**2).mean(1)))
    loud = {1, 2, 3} - {answer}
    for tone in loud:
        assert level[tone - 1] - level[answer - 1] == pytest.approx(6, abs=0.02)
        peak = np.abs(np.fft.rfft(tones[tone - 1, :, 0])).argmax() / 0.8
        assert peak == pytest.approx(200, abs=0.1)
    mixed = np.abs(tones.sum(2)).max(1)
    assert mixed[antiphase - 1] < 1e-3, "loudspeakers leave something of the tone in antiphase"
    assert all(mixed[tone - 1] > 0.1 for tone in {1, 2, 3} - {antiphase})
    assert np.abs(tones).max() < 0.3


def test_no_tone_clicks():
    _, samples = wavfile.read(io.BytesIO(Trial(1, 2).wav()))
    steps = np.abs(np.diff(samples.astype(int), axis=0)).max()
    assert steps <= 0.25 * 32768 * 2 * np.pi * 200 / 16_000 + 2, "steeper than the tone itself"


def test_trials_are_fixed_and_differ_between_judges_and_attempts():
    assert trials(1, 2) == trials(1, 2, 0)
    orders = {trials(1, judge, attempt) for judge in range(5) for attempt in range(3)}
    assert len(orders) > 10
    for asked in orders:
        assert sorted((t.answer, t.antiphase) for t in asked) == list(itertools.permutations((1, 2, 3), 2))


def test_five_of_six_pass_and_guessing_hardly_ever_does():
    asked = trials(1, 1)
    right = [trial.answer for trial in asked]
    assert passed(asked, right)
    assert passed(asked, [right[0] % 3 + 1, *right[1:]])
    assert not passed(asked, [right[0] % 3 + 1, right[1] % 3 + 1, *right[2:]])
    assert not passed(asked, [trial.antiphase for trial in asked]), "who hears by loudspeakers passes"
    guesses = sum(passed(asked, guess) for guess in itertools.product((1, 2, 3), repeat=6))
    assert (guesses, REQUIRED) == (13, 5)
    with pytest.raises(ValueError, match="zip"):
        passed(asked, right[:5])
