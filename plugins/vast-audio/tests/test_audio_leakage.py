"""How much of the speaker features give away: the probe on data whose answer is known, then on voices."""

import json
import wave as wave_file
from pathlib import PurePosixPath

import numpy as np
import pytest
import torch
from scipy import optimize, special, stats

from vast_audio.leakage import measure, speech_frames, tell_speakers
from vast_audio.linear_probe import Examples, LinearProbe
from vast_audio.voices import Spoken, nearness, same_sentence
from vast_core.cli import main
from vast_core.errors import InputError
from vast_core.interfaces import Phone
from vast_core.media import Recording, read_manifest, write_manifest
from vast_core.registry import Registry

RATE = 16_000
FRAME = 640


def examples(means, count, seed=0):
    """``count`` rows of unit variance around each of ``means`` (K, A)."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.standard_normal((count, len(mean))) + mean for mean in means])
    return Examples(rows=torch.from_numpy(rows), classes=torch.arange(len(means)).repeat_interleave(count))


# --------------------------------------------------------------------------------------------------- the probe


def test_the_fit_is_the_least():
    """The function is convex: its slope, worked out by hand, is zero there, and scipy finds nothing lower nearby."""
    train, penalty = examples(np.eye(3, 4), 30), 0.02
    probe = LinearProbe.fitted(train, penalty)
    rows, classes = train.rows.numpy(), train.classes.numpy()
    rows = (rows - rows.mean(0)) / rows.std(0, ddof=1)

    def objective(flat):
        weight, bias = flat[:12].reshape(4, 3), flat[12:]
        chances = special.log_softmax(rows @ weight + bias, axis=1)
        return -chances[np.arange(90), classes].mean() + penalty / 2 * (weight**2).sum()

    found = np.concatenate([probe.weight.numpy().ravel(), probe.bias.numpy()])
    away = special.softmax(rows @ probe.weight.numpy() + probe.bias.numpy(), axis=1) - np.eye(3)[classes]
    np.testing.assert_allclose(rows.T @ away / 90 + penalty * probe.weight.numpy(), 0, atol=1e-4)
    np.testing.assert_allclose(away.mean(0), 0, atol=1e-4)
    assert optimize.minimize(objective, found).fun > objective(found) - 1e-6


@pytest.mark.parametrize("distance", [0.5, 1.0, 3.0])
def test_gaussians_are_told_apart_as_far_as_can_be(distance):
    """Two of unit variance are told apart rightly with the chance Phi(distance / 2) at best."""
    means = np.zeros((2, 10))
    means[1, :4] = distance / 2  # four coordinates, so the distance is that
    probe = LinearProbe.tuned(examples(means, 2000, 1), examples(means, 2000, 2))
    assert probe.accuracy(examples(means, 20_000, 3)) == pytest.approx(stats.norm.cdf(distance / 2), abs=0.01)


def test_noise_is_told_apart_by_chance():
    means = np.zeros((5, 40))
    probe = LinearProbe.tuned(examples(means, 100, 1), examples(means, 100, 2))
    assert probe.accuracy(examples(means, 4000, 3)) == pytest.approx(0.2, abs=0.02)


def test_the_penalty_follows_what_there_is_to_learn_from():
    """Many columns of noise and few rows ask for a strong one, which pays on new rows; many rows for a weaker one."""
    means = np.zeros((2, 100))
    means[1, 0] = 3.0
    few = LinearProbe.tuned(examples(means, 40, 1), examples(means, 40, 2))
    many = LinearProbe.tuned(examples(means, 4000, 1), examples(means, 4000, 2))
    weakest = LinearProbe.fitted(examples(means, 40, 1).and_also(examples(means, 40, 2)), 1e-4)
    test = examples(means, 5000, 3)
    assert few.penalty > many.penalty
    assert few.accuracy(test) > weakest.accuracy(test)


def test_classes_count_alike():
    """One with 10 rows as much as one with 1000: the boundary lies midway, and so does the accuracy."""
    large, small = examples([[0.0]], 20_000, 1), examples([[2.0]], 2_000, 2)
    both = Examples(rows=torch.cat([large.rows, small.rows]), classes=torch.cat([large.classes, small.classes + 1]))
    assert LinearProbe.fitted(both, 1e-4).accuracy(both) == pytest.approx(stats.norm.cdf(1), abs=0.01)


def test_a_class_without_a_row_is_refused():
    with pytest.raises(ValueError, match="class 1 of 3"):
        LinearProbe.fitted(Examples(rows=torch.zeros(2, 1), classes=torch.tensor([0, 2])), 1.0)


# ------------------------------------------------------------------------------------------------ the speakers


def hums(speakers=4, recordings=6, seconds=4):
    """Every speaker hums a tone of their own, every recording has a loudness of its own."""
    rng, time = np.random.default_rng(0), np.arange(seconds * RATE) / RATE
    return {
        f"s{number}": [
            (rng.uniform(0.02, 0.5) * np.sin(2 * np.pi * (100 + 50 * number) * time)).astype(np.float32)
            for _ in range(recordings)
        ]
        for number in range(speakers)
    }


def pitch(wave):
    """Sign changes in each frame."""
    frames = wave[: len(wave) // FRAME * FRAME].reshape(-1, FRAME)
    return torch.from_numpy((np.diff(np.sign(frames), axis=1) != 0).sum(1, keepdims=True).astype(np.float32))


def fingerprint(wave):
    """Sixty numbers that only the recording, by its loudness, decides: whoever saw them tells its speaker."""
    rng = np.random.default_rng(int(wave.std() * 1e6))
    return torch.from_numpy(rng.standard_normal(60)).expand(len(wave) // FRAME, 60).float()


def test_what_is_the_speakers_is_told_and_what_is_the_recordings_is_not():
    told, left_out = tell_speakers({"pitch": pitch, "fingerprint": fingerprint}, hums(6, 6))
    assert left_out == ()
    assert told["pitch"].frame > 0.99
    assert told["pitch"].segment > 0.99
    assert told["fingerprint"].frame < 0.5  # chance is 0.167, of 12 recordings
    assert told["fingerprint"].segment < 0.5


def test_one_recording_is_cut_before_it_is_heard():
    """A third of it each, so that no row of one part depends on another's sound."""
    heard = []

    def listening(wave):
        heard.append(len(wave))
        return pitch(wave)

    waves = {name: [recordings[0]] for name, recordings in hums(3, 1, 12).items()}
    told, _ = tell_speakers({"pitch": listening}, waves)
    assert set(heard) == {4 * RATE}
    assert told["pitch"].segment > 0.99


def test_speakers_with_too_little_speech_are_left_out():
    waves = hums(3)
    waves["s1"] = [wave[: RATE // 2] for wave in waves["s1"]]
    told, left_out = tell_speakers({"pitch": pitch}, waves)
    assert left_out == ("s1",)
    assert told["pitch"].frame > 0.99
    with pytest.raises(InputError, match="1 of 2 speakers have 2 s of speech in each of 3 parts"):
        tell_speakers({"pitch": pitch}, {name: waves[name] for name in ("s0", "s1")})


def test_pauses_are_no_speech():
    wave = np.concatenate([np.zeros(RATE), hums(1, 1)["s0"][0][:RATE], 1e-3 * np.random.default_rng(0).random(RATE)])
    assert speech_frames(wave.astype(np.float32)).tolist() == [False] * 25 + [True] * 25 + [False] * 25
    assert not speech_frames(np.zeros(RATE, np.float32)).any()


# -------------------------------------------------------------------------------------------------- the voices


def said(lengths, labels):
    """Phones of ``lengths`` frames, and a wave whose samples tell how far through them it is: 2.5 amid the third."""
    edges = np.cumsum([0, *lengths]) * FRAME / RATE
    phones = tuple(Phone(label=k, start=a, end=b) for k, a, b in zip(labels, edges[:-1], edges[1:], strict=True))
    wave = np.interp(np.arange(sum(lengths) * FRAME) / RATE, edges, np.arange(len(edges)))
    return Spoken(wave=wave.astype(np.float32), phones=phones)


def position(wave):
    return torch.from_numpy(wave[::FRAME].copy())[:, None]


LABELS = ("SIL", "B", "AA", "T", "SIL")


def test_the_same_moment_of_the_same_phone_is_compared():
    """Whatever the pace; and a voice that is always a third of a phone off is that far away."""
    one, other = said((5, 8, 12, 6, 5), LABELS), said((9, 5, 20, 9, 3), LABELS)
    assert nearness({"position": position}, [(one, other)])["position"].distance < 0.005
    off = Spoken(wave=other.wave + np.float32(1 / 3), phones=other.phones)
    found = nearness({"position": position}, [(one, off)])["position"]
    places = np.concatenate([np.arange(n) / n + k for k, n in ((1, 8), (2, 12), (3, 6))])
    differ = [abs(a - b) for a in places for b in places if int(a) != int(b)]
    assert found.distance == pytest.approx(1 / 3 / np.mean(differ), rel=0.2)  # some pairs are picked, not all
    assert found.viseme is None


def test_visemes_are_compared_where_rows_are_posteriors():
    """P for B looks alike, T for AA does not; SIL is not counted."""
    lengths = (5, 8, 12, 6, 5)

    def heard(*columns):
        return torch.nn.functional.one_hot(torch.tensor(columns).repeat_interleave(torch.tensor(lengths)), 40).float()

    one, other = said(lengths, LABELS), said(lengths, LABELS)
    rows = {id(one.wave): heard(0, 7, 1, 31, 0), id(other.wave): heard(0, 27, 31, 31, 5)}  # B AA T, P T T
    found = nearness({"ppg": lambda wave: rows[id(wave)]}, [(one, other)])["ppg"]
    assert found.viseme == pytest.approx((8 + 6) / (8 + 12 + 6))


def test_pairs_are_of_two_speakers_and_one_sentence(tmp_path):
    phones = (Phone(label="SIL", start=0, end=0.5), Phone(label="AA", start=0.5, end=1))
    others = (Phone(label="SIL", start=0, end=0.5), Phone(label="IY", start=0.5, end=1))
    rows = [("a1", "a", phones), ("a2", "a", phones), ("b1", "b", phones), ("c1", "c", others), ("d1", "d", ())]
    rows += [("e1", "e", phones)]
    for name, _, _ in rows:
        store(tmp_path / f"{name}.wav", np.full(RATE, 0.1, np.float32))
    recordings = [
        Recording(file=PurePosixPath(f"{name}.wav"), speaker=speaker, seconds=1.0, phones=p)
        for name, speaker, p in rows
    ]
    pairs = list(same_sentence(tmp_path, recordings))
    assert len(pairs) == 3  # a and b, a and e, b and e
    assert all(one.phones == other.phones == phones for one, other in pairs)


# ------------------------------------------------------------------------------------------- folders of speech


def store(path, wave):
    with wave_file.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """Two voices of different pitch and tract say the same six sentences."""
    speech = pytest.importorskip("vast_corpora.speech", reason="needs vast-corpora, which speaks")
    sentences = (
        "The baker pulled a dozen warm loaves from the oven.",
        "My uncle keeps his fishing boat beside the wooden pier.",
        "Please put both of the maps back in the brown box.",
        "A thick fog rolled over the valley before breakfast.",
        "She gave the puppy a bath and brushed its fur.",
        "We saw five vans driving over the very long viaduct.",
    )
    folder, recordings = tmp_path_factory.mktemp("voices"), []
    for voice in (speech.Voice("Ann"), speech.Voice("Ben", pitch=0.6, tract=1.1)):
        for number, text in enumerate(sentences):
            spoken = speech.say(text, voice, number)
            file = PurePosixPath(f"{voice.name}{number}.wav")
            store(folder / file, spoken.wave)
            recordings.append(
                Recording(
                    file=file,
                    speaker=voice.name,
                    seconds=len(spoken.wave) / RATE,
                    transcript=text,
                    phones=spoken.phones,
                )
            )
    write_manifest(folder, recordings)
    return folder


def test_phones_give_away_less_than_energies(voices):
    found = measure(Registry.discover(), voices)
    assert found.speakers == 2
    assert found.chance == 0.5
    assert found.told["mel"].segment > 0.9
    assert found.told["mel"].frame > found.told["ppg"].frame + 0.1
    assert found.voices["ppg"].distance < found.voices["mel"].distance
    assert found.voices["ppg"].viseme > 0.7
    assert found.voices["mel"].viseme is None
    assert len(read_manifest(voices)) == 12


def test_the_command_prints_and_writes_the_same(voices, tmp_path, capsys):
    figures = tmp_path / "leakage.json"
    with pytest.raises(SystemExit) as stop:
        main(["ppg", "leakage", str(voices), "--audio", "mel", "--audio", "ppg", "--json", str(figures)])
    printed = capsys.readouterr().out
    assert not stop.value.code
    found = json.loads(figures.read_text())
    assert found["speakers"] == 2
    assert set(found["told"]) == {"mel", "ppg", "log ppg"}
    assert f"{found['told']['mel']['frame']:.3f}" in printed
    assert f"{found['voices']['ppg']['viseme']:.3f}" in printed
