"""The licences of code and weights of everything in a recipe, and what they allow."""

from __future__ import annotations

import attrs
import fsspec
import pytest
import torch
from click.testing import CliRunner

from vast_core.cli import Session, cli
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runs import Run, save_weights
from vast_core.runs.licences import Link, chain, started, verdict

REGISTRY = Registry.discover()


def link(code="MIT", weights=""):
    return Link(part="audio x", package="vast-x 1", code=code, weights=weights)


@pytest.mark.parametrize(
    ("links", "possible"),
    [
        ([link()], True),
        ([link(weights="Apache-2.0 (with a remark)")], True),
        ([link(), link(weights="CC-BY-NC-4.0")], False),
        ([link(code="for research only")], False),
        ([link(weights="non-commercial")], False),
        ([link(weights="unknown")], None),
        ([link(weights="your footage")], None),
        ([link(weights="your footage"), link(weights="CC BY-NC 4.0")], False),
    ],
)
def test_the_verdict_is_that_of_the_strictest_link(links, possible):
    assert verdict(links)[0] is possible


def test_every_part_of_a_recipe_is_in_the_chain():
    links = chain(load_recipe("vast_default", REGISTRY))
    kinds = [one.part.split()[0] for one in links]
    assert kinds == ["corpus", "face", "audio", "style", "flow", "decoder", "renderer"]
    assert {one.code for one in links} == {"Apache-2.0"}
    assert {one.part: one.weights for one in links}["face landmarks"].startswith("Apache-2.0")


@pytest.mark.parametrize(("recipe", "word"), [("vast_default", "possible"), ("vast_quick", "cannot be told")])
def test_the_command_shows_the_chain_and_the_verdict(recipe, word):
    done = CliRunner().invoke(cli, ["licences", recipe], obj=Session())
    assert done.exit_code == 0, done.output
    assert f"Commercial use: {word};" in done.output
    assert ("start: style attentive" in done.output) == (recipe == "vast_quick")


def starting(start):
    return load_recipe("vast_quick", REGISTRY, [f"stages.style.start={start}", "corpus.path=."])


def test_weights_state_their_own_licences_and_those_of_what_they_started_from(tmp_path, monkeypatch):
    stated = [link(weights="CC-BY-NC-4.0"), Link(part="start: audio old", package="old 1", code="MIT", weights="")]
    header = {"components": {"audio": "ppg (vast-audio)"}, "licences": [attrs.asdict(own) for own in stated]}
    save_weights(tmp_path / "style.safetensors", {"x": torch.zeros(1)}, header)
    recipe = starting(tmp_path / "style.safetensors")
    assert [(own.part, own.weights) for own in started(recipe, REGISTRY)] == [
        ("start: audio x", "CC-BY-NC-4.0"),
        ("start: audio old", ""),
    ]
    own = [Link(**entry) for entry in Run(tmp_path, recipe, REGISTRY).made_of()["licences"]]
    assert own == [*chain(recipe), *started(recipe, REGISTRY)]
    assert verdict(own)[0] is False

    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    there = starting("memory://lab/style.safetensors")
    assert [(own.part, own.weights) for own in started(there, REGISTRY)] == [("start", "unknown")]
    fsspec.filesystem("memory").put_file(str(tmp_path / "style.safetensors"), "/lab/style.safetensors")
    assert started(there, REGISTRY) == started(recipe, REGISTRY), "weights by URL are fetched"


def test_a_component_shows_both_licences():
    done = CliRunner().invoke(cli, ["plugins", "show", "audio/ppg"], obj=Session())
    assert "Licence of the code: Apache-2.0; of its weights or data: Apache-2.0" in done.output
