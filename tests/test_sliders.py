"""Sliders: the map from a corpus's factors to style codes, learned, saved, and told from Python."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vast_core.cli.prompts import parse_factors
from vast_core.errors import InputError, WeightsError
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_core.runs import save_weights
from vast_core.speak.sliders import Factor, Sliders
from vast_core.speak.style import Style
from vast_core.stages.sliders import fit, learn_sliders

# ----------------------------------------------------------------------------------------------------- fit


def linear(chance, styles, factors, noise, width=12):
    """Factors (N, F) in [-1, 1], codes (N, Z) that are linear in them, and the map."""
    values = chance.uniform(-1, 1, (styles, factors))
    origin, directions = chance.standard_normal(width), chance.standard_normal((factors, width))
    return values, origin + values @ directions + noise * chance.standard_normal((styles, width)), origin, directions


def test_a_linear_map_is_found_and_a_factor_without_effect_is_told():
    chance = np.random.default_rng(0)
    values, codes, origin, directions = linear(chance, 60, 4, 0.3)
    idle = chance.uniform(-1, 1, (60, 1))
    found, d, r2 = fit(np.hstack([values, idle]), codes)
    assert np.abs(found - origin).max() < 0.2
    assert np.abs(d[:4] - directions).max() < 0.25
    assert np.abs(d[4]).max() < 0.25
    assert r2[:4].min() > 0.9
    assert r2[4] < 0.1


def test_without_noise_the_map_is_exact():
    values, codes, origin, directions = linear(np.random.default_rng(1), 30, 3, 0.0)
    found, d, r2 = fit(values, codes)
    assert np.abs(found - origin).max() < 1e-2
    assert np.abs(d - directions).max() < 1e-2
    assert r2.min() > 0.99


def test_factors_that_go_together_are_told_apart():
    chance = np.random.default_rng(2)
    smile = chance.uniform(-1, 1, 200)
    brow = 0.8 * smile + 0.2 * chance.uniform(-1, 1, 200)
    codes = np.outer(smile, [1.0, 0.0]) + np.outer(brow, [0.0, 1.0]) + 0.05 * chance.standard_normal((200, 2))
    _, d, _ = fit(np.stack([smile, brow], 1), codes)
    assert np.abs(d - np.eye(2)).max() < 0.1
    alone = codes.T @ smile / (smile @ smile)
    assert alone[1] > 0.7, "a regression on smile alone would raise the brows as well"


def test_codes_that_are_all_the_same_show_nothing():
    values, _, _, _ = linear(np.random.default_rng(3), 20, 3, 0.0)
    origin, d, r2 = fit(values, np.ones((20, 6)))
    assert np.allclose(origin, 1)
    assert np.allclose(d, 0)
    assert r2.max() < 0.1


# --------------------------------------------------------------------------------------------------- learn


def context_of(clips):
    """Stands in for a stage's context: ``clips`` by name, their factors and split."""
    corpus = SimpleNamespace(clips=lambda: [SimpleNamespace(name=n, factors=f) for n, (f, _) in clips.items()])
    prepared = [SimpleNamespace(source=n, split=split) for n, (_, split) in clips.items()]
    store = SimpleNamespace(of=lambda split: (clip for clip in prepared if clip.split == split))
    return SimpleNamespace(pipeline=SimpleNamespace(corpus=corpus), store=store)


def clips_of(values, **more):
    return {f"clip{i}": ({"smile": float(a), "jaw": float(b), **more}, "train") for i, (a, b) in enumerate(values)}


def test_ranges_are_those_of_training_clips_that_have_factors():
    chance = np.random.default_rng(4)
    values = np.stack([chance.permutation(np.linspace(0, 1, 24)), chance.permutation(np.linspace(0.5, 2.5, 24))], 1)
    clips = clips_of(values, idle=3.0)
    clips |= {"real": ({}, "train"), "other": ({"smile": 9.0, "jaw": 9.0, "idle": 3.0}, "held_out")}
    clips["clip0"][0]["more"] = 1.0

    def code_of(clip):
        smile, jaw = clips[clip.source][0]["smile"], clips[clip.source][0]["jaw"]
        return torch.tensor([[4 * smile, jaw, 7.0]])

    sliders = learn_sliders(context_of(clips), "abc", code_of)
    assert list(sliders.learned) == ["smile", "jaw"], "what never varies, or some clips lack, is no factor"
    assert (sliders.learned["smile"].low, sliders.learned["smile"].high) == (0.0, 1.0)
    assert (sliders.learned["jaw"].low, sliders.learned["jaw"].high) == (0.5, 2.5)
    assert (sliders.styles, sliders.model) == (24, "abc")
    assert torch.allclose(sliders.origin, torch.tensor([2.0, 1.5, 7.0]), atol=1e-2), "the middle of both ranges"
    assert torch.allclose(sliders.directions, torch.tensor([[2.0, 0, 0], [0, 1.0, 0]]), atol=1e-2), "half a range"


def test_a_style_counts_once_however_many_clips_it_has():
    chance = np.random.default_rng(5)
    values = chance.uniform(-1, 1, (20, 2))
    noise = dict(zip(map(tuple, values), chance.standard_normal(20), strict=True))

    def code_of(clip):
        smile, jaw = clips[clip.source][0]["smile"], clips[clip.source][0]["jaw"]
        return torch.tensor([[smile, jaw, noise[smile, jaw]]])

    clips = clips_of(values)
    once = learn_sliders(context_of(clips), "", code_of)
    clips |= {f"again{i}": clips["clip0"] for i in range(50)}
    often = learn_sliders(context_of(clips), "", code_of)
    assert torch.equal(once.directions, often.directions)


@pytest.mark.parametrize("styles", [0, 1, 3])
def test_too_few_styles_give_no_sliders(styles):
    values = np.random.default_rng(6).uniform(-1, 1, (styles, 2))
    assert learn_sliders(context_of(clips_of(values)), "", lambda clip: torch.zeros(1, 3)) is None


# ---------------------------------------------------------------------------------------------------- told


@pytest.fixture
def sliders():
    def factor(r2):
        return Factor(low=-0.5, high=1.0, r2=r2)

    return Sliders(
        model="m",
        styles=20,
        learned={"smile": factor(0.9), "head": factor(-0.3), "brow": factor(0.5)},
        origin=torch.tensor([1.0, 1.0, 1.0]),
        directions=torch.tensor([[1.0, 0, 0], [0, 5.0, 0], [0, 0, 2.0]]),
    )


def test_factors_are_added_to_a_code(sliders):
    style = Style(code=torch.tensor([3.0, 4.0, 5.0]), model="m", source="a.mp4")
    moved = sliders.moved(style, {"smile": 1, "brow": -0.5})
    assert moved.code.tolist() == [4.0, 4.0, 4.0]
    assert moved.source == "a.mp4 with smile +1, brow -0.5"
    assert sliders.moved(sliders.middle(), {"brow": 1}).code.tolist() == [1.0, 1.0, 3.0]
    assert list(sliders.factors) == ["smile", "brow"]


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ({"smiel": 1.0}, "the factor 'smiel' is unknown; this avatar has smile, brow"),
        ({"head": 1.0}, "the factor 'head' hardly shows in its style codes; this avatar has smile, brow"),
        ({"smile": 1.01}, r"the factor smile = 1\.01: give a value from -1 to \+1"),
        ({"brow": -7.0}, "the factor brow = -7: give a value from -1"),
        ({"brow": float("nan")}, "the factor brow = nan: give a value from -1"),
    ],
)
def test_what_is_no_factor_is_told(sliders, amounts, message):
    with pytest.raises(InputError, match=message):
        sliders.moved(sliders.middle(), amounts)


def test_what_is_saved_is_read_again(sliders, tmp_path):
    sliders.save(tmp_path / "s.safetensors")
    again = Sliders.load(tmp_path / "s.safetensors")
    assert (again.model, again.styles, again.learned) == (sliders.model, 20, sliders.learned)
    assert list(again.learned) == ["smile", "head", "brow"], "the order is that of the directions"
    assert torch.equal(again.directions, sliders.directions)
    assert torch.equal(again.origin, sliders.origin)
    save_weights(tmp_path / "other.safetensors", {"origin": sliders.origin}, {"what": "style code"})
    with pytest.raises(WeightsError, match="is not a map from factors to style codes"):
        Sliders.load(tmp_path / "other.safetensors")


def test_factors_on_the_command_line():
    assert parse_factors(["smile=+1", "brow=-0.5"]) == {"smile": 1.0, "brow": -0.5}
    for texts, message in (
        (["smile"], "--style-factor smile: write NAME=VALUE, such as smile="),
        (["smile=much"], "--style-factor smile=much: write NAME=VALUE"),
        (["smile=1", "smile=0"], "--style-factor smile=0: smile is given twice"),
    ):
        with pytest.raises(InputError, match=message):
            parse_factors(texts)


# --------------------------------------------------------------------------------------------- a whole run


@pytest.mark.slow
def test_a_run_learns_measures_and_shows_its_sliders(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    registry = Registry.discover()
    few = ["run=[prepare, style, evaluate]", "stages.evaluate.max_slider_clips=1", "stages.evaluate.max_clips=1"]
    few += ["corpus.sentences=1", "corpus.held_out_styles=1"]
    many = [*few, "corpus.styles=40", "stages.style.steps=120"]
    run = run_recipe(load_recipe("vast_tiny", registry, many), registry, tmp_path / "run")
    sliders = Sliders.load(run.weights / "sliders.safetensors")
    assert set(sliders.learned) > {"smile", "brow", "jaw"}
    assert sliders.learned["smile"].r2 > 0.5
    assert -0.6 <= sliders.learned["smile"].low < sliders.learned["smile"].high <= 1.0
    figures = json.loads((run.path / "evaluation.json").read_text())["sliders"]
    assert set(figures["factors"]) == set(sliders.factors)
    assert set(figures["factors"]) | set(figures["without_slider"]) == set(sliders.learned)
    assert set(figures["mean"]) == {"low", "high", "prompted"}
    for way in figures["mean"]:
        assert figures["factors"]["smile"][way]["correlation"] > 0.4
        assert figures["factors"]["smile"][way]["true_mm"] > 1
    assert "slider smile, alone, +1: correlation 0." in capsys.readouterr().out
    assert "Each slider moves one factor" in (run.path / "report.html").read_text()
    brief = load_recipe("vast_tiny", registry, [*few, "stages.style.steps=1"])
    run_recipe(brief, registry, tmp_path / "run", stages=["prepare", "style"])
    assert not (run.weights / "sliders.safetensors").exists(), "sliders of older weights do not stay"
