"""``vast ppg`` from outside, and what it draws and counts, on sound and posteriors whose phones are known."""

import json
import subprocess
import sys
import wave as wave_file

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from vast_audio.evaluation import Noise, chosen_clips, evaluate
from vast_audio.figures import Tally
from vast_audio.pictures import draw_confusion, draw_window
from vast_audio.recognition import Recogniser, Window, decided, recogniser
from vast_audio.tables import agreement, closures, phone_table
from vast_core.cli import main
from vast_core.errors import InputError, MediaError
from vast_core.interfaces import Clip, Phone
from vast_core.media import format_phones, read_wave
from vast_core.phones import PHONE_INDEX, PHONES
from vast_core.registry import Registry
from vast_corpora.speech import VOICES, say

RATE = 16_000
TEXTS = ("Bob and Pam may borrow a map of the museum.", "A gray mouse ran under the table and hid in my shoe.")


def write_wave(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave_file.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


@pytest.fixture(scope="module")
def spoken():
    return [say(text, voice, 0) for text, voice in zip(TEXTS, VOICES, strict=False)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, spoken):
    """Two sources; the phones of the second are for the aligner to find."""
    folder = tmp_path_factory.mktemp("speech")
    rows = ["file\tspeaker\tseconds\ttranscript\tphones"]
    for source, text, speech in zip(("labelled", "words"), TEXTS, spoken, strict=True):
        write_wave(folder / source / "a.wav", speech.wave)
        phones = format_phones(speech.phones) if source == "labelled" else ""
        rows.append(f"{source}/a.wav\tsomebody\t{len(speech.wave) / RATE:.2f}\t{text}\t{phones}")
    (folder / "MANIFEST.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def vast(capsys, *arguments):
    """Exit code, what is printed, and the errors, of one call in this process."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


class Oracle(nn.Module):
    """Hears what it is told, 50 times a second, whatever the sound."""

    context = 0.0

    def __init__(self, labels):
        super().__init__()
        self.labels = labels

    def forward(self, wave, frames):
        index = [PHONE_INDEX[label] for label in self.labels[:frames]]
        return torch.eye(len(PHONES))[index + [0] * (frames - len(index))][None]


def made(labels, start=0.0):
    """A window in which ``labels`` are heard, 20 ms each."""
    rows = np.eye(len(PHONES), dtype=np.float32)[[PHONE_INDEX[label] for label in labels]]
    wave = np.where(np.repeat(np.array(labels) == "SIL", 320), 0.0, 0.3).astype(np.float32)
    return Window(start=start, wave=wave, posteriors=rows)


# ------------------------------------------------------------------------------------------------- recognition


def test_equal_rows_are_one_phone():
    assert decided(made(["SIL"] * 5 + ["M"] * 3 + ["AA"] * 2).posteriors) == (
        Phone(label="SIL", start=0.0, end=0.1),
        Phone(label="M", start=0.1, end=0.16),
        Phone(label="AA", start=0.16, end=0.2),
    )


@pytest.mark.parametrize("start", [0.0, 0.43, 1.5, 2.9])
def test_a_window_hears_what_the_whole_hears(tmp_path, registry, spoken, start):
    write_wave(tmp_path / "a.wav", np.tile(spoken[0].wave, 2))
    recognised = recogniser(registry, "ppg")
    window = recognised.window(tmp_path / "a.wav", start, 1.0)
    assert window.start == pytest.approx(start, abs=0.02)
    first = round(window.start * 50)
    whole = read_wave(tmp_path / "a.wav")
    assert window.posteriors.shape == (50, 40)
    assert np.allclose(window.posteriors, recognised.posteriors(whole)[first : first + 50], atol=1e-4)
    assert np.array_equal(window.wave, whole[first * 320 :][:16_000])


def test_what_lies_beyond_the_end_is_not_shown(tmp_path, registry):
    write_wave(tmp_path / "a.wav", np.zeros(RATE))
    recognised = recogniser(registry, "ppg")
    assert recognised.window(tmp_path / "a.wav", 0.5, 10.0).seconds == pytest.approx(0.5)
    with pytest.raises(MediaError, match=r"no sound at 1\.2 s"):
        recognised.window(tmp_path / "a.wav", 1.2, 1.0)


# ------------------------------------------------------------------------------------------------------- pictures


def test_the_table_shows_what_is_heard_when():
    labels = ["SIL"] * 20 + ["M"] * 10 + ["IY"] * 20
    table = phone_table(made(labels, start=1.0))
    columns = [list(column.cells) for column in table.columns]
    assert columns[:2] == [["1.00", "1.40", "1.60"], ["1.40", "1.60", "2.00"]]
    assert [str(cell) for cell in columns[2]] == ["SIL", "M", "IY"]
    assert columns[3:] == [["SIL", "PBM", "EI"], ["1.00", "1.00", "1.00"]]


def test_what_is_said_stands_beside_what_is_heard_in_the_colour_of_its_verdict():
    said = [Phone(label=label, start=0.2 * n, end=0.2 * (n + 1)) for n, label in enumerate(("P", "N", "AA"))]
    table = phone_table(made(["P"] * 10 + ["T"] * 5 + ["S"] * 5 + ["M"] * 10), said)
    *_, cells = (list(column.cells) for column in table.columns)
    assert [cell.plain for cell in cells] == ["P", "", "N", "AA"]
    assert [[span.style for span in cell.spans] for cell in cells] == [["green"], [], ["yellow"], ["red"]]


def test_a_missed_closure_is_told():
    labels = ["P"] * 5 + ["AA"] * 5 + ["N"] * 5
    said = [Phone(label=label, start=0.1 * n, end=0.1 * (n + 1)) for n, label in enumerate(("B", "AA", "M"))]
    window = made(labels, start=2.0)
    assert list(closures(window, said)) == [
        "lip closures (P, B, M): 2 said, 1 recognised",
        "  missed: M at 2.20 s, recognised as N",
    ]
    assert agreement(window, said).phone_speech == pytest.approx(1 / 3)
    assert agreement(window, said).viseme_speech == pytest.approx(2 / 3)
    assert list(closures(window, said[1:2])) == []


def test_pictures_are_png_that_grow_with_the_time_and_darken_with_the_posterior(tmp_path):
    short, long = made(["SIL"] * 50 + ["AA"] * 50), made(["SIL"] * 100 + ["AA"] * 180)
    said = (Phone(label="SIL", start=0.0, end=1.0), Phone(label="AA", start=1.0, end=2.0))
    draw_window(tmp_path / "short.png", short, "short", said)
    draw_window(tmp_path / "long.png", long, "long")
    draw_window(
        tmp_path / "flat.png", Window(start=0.0, wave=short.wave[:RATE], posteriors=np.full((50, 40), 0.025)), "flat"
    )
    pictures = {name: cv2.imread(str(tmp_path / f"{name}.png")) for name in ("short", "long", "flat")}
    assert pictures["long"].shape[0] > 1.6 * pictures["short"].shape[0]

    def dark_blue(picture):
        blue, green, red = (picture[..., channel].astype(int) for channel in range(3))
        return ((blue > red + 60) & (red < 60) & (green < 80)).sum()

    assert dark_blue(pictures["short"]) > 1000
    assert dark_blue(pictures["flat"]) < 50
    tally = Tally()
    tally.add([1, 2, 3], [1, 2, 4])
    draw_confusion(tmp_path / "confusion.png", tally, "three steps")
    pictures["confusion"] = cv2.imread(str(tmp_path / "confusion.png"))
    assert dark_blue(pictures["confusion"]) > 100
    for name, picture in pictures.items():  # nothing is cut off
        assert min(picture[[0, -1]].min(), picture[:, [0, -1]].min()) == 255, name
    assert not list(tmp_path.glob(".*"))


# ----------------------------------------------------------------------------------------------------- evaluation


def sounding(wave):
    class Sound:
        def wave(self):
            return wave

    return Sound()


def clip(name, wave, phones=(), transcript=None):
    return Clip(name=name, speaker="a", footage=sounding(wave), digest="", phones=tuple(phones), transcript=transcript)


def test_every_step_is_held_against_the_phone_that_is_said():
    phones = [
        Phone(label=label, start=start, end=end)
        for label, start, end in (("SIL", 0, 0.2), ("M", 0.2, 0.4), ("AA", 0.4, 0.8), ("S", 0.9, 1.0))
    ]
    heard = ["SIL"] * 10 + ["M"] * 8 + ["N"] * 2 + ["AH"] * 20 + ["K"] * 5 + ["S"] * 5
    oracle = Recogniser(name="oracle", features=Oracle(heard))
    result = evaluate(oracle, [clip("s/a", np.zeros(RATE, np.float32), phones)])
    figures = result.by_source["s"].figures()
    assert figures.phone_speech == pytest.approx((8 + 5) / 35)
    assert figures.viseme_speech == pytest.approx((8 + 20 + 5) / 35)
    assert figures.recall["PBM"] == pytest.approx(0.8)
    assert figures.silence == 1.0
    assert figures.minutes == pytest.approx(45 * 0.02 / 60)  # what nobody labelled is left out
    assert 0 < figures.rtf < 1


def test_what_cannot_be_aligned_is_left_out_and_told():
    result = evaluate(
        Recogniser(name="oracle", features=Oracle([])),
        [clip("s/a", np.zeros(RATE, np.float32), transcript="hello"), clip("s/b", np.zeros(RATE, np.float32))],
    )
    assert result.by_source == {}
    assert list(result.left_out) == ["s/a", "s/b"]
    assert "silent" in result.left_out["s/a"]


@pytest.mark.parametrize("shape", ["speech", "white"])
def test_noise_is_as_loud_and_as_coloured_as_asked(shape):
    rng = np.random.default_rng(5)
    wave = np.zeros(3 * RATE)
    wave[RATE : 2 * RATE] = np.convolve(rng.standard_normal(RATE), [0.2, 0.2, 0.2, 0.2], mode="same")  # low frequencies
    wave = wave.astype(np.float32)
    spoken = np.zeros(len(wave), bool)
    spoken[RATE : 2 * RATE] = True
    noise = Noise(decibels=10.0, shape=shape).behind(wave, spoken, "a") - wave
    ratio = 10 * np.log10(np.mean(wave[spoken].astype(float) ** 2) / np.mean(noise.astype(float) ** 2))
    assert ratio == pytest.approx(10.0, abs=0.1)
    power = np.abs(np.fft.rfft(noise)) ** 2
    low, high = power[: len(power) // 4].sum(), power[-len(power) // 4 :].sum()
    own = np.abs(np.fft.rfft(wave)) ** 2
    expected = own[: len(own) // 4].sum() / own[-len(own) // 4 :].sum() if shape == "speech" else 1.0
    assert 10 * np.log10(low / high) == pytest.approx(10 * np.log10(expected), abs=1.5)


def test_a_recording_gets_the_same_noise_and_another_gets_another():
    wave, spoken = np.full(RATE, 0.1, np.float32), np.ones(RATE, bool)
    first = Noise(decibels=10.0).behind(wave, spoken, "a")
    assert np.array_equal(first, Noise(decibels=10.0).behind(wave, spoken, "a"))
    assert not np.allclose(first, Noise(decibels=10.0).behind(wave, spoken, "b"))
    assert not np.allclose(first, Noise(decibels=10.0, seed=1).behind(wave, spoken, "a"))
    silent = np.zeros(RATE, np.float32)
    assert np.array_equal(Noise(decibels=10.0).behind(silent, np.zeros(RATE, bool), "a"), silent)


def test_what_training_would_use_can_be_left_out(tmp_path, registry):
    rows = ["file\tspeaker\tseconds\ttranscript\tphones"]
    write_wave(tmp_path / "s/0.wav", np.zeros(RATE))
    for number in range(60):
        (tmp_path / f"s/{number}.wav").write_bytes((tmp_path / "s/0.wav").read_bytes())
        rows.append(f"s/{number}.wav\tsomebody\t1.0\tsentence number {number}\t")
    (tmp_path / "MANIFEST.tsv").write_text("\n".join(rows), encoding="utf-8")
    held = [clip.name for clip in chosen_clips(registry, tmp_path, "held-out")]
    assert 8 < len(held) < 32  # a third of the transcripts of few speakers
    assert held == [clip.name for clip in chosen_clips(registry, tmp_path, "held-out", ["s"])]
    assert len(chosen_clips(registry, tmp_path)) == 60
    with pytest.raises(InputError, match="no source is called 'x'; it has s"):
        chosen_clips(registry, tmp_path, "all", ["x"])


# ------------------------------------------------------------------------------------------------ the command line


@pytest.mark.parametrize("arguments", [["ppg", "--help"], ["ppg", "show", "--help"], ["ppg", "eval", "--help"]])
def test_help_needs_no_torch(arguments):
    code = f"""
import sys
from vast_core.cli import main
try:
    main({arguments!r})
except SystemExit as stop:
    assert stop.code == 0, stop.code
assert not {{"torch", "numpy", "matplotlib", "pocketsphinx"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_show_draws_a_file_and_its_transcript(capsys, folder, tmp_path):
    code, out, _ = vast(capsys, "ppg", "show", folder / "labelled/a.wav", "--transcript", TEXTS[0])
    assert code == 0
    assert out.startswith("a.wav, 0.00 to 2.")
    assert all(name in out for name in ("from, s", "said", "heard", "PBM", "SIL"))
    assert "lip closures (P, B, M): 10 said" in out  # Bob, Pam, may, borrow, map, museum
    code, out, _ = vast(capsys, "ppg", "show", folder / "labelled/a.wav", "--out", tmp_path / "a.png")
    assert (code, out) == (0, f"wrote {tmp_path / 'a.png'}\n")
    assert cv2.imread(str(tmp_path / "a.png")) is not None


def test_of_a_long_file_the_first_seconds_are_shown_and_that_is_said(capsys, tmp_path):
    write_wave(tmp_path / "long.wav", np.zeros(15 * RATE))
    code, out, _ = vast(capsys, "ppg", "show", tmp_path / "long.wav", "--start", "2")
    assert code == 0
    assert "2.00 to 12.00 s" in out
    assert "shows the first 10 s from 2 s" in out
    assert "shows the first" not in vast(capsys, "ppg", "show", tmp_path / "long.wav", "--seconds", "3")[1]


def test_eval_writes_the_figures_that_it_prints(capsys, folder, tmp_path):
    code, out, _ = vast(
        capsys, "ppg", "eval", folder, "--json", tmp_path / "f.json", "--out", tmp_path / "c.png", "--noise-db", "30"
    )
    assert code == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    keys = {"phone_speech", "viseme_speech", "silence", "recall", "minutes", "rtf"}
    assert keys <= set(figures)
    assert set(figures["by_source"]) == {"labelled", "words"}
    assert all(set(own) == keys for own in figures["by_source"].values())
    assert figures["phone_speech"] > 0.4  # chance is .04; the words were aligned, too
    assert figures["by_source"]["words"]["phone_speech"] > 0.4
    assert f"{figures['phone_speech']:.3f}" in out
    assert "speech noise at 30 dB" in out
    assert cv2.imread(str(tmp_path / "c.png")) is not None
    assert vast(capsys, "ppg", "eval", folder, "--source", "words")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "nothing.wav"], "nothing.wav: there is no such file"),
        (["show", "text.wav"], "text.wav: is no video or sound file"),
        (["show", "second.wav", "--start", "5"], "second.wav: has no sound at 5 s"),
        (["show", "second.wav", "--seconds", "1000"], "not in the range"),
        (["show", "second.wav", "--transcript", "..."], "has no words"),
        (["show", "second.wav", "--audio", "mel"], "audio/mel gives no phone posteriors: row 0"),
        (["show", "second.wav", "--audio", "pgp"], "did you mean 'ppg'?"),
        (["show", "second.wav", "--audio", "mel", "--weights", "w"], "audio/mel has no option weights; omit --weights"),
        (["show", "second.wav", "--audio", "acoustic"], "audio/acoustic has 384 columns, not one for each of the 40"),
        (["show", "second.wav", "--look-ahead", "0.01"], "look_ahead is 0.01 s; a frame needs at least 0.0"),
        (["show", "second.wav", "--weights", "second.wav"], "second.wav: not a safetensors file"),
        (["eval", "."], "MANIFEST.tsv: no such file"),
        (["eval", "short"], "MANIFEST.tsv:2: 2 cells, but 5 columns"),
        (["eval", "phone"], "MANIFEST.tsv:2: unknown phone 'QQ'"),
        (["eval", "mute"], "mute: no recording could be evaluated; mute/a: 'hello': the sound is silent"),
    ],
)
def test_what_is_wrong_is_told(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    header = "file\tspeaker\tseconds\ttranscript\tphones\n"
    (tmp_path / "text.wav").write_text("hello")
    write_wave(tmp_path / "second.wav", np.zeros(RATE))
    for name, row in (("short", "a.wav\tb"), ("phone", "a.wav\tb\t1\thello\tQQ:0-1"), ("mute", "a.wav\tb\t1\thello\t")):
        write_wave(tmp_path / name / "a.wav", np.zeros(RATE))
        (tmp_path / name / "MANIFEST.tsv").write_text(header + row)
    code, _, error = vast(capsys, "ppg", *arguments)
    assert code == 2
    assert message in error.replace("\n", " ")


def test_a_picture_that_cannot_be_written_is_told(capsys, folder, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, error = vast(capsys, "ppg", "show", folder / "words/a.wav", "--out", tmp_path / "file/a.png")
    assert code == 1
    assert "a.png: cannot be written" in error


def test_no_command_overwrites_what_it_reads(folder, capsys):
    sound, manifest = folder / "labelled" / "a.wav", folder / "MANIFEST.tsv"
    before = (sound.read_bytes(), manifest.read_bytes())
    for arguments in (
        ("show", sound, "--out", sound),
        ("eval", folder, "--json", manifest),
        ("eval", folder, "--out", sound),
        ("leakage", folder, "--json", manifest),
    ):
        code, _, error = vast(capsys, "ppg", *arguments)
        assert code == 2
        assert "would be overwritten" in error or "which is read" in error
    assert (sound.read_bytes(), manifest.read_bytes()) == before
