"""The stage ``acoustic``: recipe to weights, stopped and resumed, judged, reported; on recordings of a toy language."""

import json
import os
import re
import signal
import wave as wave_file
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from torch import nn

from vast_audio import acoustic_stage, distillation
from vast_audio.acoustic_model import BANDS, AcousticModel
from vast_audio.acoustic_stage import Distillation, inputs_of, judge, save
from vast_audio.config import AcousticStage, PpgConfig
from vast_audio.distillation import Pieces
from vast_audio.labelled_speech import Utterance, quantised
from vast_audio.ppg import SHIPPED, Ppg, load_model
from vast_audio.spectrum import MelEnergy
from vast_audio.whisper import mel_filters
from vast_core.errors import InputError, Interrupted, RecipeError
from vast_core.interfaces import Clip, Phone, Sizes
from vast_core.phones import PHONE_INDEX, PHONES, VISEMES
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_core.runs import load_weights, read_header

RATE = 16_000
TONES = {"SIL": 0.0, "M": 500.0, "IY": 3000.0}
"""A language of two phones, which are tones."""


def toy(name, seed, count=12):
    rng = np.random.default_rng(seed)
    sound, said, start = [], [], 0.0
    for number in range(count):
        label = "SIL" if number in (0, count - 1) else str(rng.choice(["M", "IY"]))
        length = int(rng.integers(1600, 4000))
        sound.append(0.3 * np.sin(2 * np.pi * TONES[label] * np.arange(length) / RATE))
        said.append(Phone(label=label, start=start, end=start + length / RATE))
        start = said[-1].end
    return Utterance(name=name, samples=quantised(np.concatenate(sound).astype(np.float32)), phones=tuple(said))


def write_folder(folder, utterances, phones=True, words="number {}"):
    """A folder of speech; every file has words of its own, by which a third is held out."""
    rows = ["file\tspeaker\tseconds\ttranscript\tphones"]
    for number, utterance in enumerate(utterances):
        path = folder / f"{utterance.name}.wav"
        path.parent.mkdir(exist_ok=True, parents=True)
        with wave_file.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(utterance.samples.tobytes())
        aligned = " ".join(f"{p.label}:{p.start:.4f}-{p.end:.4f}" for p in utterance.phones) if phones else ""
        cells = (f"{utterance.name}.wav", "ann", f"{len(utterance.samples) / RATE:.2f}", words.format(number), aligned)
        rows.append("\t".join(cells))
    (folder / "MANIFEST.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def registry():
    found = Registry.discover()
    if not any(component.name == "speech" for component in found.components()):
        pytest.skip("needs corpus/speech of vast-corpora")
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where all runs of this module are, with their own cache."""
    place = tmp_path_factory.mktemp("acoustic")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAST_CACHE", str(place / "cache"))
        patch.delenv("VAST_WEIGHTS", raising=False)
        yield place


@pytest.fixture(scope="module")
def tones(place):
    return write_folder(place / "tones", [toy(f"toy/{number}", number) for number in range(12)])


SMALL = {"steps": 12, "batch": 2, "frames": 50, "log_every": 2, "teacher": False, "about": ["tones, public domain"]}


def recipe_of(folder, registry, corpus, **changes):
    corpus = {"use": "speech", "engines": ["hibari"], "minutes": 1, "voices": 0, **corpus}
    document = {"vast": 1, "seed": 3, "run": ["acoustic"], "corpus": corpus, "stages": {"acoustic": SMALL | changes}}
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return load_recipe(folder / "tiny.yaml", registry)


@pytest.fixture(scope="module")
def recipe(place, tones, registry):
    return recipe_of(place, registry, {"folders": [str(tones)]})


@pytest.fixture(scope="module")
def finished(place, recipe, registry):
    """The run directory of a tiny run, never stopped."""
    return run_recipe(recipe, registry, place / "whole").path


def sizes(fps=50.0):
    return Sizes(fps=fps, audio=len(PHONES))


# ------------------------------------------------------------------------------------------ a whole run


def test_the_weights_hear(finished):
    """audio/ppg takes them by its option, and they are the model that was trained."""
    weights = finished / "weights" / "ppg.safetensors"
    assert weights.stat().st_size <= 5_000_000
    ppg = Ppg.from_config(PpgConfig(weights=weights), sizes())
    said = toy("toy/new", 99)
    rows = ppg(torch.from_numpy(said.wave)[None], 60)
    assert rows.shape == (1, 60, len(PHONES))
    torch.testing.assert_close(rows.sum(-1), torch.ones(1, 60))
    tensors, _ = load_weights(weights)
    assert {t.dtype for t in tensors.values() if t.is_floating_point()} == {torch.float16}
    shipped = Ppg.from_config(PpgConfig(), sizes())
    assert not torch.allclose(shipped(torch.from_numpy(said.wave)[None], 60), rows, atol=0.1)


def test_the_header_says_how_they_came_about(finished, recipe, tones):
    header = read_header(finished / "weights" / "ppg.safetensors")
    assert header["component"] == "audio/ppg"
    assert header["phones"] == list(PHONES)
    assert header["data"] == ["tones, public domain"]
    assert set(header["minutes"]) == {"hibari", "toy"}
    assert header["minutes"]["hibari"] == pytest.approx(1.0, abs=0.4)
    assert header["training"]["recipe"] == recipe.name
    assert header["training"]["seed"] == 3
    assert {name: header["training"][name] for name in SMALL if name != "about"}.items() <= SMALL.items()
    assert re.fullmatch("[0-9a-f]{20}", header["digest"])
    kept = [name for name in header["held_out"] if name.startswith("toy/")]
    assert 1 <= len(kept) <= 8
    told = header["figures"]["clean"]["ppg"]["toy"]
    assert set(told) >= {"phone_speech", "viseme_speech", "silence", "recall", "minutes"}
    assert set(told["recall"]) == set(VISEMES)
    length = {f"toy/{number}": len(toy("", number).samples) / RATE / 60 for number in range(12)}
    assert told["minutes"] == pytest.approx(sum(length[name] for name in kept), abs=0.01)
    # held out of training, and counted there no more
    assert header["minutes"]["toy"] == pytest.approx(sum(length.values()) - told["minutes"], abs=0.06)
    assert set(header["figures"]) == {"clean", "10 dB noise"}
    assert set(header["figures"]["clean"]) == {"ppg"}


def test_figures_are_where_those_of_all_stages_are(finished):
    header = read_header(finished / "weights" / "ppg.safetensors")
    evaluation = json.loads((finished / "evaluation.json").read_text())
    assert evaluation["stages"]["acoustic"]["figures"] == header["figures"]
    assert evaluation["stages"]["acoustic"]["held_out"] == header["held_out"]
    losses = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in losses] == [2, 4, 6, 8, 10, 12]
    assert set(losses[0]["losses"]) >= {"acoustic/phones/loss", "acoustic/phones/agreement"}
    assert not list((finished / "checkpoints").iterdir())


def test_the_report_has_the_figures(finished):
    report = (finished / "report.html").read_text(encoding="utf-8")
    section = report[report.index(">Acoustic model</h2>") :]
    table = section[section.index("<table") : section.index("</table>")]
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", table)
    rows = [cells[number : number + 7] for number in range(0, len(cells), 7)]
    assert rows[0] == ["source", "sound", "heard by", "phones", "visemes", "P B M", "silence"]
    assert [row[:3] for row in rows[1:]] == [["toy", "clean", "ppg"], ["toy", "10 dB noise", "ppg"]]


def test_the_same_command_again_does_nothing(finished, recipe, registry, place, capsys):
    before = (finished / "weights" / "ppg.safetensors").stat().st_mtime_ns
    run_recipe(recipe, registry, place / "whole")
    assert "acoustic: nothing has changed" in capsys.readouterr().out
    assert (finished / "weights" / "ppg.safetensors").stat().st_mtime_ns == before


def test_stopped_and_resumed_it_ends_with_the_same_bits(finished, recipe, registry, place, monkeypatch):
    class Stopping(Distillation):
        steps = 0

        def __call__(self, batch, progress):
            Stopping.steps += 1
            if Stopping.steps == 5:
                os.kill(os.getpid(), signal.SIGINT)
            yield from super().__call__(batch, progress)

    torch.manual_seed(12345)  # nothing may depend on what was drawn before
    with monkeypatch.context() as patch:
        patch.setattr(acoustic_stage, "Distillation", Stopping)
        with pytest.raises(Interrupted, match=r"stopped after step 5 of 12 of stage 'acoustic'.*--resume"):
            run_recipe(recipe, registry, place / "stopped")
    assert not (place / "stopped" / "weights" / "ppg.safetensors").exists()
    torch.manual_seed(54321)
    run_recipe(recipe, registry, place / "stopped", resume=True)
    expected, expected_header = load_weights(finished / "weights" / "ppg.safetensors")
    found, header = load_weights(place / "stopped" / "weights" / "ppg.safetensors")
    assert header == expected_header
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


# -------------------------------------------------------------------------------------- what goes wrong


class Sound:
    def __init__(self, wave):
        self._wave = wave

    def frames(self):
        raise AssertionError("pictures are not needed")

    def wave(self):
        return self._wave


def clip(name, seed=0, **changes):
    said = toy(name, seed)
    known = {"speaker": "ann", "footage": Sound(said.wave), "digest": name, "split": "train", "phones": said.phones}
    return Clip(name=name, **known | changes)


def context(clips, width=80, **options):
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115 - it lives as long as the console
    settings = AcousticStage(**SMALL | options)
    return SimpleNamespace(
        pipeline=SimpleNamespace(corpus=SimpleNamespace(clips=lambda: iter(clips))),
        recipe=SimpleNamespace(seed=1, name="stub"),
        options=lambda stage, config: settings,
        console=console,
    )


def test_a_corpus_that_is_all_held_out_is_refused():
    clips = [clip(f"toy/{n}", split="held_out") for n in range(3)]
    with pytest.raises(InputError, match="all 3 clips of the corpus are held out; none is left for training"):
        acoustic_stage.run(context(clips))


def test_speech_of_which_nothing_is_known_is_refused():
    clips = [clip(f"toy/{n}", phones=()) for n in range(3)]
    with pytest.raises(
        InputError, match=r"no clip .* has phones or a transcript, and stages\.acoustic\.teacher is false"
    ):
        acoustic_stage.run(context(clips))


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_clips_without_sound_are_named_before_training(split, monkeypatch):
    monkeypatch.setattr(acoustic_stage, "Trainer", None)
    clips = [clip("toy/0"), clip("toy/mute", footage=Sound(None), split=split)]
    with pytest.raises(InputError, match="toy/mute: has no sound"):
        acoustic_stage.run(context(clips))


def test_what_cannot_be_aligned_is_told_and_left_out(monkeypatch):
    def misfit(wave, transcript):
        raise InputError(f"{transcript!r}: the sound does not fit")

    monkeypatch.setattr(acoustic_stage, "align", misfit)
    stub = context([], width=200)
    clips = [clip("toy/[b]0", phones=(), transcript="so [/red] loud [laughs]"), clip("toy/1")]
    one, other = acoustic_stage._read(clips, stub)
    assert (one.phones, other.phones) == ((), clips[1].phones)
    assert "toy/[b]0: not aligned: 'so [/red] loud [laughs]': the sound does not fit" in stub.console.export_text()
    # were there a teacher, it would still be learned from
    with pytest.raises(InputError, match="no clip of the corpus has phones"):
        acoustic_stage.run(context(clips[:1]))


def test_words_are_aligned_where_phones_are_unknown(monkeypatch):
    said = toy("toy/0", 0)
    asked = []

    def align(wave, transcript):
        asked.append(transcript)
        return said.phones

    monkeypatch.setattr(acoustic_stage, "align", align)
    clips = [
        clip("toy/0", phones=(), transcript="hello there"),
        clip("toy/1", transcript="known"),
        clip("toy/2", phones=()),
    ]
    read = list(acoustic_stage._read(clips, context([])))
    assert asked == ["hello there"]
    assert [bool(utterance.phones) for utterance in read] == [True, True, False]
    np.testing.assert_allclose(read[0].wave, said.wave, atol=1e-4)


def test_sources_that_are_not_there_are_told():
    stub = context([], width=200, draw={"toy": 2, "[i]gone": 3}, distrusted=["lost"])
    acoustic_stage._name_sources(stub.options("acoustic", AcousticStage), [toy("toy/0", 0), toy("more/0", 0)], stub)
    said = stub.console.export_text()
    assert "stages.acoustic.draw names [i]gone; the corpus has more, toy" in said
    assert "stages.acoustic.distrusted names lost" in said


def test_options_are_checked(place, tones, registry):
    for changes, message in (
        ({"draw": {"toy": -1.0}}, "draw"),
        ({"trust": 1.5}, "trust"),
        ({"steps": 0}, "steps"),
        ({"no_such": 1}, "no_such"),
    ):
        with pytest.raises(RecipeError, match=message):
            recipe_of(place / "bad", registry, {"folders": [str(tones)]}, **changes)


# -------------------------------------------------------------------------------------------- the report


FIGURES = {
    condition: {
        who: {
            source: {"phone_speech": 0.5, "viseme_speech": 0.625, "recall": {"PBM": recall}, "silence": 0.9375}
            for source, recall in (("librispeech", 0.75), ("<i>me</i>[/red]&", None))
        }
        for who in ("ppg", "teacher")
    }
    for condition in ("clean", "10 dB noise")
}


@pytest.mark.parametrize("figures", [FIGURES, {}])
def test_names_of_folders_are_no_markup_in_the_report(finished, place, recipe, registry, figures):
    from vast_core.report import write_report

    run = SimpleNamespace(figures=lambda stage: {"figures": figures})
    path = place / "escaped.html"
    write_report(path, "t", "s", acoustic_stage.report(run))
    report = path.read_text(encoding="utf-8")
    assert "<i>me" not in report
    assert ("&lt;i&gt;me&lt;/i&gt;[/red]&amp;" in report) == bool(figures)
    assert ("recognition was not evaluated" in report) != bool(figures)


def test_the_table_is_read_in_80_columns():
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(acoustic_stage._table(FIGURES))
    lines = console.export_text().splitlines()
    heading = next(line.split() for line in lines if "phones" in line)
    assert " ".join(heading) == "source sound heard by phones visemes P B M silence"
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines if "0.625" in line]
    assert len(rows) == 8
    assert ["<i>me</i>[/red]&", "clean", "ppg", "0.500", "0.625", "–", "0.938"] in rows
    assert ["librispeech", "10 dB noise", "teacher", "0.500", "0.625", "0.750", "0.938"] in rows


# ---------------------------------------------------------------------------------- what is minimised


class Fixed(nn.Module):
    """Gives the logits that it is told to, and its head the sound's energies, scaled."""

    def __init__(self, logits, scale=1.0):
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.scale = scale

    def features(self, energy):
        assert energy.shape[1:] == (self.logits.shape[1], 2, BANDS)
        return energy.mean((2, 3))

    def lower_end(self, features):
        return self.scale * features

    def head(self, hidden):
        assert hidden.shape == self.logits.shape[:2]
        return self.logits


def batch_of(target):
    torch.manual_seed(7)
    wave, unspoilt = torch.randn(2, len(target), target.shape[1] * 320)
    return Pieces(wave=wave, unspoilt=unspoilt, target=target)


def learning(model, encoder=None, **options):
    return Distillation(model, encoder, AcousticStage(**options), torch.device("cpu"))


def test_the_loss_is_a_weighted_cross_entropy_over_known_steps():
    torch.manual_seed(0)
    target = torch.softmax(3 * torch.randn(2, 30, len(PHONES)), -1)
    target[0, 10:17] = 0
    model = Fixed(torch.randn(2, 30, len(PHONES)))
    known = target.sum(-1) > 0
    rows, wanted = model.logits[known], target[known]
    (plain,) = learning(model, closures=1.0)(batch_of(target), 0.0)
    torch.testing.assert_close(plain.loss, nn.functional.cross_entropy(rows, wanted))
    right = (rows.argmax(-1) == wanted.argmax(-1)).float().mean()
    torch.testing.assert_close(plain.terms["agreement"], right)
    assert plain.parameters == [model.logits]
    # three times as heavy as other steps, by how probable it is that the lips are closed
    closed = wanted[:, [PHONE_INDEX[phone] for phone in "PBM"]].sum(-1)
    (heavy,) = learning(model, closures=3.0)(batch_of(target), 0.0)
    each = nn.functional.cross_entropy(rows, wanted, reduction="none")
    torch.testing.assert_close(heavy.loss, (each * (1 + 2 * closed)).sum() / (1 + 2 * closed).sum())


def test_the_spoilt_sound_is_to_be_heard_as_whisper_hears_the_unspoilt(monkeypatch):
    """Here Whisper hears energies in whatever it is given, so what is missing is the difference of the two sounds'."""
    monkeypatch.setattr(acoustic_stage, "imitated", lambda model, encoder, features: features)
    target = torch.softmax(torch.randn(2, 30, len(PHONES)), -1)
    model, batch = Fixed(torch.randn(2, 30, len(PHONES)), scale=2.0), batch_of(target)
    (alone,) = learning(model)(batch, 0.0)
    assert "unlike" not in alone.terms
    energy = MelEnergy(mel_filters(BANDS).numpy())
    spoilt, unspoilt = (inputs_of(model, energy, wave, 30) for wave in (batch.wave, batch.unspoilt))
    missing = float(((2 * spoilt - unspoilt) ** 2).mean())
    for weight in (0.0, 1.0, 2.5):
        (both,) = learning(model, nn.Identity(), imitation=weight)(batch, 0.0)
        assert both.terms["unlike"].item() == pytest.approx(missing)
        assert both.loss.item() == pytest.approx(alone.loss.item() + weight * missing)


def test_where_nothing_is_known_nothing_is_learned():
    model = Fixed(torch.randn(1, 30, len(PHONES)))
    (objective,) = learning(model)(batch_of(torch.zeros(1, 30, len(PHONES))), 0.0)
    assert objective.loss.item() == 0
    objective.loss.backward()
    assert float(model.logits.grad.abs().max()) == 0
    assert float(objective.terms["agreement"]) == 0


# --------------------------------------------------------------------------------------------- figures


class Tuned(nn.Module):
    """Knows the toy language: which of two bands is louder, and whether there is sound at all."""

    def __init__(self, shift=0):
        super().__init__()
        self.shift = shift
        peaks = mel_filters(BANDS).numpy().argmax(0) * RATE / 400
        self.bands = {name: int(np.abs(peaks - hertz).argmin()) for name, hertz in TONES.items() if hertz}

    def features(self, energy):
        return energy.mean(2)

    def forward(self, energy, before, after):
        energy = energy.roll(self.shift, 1)[:, before : energy.shape[1] - after]
        logits = torch.full((*energy.shape[:2], len(PHONES)), -30.0)
        logits[..., 0] = -6.0
        for name, band in self.bands.items():
            logits[..., PHONE_INDEX[name]] = energy[..., band].log10()
        return logits


def test_a_model_that_hears_all_is_judged_so():
    utterances = [toy("toy/1", 1), toy("more/2", 2), attrs.evolve(toy("toy/3", 3), phones=())]
    figures = judge(Tuned(), utterances, with_teacher=False)
    assert set(figures) == {"clean", "10 dB noise"}
    for condition, least in (("clean", 0.95), ("10 dB noise", 0.6)):
        assert set(figures[condition]) == {"ppg"}
        assert set(figures[condition]["ppg"]) == {"toy", "more"}
        told = figures[condition]["ppg"]["toy"]
        assert told["phone_speech"] >= least
        assert told["recall"]["PBM"] >= least
        assert told["minutes"] == pytest.approx(len(utterances[0].samples) / RATE / 60, abs=0.01)
    # and one that hears a step late is not
    early, late = (judge(Tuned(shift), utterances, with_teacher=False)["clean"]["ppg"]["toy"] for shift in (-2, 2))
    assert max(early["phone_speech"], late["phone_speech"]) < figures["clean"]["ppg"]["toy"]["phone_speech"] - 0.05
    assert early["phone_speech"] == pytest.approx(late["phone_speech"], abs=0.08)


def test_the_teacher_is_judged_on_the_same(monkeypatch):
    monkeypatch.setattr(acoustic_stage, "WhisperPhones", lambda: nn.Identity())
    heard = []

    def hear(teacher, wave):
        heard.append(wave)
        rows = np.zeros((-(-len(wave) // 320), len(PHONES)))
        rows[:, PHONE_INDEX["M"]] = 1
        return torch.from_numpy(rows)

    monkeypatch.setattr(acoustic_stage, "whole", hear)
    said = toy("toy/1", 1)
    figures = judge(Tuned(), [said], with_teacher=True)
    assert [len(wave) for wave in heard] == [len(said.samples)] * 2
    told = figures["clean"]["teacher"]["toy"]
    seconds = {label: sum(p.end - p.start for p in said.phones if p.label == label) for label in TONES}
    assert told["recall"]["PBM"] == 1
    assert told["phone_speech"] == pytest.approx(seconds["M"] / (seconds["M"] + seconds["IY"]), abs=0.03)
    assert told["silence"] == pytest.approx(1 - seconds["SIL"] / sum(seconds.values()), abs=0.03)
    assert judge(Tuned(), [], with_teacher=True) == {}


# --------------------------------------------------------------------------------------------- weights


class Counted(nn.Module):
    """What a network with batch normalisation keeps: a count that is no fraction."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.last = nn.Conv1d(6, len(PHONES), 1)


@pytest.mark.parametrize("make", [AcousticModel, Counted])
def test_weights_make_the_round_trip(make, tmp_path):
    torch.manual_seed(1)
    model = make()
    for buffer in model.buffers():
        buffer.copy_(torch.full_like(buffer, 70_001) if buffer.dtype == torch.int64 else torch.rand_like(buffer) + 0.5)
    path = tmp_path / "made.safetensors"
    save(path, model, {"steps": 1}, {"data": ["a"], "minutes": {}, "held_out": []})
    torch.manual_seed(2)
    again = make()
    load_model(again, path)
    for name, tensor in model.state_dict().items():
        found = again.state_dict()[name]
        assert found.dtype == tensor.dtype
        assert torch.equal(found, tensor.half().float() if tensor.is_floating_point() else tensor), name


def test_the_shipped_weights_say_what_they_are():
    header = read_header(SHIPPED)
    assert header["phones"] == list(PHONES)
    told = " ".join(header["data"])
    assert re.search(r"LibriSpeech.*CC.BY.4\.0", told)
    assert re.search(r"CC.BY.SA.3\.0", told)
    assert header["digest"]
    assert header["figures"]
    assert SHIPPED.stat().st_size <= 5_000_000


# ------------------------------------------------------------------------------------------ it learns


@pytest.mark.slow
def test_a_toy_language_is_learned(place, registry, monkeypatch):
    """Two phones, plainly recorded: the loss falls to a tenth, and held-out tones are told apart."""
    monkeypatch.setattr(distillation, "spoilt", lambda wave, rng, others: wave)
    folder = write_folder(place / "many", [toy(f"toy/{number}", number) for number in range(20)])
    recipe = recipe_of(
        place / "learn",
        registry,
        {"folders": [str(folder)], "engines": []},
        **{"steps": 150, "batch": 4, "frames": 100, "warmup": 10, "ema": 0.9, "log_every": 2, "smoothing": 0.0},
    )
    run = run_recipe(recipe, registry, place / "learned")
    losses = [json.loads(line)["losses"] for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    falling = [line["acoustic/phones/loss"] for line in losses]
    assert np.mean(falling[-5:]) < max(falling) / 10
    told = run.figures("acoustic")["figures"]["clean"]["ppg"]["toy"]
    assert told["phone_speech"] > 0.85
    assert told["recall"]["PBM"] > 0.85
    assert told["silence"] > 0.85
