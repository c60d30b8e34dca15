"""Augmentation of training speech: rooms, microphones, telephones, noise and other speakers.

All sound is (S,) float32, mono at 16 kHz. All random numbers come from the caller's generator, so results repeat.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vast_core.interfaces import SAMPLE_RATE

Wave = NDArray[np.float32]


def stretched(wave: Wave, factor: float) -> Wave:
    """``wave`` played ``factor`` times slower: longer, lower, with a longer vocal tract.

    Samples are interpolated linearly, which slightly attenuates frequencies near 8 kHz; for augmentation that is fine.
    """
    samples = int(len(wave) * factor)
    return np.interp(np.arange(samples) / factor, np.arange(len(wave)), wave).astype(np.float32)


def spoilt(wave: Wave, rng: np.random.Generator, others: Wave) -> Wave:
    """``wave`` with reverberation, filters, noise, ``others`` (S,) talking behind, clipping and gain, each at
    random."""
    if rng.random() < 0.35:
        wave = reverberant(wave, rng)
    if rng.random() < 0.5:
        wave = coloured(wave, rng)
    if rng.random() < 0.8:
        # noise with the spectrum of speech hides most: it is as loud as the speech in every band
        like_speech = rng.random() < 0.5
        noise = shaped(wave if rng.random() < 0.5 else others, rng) if like_speech else _noise(len(wave), rng)
        if rng.random() < 0.3:
            noise *= _swell(len(wave), rng)
        wave = mixed(wave, noise, rng.uniform(2, 30) if like_speech else rng.uniform(0, 40))
    if rng.random() < 0.15:
        wave = mixed(wave, others, rng.uniform(12, 30))
    if rng.random() < 0.2:
        wave = telephone(wave, rng)
    if rng.random() < 0.1:
        # a recording made far too loud: in the worst case, little but the signs of the samples is left
        wave = np.clip(wave * np.float32(10 ** rng.uniform(0.5, 4) / _level(wave)), -1, 1)
    loud = wave * np.float32(10 ** (rng.normal(-23, 7) / 20) / _level(wave))
    heard: Wave = np.clip(loud, -1, 1).astype(np.float32, copy=False)
    return heard


def reverberant(wave: Wave, rng: np.random.Generator) -> Wave:
    """``wave`` in a room: noise with exponential decay of 50 to 500 ms (to -60 dB) after the direct sound."""
    length = int(rng.uniform(0.05, 0.5) * SAMPLE_RATE)
    room = rng.standard_normal(length, np.float32) * np.float32(1e-3) ** (np.arange(length, dtype=np.float32) / length)
    room *= rng.uniform(0.05, 0.7) / np.sqrt(np.square(room).sum())
    room[0] = 1.0
    size = _fast_size(len(wave) + length)
    return _inverse(np.fft.rfft(wave, size) * np.fft.rfft(room, size), size)[: len(wave)]


def coloured(wave: Wave, rng: np.random.Generator) -> Wave:
    """``wave`` through a random smooth filter, sometimes band-limited at both ends."""
    size = _fast_size(len(wave) + 512)
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    points = np.array([0, 200, 500, 1000, 2000, 3500, 5500, 8000])
    decibels = np.interp(hertz, points, rng.normal(0, 4, len(points)))
    if rng.random() < 0.3:
        low, high = rng.uniform(50, 350), rng.uniform(3200, 7500)
        decibels -= 90 * np.clip((hertz - high) / 400, 0, 1) + 40 * np.clip((low - hertz) / low, 0, 1)
    gains = (10 ** (decibels / 20)).astype(np.float32)
    return _inverse(np.fft.rfft(wave, size) * gains, size)[: len(wave)]


def telephone(wave: Wave, rng: np.random.Generator) -> Wave:
    """``wave`` at 8 kHz, often through the 300 to 3,400 Hz and the 8-bit mu-law of ITU-T G.711."""
    size = _fast_size(len(wave) + 512)
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    narrow = rng.random() < 0.7
    high, low = (rng.uniform(3300, 3800), rng.uniform(150, 350)) if narrow else (rng.uniform(3700, 3950), 1.0)
    gains = np.clip((high + 100 - hertz) / 200, 0, 1) * np.clip(hertz / low, 0, 1)
    band = np.fft.rfft(wave, size) * gains.astype(np.float32)
    if not narrow:
        return _inverse(band, size)[: len(wave)]
    # every second sample, so that quantisation noise also stays below 4 kHz; size is a multiple of 4
    slow = _inverse(band[: size // 4 + 1], size // 2)
    back = np.zeros_like(band)
    back[: size // 4 + 1] = 2 * np.fft.rfft(_mu_law(slow / (np.abs(slow).max() + 1e-9)))
    back[size // 4] /= 2  # 4 kHz was the last bin, which holds both signs of the frequency
    return _inverse(back, size)[: len(wave)]


def _mu_law(wave: Wave) -> Wave:
    """``wave`` in [-1, 1] quantised to 255 levels, equally spaced in sgn(x) ln(1 + 255 |x|) / ln 256."""
    code = np.rint(np.sign(wave) * np.log1p(255 * np.abs(wave)) / math.log(256) * 127) / 127
    heard: Wave = (np.sign(code) * np.expm1(np.abs(code) * math.log(256)) / 255).astype(np.float32)
    return heard


def mixed(wave: Wave, noise: Wave, decibels: float) -> Wave:
    """Sum of ``wave`` and ``noise``, the noise ``decibels`` below it by root mean square."""
    return wave + noise * np.float32(_level(wave) / _level(noise) * 10 ** (-decibels / 20))


def nobody(samples: int, rng: np.random.Generator) -> Wave:
    """Sound of a microphone where nobody speaks: silence, an offset, noise, hum, or chords."""
    kind = rng.integers(5)
    level = np.float32(10 ** rng.uniform(-4.5, -1))
    if kind == 0:
        wave = np.zeros(samples, np.float32)
    elif kind == 1:
        wave = np.full(samples, level, np.float32)
        wave[: int(rng.integers(samples))] *= rng.integers(2)
    elif kind == 2:
        wave = level * _noise(samples, rng)
    elif kind == 3:
        wave = level * _tones(samples, rng.choice([50.0, 60.0]) * np.arange(1, int(rng.integers(2, 12))), rng)
    else:
        length = int(rng.uniform(0.2, 0.8) * SAMPLE_RATE)
        notes = [55 * 2 ** (rng.integers(0, 36, 3) / 12) for _ in range(-(-samples // length))]
        fall = np.exp(-np.arange(length) / SAMPLE_RATE * rng.uniform(1, 8)).astype(np.float32)
        chords = [fall * _tones(length, np.outer(note, np.arange(1, 8)).ravel(), rng) for note in notes]
        wave = level * np.concatenate(chords)[:samples]
    if rng.random() < 0.5:
        wave = (np.rint(wave * 32768) / 32768).astype(np.float32)
    return wave


def _tones(samples: int, hertz: NDArray[np.float64], rng: np.random.Generator) -> Wave:
    """Sines of random phase; the first has amplitude 1, higher ones are softer."""
    hertz = hertz[hertz < SAMPLE_RATE / 2]
    seconds = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    wave = np.zeros(samples, np.float32)
    for pitch in hertz:
        phase = rng.uniform(0, 2 * np.pi)
        wave += np.float32(hertz[0] / pitch) * np.sin(np.float32(2 * np.pi * pitch) * seconds + np.float32(phase))
    return wave


def _noise(samples: int, rng: np.random.Generator) -> Wave:
    """Noise whose spectrum falls by 0 to 9 dB per octave."""
    size = _fast_size(samples)
    white = np.fft.rfft(rng.standard_normal(size, np.float32))
    white *= np.maximum(np.arange(len(white), dtype=np.float32), 20) ** np.float32(-rng.uniform(0, 1.5))
    return _inverse(white, size)[:samples]


def shaped(wave: Wave, rng: np.random.Generator) -> Wave:
    """Noise with the long-term spectrum of ``wave``, averaged over bands of 31 Hz; same length."""
    size = _fast_size(len(wave))
    power = np.square(np.abs(np.fft.rfft(wave, size)))
    edges = np.append(np.arange(0, len(power), max(1, len(power) // 256)), len(power))
    bands = np.add.reduceat(power, edges[:-1]) / np.diff(edges)
    amplitude = np.sqrt(np.interp(np.arange(len(power)), (edges[:-1] + edges[1:]) / 2, bands)).astype(np.float32)
    white = np.fft.rfft(rng.standard_normal(size, np.float32))
    return _inverse(white * amplitude, size)[: len(wave)]


def _swell(samples: int, rng: np.random.Generator) -> Wave:
    """A gain that varies over 30 dB a few times a second: passing rather than steady noise."""
    points = max(2, int(samples / SAMPLE_RATE * rng.uniform(0.5, 5)) + 2)
    decibels = np.interp(np.arange(samples), np.linspace(0, samples, points), rng.uniform(-30, 0, points))
    return (10 ** (decibels / 20)).astype(np.float32)


def _level(wave: Wave) -> float:
    """Root mean square, plus a small constant so that silence can be divided by it."""
    return math.sqrt(float(np.mean(np.square(wave))) + 1e-12)


def _inverse(spectrum: NDArray[np.complexfloating], size: int) -> Wave:
    wave: Wave = np.fft.irfft(spectrum, size).astype(np.float32, copy=False)
    return wave


def _fast_size(samples: int) -> int:
    """The smallest size of at least ``samples`` that is 1, 3, 5 or 15 times a power of 2, for a fast FFT."""
    return min(factor << max(0, math.ceil(math.log2(samples / factor))) for factor in (1, 3, 5, 15))
