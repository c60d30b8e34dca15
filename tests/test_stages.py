"""Stages of plugins are read, refused, run and reported like the core's own."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import attrs
import pytest

from vast_core import StageSpec, hookimpl
from vast_core.checking import check_recipe
from vast_core.errors import ComponentError, InputError, RecipeError
from vast_core.interfaces import Sizes
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import CORE_STAGES, Registry, StyleStage, TrainingStage
from vast_core.runner import run_recipe
from vast_core.runs import keys

ROOMS = """
from pathlib import Path

@attrs.frozen(kw_only=True)
class Wide:
    wide: int = 5
    def sizes(self):
        return {"audio": self.wide}

@attrs.frozen(kw_only=True)
class Plain:
    pass

class Ears:
    def __init__(self, config, sizes):
        self.sizes = sizes
    @classmethod
    def from_config(cls, config, sizes):
        return cls(config, sizes)
    def parameters(self):
        return iter(())
    def __call__(self, wave, frames):
        import torch
        return torch.zeros(len(wave), frames, 5)

@hookimpl
def vast_components():
    yield component("ears", "audio", target="vast_rooms:Ears", config=Wide)
    yield component("ears", "style", target="vast_rooms:Ears", config=Plain)
    yield component("nothing", "corpus", target="vast_rooms:Ears", config=Plain)

@attrs.frozen(kw_only=True)
class Count:
    to: int = 3

@attrs.frozen(kw_only=True)
class Must:
    folder: Path
    note: str = ""

class Room:
    ran = 0
    def __init__(self, gives=(), tells=None):
        self.gives = gives
        if tells is not None:
            self.report = tells
    def inputs(self, context):
        return {}
    def run(self, context):
        Room.ran += 1
        return self.gives

def boast(run):
    yield 1 / 0

def shout(run):
    from vast_core.report import Section, Text, Verdict
    verdict = Verdict("loudness", 11, "at most <10>", False)
    yield Section("<i>Loud</i>", [Text("<script>alert(1)</script>")], glance=[verdict])

class Counting(Room):
    def run(self, context):
        Room.ran += 1
        counted = list(range(context.options("count", Count).to))
        figures = {"counted": counted, "style": context.options("style", Style).steps}
        return [context.run.write_figures("count", figures)]

class Writing(Room):
    def run(self, context):
        path = context.run.path / "evaluation.json"
        path.write_text('{"answer": 42}')
        return [path]

from vast_core.registry.core_stages import StyleStage as Style

counting, writing = Counting(), Writing()
silent, lying = Room(gives=None), Room(gives=[Path("no/such/file")])
boasting, shouting, handless = Room(tells=boast), Room(tells=shout), object()

ROOMS = {
    "count": "counting", "silent": "silent", "lying": "lying", "boast": "boasting", "shout": "shouting",
    "handless": "handless", "gone": "gone", "own_results": "writing",
}

@hookimpl
def vast_stages():
    for name, target in ROOMS.items():
        own = Count if name == "count" else attrs.make_class(name.title(), {}, frozen=True)
        needs = ["audio"] if name == "count" else []
        yield StageSpec(name=name, target=f"vast_rooms:{target}", config=own, needs=needs, summary=f"Does {name}.")
    yield StageSpec(name="must", target="vast_rooms.no_such_module", config=Must, summary="Has no default.")
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory, packages_in):
    """A registry with a real package that declares many stages, good and bad."""
    place = packages_in(tmp_path_factory.mktemp("rooms")).add("vast-rooms", ROOMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        found = Registry.discover(found=distributions(path=[str(place)]), environ={"VAST_STRICT_PLUGINS": "1"})
        yield found
        del sys.modules["vast_rooms"]


@pytest.fixture
def recipe(registry, tmp_path, monkeypatch):
    """Read a recipe of a few lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))

    def read(text, *overrides):
        Path("r.yaml").write_text("vast: 1\n" + text)
        return load_recipe("r.yaml", registry, overrides)

    return read


class Declaring:
    """A plugin as an object."""

    def __init__(self, *stages):
        self.stages = stages

    @hookimpl
    def vast_stages(self):
        return self.stages


@attrs.frozen(kw_only=True)
class Options:
    steps: int = 1


def spec(**changes):
    return StageSpec(**({"name": "own", "target": "own.stage", "config": Options, "summary": "Own."} | changes))


# ---------------------------------------------------------------------------------------------- declarations


def test_stages_of_plugins_come_after_our_own(registry):
    names = [stage.name for stage in registry.stages]
    assert names[:4] == ["prepare", "style", "renderer", "synthesize"]
    assert names[4:] == sorted(
        ["count", "silent", "lying", "boast", "shout", "handless", "gone", "must", "own_results"]
    )
    assert registry.stage("count").provider == "vast-rooms 1.0"
    assert registry.stage("count").needs == ("audio",)
    assert Registry().stages == CORE_STAGES


def test_our_own_stages_can_be_loaded():
    for stage in CORE_STAGES:
        assert stage.load().__name__ == f"vast_core.stages.{stage.name}"


@pytest.mark.parametrize(
    ("stages", "cause"),
    [
        ([spec(name="style")], "declares stage 'style', a stage of vast itself"),
        ([spec(), spec(target="other")], "declares stage 'own' twice"),
        (["own"], "vast_stages gave 'own', which is no vast_core.StageSpec"),
        (None, "vast_stages gave None, not the stages to declare"),
    ],
)
def test_a_bad_declaration_is_refused_whole(stages, cause):
    plugin, found = Declaring(), Registry()
    plugin.stages = stages
    with pytest.raises((TypeError, ValueError), match=re.escape(cause)):
        found.register(plugin, name="own", distribution="vast-own")
    assert found.stages == CORE_STAGES


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"name": "My Stage"}, "a stage's name is lower-case letters"),
        ({"target": "own stage"}, "the target of stage 'own' must be 'package.module' or 'module:object'"),
        ({"config": dict}, "the config of stage 'own' must be an attrs class"),
        ({"config": attrs.make_class("Loose", {})}, "Loose, can be changed"),
        ({"needs": ["corpus", "voice"]}, "stage 'own' needs 'voice', which is no part of a recipe"),
        ({"needs": ["metric"]}, "needs 'metric', which is no part"),
        ({"needs": "corpus"}, "the needs of a stage are a list of kinds, not 'corpus'"),
    ],
)
def test_a_bad_spec_says_what_is_wrong(changes, cause):
    with pytest.raises((TypeError, ValueError), match=re.escape(cause)):
        spec(**changes)


def test_of_a_stage_that_two_plugins_declare_neither_is_chosen(tmp_path):
    found = Registry()
    for name in ("one", "two"):
        found.register(Declaring(spec()), name=name, distribution=f"vast-{name}", version="1.0")
    message = "stage 'own' is declared by vast-one 1.0 and vast-two 1.0; name one of them in VAST_PLUGINS"
    with pytest.raises(ComponentError, match=re.escape(message)):
        found.stage("own")
    (tmp_path / "r.yaml").write_text("vast: 1\nrun: [own]\n")
    with pytest.raises(RecipeError, match=re.escape(f"r.yaml:2:7: run.0: {message}")):
        load_recipe(tmp_path / "r.yaml", found)
    found.reject("two", ValueError("late fault"))
    assert found.stage("own").provider == "vast-one 1.0"


def test_a_package_whose_stages_are_broken_costs_only_itself(packages):
    packages.add("vast-broken", "@hookimpl\ndef vast_stages():\n raise SystemExit('no')", name="aaa")
    packages.add("vast-heavy", ROOMS.replace("from pathlib", "import torch\nfrom pathlib"), module="vast_rooms")
    out = packages.vast("plugins").stdout
    assert re.search(r"aaa +vast-broken 1\.0 +broken +\d+ +SystemExit: no", out)
    assert re.search(r"count +vast-heavy 1\.0 +ready +Does count\.", out)
    assert re.search(r"stage +renderer +vast itself +ready ", out)
    assert re.search(r"vast_rooms +vast-heavy 1\.0 +loaded +\d+ +imports torch", out)


# --------------------------------------------------------------------------------------------------- recipes


def test_a_recipe_runs_what_it_lists_in_its_order(recipe):
    loaded = recipe("run: [count, prepare]\nstages: {count: {to: 2}, style: {steps: 9}}\n", "stages.count.to=4")
    assert [stage.name for stage in loaded.run] == ["count", "prepare"]
    assert loaded.stages["count"].to == 4
    assert loaded.options("style", StyleStage).steps == 9, (
        "options of a stage that does not run may be of use to one that does"
    )
    assert loaded.options("style", TrainingStage).steps == 9, "a class that the options' is derived from will do"
    with pytest.raises(ComponentError, match="the options of stage 'count' are Count, not StyleStage; another package"):
        loaded.options("count", StyleStage)
    assert [stage.name for stage in loaded.chosen(["prepare", "count"])] == ["count", "prepare"]
    assert loaded.missing() == {"count": ("audio",), "prepare": ("corpus", "face", "audio")}
    assert recipe("run: null\n").run == CORE_STAGES


def test_a_recipe_with_stages_of_plugins_reads_back_equal(recipe, registry):
    loaded = recipe("run: [must, count]\nstages: {must: {folder: a b}, renderer: {steps: 2}}\n")
    Path("again.yaml").write_text(loaded.to_yaml())
    again = load_recipe("again.yaml", registry)
    assert again == loaded
    assert list(again.stages) == ["must", "count", "renderer"]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "run: [prepare, cuont]",
            ["2:16: run.1: no stage is called 'cuont'; did you mean 'count'? (installed: prepare,"],
        ),
        ("run: [count, count]", ["2:14: run.1: count is in the list twice"]),
        ("run: [3]", ["2:7: run.0: expected text, got 3"]),
        ("run: count", ["2:6: run: expected a list of stages; write [prepare, style]"]),
        ("run: []", ["2:6: run: expected a list of stages"]),
        ("run:", ["2:5: run: expected a list of stages"]),
        ("run: [must]", ["2:7: stages.must: missing key 'folder' (a path)"]),
        ("stages: {must: {note: x}}", ["2:10: stages.must: missing key 'folder' (a path)"]),
        ("stages: {cuont: {to: 1}}", ["2:10: stages.cuont: no stage is called 'cuont'; did you mean 'count'?"]),
        ("stages: {count: {tto: 1}}", ["2:18: stages.count.tto: unknown key; did you mean 'to'?"]),
        ("stages: {count: {to: 1.5}}", ["2:22: stages.count.to: expected a whole number, got 1.5"]),
        ("stages: [count]", ["2:9: stages: expected a mapping"]),
        (
            "run: [x, must]\nstages: {y: {}, style: {steps: 0}}",
            [
                "2:7: run.0: no stage",
                "2:10: stages.must: missing",
                "3:10: stages.y: no stage",
                "3:32: stages.style.steps",
            ],
        ),
    ],
)
def test_mistakes_are_shown_in_their_place(recipe, text, messages):
    with pytest.raises(RecipeError) as error:
        recipe(text + "\n")
    lines = [line for line in str(error.value).splitlines() if line.startswith("r.yaml")]
    assert len(lines) == len(messages)
    for line, message in zip(lines, messages, strict=True):
        assert line.startswith(f"r.yaml:{message}")


def test_options_without_a_default_that_are_not_set(recipe, registry):
    with pytest.raises(RecipeError, match=r"recipe r does not set the options of stage 'must': .*folder"):
        recipe("run: [count]\n").options("must", registry.stage("must").config)


def test_choosing_what_the_recipe_does_not_run(recipe):
    loaded = recipe("run: [count, must]\nstages: {must: {folder: a}}\n")
    with pytest.raises(
        RecipeError, match=re.escape("runs no stage 'cuont'; did you mean 'count'? (its stages: count, m")
    ):
        loaded.chosen(["cuont"])
    with pytest.raises(RecipeError, match="runs no stage 'prepare'"):
        loaded.chosen(["prepare"])
    with pytest.raises(RecipeError, match="no stage was chosen; name one at least of count, must"):
        loaded.chosen([])


def test_a_recipe_that_lists_no_stages_runs_evaluate_where_a_plugin_declares_it(tmp_path):
    (tmp_path / "r.yaml").write_text("vast: 1\n")
    found = Registry()
    assert [stage.name for stage in load_recipe(tmp_path / "r.yaml", found).run] == [
        "prepare",
        "style",
        "renderer",
        "synthesize",
    ]
    found.register(Declaring(spec(name="evaluate")), name="one", distribution="vast-one", version="1.0")
    run = load_recipe(tmp_path / "r.yaml", found).run
    assert [stage.name for stage in run] == ["prepare", "style", "renderer", "evaluate", "synthesize"]
    assert run[3].provider == "vast-one 1.0"
    other = attrs.make_class("Other", {}, frozen=True)
    found.register(Declaring(spec(name="evaluate", config=other)), name="two", distribution="vast-two")
    with pytest.raises(RecipeError, match=r"'evaluate' is declared by vast-one 1\.0 and vast-two"):
        load_recipe(tmp_path / "r.yaml", found)


def test_evaluate_without_its_package_is_explained(tmp_path):
    (tmp_path / "r.yaml").write_text("vast: 1\nrun: [prepare, evaluate]\n")
    missing = re.escape(
        "2:16: run.1: no stage is called 'evaluate' (it comes with the package vast-avatar: pip install"
    )
    with pytest.raises(RecipeError, match=missing):
        load_recipe(tmp_path / "r.yaml", Registry())
    off = Registry.discover(plugins=False, environ={})
    with pytest.raises(RecipeError, match=r"no stage is called 'evaluate' .*switched off by .*metrics") as error:
        load_recipe(tmp_path / "r.yaml", off)
    assert "pip install" not in str(error.value), "it is installed"
    assert [stage.name for stage in off.default_run] == ["prepare", "style", "renderer", "synthesize"]


# -------------------------------------------------------------------------------------------- partial recipes


def test_only_the_parts_that_a_recipe_has_are_assembled(recipe, registry):
    pipeline = assemble(recipe("audio: {use: ears}\nrun: [count]\n"), registry)
    assert list(pipeline.parts) == ["audio"]
    assert pipeline.audio.sizes.audio == 5
    for kind in ("corpus", "face", "style", "flow", "decoder", "renderer"):
        with pytest.raises(RecipeError, match=f"recipe r lacks the section `{kind}`"):
            getattr(pipeline, kind)


def test_a_part_that_keeps_its_sizes_to_itself_is_refused(recipe, registry):
    with pytest.raises(InputError, match=re.escape("style 'ears' lacks the size 'style' in sizes() of its config")):
        assemble(recipe("style: {use: ears}\nrun: [shout]\n"), registry)


def test_a_size_that_is_not_known_says_who_would_give_it():
    sizes = Sizes(fps=25.0, audio=40)
    assert (sizes.fps, sizes.audio, sizes.known()) == (25.0, 40, {"fps": 25.0, "audio": 40})
    for name, kind in {"image": "renderer", "vertices": "face", "context": "style"}.items():
        with pytest.raises(InputError, match=f"the size '{name}' is unknown.* add a section `{kind}`"):
            getattr(sizes, name)
    for same in (sizes, copy.deepcopy(sizes), Sizes(fps=25.0, audio=40)):
        assert same == sizes
        assert hash(same) == hash(sizes)
    assert sizes != Sizes(fps=25.0, audio=41)
    assert repr(sizes) == "Sizes(fps=25.0, audio=40)"
    with pytest.raises(AttributeError):
        sizes.imgae  # noqa: B018
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        sizes.image = 3


# ---------------------------------------------------------------------------------------------------- running


def test_a_stage_runs_again_only_after_a_change(recipe, registry, tmp_path):
    import vast_rooms

    def counted(*overrides):
        vast_rooms.Room.ran = 0
        loaded = recipe("audio: {use: ears}\nrun: [count, shout]\n", *overrides)
        run = run_recipe(loaded, registry, tmp_path / "out", stages=["count"])
        return run, vast_rooms.Room.ran

    run, times = counted("stages.style.steps=7")
    assert (times, run.figures("count")) == (1, {"counted": [0, 1, 2], "style": 7})
    evaluation = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert evaluation["stages"] == {"count": run.figures("count")}
    assert list(evaluation["wall_seconds"]) == ["count"]
    assert "rejected" not in evaluation
    assert counted()[1] == 0
    run, times = counted("stages.count.to=1")
    assert (times, run.figures("count")["counted"]) == (1, [0])
    source = Path(vast_rooms.__file__)
    source.write_text(source.read_text() + "\n# a comment\n")
    assert counted("stages.count.to=1")[1] == 0
    source.write_text(source.read_text() + "\nCHANGED = True\n")
    assert counted("stages.count.to=1")[1] == 1
    (tmp_path / "out" / "stages" / "count.figures.json").unlink()
    assert counted("stages.count.to=1")[1] == 1, "what it has written is gone"


def test_the_weights_in_a_package_count_as_its_source(tmp_path, monkeypatch):
    package = tmp_path / "vast_weighty"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def digest():
        return keys.source_digest("vast_weighty")

    first = digest()
    (package / "__pycache__" / "compiled.pyc").write_bytes(b"by another Python")
    assert digest() == first
    (package / "net.safetensors").write_bytes(b"old")
    old = digest()
    (package / "net.safetensors").write_bytes(b"new")
    assert len({first, old, digest()}) == 3


def test_a_module_that_is_not_installed_has_no_source():
    with pytest.raises(InputError, match="module 'vast_nowhere' is not installed"):
        keys.source_digest("vast_nowhere")


def test_a_report_has_only_the_sections_that_the_stages_fill(recipe, registry, tmp_path):
    run_recipe(recipe("audio: {use: ears}\nrun: [count]\n"), registry, tmp_path / "out")
    report = (tmp_path / "out" / "report.html").read_text()
    headings = re.findall(r"<h2>(.*?)</h2>", report)
    assert headings == ["At a glance", "How it was made"]
    assert "ears (vast-rooms 1.0)" in report


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("gone", "stage 'gone' of vast-rooms 1.0 cannot be imported from vast_rooms:gone: AttributeError"),
        ("handless", "stage 'handless' of vast-rooms 1.0: vast_rooms:handless has no function inputs(context)"),
        ("silent", "stage 'silent' of vast-rooms 1.0: its run(context) returned None instead of the list of files"),
        ("lying", "stage 'lying' of vast-rooms 1.0: its run(context) returned no/such/file, which does not exist"),
    ],
)
def test_a_bad_stage_is_explained(recipe, registry, tmp_path, stage, message):
    with pytest.raises(ComponentError, match=re.escape(message)):
        run_recipe(recipe(f"run: [{stage}]\n"), registry, tmp_path / "out")


def test_a_stage_that_cannot_be_imported_stops_before_any_other_has_run(recipe, registry, tmp_path):
    with pytest.raises(ComponentError, match="no_such_module"):
        run_recipe(recipe("run: [shout, must]\nstages: {must: {folder: a}}\n"), registry, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_stage_tells_is_in_the_report_escaped_and_what_fails_is_said(recipe, registry, tmp_path):
    with pytest.warns(UserWarning, match="stage 'boast' of vast-rooms 1.0 cannot show its results: ZeroDivisionError"):
        run_recipe(recipe("run: [boast, shout]\n"), registry, tmp_path / "out")
    report = (tmp_path / "out" / "report.html").read_text()
    assert "cannot show its results: ZeroDivisionError: division by zero" in report
    assert "<h2>&lt;i&gt;Loud&lt;/i&gt;</h2>" in report
    assert "&lt;script&gt;alert(1)" in report
    assert "<script" not in report
    glance = report[report.index("<h2>At a glance</h2>") : report.index("<h2>&lt;i&gt;Loud")]
    assert glance.index("at most &lt;10&gt;") < glance.index("time, all stages")


def test_what_a_stage_has_written_into_the_results_stays_while_the_recipe_runs_it(recipe, registry, tmp_path):
    loaded = recipe("audio: {use: ears}\nrun: [own_results, shout]\n")
    path = run_recipe(loaded, registry, tmp_path / "out").path / "evaluation.json"
    again = run_recipe(loaded, registry, tmp_path / "out", stages=["shout"])
    for figures in (json.loads(path.read_text()), json.loads((again.path / "evaluation.json").read_text())):
        assert figures["answer"] == 42
        assert list(figures["wall_seconds"]) == ["own_results", "shout"]
    run_recipe(recipe("run: [shout]\n"), registry, tmp_path / "out")
    assert set(json.loads(path.read_text())) == {"wall_seconds", "peak_memory_bytes"}


def test_a_plugin_left_out_during_a_run_does_not_take_its_stage_along(recipe, registry, tmp_path):
    class Fragile(Declaring):
        @hookimpl
        def vast_run_started(self):
            raise ZeroDivisionError

    found = Registry()
    found.register(Fragile(spec(target="vast_rooms:shouting")), name="fragile", distribution="vast-fragile")
    Path("own.yaml").write_text("vast: 1\nrun: [own]\n")
    with pytest.warns(UserWarning, match="'fragile' failed in vast_run_started"):
        run = run_recipe(load_recipe("own.yaml", found), found, tmp_path / "out")
    assert run.record("own") is not None


def test_check_shows_the_joints_that_there_are_and_no_memory_that_nobody_uses(recipe, registry, capsys):
    check_recipe(recipe("corpus: {use: nothing}\nrun: [shout]\n"), registry)
    said = capsys.readouterr().out
    assert re.search(r"shout +\S +vast-rooms 1\.0 +\S +Does shout\.", said)
    assert not re.search("joint|parameters|GB", said)
    check_recipe(recipe("audio: {use: ears}\nrun: [count]\n"), registry)
    said = capsys.readouterr().out
    assert re.search(r"audio features.*1 x 25 x 5 ", said)
    assert "decoded" not in said
    assert "GB" not in said
    with pytest.raises(
        InputError, match=re.escape("audio features (B T A): the component gives (1, 25, 5), the recipe's")
    ):
        check_recipe(recipe("audio: {use: ears, wide: 6}\nrun: [count]\n"), registry)
    with pytest.raises(ComponentError, match="vast_rooms:gone"):
        check_recipe(recipe("run: [gone]\n"), registry)


def test_check_counts_memory_for_the_stages_that_run_only(capsys):
    installed = Registry.discover(environ={})
    check_recipe(load_recipe("vast_tiny", installed, ["run=[prepare]"]), installed)
    said = capsys.readouterr().out
    assert re.search(r"decoded expression.* 1 x 25 x 32 ", said)
    assert re.search(r"rendered frames.* 1 x 25 x 3 x 64 x 64 ", said)
    assert "GB" not in said
    check_recipe(load_recipe("vast_tiny", installed, ["run=[style]", "renderer=null"]), installed)
    said = capsys.readouterr().out
    assert re.search(r"decoded expression.* 8 x 64 x 32 ", said)
    assert "rendered" not in said
    assert re.findall(r"stage (\w+): about 0\.\d\d GB", said) == ["style"]


def test_declaring_stages_needs_no_torch():
    code = "import sys; import vast_core, vast_core.registry.core_stages; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
