"""Forced alignment against synthetic speech whose phone times are known, and against alignments made elsewhere."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pocketsphinx", reason="pip install 'vast-avatar[align]'")

from vast_audio import alignment
from vast_audio.alignment import align, pronounced, spoken_words
from vast_audio.labelled_speech import labels
from vast_core.errors import ComponentError, InputError
from vast_core.media import parse_phones, read_wave
from vast_core.phones import PHONES, VISEME_OF, VISEMES
from vast_corpora.speech import SENTENCES, VOICES, say

RATE = 16_000
SPEECH = Path(__file__).resolve().parents[3] / "../shared/speech"
TEXT = SENTENCES[10]  # with B, P and M


@pytest.fixture(scope="module")
def spoken():
    """Three sentences by a woman and by two men; text, sound and true phones."""
    chosen = [(SENTENCES[number], VOICES[number % 4]) for number in (0, 10, 23)]
    return [(text, say(text, voice, 1)) for text, voice in chosen]


@pytest.fixture(scope="module")
def speech():
    return say(TEXT, VOICES[0], 0).wave


def test_synthetic_speech_is_aligned_where_it_was_made(spoken):
    late, right, steps = [], 0, 0
    for text, speech in spoken:
        found = align(speech.wave, text)
        times = np.arange(round(100 * (speech.phones[-1].end - 0.03))) / 100 + 0.005
        true, heard = labels(speech.phones, times), labels(found, times)
        right += int((true == heard)[true > 0].sum())
        steps += int((true > 0).sum())
        inner = [[phone for phone in phones if phone.label != "SIL"] for phones in (found, speech.phones)]
        if len(inner[0]) == len(inner[1]):
            late += [ours.start - theirs.start for ours, theirs in zip(*inner, strict=True)]
    assert len(late) > 60
    assert abs(np.median(late)) < 0.015
    assert np.mean(np.abs(late) < 0.05) > 0.9
    assert right / steps > 0.7  # two pronouncing dictionaries, one of which reduces vowels more


def test_phones_follow_one_another_from_start_to_end(speech):
    phones = align(speech, TEXT)
    assert phones[0].start == 0
    assert 0 <= len(speech) / RATE - phones[-1].end < 0.04
    for one, next_one in pairwise(phones):
        assert one.start < one.end == next_one.start
        assert (one.label, next_one.label) != ("SIL", "SIL")
    assert {phone.label for phone in phones} <= set(PHONES)


def test_loudness_changes_nothing(speech):
    phones = align(speech, TEXT)
    assert align(speech / np.float32(256), TEXT) == phones
    assert align(speech * np.float32(32), TEXT) == phones


def test_every_sound_around_the_words_is_silence(speech):
    padded = np.concatenate([np.zeros(RATE, np.float32), speech, np.zeros(RATE, np.float32)])
    phones = align(padded, TEXT)
    inside = align(speech, TEXT)
    assert [phone.label for phone in phones] == [phone.label for phone in inside]
    starts = [[phone.start for phone in found if phone.label != "SIL"] for found in (phones, inside)]
    assert np.median(np.abs(np.subtract(*starts) - 1)) <= 0.02


@pytest.mark.skipif(not SPEECH.is_dir(), reason="no recorded speech beside the repository")
def test_recorded_speech_is_aligned_as_elsewhere():
    """Its recordings are clipped to little but signs, so that few can be aligned and none well; its labels are good."""
    group = np.array([VISEMES.index(VISEME_OF[phone]) for phone in PHONES])
    shares = []
    for name in ("3168-173564-0000", "8419-286667-0000"):
        row = next(line for line in (SPEECH / "MANIFEST.tsv").read_text().splitlines() if f"/{name}.opus" in line)
        file, _, _, transcript, phones = row.split("\t")
        wave = read_wave(SPEECH / file)
        times = np.arange(round(100 * (len(wave) / RATE - 0.05))) / 100 + 0.005
        true, found = labels(parse_phones(phones, file), times), labels(align(wave, transcript), times)
        shares.append((group[true] == group[found])[true > 0].mean())
    assert np.mean(shares) > 0.75


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Dr. Ray left on Jan. 3rd -- by car.", "Dr Ray left on January third by car"),
        ("don’t — “go”, ladies' well-known", "don't go ladies' well-known"),
        ("...to exit (the menu)", "to exit the menu"),
        ("CHAPTER TWO: MISTER O'NEIL", "chapter two mister o'neil"),
        ("at 5:30 p.m., R & B", "at five thirty P.M R & B"),
        ("?! ...", ""),
    ],
)
def test_what_words_a_transcript_has(text, words):
    assert spoken_words(text) == words.split()


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("21", "T W EH N T IY W AH N"),
        ("BBC", "B IY B IY S IY"),
        ("1921", "N AY N T IY N T W EH N T IY W AH N"),
        ("further", "F ER DH ER"),
        ("church", "CH ER CH"),
        ("&", "AE N D"),
        ("日本", ""),
    ],
)
def test_how_what_the_dictionary_lacks_is_pronounced(word, phones):
    assert pronounced(word) == tuple(phones.split())


def test_numbers_and_new_words_are_aligned():
    phones = align(say("Chapter twenty one. Zorblat sleeps.", VOICES[0], 0).wave, "Chapter 21. Zorblat sleeps.")
    said = " ".join(phone.label for phone in phones if phone.label != "SIL")
    assert "T W EH N T IY W AH N" in said
    assert " Z AO R B L " in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no words"),
        ("... !", "has no words"),
        ("hello 日本 there", "'日本'"),
        (f"{TEXT} And then a great deal more that nobody here has ever said.", "does not match.*word 1 of 22, 'bob'"),
    ],
)
def test_a_transcript_that_cannot_be_said_is_refused(speech, text, message):
    with pytest.raises(InputError, match=message):
        align(speech, text)


def test_sound_that_says_nothing_is_refused(speech):
    with pytest.raises(InputError, match=r"silent.*'bob'"):
        align(np.zeros(RATE, np.float32), TEXT)
    with pytest.raises(InputError, match=r"0\.10 s .* too short"):
        align(speech[:1600], TEXT)
    with pytest.raises(InputError, match="does not match"):
        align(np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32), "hello there")
    with pytest.raises(ValueError, match="finite"):
        align(np.full(RATE, np.nan, np.float32), TEXT)


def test_the_extra_to_install_is_named(monkeypatch, speech):
    alignment._aligner.cache_clear()
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(ComponentError, match=r"pip install 'vast-avatar\[align\]'"):
        align(speech, TEXT)
