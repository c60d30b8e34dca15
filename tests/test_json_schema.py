"""The schema of recipes accepts what the reader accepts, and refuses only what the reader refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
import yaml
from attrs.validators import deep_mapping, ge, gt, in_, instance_of, le, lt, matches_re, max_len, min_len, optional
from jsonschema import Draft202012Validator

from vast_core import Component, SectionSpec, StageSpec, hookimpl
from vast_core.errors import RecipeError
from vast_core.recipe import COMPUTED, load_recipe, options, packaged_recipes, recipe_schema, recipes_folder
from vast_core.registry import Registry


@attrs.frozen(kw_only=True)
class Range:
    low: float = 0.0
    """The lower end."""
    high: float = 1.0


@attrs.frozen(kw_only=True)
class CorpusConfig:
    """One field of every type that a recipe can give, and of every limit that a validator can express."""

    path: Path | None = None
    speakers: int = attrs.field(default=4, validator=[instance_of(int), ge(1), le(8)])
    """How many speak;
    the first is the avatar."""
    span: float = attrs.field(default=1.0, validator=lt(float("inf")))
    share: float = attrs.field(default=0.5, validator=[gt(0), lt(1)])
    """``None`` of it is ``True``."""
    loud: bool = False
    label: str = attrs.field(default="x", validator=[matches_re("[a-z]+"), max_len(4)])
    mode: Literal["fast", "exact", 3] = "fast"
    limit: int | None = attrs.field(default=None, validator=optional(ge(2)))
    choice: str | None = attrs.field(default=None, validator=optional(in_({"a": 1, "b": 2})))
    scale: float | Literal["auto"] = "auto"
    sizes: tuple[int, ...] = attrs.field(default=(1, 2), validator=min_len(1))
    pair: tuple[int, str] = (1, "a")
    names: list[str] = attrs.field(factory=list)
    rates: Sequence[float] = ()
    weights: Mapping[str, float] = attrs.field(factory=dict, validator=deep_mapping(instance_of(str), ge(0)))
    band: Range = attrs.field(factory=Range)
    bands: tuple[Range, ...] = ()
    twice: int = attrs.field(default=attrs.Factory(lambda self: 2 * self.speakers, takes_self=True))
    free: Any = None


@attrs.frozen(kw_only=True)
class FolderConfig:
    path: Path


@attrs.frozen(kw_only=True)
class FlowConfig:
    steps: int = attrs.field(default=8, validator=ge(1))
    """K."""


@attrs.frozen(kw_only=True)
class DeeperConfig(FlowConfig):
    depth: float = 1.0
    """Of each step."""


@attrs.frozen(kw_only=True)
class LogSection:
    places: Mapping[str, tuple[Any, ...]] = attrs.field(factory=dict)
    level: int | tuple[int, ...] = attrs.field(default=3)

    def __attrs_post_init__(self) -> None:
        if "here" in self.places:
            raise ValueError("here is no place")


@attrs.frozen(kw_only=True)
class NodStage:
    times: int = attrs.field(default=1, validator=ge(1))


def declare(kind, name, config):
    return Component(kind=kind, name=name, target="x.y:Z", config=config, summary="stands in")


class StandIns:
    @hookimpl
    def vast_components(self):
        return [
            declare("corpus", "made", CorpusConfig),
            declare("corpus", "folder", FolderConfig),
            declare("flow", "planar", FlowConfig),
            declare("flow", "deep", DeeperConfig),
            declare("metric", "psnr", FlowConfig),
        ]

    @hookimpl
    def vast_stages(self):
        return [StageSpec(name="nod", target="x.nod", config=NodStage, summary="nods")]

    @hookimpl
    def vast_sections(self):
        return [SectionSpec(name="log", config=LogSection, summary="where it is logged")]


@pytest.fixture(scope="module")
def registry() -> Registry:
    found = Registry()
    found.register(StandIns(), name="stand_ins", distribution="vast-stand-ins", version="1.0")
    return found


@pytest.fixture(scope="module")
def validator(registry) -> Draft202012Validator:
    schema = json.loads(json.dumps(recipe_schema(registry), allow_nan=False))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture
def verdicts(tmp_path, monkeypatch, registry, validator):
    """Whether the reader and the schema accept a recipe."""
    monkeypatch.chdir(tmp_path)
    Path("below.yaml").write_text("vast: 1\ncorpus: {use: made}\nflow: {use: planar}\n")

    def verdicts(text: str) -> tuple[bool, bool]:
        Path("r.yaml").write_text(text)
        try:
            load_recipe("r.yaml", registry)
            read = True
        except RecipeError:
            read = False
        return read, validator.is_valid(yaml.safe_load(text))

    return verdicts


SOUND = [
    "path: null",
    "path: a/b",
    "speakers: 8",
    "share: 0.25",
    "loud: true",
    "label: abcd",
    "mode: 3",
    "limit: null",
    "choice: null",
    "choice: b",
    "scale: auto",
    "scale: 2",
    "sizes: [3]",
    "pair: [2, b]",
    "names: []",
    "rates: [1, 2.5]",
    "weights: {a: 1}",
    "band: {low: -1}",
    "bands: [{}, {high: 2}]",
    "twice: 3",
    "free: {any: [thing]}",
]
WRONG = [
    "path: 3",
    "path: ''",
    "speakers: 0",
    "speakers: 9",
    "speakers: '4'",
    "speakers: 2.5",
    "speakers: true",
    "share: 0",
    "share: 1",
    "share: x",
    "loud: 1",
    "loud: 'yes'",
    "label: ABC",
    "label: abcde",
    "label: 3",
    "mode: slow",
    "mode: '3'",
    "limit: 1",
    "limit: none",
    "choice: c",
    "scale: manual",
    "sizes: []",
    "sizes: 3",
    "sizes: [1, a]",
    "pair: [1]",
    "pair: [1, b, 2]",
    "pair: [a, b]",
    "names: [1]",
    "rates: [a]",
    "weights: {a: x}",
    "weights: [1]",
    "band: 3",
    "band: {low: x}",
    "bands: [{lwo: 1}]",
    "speakres: 3",
    "steps: 3",
]


@pytest.mark.parametrize("given", SOUND)
def test_what_the_reader_takes_the_schema_takes(verdicts, given):
    assert verdicts(f"vast: 1\ncorpus:\n  use: made\n  {given}\n") == (True, True)


@pytest.mark.parametrize("given", WRONG)
def test_a_wrong_option_is_refused_by_both(verdicts, given):
    assert verdicts(f"vast: 1\ncorpus:\n  use: made\n  {given}\n") == (False, False)


@pytest.mark.parametrize(
    "text",
    [
        "vast: 1\nname: a.b\nseed: 0\nfps: 30\ncorpus: {use: made}\nrenderer: null\nmetrics: null\nrun: null\n",
        "vast: 1\nflow: {use: deep, steps: 2, depth: 2}\n",
        "vast: 1\nflow: {use: vast-stand-ins/deep, depth: 2}\n",
        "vast: 1\nflow: {use: vast_stand.ins/planar, steps: 2}\n",
        "vast: 1\nmetrics: [{use: psnr, steps: 2}, {use: psnr}]\nrun: [nod, prepare]\nstages: {nod: {times: 2}}\n",
        "base: below.yaml\nflow: {steps: 3}\n",
        "base: below.yaml\nflow: {use: deep, depth: 3}\nname: derived\n",
        "vast: 1\nlog: {places: {a.b: [planar, {deep: 3}]}, level: 2}\n",
        "vast: 1\nlog: {level: [1, 2]}\n",
        "vast: 1\nlog: null\n",
    ],
)
def test_a_sound_recipe_is_taken_by_both(verdicts, text):
    assert verdicts(text) == (True, True)


@pytest.mark.parametrize(
    "text",
    [
        "vast: 2\ncorpus: {use: made}\n",
        "corpus: {use: made}\n",
        "vast: 1\nfsp: 25\n",
        "vast: 1\nseed: -1\n",
        "vast: 1\nseed: 2147483648\n",
        "vast: 1\nname: ../up\n",
        "vast: 1\nfps: fast\n",
        "vast: 1\nflow: planar\n",
        "vast: 1\nflow: {steps: 3}\n",
        "vast: 1\nflow: {use: planr}\n",
        "vast: 1\nflow: {use: made}\n",
        "vast: 1\nflow: {use: planar, depth: 3}\n",
        "vast: 1\nflow: {use: vast-stand-ins/planar, depth: 3}\n",
        "vast: 1\nflow: {use: other-package/planar}\n",
        "vast: 1\nflow: {use: [planar]}\n",
        "base: below.yaml\nflow: {stps: 3}\n",
        "base: below.yaml\nflow: {use: planar, depth: 3}\n",
        "base: [below.yaml]\n",
        "vast: 1\nmetrics: {use: psnr}\n",
        "vast: 1\nmetrics: [psnr]\n",
        "vast: 1\nmetrics: [{steps: 3}]\n",
        "vast: 1\nmetrics: [{use: psnr}, {use: psnr}]\n",
        "vast: 1\nrun: []\n",
        "vast: 1\nrun: nod\n",
        "vast: 1\nrun: [nod, nod]\n",
        "vast: 1\nrun: [nood]\n",
        "vast: 1\nstages: [nod]\n",
        "vast: 1\nstages: null\n",
        "vast: 1\nstages: {nod: {tmies: 2}}\n",
        "vast: 1\nstages: {nod: {times: 0}}\n",
        "vast: 1\nstages: {nood: {times: 1}}\n",
        "vast: 1\nlog: {places: [flow.use]}\n",
        "vast: 1\nlog: {plcaes: {}}\n",
        "vast: 1\nlog: 3\n",
        "- vast\n",
    ],
)
def test_a_wrong_recipe_is_refused_by_both(verdicts, text):
    assert verdicts(text) == (False, False)


@pytest.mark.parametrize(
    "text",
    [
        "vast: 1\ncorpus: {use: folder}\n",  # the command line may state its path
        "vast: 1\ncorpus: {use: made, speakers: 2.0}\n",  # a whole number to JSON
        "vast: 1\ncorpus: {use: made, weights: {a: -1}}\n",  # a limit that is not told
        "base: nowhere.yaml\n",
        "vast: 1\nlog: {places: {here: [1, 2]}}\n",
    ],
)
def test_what_only_the_reader_sees(verdicts, text):
    assert verdicts(text) == (False, True)


def test_it_says_of_each_option_what_the_class_says(validator):
    folder, told = (rule["then"]["properties"] for rule in validator.schema["$defs"]["corpus"]["allOf"])
    assert told["speakers"] == {
        "description": "How many speak; the first is the avatar.",
        "type": "integer",
        "minimum": 1,
        "maximum": 8,
        "default": 4,
    }
    assert told["share"]["description"] == "`null` of it is `True`."
    assert told["sizes"]["default"] == [1, 2]
    assert told["band"]["default"] == {"low": 0.0, "high": 1.0}
    assert told["band"]["properties"]["low"]["description"] == "The lower end."
    assert "default" not in told["twice"]
    assert "Has no default" in folder["path"]["description"]
    use = validator.schema["$defs"]["flow"]["properties"]["use"]["anyOf"][0]
    assert use == {"enum": ["deep", "planar"], "enumDescriptions": ["Stands in. (vast-stand-ins 1.0)"] * 2}


def test_the_docstrings_of_inherited_fields_are_found():
    assert {option.name: option.doc for option in options(DeeperConfig)} == {"steps": "K.", "depth": "Of each step."}


def test_options_in_words():
    told = {option.name: option for option in options(CorpusConfig)}
    assert (told["speakers"].kind, told["speakers"].range) == ("a whole number", ">= 1, <= 8")
    assert told["label"].range == "matches [a-z]+, at most 4 long"
    assert told["choice"].range == "one of a, b"
    assert told["mode"].range == ""
    assert told["span"].range == "< inf"
    assert told["weights"].range == "with further checks"
    assert told["twice"].default is COMPUTED


def test_a_class_without_source_has_no_docstrings():
    made = attrs.make_class("Made", {"x": attrs.field(default=1, type=int)}, frozen=True, kw_only=True)
    (option,) = options(made)
    assert (option.name, option.default, option.doc) == ("x", 1, "")


def test_every_packaged_recipe_is_valid():
    schema = json.loads(json.dumps(recipe_schema(Registry.discover(environ={})), allow_nan=False))
    Draft202012Validator.check_schema(schema)
    names = packaged_recipes()
    assert "vast_default" in names
    for name in names:
        content = yaml.safe_load((recipes_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
        assert [error.message for error in Draft202012Validator(schema).iter_errors(content)] == [], name


def test_what_a_package_brings_is_in_the_schema(packages):
    packages.add(
        "vast-glow",
        """
        @hookimpl
        def vast_components():
            return [component(), component("planar")]
        """,
    )
    done = packages.vast("schema", "--out", "s.json")
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads((packages.folder / "s.json").read_text())
    valid = Draft202012Validator(schema).is_valid
    assert valid({"vast": 1, "flow": {"use": "glow", "steps": 4}})
    assert not valid({"vast": 1, "flow": {"use": "glow", "stps": 4}})
    assert not valid({"vast": 1, "flow": {"use": "planar"}}), "two packages have one: the reader asks which"
    assert valid({"vast": 1, "flow": {"use": "vast-glow/planar"}})
    printed = packages.vast("schema")
    assert json.loads(printed.stdout) == schema
    without = json.loads(packages.vast("--no-plugins", "schema").stdout)
    assert not Draft202012Validator(without).is_valid({"vast": 1, "flow": {"use": "glow"}})
    assert Draft202012Validator(without).is_valid({"vast": 1, "run": ["prepare"]})


def test_a_factory_that_fails_and_a_type_unknown_cost_only_themselves(packages):
    packages.add(
        "vast-odd",
        """
        @attrs.frozen(kw_only=True)
        class Odd:
            x: complex = 0j
            y: int = attrs.field(factory=lambda: 1 / 0)

        @hookimpl
        def vast_components():
            return [component("odd", config=Odd)]
        """,
    )
    schema = json.loads(packages.vast("schema").stdout)
    assert Draft202012Validator(schema).is_valid({"vast": 1, "flow": {"use": "odd", "y": 3}})
    assert not Draft202012Validator(schema).is_valid({"vast": 1, "flow": {"use": "odd", "y": "a"}})
