"""Style on real people: faces whose agreement is known by construction, names, messages, and the smallest run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from vast_core.errors import InputError, RecipeError
from vast_core.interfaces import Clip, FaceTrack
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_metrics.evaluation.commands import evaluate
from vast_metrics.evaluation.evaluator import Evaluator
from vast_metrics.evaluation.protocol import Protocol
from vast_metrics.people.acting import act, words
from vast_metrics.people.figures import figures_of
from vast_metrics.people.prompts import LabelledClips, Person, Prompt

EMOTIONS = ("angry", "fear", "happy", "sad", "surprised")
FRAMES = 50
STYLES = Path(__file__).resolve().parents[3] / "../shared/footage/styles"


def face_of(emotion, chance, speaker=0):
    """Vertices (T, 12, 3) of an emotion: a shape of its own, and lips that open more or less."""
    neutral = torch.randn(12, 3, generator=torch.Generator().manual_seed(3 + speaker)).numpy() + 5
    shape = np.zeros((12, 3)) if emotion == "neutral" else chance.standard_normal((12, 3)) * 0.3
    wave = np.sin(np.arange(FRAMES) * (0.5 + 0.1 * chance.random())) * (0.2 + chance.random())
    vertices = np.tile(neutral + shape, (FRAMES, 1, 1))
    vertices[:, 1, 1] += wave
    return vertices.astype(np.float32)


def person(name="M030", seed=0):
    chance = np.random.default_rng(seed)
    pose = np.tile(np.eye(3, 4, dtype=np.float32), (FRAMES, 1, 1))
    prompts = {}
    for emotion in ("neutral", *EMOTIONS):
        clip = Clip(name=f"{name}_{emotion}_1", speaker=name, footage=None, digest="")
        track = FaceTrack(vertices=face_of(emotion, chance), pose=pose, valid=np.ones(FRAMES, bool))
        prompts[emotion] = [Prompt(clip=clip, emotion=emotion, track=track)]
    return Person(name=name, prompts=prompts)


class Fake:
    """An actor whose code is the number of the prompt and who does ``gain`` times what the prompt does."""

    def __init__(self, face, own, gain=1.0, noise=0.0):
        self.pipeline = type("Pipeline", (), {"face": face})()
        self.shown = [torch.from_numpy(prompts[0].track.vertices) for prompts in own.prompts.values()]
        self.names = list(own.prompts)
        self.gain, self.noise = gain, noise
        self.chance = torch.Generator().manual_seed(1)

    def code(self, prompt):
        return torch.tensor([[float(self.names.index(prompt.emotion))]])

    def speak(self, code):
        neutral, own = self.shown[0].mean(0), self.shown[int(code)]
        noise = self.noise * torch.randn(neutral.shape, generator=self.chance)
        return 1 + neutral + self.gain * (own - neutral) + noise

    def copy(self, prompt):
        return self.speak(self.code(prompt))


@pytest.fixture
def measured(face):
    def figures(**options):
        own = person()
        return figures_of([act(Fake(face, own, **options), own, 1)], {}, spoken="words", seconds=2.0, training="")

    return figures


def test_an_avatar_that_copies_the_prompt_agrees_in_everything(measured):
    found = measured()
    for name in ("lips", "upper", "gain_lips", "gain_upper", "retrieval", "amplitude", "speed"):
        assert found[name] == pytest.approx(1, abs=1e-4), name
    assert found["by_speaker"]["M030"]["emotions"]["happy"]["taken_for"] == ["happy"]
    assert found["retrieval_chance"] == pytest.approx(1 / 5)
    assert found["intervals"]["lips"] == pytest.approx([1, 1], abs=1e-4)


def test_an_avatar_that_does_half_of_it_has_the_correlation_and_half_of_the_gain(measured):
    found = measured(gain=0.5)
    assert found["lips"] == pytest.approx(1, abs=1e-4)
    assert found["gain_lips"] == pytest.approx(0.5, abs=1e-4)
    assert found["gain_upper"] == pytest.approx(0.5, abs=1e-4)
    assert found["retrieval"] == 1


def test_an_avatar_that_ignores_the_prompt_agrees_in_nothing(measured):
    found = measured(gain=0.0, noise=0.1)
    assert abs(found["lips"]) < 0.35
    assert abs(found["gain_lips"]) < 0.2
    low, high = found["intervals"]["lips"]
    assert low < 0 < high
    assert found["retrieval"] < 0.7


def test_an_avatar_that_never_moves_has_no_correlation(measured):
    found = measured(gain=0.0)
    assert found["lips"] == found["upper"] == found["gain_lips"] == found["amplitude"] == 0


def test_the_opposite_of_the_prompt_is_negative(measured):
    found = measured(gain=-1.0)
    assert found["lips"] == pytest.approx(-1, abs=1e-4)
    assert found["gain_upper"] == pytest.approx(-1, abs=1e-4)


def test_rows_for_comparison(measured):
    """Zero is the neutral prompt's code here, so that nothing moves; wrong prompts match nothing; the copy is exact."""
    rows = measured(gain=0.5)["rows"]
    assert rows["zero_code"]["lips"] == 0
    assert rows["wrong_prompt"]["retrieval"] == 0
    assert abs(rows["wrong_prompt"]["lips"]) < 0.5
    assert rows["copy"]["lips"] == pytest.approx(1, abs=1e-4)


def test_correlation_and_gain_by_hand(face):
    own = person()
    actor = Fake(face, own, gain=0.7, noise=0.4)
    spoken = {}
    speak = actor.speak
    actor.speak = lambda code: spoken.setdefault(int(code), speak(code))
    found = figures_of([act(actor, own, 1)], {}, spoken="", seconds=1.0, training="")
    correlations, across, within = [], 0.0, 0.0
    for number in range(1, 6):
        truth = (actor.shown[number].mean(0) - actor.shown[0].mean(0))[face.upper_face].ravel().numpy()
        ours = (spoken[number].mean(0) - spoken[0].mean(0))[face.upper_face].ravel().numpy()
        correlations.append(np.corrcoef(truth, ours)[0, 1])
        across, within = across + truth @ ours, within + truth @ truth
    assert found["upper"] == pytest.approx(np.mean(correlations), abs=1e-5)
    assert found["gain_upper"] == pytest.approx(across / within, abs=1e-5)


def test_speakers_and_seeds_are_averaged_and_reported_alone(face):
    people = [person("M030", 0), person("W009", 5)]
    gains = {("M030", 1): 1.0, ("M030", 2): 0.6, ("W009", 1): 0.4, ("W009", 2): 0.2}
    acts = [act(Fake(face, own, gain=gains[own.name, seed]), own, seed) for seed in (1, 2) for own in people]
    found = figures_of(acts, {"bo": "why"}, spoken="", seconds=1.0, training="")
    assert found["gain_lips"] == pytest.approx(0.55, abs=1e-4)
    assert found["by_speaker"]["M030"]["gain_lips"] == pytest.approx(0.8, abs=1e-4)
    assert found["by_speaker"]["W009"]["emotions"]["sad"]["gain_lips"] == pytest.approx(0.3, abs=1e-4)
    assert {seed: own["gain_lips"] for seed, own in found["seeds"].items()} == {
        "1": pytest.approx(0.7, abs=1e-4),
        "2": pytest.approx(0.4, abs=1e-4),
    }
    assert found["left_out"] == {"bo": "why"}
    json.dumps(found)


# ------------------------------------------------------------------------------------------------ names


def fill(folder, *names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes([number]))
    return folder


NAMES = ("M030_front_neutral_level1_001.mp4", "M030_happy_1.mp4", "M030_front_happy_level3_001.mp4", "M030_sad_1.mp4")


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


def test_names_give_speakers_and_emotions_and_the_rest_is_left_out_with_its_reason(tmp_path, registry):
    fill(tmp_path, *NAMES, "W009_happy_1.mp4", "W010_neutral_1.mp4", "W010_sad_1.mp4", "film_clip1.mp4")
    found = LabelledClips.of(tmp_path, 25.0, registry)
    assert {emotion: len(own) for emotion, own in found.speakers["M030"].items()} == {
        "neutral": 1,
        "happy": 2,
        "sad": 1,
    }
    assert found.left_out["W009"] == "there is no neutral clip"
    assert found.left_out["W010"] == "at least 2 emotions beside neutral are needed; there is sad"
    assert "no label: call it SPEAKER_EMOTION_NUMBER" in found.left_out["film_clip1"]


def test_a_manifest_may_give_any_emotion(tmp_path, registry):
    fill(tmp_path, "a.mp4", "b.mp4", "c.mp4", "M030_happy_1.mp4")
    rows = ("a.mp4,ann,Neutral", "b.mp4,ann,bored", "c.mp4,ann,proud")
    (tmp_path / "manifest.csv").write_text("\n".join(("file,speaker,style", *rows)))
    found = LabelledClips.of(tmp_path, 25.0, registry)
    assert list(found.speakers) == ["ann"]
    assert set(found.speakers["ann"]) == {"neutral", "bored", "proud"}
    assert found.left_out == {}


def test_speakers_that_are_asked_for_must_have_enough(tmp_path, registry):
    fill(tmp_path, *NAMES, "W009_happy_1.mp4", "W010_neutral_1.mp4")
    assert list(LabelledClips.of(tmp_path, 25.0, registry, ["M030"]).speakers) == ["M030"]
    with pytest.raises(InputError, match=r"no labelled clip of X1; its speakers are"):
        LabelledClips.of(tmp_path, 25.0, registry, ["M030", "X1"])
    with pytest.raises(InputError, match="of W009, there is no neutral clip"):
        LabelledClips.of(tmp_path, 25.0, registry, ["W009"])


def test_a_folder_without_a_whole_speaker_is_refused_with_every_reason(tmp_path, registry):
    fill(tmp_path, "W009_happy_1.mp4", "film_clip1.mp4")
    with pytest.raises(InputError, match=r"can be measured:\n  W009: there is no neutral.*\n  film_clip1: no"):
        LabelledClips.of(tmp_path, 25.0, registry)


class Spoken:
    def __init__(self, **clips):
        self._clips = clips

    def clips(self):
        for name, wave in self._clips.items():
            footage = type("Footage", (), {"wave": lambda self, wave=wave: wave})()
            yield Clip(name=name, speaker=name[0], footage=footage, digest="")


def test_the_words_are_clips_of_the_corpus_except_those_of_the_people():
    second = np.ones(16000, np.float32)
    corpus = Spoken(a1=second, b1=2 * second, c1=None, a2=3 * second, a3=4 * second)
    wave, name = words(corpus, None, 1.5, ["b"])
    assert name == "a1, a2"
    assert len(wave) == 24000
    assert (wave[:16000] == 1).all()
    assert (wave[16000:] == 3).all()
    with pytest.raises(InputError, match="no clip of the corpus has sound"):
        words(Spoken(c1=None), None, 1.0, [])


# ------------------------------------------------------------------------------------------------ runs

TINY = ("corpus.speakers=3", "corpus.avatar_seconds=2", "stages.style.steps=2", "stages.style.batch=2")


def test_the_folder_of_prompts_must_be_given(tmp_path, registry):
    with pytest.raises(RecipeError, match="clips"):
        load_recipe("vast_tiny", registry, ["renderer=null", "run=[style_of_people]", "stages.style_of_people={}"])


@pytest.mark.slow
def test_the_stage_leaves_out_who_occurs_in_the_corpus(tmp_path, monkeypatch, registry):
    if not STYLES.is_dir():
        pytest.skip(f"no footage at {STYLES}")
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    talkers, prompts = tmp_path / "talkers", tmp_path / "prompts"
    talkers.mkdir()
    prompts.mkdir()
    for name in ("W015_neutral_1", "M030_angry_1", "W036_happy_1"):
        (talkers / f"{name}.mp4").symlink_to(STYLES / f"{name}.mp4")
    for speaker in ("M030", "W009"):
        for emotion, level in (("neutral", 1), ("happy", 3), ("surprised", 3)):
            name = f"{speaker}_front_{emotion}_level{level}_001.mp4"
            (prompts / name).symlink_to(STYLES / name)
    changes = ("run=[style_of_people]", f"stages.style_of_people={{clips: {prompts}, seconds: 2.0, seeds: [1, 2]}}")
    corpus = f"corpus={{use: folder, path: {talkers}}}"
    recipe = load_recipe("vast_tiny", registry, [corpus, "renderer=null", *TINY[2:], *changes])
    run = run_recipe(recipe, registry, tmp_path / "run")
    figures = run.figures("style_of_people")
    assert json.loads((run.path / "evaluation.json").read_text())["style_of_people"] == figures
    assert set(figures["by_speaker"]) == {"M030", "W009"}
    assert set(figures["seeds"]) == {"1", "2"}
    assert figures["retrieval_chance"] == 0.5
    audio = recipe.part("audio").name
    trials = {path.name for path in (run.path / "trials").iterdir()}
    assert trials == {f"{audio}-{who}-seed-{seed}" for who in ("M030", "all-speakers") for seed in (1, 2)}
    assert len(list((run.samples / "style_of_people").glob("*.png"))) == 6
    assert "Style of people" in (run.path / "report.html").read_text()
    out = tmp_path / "out"
    trained = run.path / "trials" / f"{audio}-all-speakers-seed-1"
    again = Evaluator(protocol=Protocol.load("v1", registry), registry=registry).style_of_people(
        trained, prompts, None, out
    )
    assert set(again["by_speaker"]) == {"M030", "W009"}
    assert json.loads((out / "style_of_people.json").read_text())["lips"] == again["lips"]
    assert len(list((out / "style_of_people").glob("*.png"))) == 6
    assert "M030: a frame of each prompt" in (out / "style_of_people.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN", "--style-of-people", "PROMPTS", "--tracked"], "so --tracked does not apply"),
        (["RUN", "--style-of-people", "PROMPTS", "--corpus", "x"], "so --corpus does not apply"),
        (["RUN", "--sound", "WAVE"], "--sound requires --style-of-people"),
        (
            ["--generated", "RUN", "--reference", "RUN", "--style-of-people", "PROMPTS"],
            "--style-of-people requires a run",
        ),
    ],
)
def test_options_of_vast_eval_that_do_not_go_together(tmp_path, words, message):
    for name in ("RUN", "PROMPTS"):
        (tmp_path / name).mkdir()
    (tmp_path / "WAVE").touch()
    named = [str(tmp_path / word) if word.isupper() else word for word in words]
    found = CliRunner().invoke(evaluate, named)
    assert found.exit_code == 2
    assert message in " ".join(found.output.split())
