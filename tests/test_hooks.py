"""Every hook is called by the core at the right time, with the right arguments, and is documented."""

from __future__ import annotations

import inspect
import re
import sys
from importlib.metadata import distributions
from pathlib import Path

import av
import numpy as np
import pytest

from vast_core.errors import ComponentError, StorageError
from vast_core.media import SPOKEN
from vast_core.recipe import load_recipe
from vast_core.registry import KINDS, Marker, Origin, Registry, hookspecs
from vast_core.runner import run_recipe
from vast_core.speak.marks import Marks
from vast_core.speak.perform import write_video

ROOT = Path(__file__).resolve().parents[1]
HOOKS = {name: function for name, function in vars(hookspecs).items() if name.startswith("vast_")}

WALKER = '''
import json, sys
from pathlib import Path

calls = []

@attrs.frozen(kw_only=True)
class Widths:
    """Every width, in one config, for the face."""
    def sizes(self):
        names = "image audio expression lower_face vertices style context"
        return {name: i for i, name in enumerate(names.split(), 1)}

class Part:
    def __init__(self, config, sizes):
        self.config, self.sizes = config, sizes
    @classmethod
    def from_config(cls, config, sizes):
        return cls(config, sizes)
    def consents(self):
        return {}

@attrs.frozen(kw_only=True)
class Pace:
    """Options of the stage."""
    steps: int = 7

def inputs(context):
    return {"face": context.component_inputs("face")}

def run(context):
    context.run.log("walk", context.options("walk", Pace).steps, {"walk/total/l1": 0.5}, seconds=1.0)
    written = context.run.path / "made.txt"
    written.write_text("made")
    return [written]

@hookimpl
def vast_components():
    from vast_core.registry import KINDS
    calls.append(("components", "torch" in sys.modules))
    for kind in KINDS:
        yield component("plain", kind, target="vast_walker:Part", config=Widths if kind == "face" else Config)

@hookimpl
def vast_stages():
    calls.append(("stages", "torch" in sys.modules))
    yield StageSpec(name="walk", target="vast_walker", config=Pace, needs=["face"], summary="Walks.")

@hookimpl
def vast_sections():
    calls.append(("sections", "torch" in sys.modules))
    yield SectionSpec(name="shoes", config=Pace, summary="Worn.")

@hookimpl
def vast_pipeline_built(pipeline, recipe):
    calls.append(("built", pipeline.face.sizes.expression, pipeline.flow.config.steps, recipe.name))

@hookimpl
def vast_run_started(run):
    steps = run.recipe.options("walk", Pace).steps
    calls.append(("started", run.path.name, (run.path / "recipe.yaml").is_file(), steps))

@hookimpl
def vast_stage_starting(run, stage, key):
    if run.path.name == "fed":
        run.finish(stage, key, 0.0, [])
    calls.append(("starting", stage, (run.path / "made.txt").is_file(), len(key)))

@hookimpl
def vast_stage_finished(run, stage):
    calls.append(("finished", stage, (run.path / "stages" / f"{stage}.json").is_file()))

@hookimpl
def vast_step_end(step, losses, run):
    calls.append(("step", step, dict(losses), run.path.name))
'''


def write_walk(folder):
    recipe = folder / "walk.yaml"
    parts = "".join(f"{kind}: {{use: plain}}\n" for kind in KINDS if kind != "metric")
    recipe.write_text(f"vast: 1\n{parts}run: [walk]\n")
    return recipe


@pytest.fixture(scope="module")
def walk(tmp_path_factory, packages_in):
    """Two runs of a recipe with a plugin's small stage, and a real package that records every hook."""
    folder = tmp_path_factory.mktemp("walk")
    place = packages_in(folder).add("vast-walker", WALKER, name="walker")
    recipe = write_walk(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        patch.setenv("VAST_CACHE", str(folder / "cache"))
        registry = Registry.discover(found=distributions(path=[str(place)]), environ={})
        assert registry.broken == ()
        import vast_walker

        loaded = load_recipe(recipe, registry, ["flow.steps=5", "stages.walk.steps=9"])
        for _ in range(2):
            run_recipe(loaded, registry, folder / "out", False, None)
        yield vast_walker.calls
        del sys.modules["vast_walker"]


def of(calls, name):
    return [tuple(rest) for first, *rest in calls if first == name]


def test_vast_components(walk):
    assert len(of(walk, "components")) == 1


def test_vast_stages(walk):
    assert len(of(walk, "stages")) == 1


def test_vast_sections(walk, tmp_path):
    import vast_walker

    assert len(of(walk, "sections")) == 1
    registry = Registry()
    registry.register(vast_walker, name="walker", distribution="vast-walker")
    del walk[-3:]  # the declarations of this second registry
    recipe = write_walk(tmp_path)
    recipe.write_text(recipe.read_text() + "shoes: {steps: 3}\n")
    assert load_recipe(recipe, registry).sections == {"shoes": vast_walker.Pace(steps=3)}


def test_what_is_declared_is_declared_before_torch_is_imported(packages):
    packages.add("vast-walker", WALKER)
    code = "import vast_walker; called += vast_walker.calls"
    assert packages.discover(after=code).called == [["components", False], ["stages", False], ["sections", False]]


class Stamp(Marker):
    """Marks the first row, and counts the files."""

    def __init__(self, origin):
        self.origin, self.files = origin, []

    def frame(self, frame):
        marked = frame.copy()
        marked[0] = 255
        return marked

    def metadata(self):
        return {"title": self.origin.avatar}

    def finish(self, path):
        self.files.append(path.stat().st_size)


def marked_by(*hooks):
    """The marks of an avatar for whom plugins with these functions are registered."""
    registry = Registry()
    for number, hook in enumerate(hooks):
        plugin = type("Plugin", (), {"vast_marker": staticmethod(hookspecs.hookimpl(hook))})
        registry.register(plugin, name=f"marker{number}", distribution="vast-marker")
    origin = Origin(avatar="ann", run="r", recipe="a", weights="b", software="vast 1", consent="", sections={})
    return Marks.by(origin, registry)


def test_vast_marker(tmp_path):
    def vast_marker(origin):
        return Stamp(origin)

    marks = marked_by(vast_marker, lambda origin: None)
    (stamp,) = marks.markers
    frames, out = [np.zeros((32, 32, 3), np.uint8)] * 3, tmp_path / "out.mp4"
    write_video(frames, 25, np.zeros(1920, np.float32), out, marks)
    with av.open(out) as video:
        assert video.metadata["title"] == "ann"
        assert video.metadata["comment"] == SPOKEN
        shown = [frame.to_ndarray(format="gray") for frame in video.decode(video=0)]
    assert all(frame[0].mean() > 150 > 50 > frame[8:].mean() for frame in shown)
    assert stamp.files == [out.stat().st_size]
    assert not frames[0].any(), "the frames that were given stay as they were"


def test_an_avatar_whose_marks_fail_does_not_speak():
    def vast_marker(origin):
        raise ZeroDivisionError("by its own fault")

    with pytest.raises(ComponentError, match="'marker0' cannot mark videos as synthetic"):
        marked_by(vast_marker)
    with pytest.raises(ComponentError, match="which is no vast_core"):
        marked_by(lambda origin: "a mark")
    assert "no mark but a comment" in marked_by(lambda origin: None).lines()[0]


def test_vast_inspect(packages, tmp_path):
    packages.add(
        "vast-looker",
        """
        @hookimpl
        def vast_inspect(file):
            yield "size", f"{file.stat().st_size} bytes"
        """,
    )
    (tmp_path / "out.mp4").write_bytes(b"seven b")
    assert packages.vast("inspect", str(tmp_path / "out.mp4"), VAST_PLUGINS="vast-looker").stdout == "size: 7 bytes\n"
    alone = packages.vast("--no-plugins", "inspect", str(tmp_path / "out.mp4"))
    assert alone.returncode == 2
    assert "no loaded plugin reads the marks of videos" in alone.stderr


def test_vast_pipeline_built(walk):
    assert of(walk, "built") == [(3, 5, "walk")] * 2


def test_vast_run_started(walk):
    assert of(walk, "started") == [("out", True, 9)] * 2


def test_vast_step_end(walk):
    assert of(walk, "step") == [(9, {"walk/total/l1": 0.5}, "out")], "the second run finds the stage in the cache"


def test_vast_stage_starting(walk):
    assert of(walk, "starting") == [("walk", False, 20)], "the second run finds the stage in the cache"


def test_what_a_plugin_brings_when_a_stage_starts_is_kept(walk, tmp_path):
    import vast_walker

    before = len(walk)
    registry = Registry()
    registry.register(vast_walker, name="walker", distribution="vast-walker")
    loaded = load_recipe(write_walk(tmp_path), registry)
    run_recipe(loaded, registry, tmp_path / "fed")
    called = [walk.pop() for _ in range(len(walk) - before)]
    assert of(called, "step") == []
    assert not (tmp_path / "fed" / "made.txt").exists()


def test_vast_stage_finished(walk):
    assert of(walk, "finished") == [("walk", True)] * 2, "also when the stage was found in the cache"


def test_the_hooks_come_in_this_order(walk):
    order = ["built", "started", "starting", "step", "finished", "built", "started", "finished"]
    assert [call[0] for call in walk] == ["components", "stages", "sections", *order]


def test_vast_commands(packages):
    packages.add(
        "vast-greeter",
        """
        @hookimpl
        def vast_commands(cli):
            import click

            @cli.command()
            @click.argument("name")
            @click.pass_obj
            def greet(session, name):
                "Say hello."
                click.echo(f"hello {name}, of {len(session.registry.plugins)} plugins")
        """,
    )
    shown = packages.vast("--help")
    assert re.search(r"Commands of plugins:(\n.+)*\n +greet +Say hello\.", shown.stdout)
    assert packages.vast("greet", "you").stdout == "hello you, of 18 plugins\n"
    assert "greet" not in packages.vast("--no-plugins", "--help").stdout


def test_vast_pack_formats(packages, tmp_path):
    packages.add(
        "vast-parcel",
        """
        def pack(*, run, out, registry, look_ahead):
            assert registry.plugins
            out.write_text(f"{run.name}, {look_ahead}")

        @hookimpl
        def vast_pack_formats():
            return {"parcel": "vast_parcel:pack", "lost": "vast_parcel:gone"}
        """,
    )
    (tmp_path / "run").mkdir()
    run, out = str(tmp_path / "run"), tmp_path / "out"
    assert packages.vast("pack", run, str(out), "--format", "parcel", "--look-ahead", "0.2").returncode == 0
    assert out.read_text() == "run, 0.2"
    told = packages.vast("pack", run, str(tmp_path / "b"), "--format", "percel").stderr
    assert "'percel'; there are lost, onnx, parcel, vast" in told.replace("no format of packed avatars is called ", "")
    assert (
        "cannot be imported from vast_parcel:gone"
        in packages.vast("pack", run, str(tmp_path / "b"), "--format", "lost").stderr
    )


def test_every_hook_has_a_test_and_a_documented_heading():
    headings = re.findall(r"^### `(vast_\w+)\((.*)\)`$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(HOOKS) == 12
    assert dict(headings) == {name: ", ".join(inspect.signature(hook).parameters) for name, hook in HOOKS.items()}
    assert [name for name, _ in headings] == list(HOOKS), "in the order of hookspecs.py"
    assert {f"test_{name}" for name in HOOKS} <= globals().keys()
    assert all(hook.__doc__ for hook in HOOKS.values())


def test_a_plugin_that_fails_during_a_run_costs_only_itself():
    heard = []

    class Broken:
        @hookspecs.hookimpl
        def vast_step_end(self, step):
            raise ZeroDivisionError("by its own fault")

    class Sound:
        @hookspecs.hookimpl
        def vast_step_end(self, step):
            heard.append(step)

    class Full:
        @hookspecs.hookimpl
        def vast_stage_finished(self, stage):
            raise StorageError("the disk is full")

    registry = Registry()
    for plugin in (Broken(), Sound(), Full()):
        name = type(plugin).__name__.lower()
        registry.register(plugin, name=name, distribution=f"vast-{name}", version="1")
    with pytest.warns(UserWarning, match=r"'broken' failed in vast_step_end.*ZeroDivisionError"):
        registry.notify("vast_step_end", step=1, losses={}, run=None)
    registry.notify("vast_step_end", step=2, losses={}, run=None)
    assert heard == [1, 2]
    assert [plugin.name for plugin in registry.broken] == ["broken"]
    with pytest.raises(StorageError, match="disk is full"):
        registry.notify("vast_stage_finished", run=None, stage="style")
