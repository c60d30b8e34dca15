"""Labelled speech, what is done to it, and the training of the acoustic model on a toy and in the shipped weights."""

import wave as wave_file
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from vast_audio import training
from vast_audio.acoustic_model import AcousticModel
from vast_audio.config import PpgConfig
from vast_audio.labelled_speech import (
    UNKNOWN,
    Utterance,
    joined,
    read_clips,
    read_folder,
    spoilt,
    stretched,
)
from vast_audio.ppg import SHIPPED, Ppg
from vast_audio.training import TrainingConfig, judge, save, train
from vast_core.errors import InputError, MediaError, WeightsError
from vast_core.interfaces import Clip, Phone, Sizes
from vast_core.phones import PHONE_INDEX, PHONES
from vast_core.weights import read_header, save_weights

RATE = 16_000
SPEECH = Path(__file__).resolve().parents[3] / "../shared/speech"
TONES = {"SIL": 0.0, "AA": 700.0, "IY": 2500.0, "S": 5000.0}


def toy(key, seed, source="toy"):
    """An utterance in a language whose phones are tones."""
    rng = np.random.default_rng(seed)
    parts, phones, start = [], [], 0.0
    for number in range(12):
        label = "SIL" if number in (0, 11) else str(rng.choice(["AA", "IY", "S"]))
        length = int(rng.integers(1600, 4000))
        parts.append(0.3 * np.sin(2 * np.pi * TONES[label] * np.arange(length) / RATE))
        phones.append(Phone(label=label, start=start, end=start + length / RATE))
        start = phones[-1].end
    return Utterance(source=source, key=key, wave=np.concatenate(parts).astype(np.float32), phones=tuple(phones))


def write_folder(folder, utterances):
    rows = ["file\tspeaker\tseconds\ttranscript\tphones"]
    for number, utterance in enumerate(utterances):
        (folder / utterance.source).mkdir(exist_ok=True, parents=True)
        name = f"{utterance.source}/{number}.wav"
        with wave_file.open(str(folder / name), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((utterance.wave * 32767).astype("<i2").tobytes())
        phones = " ".join(f"{p.label}:{p.start:.4f}-{p.end:.4f}" for p in utterance.phones)
        rows.append(f"{name}\tsomebody\t{len(utterance.wave) / RATE:.2f}\t{utterance.key}\t{phones}")
    (folder / "MANIFEST.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_labels_at_times():
    phones = (
        Phone(label="SIL", start=0.0, end=0.5),
        Phone(label="M", start=0.5, end=0.6),
        Phone(label="AA", start=0.7, end=1),
    )
    utterance = Utterance(source="s", key="k", wave=np.zeros(RATE, np.float32), phones=phones)
    times = np.array([0.0, 0.49, 0.5, 0.59, 0.65, 0.7, 0.99, 1.0])
    expected = [0, 0, PHONE_INDEX["M"], PHONE_INDEX["M"], UNKNOWN, PHONE_INDEX["AA"], PHONE_INDEX["AA"], UNKNOWN]
    assert utterance.labels(times).tolist() == expected


def test_one_key_in_ten_is_held_out():
    one = toy("k", 0)
    held = [attrs.evolve(one, key=f"speaker {number}").held_out for number in range(2000)]
    assert 0.08 < np.mean(held) < 0.12
    # by SHA-256, so in every process the same
    assert [number for number, out in enumerate(held) if out][:3] == [38, 42, 43]


def test_folder_is_read(tmp_path):
    written = [toy("a", 1, "one"), toy("b", 2, "one"), toy("c", 3, "two")]
    write_folder(tmp_path, written)
    read = list(read_folder(tmp_path))
    assert [u.source for u in read] == ["one", "one", "two"]
    assert [u.key for u in read] == ["a", "b", "c"]
    for ours, theirs in zip(written, read, strict=True):
        np.testing.assert_allclose(theirs.wave, ours.wave, atol=1e-4)
        assert [p.label for p in theirs.phones] == [p.label for p in ours.phones]
        assert theirs.phones[3].start == pytest.approx(ours.phones[3].start, abs=1e-4)


def test_speakers_are_held_out_where_there_are_many(tmp_path):
    write_folder(tmp_path, [toy(f"text {n}", n, "many") for n in range(25)])
    manifest = tmp_path / "MANIFEST.tsv"
    for number in range(25):
        manifest.write_text(manifest.read_text().replace("somebody", f"speaker{number}", 1))
    assert [u.key for u in read_folder(tmp_path)][:2] == ["speaker0", "speaker1"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.wav\tme\t1.0\thello", r"MANIFEST.tsv:2: 4 columns"),
        ("a.wav\tme\t1.0\thello\tHH:0.0-x", r"MANIFEST.tsv:2: 'HH:0.0-x'"),
        ("a.wav\tme\t1.0\thello\tAH0:0.0-1.0", r"MANIFEST.tsv:2: unknown phone 'AH0'"),
    ],
)
def test_bad_manifests_are_explained(tmp_path, line, message):
    write_folder(tmp_path, [toy("a", 1, ".")])
    (tmp_path / "a.wav").write_bytes((tmp_path / "0.wav").read_bytes())
    (tmp_path / "MANIFEST.tsv").write_text(f"file\tspeaker\tseconds\ttranscript\tphones\n{line}\n")
    with pytest.raises(InputError, match=message):
        list(read_folder(tmp_path))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"MANIFEST\.tsv: no such file"):
        list(read_folder(tmp_path))
    write_folder(tmp_path, [toy("a", 1, "one")])
    (tmp_path / "one/0.wav").unlink()
    with pytest.raises(MediaError, match=r"0\.wav"):
        list(read_folder(tmp_path))


def test_clips_give_every_sentence_once():
    class Sound:
        def __init__(self, wave):
            self._wave = wave

        def frames(self):
            raise AssertionError("pictures are not needed")

        def wave(self):
            return self._wave

    said = toy("a", 1)

    def clip(name, transcript, phones=said.phones, wave=said.wave):
        return Clip(name=name, speaker="x", footage=Sound(wave), digest=name, transcript=transcript, phones=phones)

    clips = [clip("1", "hello"), clip("2", "hello"), clip("3", "bye"), clip("4", "mute", wave=None), clip("5", "?", ())]
    assert [u.key for u in read_clips(clips)] == ["hello", "bye"]


def test_stretched_speech_is_longer_and_lower():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    phones = (Phone(label="SIL", start=0.0, end=0.4), Phone(label="AA", start=0.4, end=1.0))
    slow = stretched(Utterance(source="s", key="k", wave=tone, phones=phones), 1.25)
    assert len(slow.wave) == 20_000
    assert np.abs(np.fft.rfft(slow.wave)).argmax() * RATE / 20_000 == pytest.approx(800, abs=2)
    assert [(p.start, p.end) for p in slow.phones] == [(0.0, 0.5), (0.5, 1.25)]


def test_joined_speech_keeps_its_times():
    first, second = toy("a", 1), toy("b", 2)
    both = joined([first, second])
    offset = len(first.wave) / RATE
    times = np.linspace(0.01, len(second.wave) / RATE - 0.01, 50)
    assert both.labels(times + offset).tolist() == second.labels(times).tolist()
    np.testing.assert_array_equal(both.wave[len(first.wave) :], second.wave)


def test_spoilt_speech_stays_in_time_and_in_range():
    rng = np.random.default_rng(5)
    wave = rng.standard_normal(2 * RATE).astype(np.float32) * np.repeat(rng.uniform(0.01, 0.2, 20), 1600).astype(
        np.float32
    )
    changed = 0
    for _ in range(60):
        heard = spoilt(wave, rng, np.roll(wave, 7777))
        assert heard.dtype == np.float32
        assert heard.shape == wave.shape
        assert np.isfinite(heard).all()
        assert np.abs(heard).max() <= 1
        likeness = np.fft.irfft(np.fft.rfft(heard) * np.conj(np.fft.rfft(wave)))
        assert abs((int(np.abs(likeness).argmax()) + RATE) % (2 * RATE) - RATE) <= 24  # 1.5 ms
        changed += abs(np.corrcoef(heard, wave)[0, 1]) < 0.95
    assert changed > 20


@pytest.fixture(scope="module")
def learned():
    utterances = [toy(f"k{n}", n) for n in range(20)]
    config = TrainingConfig(steps=250, batch=2, seconds=1.5, rate=2e-3, dropout=0.0)
    return train(utterances, config), config


def test_a_toy_language_is_learned(learned):
    figures = judge(learned[0], [toy("new", 100 + n) for n in range(4)])["toy"]
    assert figures.phones > 0.8
    assert figures.silence > 0.85
    assert figures.visemes >= figures.phones
    untrained = judge(AcousticModel().eval(), [toy("new", 100)])["toy"]
    assert untrained.phones < 0.6


def test_weights_make_the_round_trip(learned, tmp_path):
    model, config = learned
    path = tmp_path / "toy.safetensors"
    save(path, model, config, {"data": ["a toy"]})
    header = read_header(path)
    assert header["phones"] == list(PHONES)
    assert header["data"] == ["a toy"]
    assert len(header["digest"]) == 64
    sizes = Sizes(fps=25.0, image=1, audio=40, expression=1, lower_face=1, vertices=1, style=1, context=1)
    ppg = Ppg.from_config(PpgConfig(weights=path), sizes)
    said = toy("new", 200)
    rows = ppg(torch.from_numpy(said.wave)[None], int(len(said.wave) / 640))[0]
    truth = said.labels(np.arange(len(rows)) / 25)
    assert (rows.argmax(-1).numpy() == truth).mean() > 0.75
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(ppg.model.state_dict()[name], tensor, atol=1e-3, rtol=1e-3)


def test_foreign_weights_are_refused(learned, tmp_path):
    sizes = Sizes(fps=25.0, image=1, audio=40, expression=1, lower_face=1, vertices=1, style=1, context=1)
    path = tmp_path / "foreign.safetensors"
    save_weights(path, learned[0].state_dict(), {"phones": ["A", "B"]})
    with pytest.raises(WeightsError, match="labels A B"):
        Ppg.from_config(PpgConfig(weights=path), sizes)
    save_weights(path, {"x": torch.zeros(2)}, {"phones": list(PHONES)})
    with pytest.raises(WeightsError, match=r"foreign\.safetensors"):
        Ppg.from_config(PpgConfig(weights=path), sizes)
    with pytest.raises(WeightsError, match="no such file"):
        Ppg.from_config(PpgConfig(weights=tmp_path / "none"), sizes)


def test_the_program_trains_and_writes(tmp_path, capsys):
    # "text 28" is one of the held-out tenth, so that there are figures
    write_folder(tmp_path, [toy(f"text {number}", number) for number in (28, 29, 30, 31)])
    out = tmp_path / "model.safetensors"
    arguments = ["--out", str(out), "--speech", str(tmp_path), "--steps", "2", "--weight", "toy=2", "--about", "tones"]
    training.main(arguments)
    header = read_header(out)
    assert header["data"] == ["tones"]
    assert header["training"]["weights"] == [["toy", 2.0]]
    assert header["training"]["steps"] == 2
    assert header["minutes"]["toy"] > 0
    assert set(header["figures"]["toy"]) == {"phones", "visemes", "silence", "minutes"}
    assert "figures" in capsys.readouterr().err


def test_nothing_to_train_on():
    with pytest.raises(InputError, match="--speech"):
        train([], TrainingConfig(steps=1))


# ------------------------------------------------------------------------------------- the shipped weights


@pytest.fixture(scope="module")
def shipped():
    sizes = Sizes(fps=50.0, image=1, audio=40, expression=1, lower_face=1, vertices=1, style=1, context=1)
    return Ppg.from_config(PpgConfig(), sizes)


def test_header_of_the_shipped_weights():
    header = read_header(SHIPPED)
    assert header["phones"] == list(PHONES)
    assert any("CC-BY-4.0" in line and "LibriSpeech" in line for line in header["data"])
    assert any("CC-BY-SA-3.0" in line for line in header["data"])
    assert {"librispeech", "allison"} <= set(header["figures"])


def test_a_new_synthetic_sentence_is_recognised(shipped):
    """By the voice of corpus/synthetic, through the registry's back door: plugins do not import each other."""
    speech = pytest.importorskip("vast_corpora.speech", reason="needs vast-corpora")
    right, counted = 0, 0
    for text in ("Seven brown foxes jump over the lazy dog.", "My favorite cousin sold a cheap boat to Bob and Mary."):
        for voice in speech.VOICES[:4]:
            said = speech.say(text, voice)
            utterance = Utterance(source="", key="", wave=said.wave, phones=said.phones)
            assert {p.label for p in said.phones} <= set(PHONES)
            score = judge(shipped.model, [utterance])[""]
            right += score.phones
            counted += 1
            assert score.silence > 0.9
    assert right / counted > 0.6


def test_silence_ends_when_speech_begins(shipped):
    speech = pytest.importorskip("vast_corpora.speech", reason="needs vast-corpora")
    errors = []
    for number, text in enumerate(("Maybe not.", "Dogs bark.", "All of us agree.", "Very good.", "Look over there.")):
        said = speech.say(text, speech.VOICES[number])
        rows = shipped(torch.from_numpy(said.wave)[None], int(len(said.wave) / 320))[0]
        spoken = (rows[:, 0] < 0.5).nonzero().flatten()
        errors += [float(spoken[0]) / 50 - said.phones[0].end, float(spoken[-1] + 1) / 50 - said.phones[-1].start]
    assert np.median(np.abs(errors)) <= 0.03
    assert abs(np.mean(errors)) < 0.03


def test_loudness_does_not_change_what_is_said(shipped):
    speech = pytest.importorskip("vast_corpora.speech", reason="needs vast-corpora")
    wave = torch.from_numpy(speech.say("Please put both of the maps back.", speech.VOICES[0]).wave)[None]
    plain = shipped(wave, 100).argmax(-1)
    for gain in (0.1, 0.3, 2.0):
        assert (shipped(gain * wave, 100).argmax(-1) == plain).float().mean() > 0.85


@pytest.mark.slow
@pytest.mark.skipif(not (SPEECH / "MANIFEST.tsv").is_file(), reason=f"no labelled speech in {SPEECH}")
def test_figures_in_the_header_are_those_of_held_out_speech(shipped):
    figures = judge(shipped.model, (u for u in read_folder(SPEECH) if u.held_out))
    stated = read_header(SHIPPED)["figures"]
    for source in ("librispeech", "allison"):
        assert attrs.asdict(figures[source]) == pytest.approx(stated[source], abs=0.01)
