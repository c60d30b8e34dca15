"""Labelled speech and the pieces drawn from it: sound and target stay together, however they are stretched and cut."""

import itertools
import os
import threading
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from vast_audio import distillation
from vast_audio.config import AcousticStage
from vast_audio.distillation import TEACHER_LAG, Ahead, PieceDrawer, at_steps, teach, whole
from vast_audio.labelled_speech import UNKNOWN, Utterance, held_out, labels, quantised, source_of
from vast_core.errors import InputError, WeightsError
from vast_core.interfaces import Clip, Phone
from vast_core.phones import PHONE_INDEX, PHONES

RATE, STEP = 16_000, 320
TONES = {"SIL": 0.0, "AA": 500.0, "IY": 1200.0, "S": 3000.0}
"""A language whose phones are tones: a factor of 2.4 apart, so that stretching takes none for another."""


def spoken(name, seed, count=14, phones=True):
    """An utterance in that language, with pauses at both ends."""
    rng = np.random.default_rng(seed)
    sound, said, start = [], [], 0.0
    for number in range(count):
        label = "SIL" if number in (0, count - 1) else str(rng.choice(["AA", "IY", "S"]))
        length = int(rng.integers(1600, 4000))
        sound.append(0.3 * np.sin(2 * np.pi * TONES[label] * np.arange(length) / RATE))
        said.append(Phone(label=label, start=start, end=start + length / RATE))
        start = said[-1].end
    wave = quantised(np.concatenate(sound).astype(np.float32))
    return Utterance(name=name, samples=wave, phones=tuple(said) if phones else ())


def rows_of(utterance, certain=20.0):
    """What a teacher that is always right would hear: row n belongs to step n + TEACHER_LAG; they fade over."""
    steps = np.arange(-(-len(utterance.samples) // STEP)) + TEACHER_LAG
    logits = np.zeros((len(steps), len(PHONES)))
    for apart in np.linspace(-0.9, 0.9, 19):
        said = utterance.labels((steps + apart) / 50)
        logits[np.arange(len(steps)), np.maximum(said, 0)] += (1 - abs(apart)) * certain / 10
    return logits.astype(np.float16)


def heard_in(wave, steps):
    """The tone around each step of 20 ms, by its number: the loudest frequency of 25 ms, after nearest in ratio."""
    padded = np.pad(wave, 200)
    windows = np.stack([padded[n * STEP : n * STEP + 400] for n in range(steps)]) * np.hanning(400)
    spectrum = np.abs(np.fft.rfft(windows, 2048))
    hertz = spectrum.argmax(1) * RATE / 2048
    names = [name for name in TONES if name != "SIL"]
    ratio = np.abs(np.log(np.maximum(hertz, 1)[:, None] / np.array([TONES[name] for name in names])))
    found = np.array([PHONE_INDEX[name] for name in names])[ratio.argmin(1)]
    return np.where(spectrum.max(1) > 1.0, found, 0)


@pytest.fixture
def unspoilt(monkeypatch):
    monkeypatch.setattr(distillation, "spoilt", lambda wave, rng, others: wave)


def options(**changes):
    return AcousticStage(**{"batch": 4, "frames": 150, "smoothing": 0.0} | changes)


# ------------------------------------------------------------------------------------- labelled speech


def test_labels_at_times():
    phones = (
        Phone(label="SIL", start=0.0, end=0.5),
        Phone(label="M", start=0.5, end=0.6),
        Phone(label="AA", start=0.7, end=1),
    )
    times = np.array([-0.1, 0.0, 0.49, 0.5, 0.59, 0.65, 0.7, 0.99, 1.0, 7.0])
    m, aa = PHONE_INDEX["M"], PHONE_INDEX["AA"]
    expected = [UNKNOWN, 0, 0, m, m, UNKNOWN, aa, aa, UNKNOWN, UNKNOWN]
    assert labels(phones, times).tolist() == expected
    assert Utterance(name="a/b", samples=np.zeros(0, np.int16), phones=phones).labels(times).tolist() == expected
    assert labels((), times).tolist() == [UNKNOWN] * len(times)


def test_sound_in_16_bits():
    wave = np.array([-2.0, -1.0, -0.5, 0.0, 1e-5, 0.25, 1.0, 3.0], np.float32)
    utterance = Utterance(name="folder/name", samples=quantised(wave))
    assert utterance.samples.dtype == np.int16
    np.testing.assert_allclose(utterance.wave, wave.clip(-1, 32767 / 32768), atol=0.5 / 32768)
    assert utterance.source == source_of("folder/name") == "folder"
    assert source_of("alone") == "alone"


def clip(name, speaker, split=None):
    return Clip(name=name, speaker=speaker, footage=None, digest=name, split=split)


def test_what_the_corpus_holds_out_is_held_out():
    clips = [clip("a", "ann", "train"), clip("b", "ann", "held_out"), clip("c", "bob", "train")]
    assert held_out(clips) == {"b"}


def test_else_one_speaker_in_ten_is():
    clips = [clip(f"{speaker}/{number}", f"speaker {speaker}") for speaker in range(2000) for number in range(2)]
    kept = held_out(clips)
    sides = [{f"{speaker}/{number}" in kept for number in range(2)} for speaker in range(2000)]
    assert all(len(side) == 1 for side in sides)
    assert 0.08 < len(kept) / len(clips) < 0.12
    # by SHA-256, so in every process the same
    assert [speaker for speaker, side in enumerate(sides) if side == {True}][:3] == [38, 42, 43]


# ---------------------------------------------------------------------------------------------- pieces


@pytest.mark.parametrize("taught", ["by labels", "by the teacher"])
@pytest.mark.parametrize("stretch", [0.0, 0.12])
def test_a_piece_sounds_as_its_target_says(unspoilt, taught, stretch):
    """Steps are compared as they are heard, and at no lag do they agree better."""
    known = [spoken(f"toy/{n}", n) for n in range(12)]
    heard = {u.name: rows_of(u) for u in known} if taught == "by the teacher" else {}
    if heard:
        known = [attrs.evolve(u, phones=()) for u in known]
    drawer = PieceDrawer(known, heard, options(stretch=stretch, frames=300), seed=1)
    right = dict.fromkeys(range(-3, 4), 0)
    total = 0
    for step in range(6):
        pieces = drawer(step)
        assert pieces.wave.shape == (4, 300 * STEP)
        assert pieces.target.shape == (4, 300, len(PHONES))
        assert pieces.wave.dtype == pieces.target.dtype == torch.float32
        for wave, target in zip(pieces.wave.numpy(), pieces.target.numpy(), strict=True):
            found, said = heard_in(wave, 300), target.argmax(-1)
            for lag in right:
                right[lag] += int((found[3:-3] == np.roll(said, lag)[3:-3]).sum())
            total += len(said) - 6
    assert right[0] / total > 0.95
    assert max(right, key=right.get) == 0
    # no more early than late: labels change every 175 ms, so half a step of bias would show as 0.06
    assert abs(right[1] - right[-1]) / total < 0.03


def test_the_pace_varies_as_asked(unspoilt):
    """By the tones' frequencies."""
    steady = Utterance(
        name="toy/long",
        samples=quantised(0.3 * np.sin(2 * np.pi * 1200 * np.arange(3 * RATE) / RATE).astype(np.float32)),
        phones=(Phone(label="IY", start=0, end=3),),
    )
    drawer = PieceDrawer([steady], {}, options(stretch=0.1, frames=50, batch=150), seed=0)
    waves = [wave for wave in drawer(0).wave.numpy() if np.abs(wave).max() > 0.01]
    factors = [
        1200 / (np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 17)).argmax() * RATE / (1 << 17))
        for wave in waves
    ]
    factors = [factor for factor in factors if 0.5 < factor < 2]  # the others have nobody in them
    assert len(factors) > 135
    assert np.std(np.log(factors)) == pytest.approx(0.1, rel=0.2)
    assert np.mean(np.log(factors)) == pytest.approx(0, abs=0.03)


def test_pieces_start_anywhere_and_go_on(unspoilt):
    """A long utterance is not always cut at its start, and short ones are joined."""
    long = spoken("toy/long", 3, count=120)
    drawer = PieceDrawer([long], {}, options(stretch=0.0, frames=50, batch=60), seed=0)
    first = [tuple(target.argmax(-1).tolist()) for target in drawer(0).target]
    assert len(set(first)) > 50
    short = [spoken(f"toy/{n}", n, count=5) for n in range(6)]
    (target,) = PieceDrawer(short, {}, options(frames=500, batch=1), seed=2)(0).target.argmax(-1)
    changes = int((target[1:] != target[:-1]).sum())
    assert changes > 20


# --------------------------------------------------------------------------------------------- targets


def target_of(utterance, heard=None, **changes):
    """Targets of pieces of one utterance that is played as it is."""
    drawer = PieceDrawer([utterance], heard or {}, options(stretch=0.0, frames=100, **changes), seed=0)
    return drawer(0).target.numpy().reshape(-1, len(PHONES))


@pytest.fixture
def somebody(monkeypatch):
    monkeypatch.setattr(distillation, "_NOBODY", 0.0)


def held(*phones, seconds=4.0, name="toy/held"):
    """An utterance of phones of equal length; None is a gap that nobody labelled."""
    length = seconds / len(phones)
    said = [Phone(label=p, start=n * length, end=(n + 1) * length) for n, p in enumerate(phones) if p is not None]
    rng = np.random.default_rng(0)
    wave = (0.1 * rng.standard_normal(int(seconds * RATE))).astype(np.float32)
    return Utterance(name=name, samples=quantised(wave), phones=tuple(said))


def test_a_target_is_a_distribution_where_the_phone_is_known():
    for teacher, smoothing in itertools.product((False, True), (0.0, 0.3)):
        known = [spoken(f"toy/{n}", n) for n in range(4)]
        heard = {u.name: rows_of(u, certain=2.0) for u in known} if teacher else {}
        target = PieceDrawer(known, heard, options(smoothing=smoothing, batch=5), seed=4)(0).target
        assert target.min() >= 0
        torch.testing.assert_close(target.sum(-1), torch.ones(target.shape[:2]))


def test_labels_are_smoothed(somebody):
    target = target_of(held("AA"), smoothing=0.2)
    expected = np.full(40, 0.2 / 40)
    expected[PHONE_INDEX["AA"]] += 0.8
    np.testing.assert_allclose(target, np.tile(expected, (len(target), 1)), atol=1e-6)


def test_what_nobody_knows_is_nothing(somebody):
    target = target_of(held("AA", None, "S"))
    sums = target.sum(-1)
    assert set(np.unique(sums.round(5))) == {0.0, 1.0}
    assert 0.1 < np.mean(sums == 0) < 0.9


def test_teacher_and_labels_share_the_target(somebody):
    """0.6 of it where somebody speaks, a fifth of that where distrusted, all where no label is, none in pauses."""
    utterance = held("AA", "SIL", None)
    always_z = np.zeros((201, 40), np.float16)
    always_z[:, PHONE_INDEX["Z"]] = 30
    for distrusted, share in (((), 0.6), (("toy",), 0.12), (("other",), 0.6)):
        target = target_of(utterance, {utterance.name: always_z}, trust=0.6, distrusted=distrusted)
        found = {tuple(row) for row in target[:, [PHONE_INDEX[p] for p in ("AA", "SIL", "Z")]].round(4).tolist()}
        expected = {(1 - share, 0.0, share), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)}
        assert {tuple(np.round(row, 4).tolist()) for row in np.float32(list(expected))} == found


def test_some_pieces_have_nobody_in_them(unspoilt):
    loud = spoken("toy/1", 1)
    drawer = PieceDrawer([loud], {}, options(frames=50, batch=400), seed=0)
    target = drawer(0).target
    silent = target[..., 0].min(1).values == 1  # a piece of 1 s with a pause all through can only be of that kind
    assert 1 <= int(silent.sum()) <= 36  # 0.04 of 400, five standard deviations


# ----------------------------------------------------------------------------------- what is drawn when


def same(one, other):
    return torch.equal(one.wave, other.wave) and torch.equal(one.target, other.target)


def test_a_batch_depends_on_seed_and_step_alone():
    known = [spoken(f"toy/{n}", n) for n in range(3)]
    forward = [PieceDrawer(known, {}, options(), seed=1)(step) for step in range(4)]
    drawer = PieceDrawer(known, {}, options(), seed=1)
    backward = [drawer(step) for step in reversed(range(4))][::-1]
    assert all(map(same, forward, backward))
    for one, other in itertools.combinations(forward, 2):
        assert not same(one, other)
    assert not same(forward[0], PieceDrawer(known, {}, options(), seed=2)(0))


@pytest.mark.parametrize(("draw", "share"), [({}, 0.75), ({"rare": 9.0}, 0.25), ({"rare": 0.0}, 1.0)])
def test_sources_are_drawn_by_length_and_weight(somebody, draw, share):
    """Three times as much is said by the one as by the other, in a phone of its own."""
    one, other = held("AA", seconds=9.0, name="common/1"), held("IY", seconds=3.0, name="rare/1")
    target = PieceDrawer([one, other], {}, options(draw=draw, batch=150, frames=50), seed=0)(0).target
    first = target[:, 0].argmax(-1) == PHONE_INDEX["AA"]
    assert float(first.float().mean()) == pytest.approx(share, abs=0.14 if 0 < share < 1 else 0)


def test_what_is_hardly_there_is_not_drawn(somebody):
    tiny = Utterance(name="toy/tiny", samples=np.ones(300, np.int16), phones=(Phone(label="Z", start=0, end=1),))
    target = PieceDrawer([tiny, held("AA")], {}, options(batch=20), seed=0)(0).target
    assert (target.argmax(-1) == PHONE_INDEX["AA"]).all()
    for utterances, changes in (([tiny], {}), ([held("AA")], {"draw": {"toy": 0.0}}), ([], {})):
        with pytest.raises(InputError, match=r"nothing can be drawn from \d clips.*stages\.acoustic\.draw"):
            PieceDrawer(utterances, {}, options(**changes), seed=0)


# ----------------------------------------------------------------------------------------------- ahead


def test_drawing_ahead_changes_no_batch():
    drawer = PieceDrawer([spoken(f"toy/{n}", n) for n in range(3)], {}, options(batch=1), seed=1)
    ahead = Ahead(drawer)
    try:
        for step in (0, 1, 2, 7, 3, 4, 0, 0, 1):  # in order, and as nobody should ask
            assert same(ahead(step), drawer(step))
    finally:
        ahead.close()


def test_the_next_batch_is_drawn_meanwhile_on_another_thread():
    asked, drawn = [], threading.Event()

    def batch_at(step):
        asked.append((step, threading.current_thread() is threading.main_thread()))
        if step == 1:
            drawn.set()
        return step

    ahead = Ahead(batch_at)
    try:
        assert ahead(0) == 0
        assert drawn.wait(10)
        assert ahead(1) == 1
    finally:
        ahead.close()
    assert asked[:2] == [(0, True), (1, False)]
    assert [step for step, _ in asked].count(1) == 1


def test_what_goes_wrong_on_the_other_thread_is_raised_here():
    def batch_at(step):
        if step == 1:
            raise InputError("step 1 is bad")
        return step

    ahead = Ahead(batch_at)
    try:
        assert ahead(0) == 0
        with pytest.raises(InputError, match="step 1 is bad"):
            ahead(1)
        assert ahead(2) == 2
    finally:
        ahead.close()


# --------------------------------------------------------------------------------------------- teacher


def test_rows_between_steps_are_those_of_numpy():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((30, 4)).astype(np.float16)
    steps = np.concatenate([rng.uniform(-3, 33, 200), np.arange(-2, 33), [28.999, 29.0, 29.001]])
    expected = np.stack([np.interp(steps, np.arange(30), rows[:, k].astype(np.float64)) for k in range(4)], axis=1)
    np.testing.assert_allclose(at_steps(rows, steps), expected, atol=2e-6)
    np.testing.assert_array_equal(at_steps(rows[:1], steps), np.repeat(rows[:1].astype(np.float32), len(steps), 0))


class NearSighted(nn.Module):
    """A teacher whose row depends on 0.66 s to either side, and that counts what it was asked."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv1d(1, 8, STEP, stride=STEP)
        self.last = nn.Conv1d(8, 40, 67, padding=33)
        self.asked = []
        self.requires_grad_(False)

    def forward(self, wave):
        self.asked.append(wave.shape[1])
        padded = nn.functional.pad(wave, (0, -wave.shape[1] % STEP))
        return self.last(self.first(padded[:, None]).relu()).transpose(1, 2)


@pytest.mark.parametrize("samples", [1, 320, 321, 12 * RATE, 12 * RATE + 1, 20 * RATE - 7, 24 * RATE, 61 * RATE])
def test_windows_of_the_teacher_join_without_a_seam(samples):
    teacher = NearSighted()
    wave = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    expected = teacher(torch.from_numpy(wave)[None])[0]
    teacher.asked.clear()
    found = whole(teacher, wave)
    assert found.shape == (-(-samples // STEP), 40)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert max(teacher.asked) <= 15 * RATE  # it could hear no more than 30 s


@pytest.mark.slow
def test_windows_of_the_real_teacher_hear_what_it_hears_in_one(monkeypatch):
    """It attends to all that it is given, so windows differ from the whole, but hardly in what is said."""
    if "VAST_WEIGHTS" not in os.environ:
        monkeypatch.setenv("VAST_WEIGHTS", str(Path(__file__).resolve().parents[4] / "shared" / "models"))
    try:
        teacher = distillation.WhisperPhones().eval()
    except WeightsError as error:
        pytest.skip(f"no weights of the teacher: {str(error).splitlines()[0]}")
    speech = pytest.importorskip("vast_corpora.speech", reason="needs vast-corpora")
    voice = speech.VOICES[0]
    text = "My favorite cousin sold a cheap boat to Bob and Mary, and then seven brown foxes jumped over the lazy dog. "
    wave = np.concatenate([speech.say(text, voice).wave for _ in range(3)])[: 20 * RATE]
    with torch.no_grad():
        expected = teacher(torch.from_numpy(wave)[None])[0]
    found = whole(teacher, wave)
    assert found.shape == expected.shape
    assert (found.argmax(-1) == expected.argmax(-1)).float().mean() > 0.96
    apart = (found.softmax(-1) - expected.softmax(-1)).abs().sum(-1) / 2
    assert apart.mean() < 0.05


def test_what_the_teacher_heard_is_kept(tmp_path, monkeypatch):
    made = []

    def make():
        made.append(NearSighted())
        return made[-1]

    monkeypatch.setattr(distillation, "WhisperPhones", make)
    known = [spoken(f"toy/{n}", n, count=4) for n in range(3)]
    digests = {"toy/0": "same", "toy/1": "other", "toy/2": "same"}
    console = Console(quiet=True)
    heard = teach(known[:2], digests, tmp_path / "new" / "cache", console)
    assert len(made) == 1
    assert sorted(path.name for path in (tmp_path / "new" / "cache").iterdir()) == [
        "other.safetensors",
        "same.safetensors",
    ]
    for utterance in known[:2]:
        expected = whole(made[0], utterance.wave).numpy()
        assert heard[utterance.name].dtype == np.float16
        np.testing.assert_allclose(heard[utterance.name], expected, atol=2e-3)
    again = teach([known[1], known[2]], digests, tmp_path / "new" / "cache", console)
    assert len(made) == 1, "nothing is heard twice"
    np.testing.assert_array_equal(again["toy/1"], heard["toy/1"])
    np.testing.assert_array_equal(again["toy/2"], heard["toy/0"])  # the content is known by its digest
