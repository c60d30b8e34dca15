"""Keys of stages: one thing is changed at a time, and exactly the right stages run again."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
from rich.console import Console

from vast_core.interfaces import Clip
from vast_core.pipeline import work_out_sizes
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runs import Run, digest, keys
from vast_core.stages import StageContext
from vast_core.stages.avatar_pictures import avatar_key
from vast_core.stages.prepare import track_inputs

ROOT = Path(__file__).resolve().parents[1]
ALL = {"prepare", "style", "renderer", "evaluate", "synthesize"}
TRAINED = ALL - {"prepare"}
STYLE = {"style", "evaluate", "synthesize"}
RENDERER = {"renderer", "evaluate", "synthesize"}

CLIPS = tuple(
    Clip(name=f"{n}", speaker=f"s{n % 2}", style="glad", split="train", footage=None, digest=f"d{n}", transcript="yes")
    for n in range(3)
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover(environ={})


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Iterator[Path]:
    """A copy of the core and of all plugins, from which keys take the code."""
    place = tmp_path_factory.mktemp("sources")
    for folder in (ROOT / "vast_core", *(ROOT / "plugins").glob("*/src/*")):
        if (folder / "__init__.py").is_file():
            shutil.copytree(folder, place / folder.name, ignore=shutil.ignore_patterns("__pycache__"))

    def find(top: str) -> SimpleNamespace:
        return SimpleNamespace(origin=str(place / top / "__init__.py"), submodule_search_locations=[str(place / top)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "find_spec", find)
        yield place


@contextmanager
def edited(path: Path, content: bytes) -> Iterator[None]:
    """Change the content of a file temporarily."""
    before = path.read_bytes()
    path.write_bytes(content)
    yield
    path.write_bytes(before)


@pytest.fixture
def found(registry, tmp_path, sources, monkeypatch):
    """The keys of the stages, and of the caches below them."""
    monkeypatch.setenv("VAST_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))
    (tmp_path / "weights").mkdir()

    def found(*overrides, metrics="[{use: psnr}, {use: lse}]", clips=CLIPS):
        recipe = load_recipe("vast_tiny", registry, (f"metrics={metrics}", *overrides))
        renderer = SimpleNamespace(draws_close_up=False)
        corpus = SimpleNamespace(clips=lambda: clips, consents=dict)
        parts = SimpleNamespace(corpus=corpus, renderer=renderer, sizes=work_out_sizes(recipe))
        context = StageContext(run=Run(tmp_path / "run", recipe, registry), pipeline=parts, console=Console())
        below = {"tracks": digest(track_inputs(context)), "pictures": avatar_key(context)}
        return {stage: context.key(stage) for stage in sorted(ALL)}, below

    return found


def changed(before, after) -> set[str]:
    return {name for name in before if before[name] != after[name]}


CODE = [
    ("vast_core/errors.py", ALL),
    ("vast_core/phones.py", ALL),
    ("vast_core/interfaces/face.py", ALL),
    ("vast_core/files/atomic.py", ALL),
    ("vast_core/media/decoding.py", ALL),
    ("vast_core/media/sync.py", ALL),
    ("vast_core/mesh/canonical.safetensors", ALL),
    ("vast_core/mesh/scene.py", ALL),
    ("vast_core/runs/store.py", ALL),
    ("vast_core/runs/keys.py", ALL),
    ("vast_core/device.py", ALL),
    ("vast_core/pipeline.py", ALL),
    ("vast_core/training/loop.py", TRAINED),
    ("vast_core/training/bound.py", TRAINED),
    ("vast_core/speak/style_model.py", TRAINED),
    ("vast_core/speak/perform.py", {"synthesize"}),
    ("vast_core/speak/expressing.py", {"synthesize"}),
    ("vast_core/speak/overlap.py", {"synthesize"}),
    ("vast_core/speak/live.py", set()),
    ("vast_core/stages/context.py", ALL),
    ("vast_core/stages/prepare.py", ALL),
    ("vast_core/stages/style.py", STYLE),
    ("vast_core/stages/sliders.py", STYLE),
    ("vast_core/speak/sliders.py", STYLE),
    ("vast_core/stages/avatar_pictures.py", RENDERER),
    ("vast_core/stages/renderer.py", RENDERER),
    ("vast_metrics/stages/held_out.py", {"evaluate"}),
    ("vast_core/stages/synthesize.py", {"synthesize"}),
    ("vast_core/recipe/reader.py", set()),
    ("vast_core/registry/isolation.py", set()),
    ("vast_core/registry/providers.yaml", set()),
    ("vast_core/report/page.py", set()),
    ("vast_core/checking.py", set()),
    ("vast_core/runner.py", set()),
    ("vast_core/cli/findings.py", set()),
    ("vast_core/version.py", set()),
    ("vast_core/testing/face.py", set()),
    ("vast_core/cli/run.py", set()),
    ("vast_corpora/folder.py", ALL),
    ("vast_faces/tracker.py", ALL),
    ("vast_audio/ppg.py", ALL),
    ("vast_audio/ppg.safetensors", ALL),
    ("vast_styles/config.py", STYLE),
    ("vast_flows/householder.py", STYLE),
    ("vast_decoders/hybrid.py", STYLE),
    ("vast_renderers/plugin.py", RENDERER),
    ("vast_metrics/images.py", {"evaluate"}),
    ("vast_splines/plugin.py", set()),
    ("vast_tensorboard/plugin.py", set()),
]


CHANGE = b"\nCHANGED = True\n"


def test_code(found, sources):
    before, _ = found()
    again = {}
    for file, _ in CODE:
        with edited(sources / file, (sources / file).read_bytes() + CHANGE):
            again[file] = changed(before, found()[0])
    assert again == dict(CODE)
    (sources / "vast_flows" / "new.py").write_text("")
    assert changed(before, found()[0]) == STYLE
    (sources / "vast_flows" / "new.py").unlink()
    assert found()[0] == before


def test_comments_docstrings_and_layout_are_no_code(found, sources):
    before = found()
    with ExitStack() as stack:
        for path in sources.rglob("*.py"):
            tree = ast.parse(path.read_bytes())
            for node in ast.walk(tree):
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    node.value.value = "said otherwise" if isinstance(node.value.value, str) else node.value.value
            stack.enter_context(edited(path, f"{ast.unparse(tree)}\n\n# a comment\n".encode()))
        assert found() == before
    path = sources / "vast_core" / "mesh" / "scene.py"
    with edited(path, path.read_bytes().replace(b"0.5", b"0.6", 1)):
        assert found() != before


RECIPE = [
    ("name=other", set()),
    ("seed=2", TRAINED),
    ("fps=30.0", ALL),
    ("corpus.image=96", ALL),
    ("face.gap=0.3", ALL),
    ("audio.temperature=2.0", ALL),
    ("style.size=16", STYLE),
    ("flow.steps=3", STYLE),
    ("flow.use=planar", STYLE),
    ("renderer.width=16", RENDERER),
    ("stages.prepare.held_out_speakers=[s0]", ALL),
    ("stages.style.steps=3", STYLE),
    ("stages.renderer.margin=1.5", RENDERER),
    ("stages.evaluate.max_clips=3", {"evaluate"}),
    ("stages.evaluate.max_slider_clips=2", {"evaluate"}),
    ("stages.synthesize.seconds=3.0", {"synthesize"}),
]


def test_the_recipe(found):
    before, _ = found()
    assert {change: changed(before, found(change)[0]) for change, _ in RECIPE} == dict(RECIPE)
    assert changed(before, found(metrics="[{use: psnr}]")[0]) == {"evaluate"}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"speaker": "other"},
        {"style": "sad"},
        {"style": None},
        {"split": "held_out"},
        {"split": None},
        {"transcript": "no"},
        {"digest": "other"},
    ],
    ids=str,
)
def test_a_clip(found, change):
    first, *others = CLIPS
    assert changed(found()[0], found(clips=(attrs.evolve(first, **change), *others))[0]) == ALL


def test_the_factors_of_a_clip(found):
    first, *others = CLIPS
    assert changed(found()[0], found(clips=(attrs.evolve(first, factors={"smile": 1.0}), *others))[0]) == STYLE


def test_the_clips_together(found):
    first, second, third = CLIPS
    before, _ = found()
    assert changed(before, found(clips=(second, first, third))[0]) == ALL
    assert changed(before, found(clips=(first, second))[0]) == ALL
    swapped = attrs.evolve(first, split="held_out"), attrs.evolve(second, split="train"), third
    back = attrs.evolve(first, split="train"), attrs.evolve(second, split="held_out"), third
    assert changed(found(clips=swapped)[0], found(clips=back)[0]) == ALL


def test_weights_of_others(found, tmp_path):
    before, _ = found()
    file = tmp_path / "weights" / "syncnet_v2.safetensors"
    file.write_bytes(b"some")
    there, _ = found()
    assert changed(before, there) == {"evaluate"}
    file.write_bytes(b"others")
    assert changed(there, found()[0]) == {"evaluate"}


def test_weights_that_an_option_names(found, tmp_path):
    own = tmp_path / "own.safetensors"
    shutil.copy(ROOT / "plugins" / "vast-audio" / "src" / "vast_audio" / "ppg.safetensors", own)
    before, _ = found(f"audio.weights={own}")
    content = bytearray(own.read_bytes())
    content[-1] ^= 1
    own.write_bytes(content)
    assert changed(before, found(f"audio.weights={own}")[0]) == ALL


def test_the_caches_below_the_stages(found, sources):
    _, before = found()
    both = {"tracks", "pictures"}
    of_options = {
        "fps=30.0": both,
        "face.gap=0.3": both,
        "audio.temperature=2.0": {"pictures"},
        "stages.prepare.min_seconds=0.5": {"pictures"},
        "stages.renderer.margin=1.5": {"pictures"},
        "renderer.size=96": {"pictures"},
        "renderer.width=16": set(),
        "stages.renderer.steps=7": set(),
        "flow.steps=3": set(),
        "seed=2": set(),
    }
    assert {change: changed(before, found(change)[1]) for change in of_options} == of_options
    of_code = {
        "vast_core/media/decoding.py": both,
        "vast_core/interfaces/face.py": both,
        "vast_core/stages/prepare.py": both,
        "vast_core/mesh/canonical.safetensors": both,
        "vast_core/stages/avatar_pictures.py": {"pictures"},
        "vast_core/training/loop.py": set(),
        "vast_corpora/folder.py": both,
        "vast_faces/shots.py": both,
        "vast_audio/ppg.py": {"pictures"},
        "vast_renderers/plugin.py": set(),
    }
    for file, expected in of_code.items():
        with edited(sources / file, (sources / file).read_bytes() + CHANGE):
            assert (file, changed(before, found()[1])) == (file, expected)


def test_what_is_no_plain_data_has_no_digest():
    assert digest({"a": (1, Path("b"))}) == digest({"a": [1, "b"]})
    with pytest.raises(TypeError):
        digest({"a": object()})
