"""Recipes: all mistakes are reported with positions, nothing is coerced, and a resolved recipe reads back the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import attrs
import pytest
import yaml
from attrs.validators import ge, in_

from vast_core import Component, SectionSpec, hookimpl
from vast_core.errors import ComponentError, RecipeError
from vast_core.recipe import Recipe, find_recipe, finding, load_recipe, packaged_recipes
from vast_core.registry import RECIPE_KEYS, Registry, RendererStage, StyleStage


@attrs.frozen(kw_only=True)
class Range:
    low: float = 0.0
    high: float = 1.0

    def __attrs_post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must lie below high {self.high}")


@attrs.frozen(kw_only=True)
class CorpusConfig:
    """One field of every type that a recipe can give."""

    path: Path | None = None
    speakers: int = attrs.field(default=4, validator=ge(1))
    share: float = 0.5
    loud: bool = False
    label: str = "x"
    mode: Literal["fast", "exact", 3] = "fast"
    limit: int | None = None
    scale: float | Literal["auto"] = "auto"
    count: float | int | None = None
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[int, str] = (1, "a")
    names: list[str] = attrs.field(factory=list)
    rates: Sequence[float] = ()
    weights: Mapping[str, float] = attrs.field(factory=dict)
    table: dict[str, int] = attrs.field(factory=dict)
    band: Range = attrs.field(factory=Range)
    bands: tuple[Range, ...] = ()
    maybe: Range | None = None


@attrs.frozen(kw_only=True)
class FolderConfig:
    path: Path


@attrs.frozen(kw_only=True)
class FlowConfig:
    steps: int = attrs.field(default=8, validator=ge(1))
    shape: str = attrs.field(default="tanh", validator=in_(("tanh", "relu")))


@attrs.frozen(kw_only=True)
class OtherConfig:
    knots: int = 5


@attrs.frozen(kw_only=True)
class NoConfig:
    pass


def declare(kind, name, config):
    return Component(kind=kind, name=name, target="x.y:Z", config=config, summary="Stands in.")


class StandIns:
    @hookimpl
    def vast_components(self):
        return [
            declare("corpus", "made", CorpusConfig),
            declare("corpus", "folder", FolderConfig),
            declare("flow", "planar", FlowConfig),
            declare("flow", "spline", OtherConfig),
            declare("metric", "psnr", NoConfig),
            declare("metric", "ssim", FlowConfig),
            *(declare(kind, "plain", NoConfig) for kind in ("face", "audio", "style", "decoder", "renderer")),
        ]

    @hookimpl
    def vast_sections(self):
        return [SectionSpec(name="log", config=Range, summary="Stands in, too.")]


@pytest.fixture
def registry():
    found = Registry()
    found.register(StandIns(), name="stand_ins", distribution="vast-stand-ins", version="1.0")
    return found


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a recipe's file into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "r.yaml") -> str:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    return write


MINIMAL = "vast: 1\ncorpus: {use: made}\n"


def mistakes(name: str, registry: Registry, *overrides: str) -> list[str]:
    """The messages, one per line."""
    with pytest.raises(RecipeError) as error:
        load_recipe(name, registry, overrides)
    head, _, body = str(error.value).partition("\n\n")
    found = [line for line in body.splitlines() if not line.startswith("    ")]
    assert head.startswith("a mistake" if len(found) == 1 else f"{len(found)} mistakes")
    return found


def one(name: str, registry: Registry, *overrides: str) -> str:
    (found,) = mistakes(name, registry, *overrides)
    return found


# ------------------------------------------------------------------------------------------------- reading


def test_defaults_are_filled_in(write, registry):
    loaded = load_recipe(write(MINIMAL, "my take.yaml"), registry)
    assert (loaded.vast, loaded.name, loaded.seed, loaded.fps) == (1, "my-take", 1, 25.0)
    assert loaded.corpus.component.provider == "vast-stand-ins 1.0"
    assert loaded.corpus.config == CorpusConfig()
    assert loaded.flow is None
    assert loaded.metrics == ()
    assert [stage.name for stage in loaded.run] == ["prepare", "style", "renderer", "synthesize"]
    assert loaded.options("style", StyleStage).steps == 2000
    assert (loaded.options("renderer", RendererStage).steps, loaded.options("renderer", RendererStage).frames) == (
        1500,
        16,
    )


def test_every_type_is_read(write, registry):
    loaded = load_recipe(
        write(
            """
            vast: 1
            corpus:
              use: vast-stand-ins/made
              path: clips/a
              speakers: 7
              share: 1
              loud: true
              label: 'no'
              mode: 3
              limit: 2
              scale: 1.5
              count: 3
              sizes: [3, 4, 5]
              pair: [2, b]
              names: [a, b]
              rates: [1, 2.5]
              weights: {a: 1, b: 1.0e-3}
              table: {a: 1}
              band: {high: 3}
              bands: [{low: 0.5}, {}]
              maybe: {low: -1}
            """
        ),
        registry,
    )
    assert loaded.corpus.config == CorpusConfig(
        path=Path.cwd() / "clips" / "a",
        speakers=7,
        share=1.0,
        loud=True,
        label="no",
        mode=3,
        limit=2,
        scale=1.5,
        count=3,
        sizes=(3, 4, 5),
        pair=(2, "b"),
        names=["a", "b"],
        rates=(1.0, 2.5),
        weights={"a": 1.0, "b": 0.001},
        table={"a": 1},
        band=Range(high=3.0),
        bands=(Range(low=0.5), Range()),
        maybe=Range(low=-1.0),
    )
    assert type(loaded.corpus.config.share) is float
    assert type(loaded.corpus.config.count) is int


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('loud: "false"', "expected true or false, got 'false'; leave the quotes out"),
        ("loud: 0", "expected true or false, got 0"),
        ("speakers: 1.5", "expected a whole number, got 1.5"),
        ("speakers: 2.0", "expected a whole number, got 2.0; write 2"),
        ("speakers: true", "expected a whole number, got true, a truth value"),
        ("speakers: '3'", "expected a whole number, got '3'; leave the quotes out"),
        ("speakers: 1e3", "expected a whole number, got '1e3' (YAML reads 1e3 as text; write 1000)"),
        ("speakers: 010", "YAML reads 010 as 8; write it as a plain decimal number"),
        ("speakers: 1:30", "YAML reads 1:30 as 90; write it as a plain decimal number"),
        ("speakers:", "expected a whole number, got nothing"),
        ("speakers: null", "expected a whole number, got null"),
        ("speakers: 0", "must be >= 1: 0"),
        ("share: 1e-4", "expected a number, got '1e-4' (YAML reads 1e-4 as text; write 1.0e-4)"),
        ("share: 2.5e3", "expected a number, got '2.5e3' (YAML reads 2.5e3 as text; write 2.5e+3)"),
        ("share: .nan", "expected a number, got .nan"),
        ("share: true", "expected a number, got true, a truth value"),
        (f"share: 1{'0' * 400}", "is too large"),
        ("label: no", "expected text, got no, a truth value; write it in quotes: 'no'"),
        ("label: 3", "expected text, got 3; write it in quotes: '3'"),
        ("label: 2024-01-01", "expected text, got 2024-01-01, a date; write it in quotes: '2024-01-01'"),
        ("label: 2024-13-01", "2024-13-01 cannot be read"),
        ("label: [a]", "expected text, got a list"),
        ("label: !!python/object/apply:os.system [ls]", "python/object/apply:os.system is not allowed in a recipe"),
        ("label: !!binary aGk=", "got b'hi', a date"),
        ("path: 3", "expected a path, got 3"),
        ("mode: fats", "expected one of 'fast', 'exact', 3, got 'fats'; did you mean 'fast'?"),
        ("mode: '3'", "expected one of 'fast', 'exact', 3, got '3'"),
        ("limit: 1.5", "expected a whole number, got 1.5"),
        ("scale: automatic", "expected a number or 'auto', got 'automatic'"),
        ("sizes: 3", "expected a list (a whole number each), got 3"),
        ("pair: [1]", "expected 2 values, got 1"),
        ("weights: [1]", "expected a mapping of `key: value`, got a list"),
        ("band: 3", "expected a mapping of `key: value`, got 3"),
        ("maybe: {low: a}", "expected a number, got 'a'"),
        ("band: {low: 2, high: 1}", "low 2.0 must lie below high 1.0"),
        ("speakres: 3", "unknown key; did you mean 'speakers'?"),
        ("? [a]\n  : 3", "a key must be text"),
        ("1: 3", "a key must be text"),
        ("<<: {label: a}", "`<<` is not read in recipes; use `base:`"),
    ],
)
def test_nothing_is_coerced_and_the_message_says_why(write, registry, given, message):
    if given.startswith("label: !!binary"):
        message = "expected text, got"  # and not the decoded bytes
    assert message in one(write(f"vast: 1\ncorpus:\n  use: made\n  {given}\n"), registry)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("sizes: [1, a, 2]", "4:14: corpus.sizes.1"),
        ("weights: {a: 1, bb: x}", "4:23: corpus.weights.bb"),
        ("bands: [{}, {low: x}]", "4:21: corpus.bands.1.low"),
        ("bands: [{}, {lwo: 1}]", "4:16: corpus.bands.1.lwo"),
        ("pair: [1, 2]", "4:13: corpus.pair.1"),
    ],
)
def test_mistakes_deep_down_are_found_in_their_place(write, registry, given, place):
    name = write(f"vast: 1\ncorpus:\n  use: made\n  {given}\n")
    assert one(name, registry).startswith(f"{name}:{place}: ")


def test_every_mistake_at_once_with_line_and_caret(write, registry):
    name = write(
        "vast: 1\n"
        "seed: -1\n"
        "fsp: 25\n"
        "corpus: {use: made, speakers: 0, share: x}\n"
        "flow:\n"
        "  use: planr\n"
        "decoder: plain\n"
        "renderer:\n"
        "metrics: [{use: psnr}, ssim, {use: psnr}, {ues: ssim}]\n"
        "stages:\n"
        "  styel: {steps: 3}\n"
        "  renderer: {steps: 0, steps: 4, batch: 2.5}\n"
    )
    assert [line.split(": ", 2)[:2] for line in mistakes(name, registry)] == [
        [f"{name}:{place}", path]
        for place, path in [
            ("2:7", "seed"),
            ("3:1", "fsp"),
            ("4:31", "corpus.speakers"),
            ("4:41", "corpus.share"),
            ("6:8", "flow.use"),
            ("7:10", "decoder"),
            ("8:10", "renderer"),
            ("9:24", "metrics.1"),
            ("9:30", "metrics.2"),
            ("9:43", "metrics.3"),
            ("11:3", "stages.styel"),
            ("12:21", "stages.renderer.steps"),
            ("12:24", "stages.renderer.steps"),
            ("12:41", "stages.renderer.batch"),
        ]
    ]
    with pytest.raises(RecipeError) as error:
        load_recipe(name, registry)
    lines = str(error.value).splitlines()
    at = next(i for i, line in enumerate(lines) if "flow.use" in line)
    assert lines[at : at + 3] == [
        f"{name}:6:8: flow.use: no flow is called 'planr'; did you mean 'planar'? (installed: planar, spline)",
        "      use: planr",
        "           ^",
    ]


def test_what_is_missing_is_named(write, registry):
    name = write("corpus: {use: folder}\nflow: {steps: 3}\n")
    assert mistakes(name, registry) == [
        f"{name}:1:1: missing key 'vast'; this vast reads recipes of version 1: vast: 1",
        f"{name}:1:1: corpus: missing key 'path' (a path)",
        f"{name}:2:1: flow: missing key 'use': which flow? (installed: planar, spline)",
    ]
    assert "this vast reads recipes of version 1, not 2" in one(write(MINIMAL.replace("1", "2")), registry)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected `key: value` lines"),
        ("- a\n", "expected `key: value` lines"),
        ("vast: 1\ncorpus: {use: made\nflow: x\n", "no valid YAML"),
        ("vast: 1\n\tcorpus: x\n", "no valid YAML"),
        ("vast: 1\n---\nvast: 1\n", "no valid YAML"),
        ("vast: 1\nname: \x07\n", "no valid YAML"),
        ("vast: " + "[" * 5000, "no valid YAML"),
        ("vast: 1\ncorpus: &a {use: made, names: [*a]}\n", "an alias to something that holds it"),
        ("vast: 1\nname: ../up\ncorpus: {use: made}\n", "must match regex"),
    ],
)
def test_text_that_is_no_recipe(write, registry, text, message):
    assert any(message in line for line in mistakes(write(text), registry))


def test_aliases_are_read_and_cannot_explode(write, registry):
    loaded = load_recipe(write("vast: 1\ncorpus: {use: made, sizes: &s [3, 4], names: [&n a, *n]}\n"), registry)
    assert (loaded.corpus.config.sizes, loaded.corpus.config.names) == ((3, 4), ["a", "a"])
    laughs = ["  - &a0 [ha]"] + [f"  - &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    assert "fats" in one(write("vast: 1\ncorpus: {use: made}\nfats:\n" + "\n".join(laughs) + "\n"), registry)


def test_a_file_that_is_no_text(tmp_path, registry):
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(RecipeError, match="no UTF-8 text"):
        load_recipe(tmp_path / "r.yaml", registry)


def test_a_type_that_no_recipe_can_give_is_the_plugin_authors_fault(write):
    @attrs.frozen(kw_only=True)
    class Odd:
        x: complex = 0j

    class Plugin:
        @hookimpl
        def vast_components(self):
            return [declare("corpus", "odd", Odd)]

    found = Registry()
    found.register(Plugin(), name="odd", distribution="vast-odd")
    with pytest.raises(ComponentError, match=r"corpus\.x: its type .*complex.* cannot be written in a recipe"):
        load_recipe(write("vast: 1\ncorpus: {use: odd, x: 3}\n"), found)


# ---------------------------------------------------------------------------------------------------- base


def test_base_is_merged_deeply(write, registry):
    write(
        "vast: 1\nname: below\nseed: 3\ncorpus: {use: made, speakers: 2, band: {low: -1, high: 2}}\n"
        "flow: {use: planar, steps: 3}\nmetrics: [{use: psnr}, {use: ssim}]\nrenderer: {use: plain}\n"
        "stages: {style: {steps: 5, batch: 6}}\n",
        "below.yaml",
    )
    loaded = load_recipe(
        write(
            "vast: 1\nbase: ../below.yaml\ncorpus: {band: {high: 9}}\nflow: {use: spline}\nmetrics: [{use: psnr}]\n"
            "renderer: null\nstages: {style: {steps: 7}}\n",
            "above/above.yaml",
        ),
        registry,
    )
    assert (loaded.name, loaded.seed) == ("above", 3)
    assert loaded.corpus.config == CorpusConfig(speakers=2, band=Range(low=-1.0, high=9.0))
    assert loaded.flow.config == OtherConfig()
    assert [use.component.name for use in loaded.metrics] == ["psnr"]
    assert loaded.renderer is None
    assert (loaded.options("style", StyleStage).steps, loaded.options("style", StyleStage).batch) == (7, 6)


def test_changing_use_drops_the_old_options_and_repeating_it_keeps_them(write, registry):
    write("vast: 1\ncorpus: {use: made}\nflow: {use: planar, steps: 3}\n", "below.yaml")
    same = load_recipe(write("base: below.yaml\nflow: {use: planar, shape: relu}\n"), registry)
    assert same.flow.config == FlowConfig(steps=3, shape="relu")
    assert "unknown key" in one(write("base: below.yaml\nflow: {use: spline, steps: 3}\n"), registry)


def test_a_mistake_points_into_the_file_that_holds_it(write, registry):
    write("vast: 1\ncorpus: {use: made, speakers: 0}\nflow:\n  use: planar\n  steps: x\n", "lib/below.yaml")
    name = write("base: lib/below.yaml\nflow: {shape: round}\n")
    assert [line.split(": ")[0] for line in mistakes(name, registry)] == [
        "r.yaml:2:15",
        "lib/below.yaml:2:31",
        "lib/below.yaml:5:10",
    ]


def test_a_mistake_that_is_overridden_is_none(write, registry):
    write("vast: 1\ncorpus: {use: made, speakers: 0}\n", "below.yaml")
    assert load_recipe(write("base: below.yaml\ncorpus: {speakers: 3}\n"), registry).corpus.config.speakers == 3


def test_bases_in_a_circle_are_refused(write, registry):
    write("base: c.yaml\n", "b.yaml")
    write("base: b.yaml\n", "c.yaml")
    message = one(write("vast: 1\nbase: b.yaml\n", "a.yaml"), registry)
    assert message.startswith("c.yaml:1:7: base: goes round in a circle: b.yaml -> c.yaml -> b.yaml")
    assert "circle: s.yaml -> s.yaml" in one(write("base: s.yaml\n", "s.yaml"), registry)


def test_a_missing_base_is_a_mistake_of_its_line(write, registry):
    assert one(write("vast: 1\nbase: nowhere.yaml\n"), registry).startswith("r.yaml:2:7: base: no recipe nowhere.yaml")
    assert "expected the path or name" in one(write("vast: 1\nbase: [a]\n"), registry)


# ----------------------------------------------------------------------------------------------- overrides


def test_overrides_are_yaml_values_in_any_order(write, registry):
    name = write(MINIMAL + "flow: {use: planar, steps: 3, shape: relu}\n")
    loaded = load_recipe(
        name,
        registry,
        ["flow.knots=9", "flow.use=spline", "corpus.names=[a, b]", "corpus.loud=true", "fps=30", "corpus.label='1'"],
    )
    assert loaded.flow.config == OtherConfig(knots=9)
    assert loaded.corpus.config == CorpusConfig(names=["a", "b"], loud=True, label="1")
    assert loaded.fps == 30.0
    assert load_recipe(name, registry, ["flow.use=planar", "flow.steps=5"]).flow.config.shape == "relu"
    assert load_recipe(name, registry, ["flow=null"]).flow is None
    assert len(load_recipe(name, registry, ["metrics=[{use: psnr}, {use: ssim}]"]).metrics) == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("flow.use=planr", "command line: flow.use=planr: no flow is called 'planr'; did you mean 'planar'?"),
        ("flow.stps=3", "command line: flow.stps=3: unknown key; did you mean 'steps'?"),
        ("flow.steps=1.5", "command line: flow.steps=1.5: expected a whole number, got 1.5"),
        ("flow=spline", "command line: flow=spline: expected a section that names a flow; write flow.use=spline"),
        ("corpus.use=folder", "command line: corpus.use=folder: corpus: missing key 'path' (a path)"),
        ("flow.steps=", "command line: flow.steps=: no value; write null"),
        ("flow.steps", "command line: flow.steps: expected KEY=VALUE"),
        ("=3", "command line: =3: expected KEY=VALUE"),
        ("flow.names=[a", "'[a' is no YAML value"),
        ("base=other.yaml", "command line: base=other.yaml: is stated in files only"),
        ("metrics.0.use=psnr", "expected a list"),
    ],
)
def test_a_mistake_on_the_command_line_is_called_one(write, registry, override, message):
    assert message in one(write(MINIMAL + "flow: {use: planar}\n"), registry, override)


def test_the_same_key_twice_on_the_command_line(write, registry):
    name = write(MINIMAL)
    assert "given twice" in one(name, registry, "seed=1", "seed=2")
    assert "given twice" in one(name, registry, "corpus.band.low=0", "corpus.band={low: 0}")


# ------------------------------------------------------------------------------------------- resolved, plain


def test_the_resolved_recipe_reads_back_equal(write, registry):
    loaded = load_recipe(
        write(
            MINIMAL + "seed: 5\nflow: {use: vast-stand-ins/spline}\nmetrics: [{use: ssim, steps: 2}, {use: ssim}]\n"
            "stages: {style: {learning_rate: 1.0e-5}, renderer: {max_seconds: .inf, avatar: 'no'}}\n"
        ),
        registry,
        ["corpus.label='1e-4'", "corpus.bands=[{low: 0.25}]", "corpus.path=a b/ü", "corpus.weights={'on': 1}"],
    )
    text = loaded.to_yaml()
    again = load_recipe(write(text, "elsewhere/resolved.yaml"), registry)
    assert again == loaded
    assert again.to_yaml().partition("vast:")[2] == text.partition("vast:")[2]
    assert text.startswith("# Resolved recipe, all defaults filled in.\n# From r.yaml\n# with corpus.label=")
    plain = yaml.safe_load(text)
    assert plain["name"] == "r"
    assert plain["flow"] == {"use": "vast-stand-ins/spline", "knots": 5}
    assert plain["stages"]["style"]["learning_rate"] == 1e-5


def test_an_override_cannot_break_out_of_the_resolved_recipes_header(write, registry):
    for separator in ("\n", "\r", "\x85", "\u2028", "\x1b"):
        loaded = attrs.evolve(load_recipe(write(MINIMAL), registry), source=f"From a{separator}seed: 9")
        again = load_recipe(write(loaded.to_yaml(), "again.yaml"), registry)
        assert (again.seed, again.corpus) == (1, loaded.corpus)


def test_paths_are_relative_to_what_states_them(registry, tmp_path, monkeypatch):
    for folder in ("a", "a/deep", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a" / "base.yaml").write_text("vast: 1\ncorpus: {use: made, path: clips}\n")
    (tmp_path / "a" / "deep" / "r.yaml").write_text("vast: 1\nbase: ../base.yaml\n")
    (tmp_path / "a" / "deep" / "own.yaml").write_text("vast: 1\nbase: ../base.yaml\ncorpus: {path: ../../clips}\n")
    monkeypatch.chdir(tmp_path / "b")

    def path(name, *overrides):
        loaded = load_recipe(f"../a/deep/{name}.yaml", registry, overrides)
        (tmp_path / "resolved.yaml").write_text(loaded.to_yaml())
        assert load_recipe(tmp_path / "resolved.yaml", registry) == loaded
        return loaded.corpus.config.path

    assert path("r") == tmp_path / "a" / "clips", "of the base's file"
    assert path("own") == tmp_path / "clips"
    assert path("own", "corpus.path=clips") == tmp_path / "b" / "clips"
    assert path("own", "corpus.path=/clips") == Path("/clips")
    monkeypatch.setenv("HOME", "/home/x")
    assert path("own", "corpus.path=~/clips") == Path("/home/x/clips")


def test_sections_are_plain_and_complete(write, registry):
    loaded = load_recipe(
        write(MINIMAL + "flow: {use: vast-stand-ins/planar}\nmetrics: [{use: psnr}]\n"), registry, ["corpus.path=a"]
    )
    assert loaded.component_data("flow") == {"use": "planar", "steps": 8, "shape": "tanh"}
    assert loaded.component_data("corpus")["path"] == str(Path.cwd() / "a")
    assert loaded.component_data("corpus")["band"] == {"low": 0.0, "high": 1.0}
    assert loaded.component_data("renderer") == {}
    assert loaded.component_data("metric") == {"metrics": [{"use": "psnr"}]}
    with pytest.raises(ValueError, match="no section is called 'voice'"):
        loaded.component_data("voice")


def test_what_a_stage_lacks(write, registry):
    loaded = load_recipe(write(MINIMAL + "face: {use: plain}\naudio: {use: plain}\n"), registry)
    assert loaded.missing(loaded.chosen(["prepare"])) == {}
    assert loaded.missing(loaded.chosen(["renderer", "prepare"])) == {"renderer": ("renderer",)}
    assert loaded.missing()["style"] == ("style", "flow", "decoder")
    loaded.require(loaded.chosen(["prepare"]))
    with pytest.raises(RecipeError, match=r"recipe r lacks sections: style needs style, flow, decoder; renderer needs"):
        loaded.require(loaded.chosen(["renderer", "style"]))


# -------------------------------------------------------------------------------------------------- finding


def test_a_section_of_a_plugin_is_read_and_kept(write, registry):
    loaded = load_recipe(write(MINIMAL + "log: {low: 0.25}\n", "recipe.yaml"), registry)
    assert loaded.sections == {"log": Range(low=0.25)}
    assert load_recipe(write(loaded.to_yaml(), "again.yaml"), registry) == loaded
    below = write("vast: 1\nbase: recipe.yaml\nlog: {high: 0.5}\n", "derived.yaml")
    assert load_recipe(below, registry).sections == {"log": Range(low=0.25, high=0.5)}
    assert load_recipe(below, registry, ["log=null"]).sections == {}
    assert load_recipe(write(MINIMAL), registry).sections == {}


def test_mistakes_in_a_section_of_a_plugin(write, registry):
    first, second = mistakes(write(MINIMAL + "log: {low: x, hihg: 2}\n"), registry)
    assert re.search(r"r\.yaml:\d+:12: log\.low: expected a number, got 'x'", first)
    assert "log.hihg: unknown key; did you mean 'high'?" in second
    (spanning,) = mistakes(write(MINIMAL + "log: {low: 2}\n"), registry)
    assert "log: low 2.0 must lie below high 1.0" in spanning
    (blank,) = mistakes(write(MINIMAL + "log:\n"), registry)
    assert "log: expected a mapping" in blank


def test_a_section_without_its_plugin_names_the_package(write, registry, monkeypatch):
    import vast_core.registry.registry as lookup

    monkeypatch.setattr(lookup, "_known_providers", lambda: {"section": {"xyz": "vast-xyz"}})
    (found,) = mistakes(write(MINIMAL + "xyz: {a: 1}\n"), registry)
    assert "xyz: unknown key (known: vast, base," in found
    assert "log; it comes with the package vast-xyz: pip install vast-xyz)" in found


def test_a_section_that_two_plugins_declare_is_refused(write, registry):
    class Again:
        @hookimpl
        def vast_sections(self):
            return [SectionSpec(name="log", config=NoConfig, summary="logs, too")]

    twice = Registry()
    twice.register(StandIns(), name="stand_ins", distribution="vast-stand-ins", version="1.0")
    twice.register(Again(), name="again", distribution="vast-again", version="2.0")
    assert load_recipe(write(MINIMAL), twice).sections == {}
    (found,) = mistakes(write(MINIMAL + "log: {}\n"), twice)
    assert "section 'log' is declared by vast-again 2.0 and vast-stand-ins 1.0" in found


def test_a_section_cannot_take_a_key_of_vast_itself():
    for key in RECIPE_KEYS:
        with pytest.raises(ValueError, match=f"declares section '{key}', which vast itself reads"):
            SectionSpec(name=key, config=NoConfig, summary="mine")
    read = {field.name for field in attrs.fields(Recipe)} - {"sections", "source"}
    assert read == set(RECIPE_KEYS) - {"base"}


def test_a_packaged_recipe_is_found_by_name(write, tmp_path, registry, monkeypatch):
    write(MINIMAL, "packaged/ablations/no_flow.yaml")
    monkeypatch.setattr(finding, "recipes_folder", lambda: tmp_path / "packaged")
    assert packaged_recipes() == ("ablations/no_flow",)
    assert load_recipe("ablations/no_flow", registry).name == "no_flow"
    assert load_recipe(write("base: ablations/no_flow\n"), registry).name == "r"
    with pytest.raises(RecipeError, match="did you mean ablations/no_flow"):
        find_recipe("ablation/noflow.yaml")
    write(MINIMAL, "mine")
    assert find_recipe("mine").resolve() == tmp_path / "mine"
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecipeError, match="is a folder"):
        find_recipe("folder")


def test_every_recipe_of_the_repository_is_sound():
    names = packaged_recipes()
    assert len(names) >= 5
    assert "vast_default" in names
    installed = Registry.discover(environ={})
    folder = finding.recipes_folder()
    for name in names:
        loaded = load_recipe(name, installed, ["corpus.path=."] if "footage" in name else [])
        assert loaded.name == Path(name).name
        assert loaded.missing() == {}
        header = (folder / f"{name}.yaml").read_text().split("vast:")[0].split("base:")[0]
        command = "ablate" if "ablate" in loaded.sections else "run"
        found = re.search(rf"^#.*vast {command} (recipes/)?{name}(\.yaml)?\b", header, re.MULTILINE)
        assert found, f"{name}: no command"
