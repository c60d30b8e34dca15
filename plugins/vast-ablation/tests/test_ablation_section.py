"""The section ``ablate`` of a recipe: what it may say, and how its mistakes are shown."""

from __future__ import annotations

import pytest

from vast_ablation import plugin
from vast_ablation.section import Ablate
from vast_core.errors import RecipeError
from vast_core.recipe import load_recipe
from vast_core.registry import Registry

ABLATE = """vast: 1
ablate:
  vary: {flow.use: [planar, 3, [a, {b: null}]], flow.steps: []}
  seeds: [1, 1]
"""


@pytest.fixture
def read(tmp_path):
    """Read a recipe of a few lines."""
    registry = Registry()
    registry.register(plugin, name="ablation", distribution="vast-ablation", version="1.0")

    def read(text, *overrides):
        path = tmp_path / "r.yaml"
        path.write_text(text)
        return load_recipe(path, registry, overrides)

    return read


def test_values_are_read_as_they_stand_and_kept(read):
    loaded = read(ABLATE.replace("[]", "[4]").replace("[1, 1]", "5"))
    vary = {"flow.use": ("planar", 3, ["a", {"b": None}]), "flow.steps": (4,)}
    assert loaded.sections == {"ablate": Ablate(vary=vary, seeds=5)}
    assert read(loaded.to_yaml()) == loaded


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (ABLATE, ["ablate.vary: flow.steps has no values", "ablate.seeds: [1, 1] is not a list of distinct seeds"]),
        (
            "vast: 1\nablate: {vary: {flow.use: planar}, seed: 3}\n",
            ["2:27: ablate.vary.flow.use: expected a list", "2:36: ablate.seed: unknown key; did you mean 'seeds'?"],
        ),
        ("vast: 1\nablate: {vary: {seed: [1, 2]}}\n", ["seed cannot be varied; use `seeds` to set the seeds"]),
        ("vast: 1\nablate: {vary: {flow: [a], flow.use: [b]}}\n", ["flow.use is part of flow; vary only one of them"]),
        ("vast: 1\nablate: {vary: {flow.use: [1, 1]}}\n", ["flow.use has the value 1 twice"]),
        (
            "vast: 1\nablate: {vary: {flow.use: [a, b]}, exclude: [{flow.steps: 2}]}\n",
            ["ablate.exclude: flow.steps is not varied; exclude combinations of flow.use"],
        ),
        (
            "vast: 1\nablate: {vary: {flow.use: [a, b]}, exclude: [{flow.use: a}]}\n",
            ["ablate.exclude: {'flow.use': 'a'} is the base cell"],
        ),
        ("vast: 1\nablate: {vary: {flow.use: [a, b]}, exclude: [{}]}\n", ["would exclude every combination"]),
        ("vast: 1\nablate: {seeds: 0}\n", ["ablate.seeds: 0 seeds are too few"]),
    ],
)
def test_mistakes_are_shown_in_their_place(read, text, messages):
    with pytest.raises(RecipeError) as error:
        read(text)
    lines = [line for line in str(error.value).splitlines() if "ablate" in line and "r.yaml:" in line]
    assert len(lines) == len(messages)
    for message in messages:
        assert any(message in line for line in lines), (message, lines)
