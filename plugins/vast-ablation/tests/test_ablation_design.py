"""Cells: every combination that makes sense, once; what makes none is said; every mistake is shown in its place."""

from __future__ import annotations

import re

import pytest

from vast_ablation import plugin
from vast_ablation.design import Design
from vast_core.errors import RecipeError
from vast_core.recipe import load_recipe
from vast_core.registry import Registry


@pytest.fixture
def registry(lab, monkeypatch):
    monkeypatch.syspath_prepend(str(lab.site))
    import vast_lab

    found = Registry()
    found.register(vast_lab, name="lab", distribution="vast-lab", version="1.0")
    found.register(plugin, name="ablation", distribution="vast-ablation", version="1.0")
    return found


@pytest.fixture
def design(lab, registry, monkeypatch):
    """Read a recipe of a few lines more."""
    monkeypatch.chdir(lab.folder)
    return lambda *vary, more="", overrides=(): Design.read(str(lab.write(more)), registry, overrides, vary)


def names(design):
    return [cell.name for cell in design.cells]


def test_an_option_that_a_component_lacks_makes_no_cell_of_its_own_and_is_said(design):
    found = design("flow.use=plain,steep", "flow.steps=4,16", "flow.shape=round,oval")
    steep = [f"flow.use=steep flow.steps={n} flow.shape={s}" for n in (4, 16) for s in ("round", "oval")]
    assert names(found) == ["flow.use=plain", *steep]
    assert found.cells[0].settings == {"flow.use": "plain"}
    assert [cell.recipe.flow.component.name for cell in found.cells] == ["plain"] + ["steep"] * 4
    assert [cell.recipe.flow.config.steps for cell in found.cells[1:]] == [4, 4, 16, 16]
    (note,) = found.notes
    assert note.startswith("flow.use=plain: flow 'plain' has no option ")
    assert note.endswith("; 4 combinations are one cell")
    assert "so flow.steps and flow.shape are omitted" in note


def test_an_override_goes_to_the_cells_that_can_take_it(design):
    found = design("flow.use=plain,steep", overrides=["flow.steps=9"])
    assert names(found) == ["flow.use=plain", "flow.use=steep"]
    assert found.cells[1].recipe.flow.config.steps == 9
    assert "flow.steps is omitted" in found.notes[0]


def test_the_same_recipe_is_run_once(design):
    found = design("flow={use: plain},{use: steep},{use: steep, steps: 4},{use: steep, steps: 5}")
    assert names(found) == ["flow={use: plain}", "flow={use: steep}", "flow={use: steep, steps: 5}"]
    assert found.notes == ("flow={use: steep, steps: 4} is omitted: it has the same recipe as flow={use: steep}",)
    slugs = [cell.slug for cell in found.cells]
    assert len(set(slugs)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9._=+-]+", slug) for slug in slugs)


def test_each_value_is_read_as_yaml(design):
    found = design("flow.shape=\"a, b\",'4',null_", overrides=["flow.use=steep"])
    assert found.vary == {"flow.shape": ("a, b", "4", "null_")}
    assert [cell.recipe.flow.config.shape for cell in found.cells] == ["a, b", "4", "null_"]
    assert names(found)[1] == "flow.shape='4'"
    again = design(
        "flow.shape=" + ",".join(name.partition("=")[2] for name in names(found)), overrides=["flow.use=steep"]
    )
    assert again.cells == found.cells, "a cell's name says what to write"


def test_a_section_of_the_recipe_says_the_same_as_the_command_line(design, lab, registry):
    section = "ablate: {vary: {flow.use: [plain, steep], flow.steps: [4, 16]}, seeds: [5, 2], stages: [score]}\n"
    found = design(more=section)
    assert names(found) == ["flow.use=plain", "flow.use=steep flow.steps=4", "flow.use=steep flow.steps=16"]
    assert (found.seeds, found.stages) == ((5, 2), ("score",))
    assert names(design("flow.steps=1,2", more=section))[1:] == [
        "flow.use=steep flow.steps=1",
        "flow.use=steep flow.steps=2",
    ]
    assert design(more=section, overrides=["seed=7", "ablate.seeds=2"]).seeds == (7, 8)
    recipe = load_recipe(lab.write(section), registry)
    assert load_recipe(_written(lab, recipe), registry) == recipe, "a resolved recipe keeps the section"
    assert all(not cell.recipe.sections for cell in found.cells), "a cell is a recipe for `vast run`"


def test_excluded_combinations_are_not_run_and_are_said(design):
    section = """ablate:
  vary: {flow.use: [plain, steep], flow.steps: [4, 16], flow.shape: [round, oval]}
  exclude:
    - {flow.steps: 16, flow.shape: oval}
    - {flow.use: steep, flow.shape: round, flow.steps: 4}
    - {flow.steps: 99}
"""
    found = design(more=section)
    steep = "flow.use=steep flow.steps="
    assert names(found) == ["flow.use=plain", f"{steep}4 flow.shape=oval", f"{steep}16 flow.shape=round"]
    omitted = [note for note in found.notes if "exclude" in note]
    rest = ("4 flow.shape=round", "16 flow.shape=oval")
    assert omitted == [f"{steep}{own} is omitted by `exclude`" for own in rest]


def _written(lab, recipe):
    path = lab.folder / "again.yaml"
    path.write_text(recipe.to_yaml())
    return path


MISTAKES = """ablate:
  vary:
    flow.use: [plain, steap]
    flow.steps: [4, x]
    flow.bogus: [1]
    stages.score.steps: [1, 0.5]
  seeds: none
  colour: red
"""


def test_all_mistakes_of_all_cells_are_shown_at_once_each_in_its_place(design):
    with pytest.raises(RecipeError) as caught:
        design(more=MISTAKES)
    found = {
        (int(line), int(column), path)
        for line, column, path in re.findall(r"lab\.yaml:(\d+):(\d+): ([\w.]+):", str(caught.value))
    }
    assert found == {
        (7, 23, "flow.use"),
        (10, 29, "stages.score.steps"),
        (11, 10, "ablate.seeds"),
        (12, 3, "ablate.colour"),
    }, "what options steap would have is not known"
    with pytest.raises(RecipeError) as caught:
        design(more=MISTAKES.replace("steap", "steep"))
    assert "lab.yaml:8:21: flow.steps: expected a whole number, got 'x'" in str(caught.value)
    assert "lab.yaml:9:5: flow.bogus: unknown key" in str(caught.value)


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("flow.use", "--vary flow.use: expected KEY=VALUE,VALUE"),
        ("flow.use=", "--vary flow.use=: expected KEY=VALUE,VALUE"),
        ("flow.use=[", "is no YAML value"),
        ("flow.use=plain,plain", "--vary flow.use=plain,plain: flow.use has the value 'plain' twice"),
        ("flow.use=plain,glow", "--vary flow.use=plain,glow: flow.use: no flow is called 'glow'"),
        ("flow.slope=1,2", "--vary flow.slope=1,2: flow.slope: unknown key"),
        ("seed=1,2", "seed cannot be varied; use `seeds`"),
        ("run=[draw],[score]", "run cannot be varied"),
        ("flow..use=a", "is not a key of a recipe"),
        ("colour=red", "colour: unknown key"),
    ],
)
def test_a_mistake_on_the_command_line(design, vary, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        design(vary)


def test_an_option_of_no_component_is_one_mistake_of_all_cells(design):
    with pytest.raises(RecipeError) as caught:
        design("flow.use=plain,steep", "flow.stepz=4,16")
    (line,) = [line for line in str(caught.value).splitlines() if "unknown key" in line]
    assert "did you mean 'steps'?" in line, "plain comes first and has no such option, steep has"


def test_a_factor_and_a_part_of_it_cannot_both_vary(design):
    with pytest.raises(RecipeError, match=re.escape("flow.steps is part of flow; vary only one of them")):
        design("flow={use: steep},{use: plain}", "flow.steps=1,2")


def test_nothing_to_vary_is_said(design):
    with pytest.raises(RecipeError, match="has nothing to vary; write --vary"):
        design()


@pytest.mark.parametrize("seeds", ["0", "[]", "[1, 1]", "[-1]", "many"])
def test_seeds_that_are_none(design, seeds):
    with pytest.raises(RecipeError, match="seeds"):
        design("flow.use=plain,steep", overrides=[f"ablate.seeds={seeds}"])
