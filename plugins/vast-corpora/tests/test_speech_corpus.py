"""corpus/speech: recordings as their manifest has them, held out alike everywhere, and synthetic speech spoken once."""

import wave as wave_file
from itertools import islice

import attrs
import numpy as np
import pytest

from vast_core.errors import InputError, MediaError
from vast_core.interfaces import SAMPLE_RATE, Footage, Phone, Sizes
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_corpora import flite, speech
from vast_corpora.config import SpeechConfig
from vast_corpora.sentences import WORDS, draw_texts, spoken_parts, vocabulary
from vast_corpora.speech import SENTENCES, VOICES
from vast_corpora.speech_corpus import SpeechCorpus

SIZES = Sizes(fps=25.0, image=64, audio=1, expression=1, lower_face=1, vertices=1, style=1, context=1)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make(*folders, engines=(), **options):
    return SpeechCorpus.from_config(SpeechConfig(folders=folders, engines=engines, **options), SIZES)


def fill(folder, rows, phones=True):
    """A folder of recordings: rows of file, speaker, transcript and phones; each file has tones of its own."""
    lines = ["file\tspeaker\tseconds\ttranscript" + "\tphones" * phones]
    for number, (file, speaker, transcript, aligned) in enumerate(rows, start=1):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        with wave_file.open(str(folder / file), "wb") as sound:
            sound.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            sound.writeframes((8000 * np.sin(np.arange(1600) * number / 50)).astype("<i2").tobytes())
        lines.append("\t".join([file, speaker, "0.1", transcript] + [aligned] * phones))
    (folder / "MANIFEST.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def crowd(folder, speakers=200):
    """A source of many speakers, two recordings each."""
    rows = [(f"crowd/{s}-{n}.wav", str(s), f"number {s} says {n}", "") for s in range(speakers) for n in range(2)]
    return fill(folder, rows, phones=False)


def splits(corpus):
    return {clip.name: clip.split for clip in corpus.clips()}


# ---------------------------------------------------------------------------------------- recordings


def test_recordings_are_as_the_manifest_says(tmp_path):
    folder = fill(
        tmp_path / "mine",
        [
            ("b/2.wav", "ann", "Hi there.", "SIL:0.00-0.04 HH:0.04-0.10"),
            ("b/1.wav", "bob", "", ""),
            ("3.wav", "c", "", ""),
        ],
    )
    first, second, third = make(folder).clips()
    assert [clip.name for clip in (first, second, third)] == ["b/2", "b/1", "mine/3"]
    assert (first.speaker, first.transcript) == ("ann", "Hi there.")
    assert first.phones == (Phone(label="SIL", start=0, end=0.04), Phone(label="HH", start=0.04, end=0.1))
    assert (second.speaker, second.transcript, second.phones) == ("bob", None, ())
    assert isinstance(first.footage, Footage)
    assert list(first.footage.frames()) == []
    expected = np.trunc(8000 * np.sin(np.arange(1600) / 50)) / 32768
    assert np.allclose(first.footage.wave(), expected, atol=1e-6)


def test_digests_tell_what_changed(tmp_path):
    rows = [("a/1.wav", "ann", "Hi.", "HH:0.0-0.1"), ("a/2.wav", "ann", "Hi.", "HH:0.0-0.1")]
    folder = fill(tmp_path, rows)
    before = {clip.name: clip.digest for clip in make(folder).clips()}
    assert before["a/1"] != before["a/2"]
    for change in (
        ("a/1.wav", "bob", "Hi.", "HH:0.0-0.1"),
        ("a/1.wav", "ann", "Hi!", "HH:0.0-0.1"),
        ("a/1.wav", "ann", "Hi.", ""),
    ):
        fill(folder, [change, rows[1]])
        after = {clip.name: clip.digest for clip in make(folder).clips()}
        assert after["a/1"] != before["a/1"], change
        assert after["a/2"] == before["a/2"]
    fill(folder, [("a/0.wav", "x", "", ""), *rows])  # the same rows with other sound
    after = {clip.name: clip.digest for clip in make(folder).clips()}
    assert after["a/1"] != before["a/1"]
    assert after["a/2"] != before["a/2"]


def test_a_source_of_many_speakers_is_held_out_by_speaker(tmp_path):
    clips = make(crowd(tmp_path)).clips()
    sides = {}
    for clip in clips:
        sides.setdefault(clip.speaker, set()).add(clip.split)
    assert all(len(side) == 1 for side in sides.values())
    assert 8 <= sum(side == {"held_out"} for side in sides.values()) <= 34  # 20 of 200, four standard deviations
    assert set(splits(make(tmp_path, held_out_speakers=0.0)).values()) == {"train"}
    few = {name for name, split in splits(make(tmp_path, held_out_speakers=0.05)).items() if split == "held_out"}
    many = {name for name, split in splits(make(tmp_path, held_out_speakers=0.5)).items() if split == "held_out"}
    assert few < many


def test_what_is_held_out_depends_on_nothing_but_the_words(tmp_path):
    texts = [f"You are caller number {number}, aren't you?" for number in range(300)]
    one = fill(tmp_path / "one", [(f"a/{n}.wav", "ann", text, "") for n, text in enumerate(texts)])
    spelt = [text.upper().replace(",", "").replace("?", "!").replace("'", "’") for text in texts]
    two = fill(tmp_path / "two", [(f"b/{n}.wav", "bob", text, "") for n, text in enumerate(spelt)][::-1])
    first, second = splits(make(one)), splits(make(one, two))
    assert 60 <= list(first.values()).count("held_out") <= 140  # a third of 300, five standard deviations
    assert {name: split for name, split in second.items() if name in first} == first
    assert all(second[f"b/{n}"] == second[f"a/{n}"] for n in range(300))


def test_no_voice_says_what_is_held_out(tmp_path):
    texts = [f"Caller {word} of the unheard-of row, speaking. You are welcome." for word in speech.lexicon()[::700]]
    folder = fill(tmp_path, [(f"a/{n}.wav", "ann", text, "") for n, text in enumerate(texts)])
    clips = make(folder, engines=("hibari",), minutes=20.0).clips()
    said = {clip.transcript for clip in clips if clip.name.startswith("hibari/")}
    recorded = {
        split: {c.transcript for c in clips if c.name.startswith("a/") and c.split == split}
        for split in ("train", "held_out")
    }
    assert recorded["held_out"]
    first = {split: {text.removesuffix(" You are welcome.") for text in texts} for split, texts in recorded.items()}
    assert first["train"] | set(SENTENCES) <= said
    assert first["held_out"].isdisjoint(said)
    assert "You are welcome." not in said  # part of what is held out, though also of what is not


def test_what_cannot_be_used_is_said(tmp_path):
    with pytest.raises(InputError, match="there are no clips"):
        make().clips()
    with pytest.raises(InputError, match=r"nowhere/MANIFEST.tsv: no such file"):
        make(tmp_path / "nowhere").clips()
    one, two = (fill(tmp_path / name, [("a/1.wav", "ann", "", "")]) for name in ("one", "two"))
    with pytest.raises(InputError, match="two recordings are called a/1; rename"):
        make(one, two).clips()
    with pytest.raises(ValueError, match="engines has duplicates"):
        SpeechConfig(engines=("hibari", "hibari"))
    (one / "a/1.wav").write_bytes(b"no sound")
    (clip,) = make(one).clips()
    with pytest.raises(MediaError, match=r"1\.wav"):
        clip.footage.wave()


# ----------------------------------------------------------------------------------------- synthesis


def test_speech_is_what_the_voice_says_and_is_spoken_once(monkeypatch, cache):
    options = {"engines": ("hibari",), "minutes": 0.15, "voices": 2}
    calls = []
    say = speech.say
    monkeypatch.setattr(speech, "say", lambda *given: calls.append(given) or say(*given))
    clips = make(**options).clips()
    assert calls == []
    assert not cache.exists()
    heard = [(clip.phones, clip.footage.wave()) for clip in clips]
    assert len(calls) == len(clips) >= 2
    for clip, (phones, wave), given in zip(clips, heard, calls, strict=True):
        assert clip.transcript == given[0]
        assert clip.speaker == f"hibari-{given[1].name.lower()}"
        assert (clip.split, clip.track, list(clip.footage.frames())) == ("train", None, [])
        spoken = say(*given)
        assert np.abs(wave - spoken.wave).max() < 1 / 32767
        assert [p.label for p in phones] == [p.label for p in spoken.phones]
        assert np.allclose([p.end for p in phones], [p.end for p in spoken.phones], atol=6e-4)
    again = make(**options).clips()
    assert [(clip.name, clip.digest) for clip in again] == [(clip.name, clip.digest) for clip in clips]
    for clip, (phones, wave) in zip(again, heard, strict=True):
        assert clip.phones == phones
        assert np.array_equal(clip.footage.wave(), wave)
    assert len(calls) == len(clips)


def test_minutes_are_about_what_was_asked():
    clips = make(engines=("hibari",), minutes=2.0).clips()
    seconds = sum(len(clip.footage.wave()) for clip in clips) / SAMPLE_RATE
    assert seconds == pytest.approx(120, rel=0.12)


def test_the_plan_follows_seed_and_length():
    def plan(**changes):
        options = {"engines": ("hibari",), "minutes": 5.0, **changes}
        return [(clip.name, clip.transcript, clip.digest) for clip in make(**options).clips()]

    short = plan()
    assert plan() == short
    assert plan(minutes=10.0)[: len(short)] == short
    assert {text for _, text, _ in plan(seed=2)}.isdisjoint({text for _, text, _ in short} - set(SENTENCES))
    assert len({digest for *_, digest in short}) == len(short)


def test_voices_are_many_and_within_reach(monkeypatch):
    given = []
    monkeypatch.setattr(speech, "say", lambda text, voice, seed: given.append(voice) or _silence())
    for clip in make(engines=("hibari",), minutes=60.0, voices=40).clips():
        clip.footage.wave()
    voices = set(given)
    drawn = voices - set(VOICES)
    assert len(voices - drawn) == len(VOICES)
    assert len(drawn) == 40
    for name, low, high in (("pitch", 0.5, 1.4), ("tract", 0.88, 1.22), ("speed", 0.75, 1.35)):
        values = [getattr(voice, name) for voice in drawn]
        assert low <= min(values) < low + 0.25 * (high - low) < high - 0.25 * (high - low) < max(values) <= high


def _silence():
    return speech.Speech(np.zeros(160, np.float32), (Phone(label="SIL", start=0.0, end=0.01),))


def test_damage_in_the_cache_is_told():
    clip = make(engines=("hibari",), minutes=0.05).clips()[0]
    clip.footage.wave()
    clip.footage.path.write_bytes(b"\x00" * 20)
    with pytest.raises(MediaError, match=r"safetensors: is damaged .* delete it"):
        clip.footage.wave()


def test_a_missing_program_is_never_skipped(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    flite.program_version.cache_clear()
    with pytest.raises(InputError, match=r"flite is not installed; .*apt install flite.* engines: \[hibari\]"):
        make(engines=("hibari", "flite"), minutes=0.1).clips()


def test_a_recipe_names_it(tmp_path):
    fill(tmp_path / "mine", [("a/1.wav", "ann", "Hi.", "")])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"base: vast_tiny\nvast: 1\ncorpus: {{use: speech, folders: [{tmp_path / 'mine'}], engines: [hibari, flite]}}\n"
    )
    part = load_recipe(recipe, Registry.discover()).part("corpus")
    assert part.config == SpeechConfig(folders=(tmp_path / "mine",), engines=("hibari", "flite"))
    assert part.component.load() is SpeechCorpus


# ----------------------------------------------------------------------------------------- sentences


def test_transcripts_are_cut_where_people_pause():
    assert spoken_parts("Stop. He said: “go  home”! Don’t?") == ["He said: go home!"]
    assert spoken_parts("Press # to exit. Or wait a bit.") == ["Or wait a bit."]
    assert spoken_parts("") == spoken_parts("[tones]") == spoken_parts("12 34.") == []
    long = " ".join(f"w{number}" for number in range(40))
    parts = spoken_parts(long)
    assert " ".join(parts) == long
    assert all(WORDS - 5 <= len(part.split()) <= WORDS for part in parts)


def test_texts_come_in_turn_with_random_words():
    texts = ["one is here", "two is there", "three's away"]
    common = vocabulary(texts)
    assert common == ("away", "here", "is", "one", "there", "three's", "two")
    drawn = list(islice(draw_texts(texts, common, ["zebra"], np.random.default_rng(0)), 600))
    for round_ in range(0, 600, 6):
        assert sorted(drawn[round_ : round_ + 6 : 2]) == sorted(texts)
    words = [word.strip(",.?").lower() for text in drawn[1::2] for word in text.split()]
    assert set(words) == {*common, "zebra"}
    assert words.count("zebra") / len(words) == pytest.approx(0.5, abs=0.05)
    assert {len(text.split()) for text in drawn[1::2]} == {6, 7, 8, 9, 10}
    assert all(text[0].isupper() and text[-1] in ".?" and ",." not in text for text in drawn[1::2])


def test_a_lazy_clip_is_a_clip():
    clip = make(engines=("hibari",), minutes=0.05).clips()[0]
    assert (clip.style, clip.size, clip.factors) == (None, None, {})
    assert {field.name for field in attrs.fields(type(clip))} >= {"phones", "track"}
    copy = attrs.evolve(clip, name="copy")
    assert (copy.name, copy.phones, copy.digest) == ("copy", clip.phones, clip.digest)
    with pytest.raises(AttributeError, match="phone"):
        _ = clip.phone
