"""Spoilt speech: each effect against a closed form or a second implementation, and all of them repeated by a seed."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from vast_audio.augmentation import coloured, mixed, reverberant, shaped, spoilt, stretched, telephone

RATE = 16_000
SEEDS = range(40)


def babble(seconds=2.0, seed=5):
    """Noise with bursts and pauses, something like speech in its level."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.uniform(0.01, 0.2, math.ceil(seconds * 10)), RATE // 10)[: round(seconds * RATE)]
    return (rng.standard_normal(len(level)) * level).astype(np.float32)


def click(samples, place):
    wave = np.zeros(samples, np.float32)
    wave[place] = 1.0
    return wave


def decibels(response):
    """Spectrum of an impulse response, and its frequencies."""
    size = 1 << (len(response) - 1).bit_length()
    return 20 * np.log10(np.abs(np.fft.rfft(response, size)) + 1e-12), np.fft.rfftfreq(size, 1 / RATE)


def level(wave):
    return 10 * np.log10(np.mean(np.square(wave, dtype=np.float64)))


EFFECTS = {"reverberant": reverberant, "coloured": coloured, "telephone": telephone, "shaped": shaped}
RANDOM = {**EFFECTS, "spoilt": lambda wave, rng: spoilt(wave, rng, babble(len(wave) / RATE, 9))}


# ------------------------------------------------------------------------------------------- all effects


@pytest.mark.parametrize("effect", RANDOM.values(), ids=RANDOM)
def test_a_seed_repeats_what_was_drawn(effect):
    wave = babble(0.5)
    before = wave.copy()
    heard = [effect(wave, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(heard[0], heard[1])
    assert not np.array_equal(heard[0], heard[2])
    np.testing.assert_array_equal(wave, before)  # it is not spoilt where it lies


@pytest.mark.parametrize("effect", RANDOM.values(), ids=RANDOM)
@pytest.mark.parametrize("loudness", [0.0, 1e-30, 1e-7, 1.0, 100.0])
def test_sound_of_any_loudness_stays_sound(effect, loudness):
    wave = (loudness * babble(0.25)).astype(np.float32)
    for seed in SEEDS:
        heard = effect(wave, np.random.default_rng(seed))
        assert heard.dtype == np.float32
        assert heard.shape == wave.shape
        assert np.isfinite(heard).all()


@pytest.mark.parametrize("samples", [1, 2, 511, 16_001, 80_000])
def test_sound_of_any_length_keeps_it(samples):
    wave = babble(5.0)[:samples]
    for effect in RANDOM.values():
        for seed in range(8):
            assert effect(wave, np.random.default_rng(seed)).shape == (samples,)


def test_all_together_stay_in_time_and_in_range():
    rng = np.random.default_rng(5)
    wave, others, changed, levels = babble(), np.roll(babble(), 7777), 0, []
    for _ in range(60):
        heard = spoilt(wave, rng, others)
        assert np.abs(heard).max() <= 1
        likeness = np.fft.irfft(np.fft.rfft(heard) * np.conj(np.fft.rfft(wave)))
        assert abs((int(np.abs(likeness).argmax()) + RATE) % (2 * RATE) - RATE) <= 24  # 1.5 ms
        changed += abs(np.corrcoef(heard, wave)[0, 1]) < 0.95
        levels.append(level(heard))
    assert changed > 20
    assert np.median(levels) == pytest.approx(-23, abs=4)  # three standard errors
    assert np.std(levels) > 3


# ------------------------------------------------------------------------------------------ one by one


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_stretched_sound_is_longer_and_lower(factor):
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    slow = stretched(tone, factor)
    assert len(slow) == round(RATE * factor)
    found = np.abs(np.fft.rfft(slow * np.hanning(len(slow)))).argmax() * RATE / len(slow)
    assert found == pytest.approx(1000 / factor, abs=1.5)
    assert abs(int(stretched(click(RATE, 8000), factor).argmax()) - 8000 * factor) <= 1


@pytest.mark.parametrize("wanted", [-5.0, 0.0, 12.0, 45.0])
@pytest.mark.parametrize("loudness", [1e-3, 1.0])
def test_noise_is_as_far_below_as_asked(wanted, loudness):
    wave = babble()
    noise = (loudness * np.random.default_rng(0).standard_normal(len(wave))).astype(np.float32)
    added = mixed(wave, noise, wanted).astype(np.float64) - wave
    assert level(wave) - level(added) == pytest.approx(wanted, abs=0.05)
    assert np.corrcoef(added, noise)[0, 1] > 0.99


def test_silence_gets_no_noise_to_speak_of():
    silence = np.zeros(RATE, np.float32)
    assert level(mixed(silence, babble(1.0), 0.0)) < -110
    np.testing.assert_array_equal(mixed(babble(1.0), silence, 0.0), babble(1.0))


@pytest.mark.parametrize("seed", range(6))
def test_a_room_answers_after_the_sound_and_dies_away(seed):
    place = 3000
    heard = reverberant(click(2 * RATE, place), np.random.default_rng(seed))
    assert np.abs(heard[:place]).max() < 1e-6, "nothing is heard before it sounds"
    assert heard[place] == pytest.approx(1.0, abs=1e-5)
    tail = heard[place + 1 :].astype(np.float64)
    length = int(np.flatnonzero(np.abs(tail) > 2e-6)[-1])
    assert 0.05 * RATE - 2 <= length <= 0.5 * RATE
    # a straight line in decibels, of 60 in the whole length
    parts = np.array_split(tail[:length], 10)
    slope = np.polyfit(np.arange(10), [level(part) for part in parts], 1)[0]
    assert slope * 10 == pytest.approx(-60, abs=8)
    energy = np.square(tail).sum()
    assert 0.05**2 * 0.8 <= energy <= 0.7**2


@pytest.mark.parametrize("seed", range(3))
def test_a_room_and_a_filter_are_convolutions(seed):
    wave = babble(1.0)
    room = reverberant(click(RATE, 0), np.random.default_rng(seed))
    expected = fftconvolve(wave.astype(np.float64), room)[: len(wave)]
    np.testing.assert_allclose(reverberant(wave, np.random.default_rng(seed)), expected, atol=1e-5)

    # a filter without delay rings on either side, for which there are 16 ms of room; beyond, it has died away
    wave[:4000] = wave[-4000:] = 0
    centred = coloured(click(RATE, RATE // 2), np.random.default_rng(seed))
    expected = fftconvolve(wave.astype(np.float64), centred)[RATE // 2 :][: len(wave)]
    np.testing.assert_allclose(coloured(wave, np.random.default_rng(seed)), expected, atol=2e-3)


def test_filters_are_smooth_without_delay_and_at_times_narrow():
    narrow = 0
    for seed in SEEDS:
        response = coloured(click(2 * RATE, RATE), np.random.default_rng(seed))
        np.testing.assert_allclose(response[RATE - 4000 : RATE], response[RATE + 4000 : RATE : -1], atol=1e-5)
        gain, hertz = decibels(response)
        middle = gain[(hertz > 400) & (hertz < 3000)]
        assert np.ptp(middle) < 35  # of points four decibels about 0
        if gain[-1] < middle.mean() - 60:
            narrow += 1
            assert gain[hertz < 5].mean() < middle.mean() - 25
    assert 4 <= narrow <= 21  # 0.3 of 40, three standard deviations


# ---------------------------------------------------------------------------------------- the telephone


def lines(count=60):
    """Telephone lines by seed; True for those with the narrow band and the code, by the rounding that it leaves."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    for seed in range(count):
        spectrum = np.abs(np.fft.rfft(telephone(tone, np.random.default_rng(seed))))
        rest = np.delete(spectrum[:3900], range(940, 1061))  # but for the tone and the window's ends
        yield seed, bool(np.square(rest).sum() > 1e-5 * spectrum[1000] ** 2)


CODED = [seed for seed, coded in lines() if coded]


def test_most_lines_are_narrow():
    assert 31 <= len(CODED) <= 53  # 0.7 of 60, three standard deviations


@pytest.mark.parametrize("seed", SEEDS)
def test_a_telephone_has_nothing_above_4_khz(seed):
    spectrum = np.square(np.abs(np.fft.rfft(telephone(babble(), np.random.default_rng(seed)) * np.hanning(2 * RATE))))
    hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    assert spectrum[hertz > 4060].sum() < 1e-9 * spectrum.sum()
    assert spectrum[(hertz > 500) & (hertz < 3300)].sum() > 0.5 * spectrum.sum()


@pytest.mark.parametrize("seed", CODED[:4])
def test_a_line_has_the_255_steps_of_mu_law(seed):
    """At 8 kHz, 127 ln(1 + 255 |x|) / ln 256 is a whole number."""
    coded = telephone(babble(), np.random.default_rng(seed))[::2].astype(np.float64)
    codes = 127 * np.log1p(255 * np.abs(coded)) / math.log(256)
    inside = slice(400, -400)  # what is beyond the ends was coded, too, and cut off
    np.testing.assert_allclose(codes[inside], np.rint(codes[inside]), atol=0.02)
    assert np.rint(codes).max() == 127
    assert len(np.unique(np.rint(np.sign(coded) * codes))) > 150


@pytest.mark.parametrize("seed", CODED[:4])
def test_a_line_agrees_with_torchaudio(seed):
    """Whose 256 steps lie differently: what was coded here is moved there by half a step of that loudness at most."""
    functional = pytest.importorskip("torchaudio.functional", reason="pip install 'vast-avatar[oracles]'")
    coded = torch.from_numpy(telephone(babble(), np.random.default_rng(seed))[::2].copy())
    again = functional.mu_law_decoding(functional.mu_law_encoding(coded, 256), 256)
    half = 0.5 * (coded.abs() + 1 / 255) * math.log(256) / 127
    assert ((again - coded).abs() <= 1.15 * half + 1e-4).all()


@pytest.mark.parametrize("seed", CODED[:3])
def test_quiet_speech_is_rounded_as_finely_as_loud(seed):
    """A logarithmic code rounds with 6.02 * 8 + 4.77 - 20 lg ln 256 = 38.0 dB; a linear one of 8 bits would lose 30."""
    place = np.arange(RATE)
    tone = np.sin(2 * np.pi * 1000.5 * place / RATE + 0.3) * np.where(place < RATE // 2, 1.0, 10**-1.5)
    heard = telephone(tone.astype(np.float32), np.random.default_rng(seed)).astype(np.float64)
    for half in (slice(1000, 7000), slice(9000, 15000)):
        basis = np.stack(
            [np.sin(2 * np.pi * 1000.5 * place[half] / RATE), np.cos(2 * np.pi * 1000.5 * place[half] / RATE)]
        )
        fitted = basis.T @ np.linalg.lstsq(basis.T, heard[half], rcond=None)[0]
        assert level(fitted) - level(heard[half] - fitted) == pytest.approx(38, abs=5)


def test_shaped_noise_is_as_loud_in_every_band_as_what_it_imitates():
    rng = np.random.default_rng(8)
    wave = np.convolve(rng.standard_normal(8 * RATE), np.hanning(24), "same").astype(np.float32)  # falls with frequency
    noise = shaped(wave, rng)
    bands = [np.square(np.abs(np.fft.rfft(one))).reshape(-1, 1) for one in (wave, noise)]
    power = [[part.mean() for part in np.array_split(band[:, 0], 12)] for band in bands]
    ratio = np.log10(np.divide(*power))
    assert np.ptp(ratio) < 0.3  # decades
    assert np.ptp(np.log10(power[0])) > 3
    assert abs(np.corrcoef(wave, noise)[0, 1]) < 0.05
