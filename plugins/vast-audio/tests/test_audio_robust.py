"""Features do not depend on batch, padding, chunks, file format or gain, and survive whatever is no speech.

Posteriors are compared by total variation, the share of their mass that moved: 0.02 is 2 %. ``mel`` is compared by the
mean difference of a row, whose values have about unit variance. Nothing here depends on what the weights are, beyond
bounds that any sound model keeps.
"""

import functools
import math
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from scipy import signal

from vast_audio.voices import Spoken, nearness
from vast_core.errors import InputError, MediaError, WeightsError
from vast_core.interfaces import Sizes, listen_between
from vast_core.media import read_wave
from vast_core.phones import PHONES, VISEME_OF, VISEMES
from vast_core.registry import Registry

RATE = 16_000
FPS = (24.0, 25.0, 29.97, 30.0, 60.0)
MODELS = Path(os.environ.get("VAST_WEIGHTS", Path(__file__).resolve().parents[3] / "../shared/models"))
WHISPER = pytest.param("ppg_whisper", marks=pytest.mark.slow)
VISEME = torch.tensor([VISEMES.index(VISEME_OF[phone]) for phone in PHONES])


@functools.cache
def registry():
    return Registry.discover()


@functools.cache
def build(name, fps=25.0):
    """A component as a recipe gets it; skips where Whisper's weights are not installed."""
    component = registry().get("audio", name)
    config = component.config(**({"weights": MODELS} if name == "ppg_whisper" and MODELS.is_dir() else {}))
    sizes = Sizes(fps=fps, image=128, expression=8, lower_face=8, vertices=468, style=8, context=8, **config.sizes())
    try:
        return component.load().from_config(config, sizes)
    except WeightsError as error:
        if name != "ppg_whisper":
            raise
        pytest.skip(f"audio/{name}: {error}")


@pytest.fixture(params=["mel", "ppg", WHISPER])
def name(request):
    return request.param


@pytest.fixture(params=["ppg", WHISPER])
def posteriors(request):
    return request.param


def say(text, seed=0, **voice):
    speech = pytest.importorskip("vast_corpora.speech", reason="needs vast-corpora, which speaks")
    return speech.say(text, speech.Voice("somebody", **voice), seed).wave


@functools.cache
def spoken():
    """Three sentences (S,) by a woman, a man and a child, whole frames at 25 fps."""
    parts = [
        say("Bob and Pam may borrow a map of the museum.", 0),
        say("The thief threw three things through the window.", 1, pitch=0.6, tract=1.14),
        say("She gave the puppy a bath and brushed its fur.", 2, pitch=1.28, tract=0.9),
    ]
    wave = np.concatenate(parts)
    return wave[: len(wave) // 640 * 640]


def noise(samples, level=0.05, seed=0):
    return (np.random.default_rng(seed).standard_normal(samples) * level).astype(np.float32)


def music(seconds=12):
    """Four chords, with overtones, struck once a second over bass drum, snare and cymbals."""
    rng = np.random.default_rng(0)
    time, beat = np.arange(RATE) / RATE, np.arange(RATE // 8) / RATE
    wave = np.zeros(seconds * RATE)
    chords = ((220.0, 277.2, 329.6), (146.8, 220.0, 293.7), (164.8, 246.9, 311.1), (196.0, 246.9, 293.7))
    for second in range(seconds):
        start = second * RATE
        for note in chords[second % 4]:
            for overtone in range(1, 9):
                wave[start : start + RATE] += np.sin(2 * np.pi * note * overtone * time) * np.exp(-2 * time) / overtone
        for quarter in range(4):
            bass = 3 * np.sin(2 * np.pi * (50 + 100 * np.exp(-30 * beat)) * beat) * np.exp(-15 * beat)
            snare = 1.5 * rng.standard_normal(len(beat)) * np.exp(-20 * beat)
            cymbal = 0.5 * np.diff(rng.standard_normal(len(beat) + 1)) * np.exp(-60 * beat)
            at = start + quarter * RATE // 4
            wave[at : at + len(beat)] += (snare if quarter % 2 else bass) + cymbal
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def rows(name, wave, fps=25.0, frames=None):
    """Features (T, A) of a wave (S,)."""
    frames = frames or max(1, int(len(wave) / RATE * fps))
    return build(name, fps)(torch.as_tensor(wave)[None], frames)[0]


def apart(name, first, second):
    """How far rows (T, A) are from others: total variation (T,) of posteriors, mean difference of energies."""
    difference = (first - second).abs()
    return difference.mean(-1) if name == "mel" else difference.sum(-1) / 2


def same_viseme(first, second):
    return float((VISEME[first.argmax(-1)] == VISEME[second.argmax(-1)]).float().mean())


def check_posteriors(found):
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert found.min() >= 0
    torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:-1]), atol=1e-5, rtol=0)


# ------------------------------------------------------------------------------- batch, padding, chunks, types


def test_a_mixed_batch_equals_one_by_one(name):
    """Speech beside silence, noise and music at full scale, of other lengths, padded as a data loader does."""
    waves = [spoken()[:70_000], np.zeros(10, np.float32), noise(50_000, 0.3), 2 * music(4), spoken()[20_000:21_000]]
    longest = max(map(len, waves))
    batch = torch.stack([torch.from_numpy(np.pad(wave, (0, longest - len(wave)))) for wave in waves])
    together = build(name)(batch, 105)
    for number, wave in enumerate(waves):
        alone = rows(name, wave, frames=105)
        torch.testing.assert_close(together[number], alone, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("fps", FPS)
def test_silence_around_changes_nothing(name, fps):
    """Digital silence is what the wave is taken to have around it, so 96 frames of it move the rows and no more."""
    wave, shift = spoken()[: 4 * RATE], 96
    frames = int(4 * fps)
    plain = rows(name, wave, fps, frames)
    torch.testing.assert_close(rows(name, np.pad(wave, (0, 3 * RATE)), fps, frames), plain, atol=2e-5, rtol=1e-4)
    before = round(shift / fps * RATE)
    moved = rows(name, np.pad(wave, (before, 0)), fps, frames + shift)[shift:]
    if before == shift / fps * RATE:
        torch.testing.assert_close(moved, plain, atol=2e-5, rtol=1e-4)
    else:  # at 29.97 fps frame 96 lies between two samples
        assert apart(name, moved, plain).mean() < 0.01


def test_what_came_before_is_forgotten_after_the_receptive_field(name):
    wave, other = spoken(), music(4)[: 96 * 640]
    edge = math.ceil(build(name).receptive_field * 25)
    plain = rows(name, wave)
    after = rows(name, np.concatenate([other, wave]))[96:]
    torch.testing.assert_close(after[edge + 1 :], plain[edge + 1 :], atol=2e-5, rtol=1e-4)
    followed = rows(name, np.concatenate([wave, other]), frames=len(plain))
    torch.testing.assert_close(followed[: -edge - 1], plain[: -edge - 1], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("fps", FPS)
def test_chunks_equal_the_whole(name, fps):
    """Cut as synthesis cuts. Where a chunk starts between two samples, windows lie up to one sample beside."""
    features, wave = build(name, fps), torch.from_numpy(spoken())[None]
    total = int(wave.shape[1] / RATE * fps)
    whole = features(wave, total)[0]
    margin = math.ceil(features.receptive_field * fps) + 1
    for start in range(0, total, 32):
        stop = min(start + 32, total)
        first = max(0, start - margin) // features.block * features.block
        part = listen_between(features, wave, start, stop, fps, wave.device)[0]
        if abs(first / fps * RATE - round(first / fps * RATE)) < 1e-6:
            torch.testing.assert_close(part, whole[start:stop], atol=1e-4, rtol=1e-4)
        else:
            assert apart(name, part, whole[start:stop]).max() < 0.05
            assert apart(name, part, whole[start:stop]).mean() < 0.01


def test_layout_and_type_of_the_wave(name):
    wave = torch.from_numpy(spoken()[: 3 * RATE])
    plain = build(name)(wave[None], 75)
    strided = torch.stack([wave, -wave], dim=1).flatten()[::2]
    assert not strided.is_contiguous()
    across = torch.stack([wave, wave], dim=1).T
    for other in (strided[None], across[:1], wave.double()[None], wave[None].expand(1, -1)):
        torch.testing.assert_close(build(name)(other, 75), plain, atol=2e-5, rtol=1e-4)
    half = build(name)(wave.half()[None], 75)
    assert apart(name, half[0], plain[0]).mean() < 0.02


def test_autocast_moves_little(name):
    plain = rows(name, spoken())
    with torch.autocast("cpu", torch.bfloat16):
        cast = rows(name, spoken())
    assert cast.dtype == torch.float32
    assert apart(name, cast, plain).mean() < 0.02


@pytest.mark.parametrize("fps", [25.0, 29.97])
@pytest.mark.parametrize("samples", [0, 1, 100, 5000])
def test_hardly_any_sound(name, fps, samples):
    found = rows(name, spoken()[3000 : 3000 + samples], fps, 7)
    assert found.shape == rows(name, spoken()[:RATE], fps, 7).shape
    assert found.isfinite().all()
    torch.testing.assert_close(rows(name, spoken()[3000 : 3000 + samples], fps, 1), found[:1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
def test_samples_that_are_no_sound_are_refused(name, bad):
    waves = torch.from_numpy(np.stack([spoken(), spoken()]))
    waves[1, 24_000] = bad
    with pytest.raises(InputError, match=r"sound 1 of 2, sample 24000 \(1\.500 s\)"):
        build(name)(waves, 50)


MEMORY = """
import resource, sys, torch
from vast_core.interfaces import Sizes
from vast_core.registry import Registry
torch.set_num_threads(1)
component = Registry.discover().get("audio", sys.argv[1])
config = component.config()
sizes = Sizes(fps=25.0, image=128, expression=8, lower_face=8, vertices=468, style=8, context=8, **config.sizes())
features = component.load().from_config(config, sizes)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
minutes = int(sys.argv[2])
wave = torch.randn(1, minutes * 60 * 16_000).mul_(0.05)
features(wave[:, : 16_000 * 90], 25 * 90)
before = peak()
rows = features(wave, minutes * 60 * 25)
assert rows.isfinite().all()
print(peak() - before - rows.nbytes / 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
@pytest.mark.parametrize(
    ("name", "minutes"),
    [("ppg", 10), pytest.param("ppg", 60, marks=pytest.mark.slow), pytest.param("mel", 60, marks=pytest.mark.slow)],
)
def test_memory_does_not_grow_with_the_sound(name, minutes):
    """Beyond wave and rows, what 90 s took is enough for any length; half a MiB a minute is left for joining rows."""
    command = [sys.executable, "-c", MEMORY, name, str(minutes)]
    extra = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert extra < 40 + minutes * 0.5, f"{extra:.0f} MiB more for {minutes} minutes"


# ------------------------------------------------------------------------------------ sound files and their rates


def write(path, wave, rate, form="s16", layout="mono"):
    """Write a wave (S,) at 16 kHz to a WAV file at ``rate``, resampled by scipy."""
    common = math.gcd(rate, RATE)
    resampled = signal.resample_poly(wave.astype(np.float64), rate // common, RATE // common)
    if form == "s16":
        samples = np.clip(np.rint(resampled * 32768), -32768, 32767).astype(np.int16)
    else:
        samples = resampled.astype(np.float32)
    channels = 2 if layout == "stereo" else 1
    with av.open(str(path), "w") as container:
        codec = {"s16": "pcm_s16le", "flt": "pcm_f32le"}[form]
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.repeat(samples, channels)[None], format=form, layout=layout)
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("rate", "form", "layout"),
    [
        (16_000, "s16", "stereo"),
        (16_000, "flt", "mono"),
        (22_050, "s16", "mono"),
        (22_050, "flt", "stereo"),
        (32_000, "flt", "mono"),
        (44_100, "s16", "stereo"),
        (44_100, "flt", "mono"),
        (48_000, "s16", "mono"),
        (48_000, "flt", "stereo"),
    ],
)
def test_the_rate_that_a_file_came_in(name, rate, form, layout, tmp_path):
    """Rows move by less than 2 % of the posterior mass in the mean, and by less than 15 % anywhere."""
    wave = spoken()
    heard = read_wave(write(tmp_path / "speech.wav", wave, rate, form, layout))
    assert abs(len(heard) - len(wave)) <= 2
    moved = apart(name, rows(name, heard, frames=len(wave) // 640), rows(name, wave))
    assert moved.mean() < 0.02
    assert moved.max() < 0.15


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 48_000])
def test_a_telephone_band_is_heard_alike_at_any_rate(posteriors, rate, tmp_path):
    """What lies below 3.4 kHz, an 8 kHz file holds whole, and the 2 % hold for it too."""
    band = np.convolve(spoken(), signal.firwin(401, 3400, fs=RATE), "same").astype(np.float32)
    heard = read_wave(write(tmp_path / "speech.wav", band, rate, "s16"))
    moved = apart(posteriors, rows(posteriors, heard, frames=len(band) // 640), rows(posteriors, band))
    assert moved.mean() < 0.02


def test_speech_at_8_khz_is_still_understood(posteriors, tmp_path):
    """Half of its band is gone, and much of S, F and T with it: 2 % do not hold, but most frames look the same."""
    wave = spoken()
    heard = read_wave(write(tmp_path / "speech.wav", wave, 8_000))
    narrow, wide = rows(posteriors, heard, frames=len(wave) // 640), rows(posteriors, wave)
    check_posteriors(narrow)
    assert apart(posteriors, narrow, wide).mean() < 0.3
    assert same_viseme(narrow, wide) > 0.7


@pytest.mark.parametrize("bad", [math.nan, math.inf, 32_000.0])
def test_a_file_of_bad_floats_is_refused(bad, tmp_path):
    wave = spoken().copy()
    wave[40_000] = bad
    path = tmp_path / "speech.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave[None], format="flt", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"speech\.wav: the sound near 2\.\d+ s"):
        read_wave(path)


# ------------------------------------------------------------------------------------- gain, offset, clipping


@pytest.mark.parametrize("decibels", [-40, -20, -6, 6, 20])
def test_gain_moves_no_posterior(posteriors, decibels):
    """By 2 % in the mean; Whisper's input keeps the level, so what is soft or loud moves it more."""
    wave = spoken()
    moved = apart(posteriors, rows(posteriors, wave * np.float32(10 ** (decibels / 20))), rows(posteriors, wave))
    mean, most = (0.02, 0.1) if posteriors == "ppg" else (0.1, 0.5)
    assert moved.mean() < mean
    assert moved.max() < most


def test_gain_shifts_mel_as_stated():
    """By ln(10) / 10 a decibel over the scale of 3.7, where the energy is well over the floor of 1e-8."""
    wave = spoken()
    plain, louder = rows("mel", wave), rows("mel", 10 * wave)
    loud = plain > 0
    torch.testing.assert_close((louder - plain)[loud].mean(), torch.tensor(2 * math.log(10) / 3.7), atol=0.01, rtol=0)


@pytest.mark.parametrize("offset", [0.01, 0.3, -0.9])
def test_a_constant_offset_is_not_heard(name, offset):
    """Beyond the click that it begins and ends with."""
    wave, edge = spoken(), math.ceil(build(name).receptive_field * 25)
    moved = apart(name, rows(name, wave + np.float32(offset)), rows(name, wave))[edge:-edge]
    assert moved.mean() < 0.01
    assert moved.max() < 0.05


@pytest.mark.parametrize(("decibels", "visemes"), [(6, 0.8), (20, 0.6), (80, 0.35)])
def test_clipping(posteriors, decibels, visemes):
    """Overdriven by 6 dB, by 20 dB, and to a square wave; little changes, then much, but it stays a posterior."""
    wave = spoken()
    clipped = np.clip(wave / np.abs(wave).max() * 10 ** (decibels / 20), -1, 1).astype(np.float32)
    found = rows(posteriors, clipped)
    check_posteriors(found)
    assert same_viseme(found, rows(posteriors, wave)) > visemes


# ------------------------------------------------------------------------------------------ what is no speech

QUIET = {
    "digital silence": np.zeros(8 * RATE),
    "one step of 16 bits, constant": np.full(8 * RATE, 1 / 32768),
    "dither": np.random.default_rng(0).integers(-1, 2, 8 * RATE) / 32768,
    "noise at -80 dBFS": noise(8 * RATE, 1e-4),
    "noise at -60 dBFS": noise(8 * RATE, 1e-3),
    "hum": 0.003 * np.sin(2 * np.pi * 50 * np.arange(8 * RATE) / RATE),
}


@pytest.mark.parametrize("what", QUIET)
def test_quiet_is_silence(posteriors, what):
    """Beyond the click that some begin and end with, which in nothing but silence is loud at any level."""
    found = rows(posteriors, QUIET[what].astype(np.float32))
    check_posteriors(found)
    if posteriors == "ppg_whisper" and (what.startswith("noise") or what == "hum"):
        pytest.xfail("Whisper makes up phones where there is nothing but noise, as the README tells")
    edge = math.ceil(build(posteriors).receptive_field * 25)
    inside = found[edge:-edge]
    assert len(inside)
    assert (inside[:, 0] > 0.5).float().mean() > 0.95
    assert inside[:, 0].mean() > 0.7


ODD = {
    "a lone click": np.eye(1, 4 * RATE, 2 * RATE)[0],
    "white noise": noise(4 * RATE, 0.3),
    "a loud tone": np.sin(np.arange(4 * RATE) * 0.3),
    "a sweep": np.sin(np.cumsum(np.linspace(0, np.pi, 4 * RATE))),
    "a square wave": np.sign(np.sin(np.arange(4 * RATE) * 0.05)),
    "clicks": np.arange(4 * RATE) % 160 == 0,
    "far too loud": 1e4 * noise(4 * RATE, 1.0),
    "far too soft": noise(4 * RATE, 1e-9),
    "the least of floats": np.full(4 * RATE, 1e-40),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_sound_is_survived(name, what):
    found = rows(name, ODD[what].astype(np.float32))
    assert found.isfinite().all()
    if name != "mel":
        check_posteriors(found)


def test_music_is_not_taken_for_speech_with_confidence(posteriors):
    """A chord may sound like a vowel; that it is one, the model may not be sure of for long."""
    found, speech = rows(posteriors, music()), rows(posteriors, spoken())
    check_posteriors(found)
    assert (found[:, 1:].amax(-1) > 0.8).float().mean() < 0.1
    assert found[:, 1:].amax(-1).mean() < speech[:, 1:].amax(-1).mean()


# -------------------------------------------------------------------------------------------- other voices


def pairs(**voice):
    """Sentences by one woman, and by the same with another ``pitch`` or ``tract``."""
    speech = pytest.importorskip("vast_corpora.speech", reason="needs vast-corpora, which speaks")
    for text in SENTENCES:
        one, other = (speech.say(text, v, 0) for v in (speech.Voice("Ann"), speech.Voice("Ben", **voice)))
        assert [p.label for p in one.phones] == [p.label for p in other.phones]
        yield tuple(Spoken(wave=spoken.wave, phones=spoken.phones) for spoken in (one, other))


SENTENCES = (
    "The baker pulled a dozen warm loaves from the oven.",
    "We saw five vans driving over the very long viaduct.",
    "She gave the puppy a bath and brushed its fur.",
)


@pytest.mark.parametrize(
    ("voice", "visemes", "most"),
    [
        ({"pitch": 0.6}, 0.8, 0.25),
        ({"pitch": 1.25}, 0.75, 0.35),
        ({"tract": 1.14}, 0.65, 0.5),
        ({"tract": 0.9}, 0.65, 0.5),
    ],
)
def test_voices_of_other_pitch_or_tract_are_near(posteriors, voice, visemes, most):
    """In the same phone they differ by a part of what phones differ by, and by no more than in mel."""
    build(posteriors)
    found = nearness({name: functools.partial(rows, name) for name in ("mel", posteriors)}, list(pairs(**voice)))
    assert found[posteriors].viseme > visemes
    assert found[posteriors].distance < most
    assert found[posteriors].distance < 1.3 * found["mel"].distance  # which a lowered pitch hardly moves
