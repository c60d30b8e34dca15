"""Speech by the program flite: its phones are where they are heard; a program that misbehaves is told of."""

import shutil

import numpy as np
import pytest

from vast_core.errors import InputError
from vast_core.phones import PHONES, SILENCE
from vast_corpora import flite
from vast_corpora.speech import SENTENCES

RATE = 16_000
VOWELS = {"AA", "AE", "AH", "AO", "AY", "EH", "EY", "IH", "IY", "OW"}
spoken_by_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="the program flite is not installed")


@pytest.fixture(scope="module")
def spoken():
    texts = ["Miss Asa said a sassy essay is a necessary excess, so Lucy saw a messy basin of sauce.", *SENTENCES[:6]]
    return [flite.say(text, voice) for voice in flite.VOICES for text in texts]


@spoken_by_flite
def test_phones_cover_the_sound(spoken):
    for speech in spoken:
        assert speech.wave.dtype == np.float32
        assert speech.phones[0].start == 0.0
        assert speech.phones[-1].end == pytest.approx(len(speech.wave) / RATE, abs=1e-6)
        for before, after in zip(speech.phones, speech.phones[1:], strict=False):
            assert before.end == after.start
            assert not before.label == after.label == SILENCE
        assert all(phone.label in PHONES and phone.end > phone.start for phone in speech.phones)


@spoken_by_flite
def test_level_is_that_of_the_other_voices(spoken):
    for speech in spoken:
        said = np.concatenate(
            [speech.wave[int(p.start * RATE) : int(p.end * RATE)] for p in speech.phones if p.label != SILENCE]
        )
        assert np.abs(speech.wave).max() <= 0.991
        assert 20 * np.log10(np.sqrt(np.mean(said.astype(float) ** 2))) == pytest.approx(-23, abs=0.5)


@spoken_by_flite
def test_hiss_is_where_s_is_said(spoken):
    """Energy above 3.5 kHz passes that below 1.5 kHz, as in no vowel, from the start to the end of the label."""
    errors = []
    for speech in spoken:
        frames = np.lib.stride_tricks.sliding_window_view(np.pad(speech.wave, 128), 256)[::80] * np.hanning(256)
        power = np.abs(np.fft.rfft(frames)) ** 2
        hissing = power[:, 56:].sum(1) > power[:, :24].sum(1)
        for before, phone, after in zip(speech.phones, speech.phones[1:], speech.phones[2:], strict=False):
            if phone.label == "S" and {before.label, after.label} <= VOWELS:
                first = last = round((phone.start + phone.end) * 100)
                assert hissing[first]
                while hissing[first - 1]:
                    first -= 1
                while hissing[last + 1]:
                    last += 1
                errors += [first / 200 - phone.start, last / 200 - phone.end]
    assert len(errors) >= 40
    assert abs(np.median(errors)) < 0.01
    assert np.percentile(np.abs(errors), 80) < 0.03


@spoken_by_flite
def test_pronunciation_and_repeatability():
    first, again = (flite.say("The early bird measured a joyful thing.", "slt") for _ in range(2))
    labels = " ".join(phone.label for phone in first.phones)
    assert labels == "SIL DH IY ER L IY B ER D M EH ZH ER D AH JH OY F AH L TH IH NG SIL"
    assert np.array_equal(first.wave, again.wave)
    assert not np.array_equal(first.wave, flite.say("The early bird measured a joyful thing.", "rms").wave)
    assert flite.program_version().startswith("version: ")


@spoken_by_flite
def test_nothing_to_say_is_an_error():
    with pytest.raises(InputError, match=r"'\.\.\.' has no word"):
        flite.say("...", "slt")


def test_an_unknown_voice_is_not_replaced_by_another():
    with pytest.raises(InputError, match=r"voice 'nobody' of flite is not supported; use one of slt, rms, awb, kal16"):
        flite.say("Hello.", "nobody")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo broken >&2; exit 3", "failed with status 3: broken"),
        ("exit 0", r"wrote no sound .* for 'Hello.'"),
    ],
)
def test_a_failing_program_is_told_of(tmp_path, monkeypatch, script, message):
    install(tmp_path, monkeypatch, script)
    with pytest.raises(InputError, match=message):
        flite.say("Hello.", "slt")


def test_a_program_without_the_voices_is_told_of(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "echo 'Voices available: kal slt '")
    with pytest.raises(InputError, match=r"lacks the voices rms, awb, kal16 \(it has kal, slt\)"):
        flite.program_version()


def install(folder, monkeypatch, script):
    program = folder / "flite"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    flite.program_version.cache_clear()
