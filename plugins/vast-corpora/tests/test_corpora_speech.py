"""Synthetic speech: what is heard in the wave, measured here by its own means, is where the phones say."""

import wave

import numpy as np
import pytest

from vast_core.errors import InputError
from vast_core.phones import PHONES, SILENCE
from vast_corpora import speech
from vast_corpora.speech import SENTENCES, VOICES, Voice, say

RATE = 16_000


def fundamental(samples):
    """Median of the frames' autocorrelation peaks, in Hz."""
    found = []
    for start in range(0, len(samples) - 640, 320):
        frame = samples[start : start + 640] - samples[start : start + 640].mean()
        correlation = np.correlate(frame, frame, "full")[639:]
        if np.sqrt(np.mean(frame**2)) > 0.03:
            lag = 40 + int(np.argmax(correlation[40:266]))
            if correlation[lag] > 0.5 * correlation[0]:
                found.append(RATE / lag)
    return float(np.median(found))


def loudness_times(wave):
    """Level (dB) every 5 ms, in windows of 20 ms."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, 160), 320)[::80]
    return 10 * np.log10((frames.astype(float) ** 2).mean(1) + 1e-12)


@pytest.fixture(scope="module")
def spoken():
    return [say(text, VOICES[index % len(VOICES)], seed=index) for index, text in enumerate(SENTENCES[::3])]


def test_phones_cover_the_wave_without_gaps(spoken):
    for speech_ in spoken:
        assert speech_.wave.dtype == np.float32
        assert speech_.phones[0].label == speech_.phones[-1].label == SILENCE
        assert speech_.phones[0].start == 0.0
        assert speech_.phones[-1].end == pytest.approx(len(speech_.wave) / RATE, abs=1e-6)
        for before, after in zip(speech_.phones, speech_.phones[1:], strict=False):
            assert before.end == pytest.approx(after.start, abs=1e-9)
            assert not before.label == after.label == SILENCE
        assert all(phone.end - phone.start > 0.01 and phone.label in PHONES for phone in speech_.phones)


def test_sentences_are_varied_and_of_the_right_length():
    assert len(set(SENTENCES)) == len(SENTENCES) >= 60
    labels = set()
    for text in SENTENCES:
        result = say(text, VOICES[0])
        labels |= {phone.label for phone in result.phones}
        assert 2.0 < len(result.wave) / RATE < 5.0, text
    assert labels == set(PHONES)


def test_level_and_silence_at_the_ends(spoken):
    for speech_ in spoken:
        voiced = np.concatenate(
            [speech_.wave[int(p.start * RATE) : int(p.end * RATE)] for p in speech_.phones if p.label != SILENCE]
        )
        assert np.abs(speech_.wave).max() <= 0.991
        assert 20 * np.log10(np.sqrt(np.mean(voiced.astype(float) ** 2))) == pytest.approx(-23, abs=0.5)
        assert speech_.phones[0].end == pytest.approx(0.20, abs=0.01)
        assert speech_.phones[-1].end - speech_.phones[-1].start == pytest.approx(0.30, abs=0.01)
        level = loudness_times(speech_.wave)
        assert level[:30].max() < level.max() - 30
        assert level[-50:].max() < level.max() - 30


def test_hiss_is_where_s_is_said(spoken):
    """Energy above 3.5 kHz passes that below 1.5 kHz, as in no vowel, from the start to the end of the label."""
    vowels, errors = {"AA", "AE", "AH", "AO", "AY", "EH", "EY", "IH", "IY", "OW"}, []
    text = "Miss Asa said a sassy essay is a necessary excess, so Lucy saw a messy basin of sauce."
    for speech_ in [*spoken, *(say(text, voice) for voice in VOICES[:4])]:
        frames = np.lib.stride_tricks.sliding_window_view(np.pad(speech_.wave, 128), 256)[::80] * np.hanning(256)
        power = np.abs(np.fft.rfft(frames)) ** 2
        hissing = power[:, 56:].sum(1) > power[:, :24].sum(1)
        for before, phone, after in zip(speech_.phones, speech_.phones[1:], speech_.phones[2:], strict=False):
            if phone.label == "S" and {before.label, after.label} <= vowels:
                first = last = round((phone.start + phone.end) * 100)
                while hissing[first - 1]:
                    first -= 1
                while hissing[last + 1]:
                    last += 1
                errors += [first / 200 - phone.start, last / 200 - phone.end]
    assert len(errors) >= 40
    assert abs(np.median(errors)) < 0.015
    assert np.percentile(np.abs(errors), 80) < 0.035


def test_lips_close_where_the_sound_stops(spoken):
    """The level is lowest inside P between vowels: a closure seen late or early would be a lip-sync error."""
    inside, vowels = [], {"AA", "AE", "AH", "AO", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "UW"}
    for speech_ in [
        *spoken,
        say("The puppy paid a happy papa for an apple, a copper cup of pepper, and a paper.", VOICES[0]),
    ]:
        level = loudness_times(speech_.wave)
        for before, phone, after in zip(speech_.phones, speech_.phones[1:], speech_.phones[2:], strict=False):
            if phone.label == "P" and {before.label, after.label} <= vowels:
                low = round((phone.start - 0.06) * 200)
                quietest = (low + int(np.argmin(level[low : round((phone.end + 0.06) * 200)]))) / 200
                inside.append(phone.start - 0.01 <= quietest <= phone.end)
    assert len(inside) >= 10
    assert np.mean(inside) > 0.9


def test_voices_differ_as_asked():
    reference = fundamental(say(SENTENCES[0], Voice("x")).wave)
    for voice in VOICES:
        assert fundamental(say(SENTENCES[0], voice).wave) / reference == pytest.approx(voice.pitch, rel=0.08), voice
    assert len({voice.name for voice in VOICES}) == len(VOICES) >= 6

    def centroid(wave):
        power = np.abs(np.fft.rfft(wave)) ** 2
        return (power * np.arange(len(power))).sum() / power.sum() * RATE / len(wave)

    short, long = (say(SENTENCES[0], Voice("x", tract=tract)) for tract in (0.9, 1.2))
    assert centroid(long.wave) < centroid(short.wave) - 50
    assert len(long.wave) == pytest.approx(len(short.wave), rel=0.2)
    assert len(say(SENTENCES[0], Voice("x", speed=1.5)).wave) < 0.8 * len(say(SENTENCES[0], Voice("x")).wave)


def test_same_seed_same_samples():
    first, again, other = (say("Bring five apples.", VOICES[1], seed) for seed in (3, 3, 4))
    assert np.array_equal(first.wave, again.wave)
    assert first.phones == again.phones == other.phones
    assert not np.array_equal(first.wave, other.wave)


def test_two_sentences_make_one_speech():
    both = say("Bring five apples. Then go home!", VOICES[0])
    pauses = [p for p in both.phones[1:-1] if p.label == SILENCE]
    assert len(pauses) == 1
    assert 0.3 < pauses[0].end - pauses[0].start < 0.7


def test_pronunciation_is_that_of_the_dictionary():
    labels = " ".join(p.label for p in say("The early bird measured a joyful thing.", VOICES[0]).phones)
    assert labels in {f"SIL DH {the} ER L IY B ER D M EH ZH ER D AH JH OY F AH L TH IH NG SIL" for the in ("IY", "AH")}


def test_errors_say_what_is_wrong(monkeypatch):
    with pytest.raises(InputError, match=r"'\.\.\.' has no word"):
        say("...", VOICES[0])
    monkeypatch.delitem(speech._SYMBOLS, "b")
    with pytest.raises(InputError, match="'b'"):
        say("A boy.", VOICES[0])
    with pytest.raises(ValueError, match="tract"):
        Voice("x", tract=3.0)


def test_a_folder_of_speech_is_written(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("Good morning.\n\nSee you later.\n")
    speech.main(["--out", str(tmp_path / "out"), "--text", str(text), "--voices", "2"])
    lines = (tmp_path / "out/MANIFEST.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["file", "speaker", "seconds", "transcript", "phones"]
    rows = [line.split("\t") for line in lines[1:]]
    assert [(row[1], row[3]) for row in rows] == [
        ("Alma", "Good morning."),
        ("Evan", "Good morning."),
        ("Evan", "See you later."),
        ("Bea", "See you later."),
    ]
    for file, _, seconds, _, phones in rows:
        with wave.open(str(tmp_path / "out" / file)) as sound:
            assert (sound.getframerate(), sound.getnchannels()) == (RATE, 1)
            assert sound.getnframes() / RATE == pytest.approx(float(seconds), abs=0.01)
        assert phones.split()[0].startswith("SIL:0.000-")
