"""Discovery of real packages: a broken one does not affect others, and order never decides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from vast_core import Component, hookimpl
from vast_core.errors import ComponentError
from vast_core.registry import KINDS, Registry, registry

GOOD = """
@hookimpl
def vast_components():
    return [component()]
"""

WATCH = """
@hookimpl
def vast_pipeline_built(pipeline):
    import __main__
    __main__.called.append(f"{__name__} saw {pipeline}")
"""

BUILT = "registry.hooks.vast_pipeline_built(pipeline=7, recipe=None)"


@attrs.frozen(kw_only=True)
class Config:
    steps: int = 3


def component(**changes) -> Component:
    given = {"kind": "flow", "name": "glow", "target": "mypkg.glow:Glow", "config": Config, "summary": "A flow."}
    return Component(**(given | changes))


class Plugin:
    """A plugin as an object, for tests that need no package."""

    def __init__(self, *components: Component) -> None:
        self.components = components

    @hookimpl
    def vast_components(self):
        return self.components


def registry_of(**distributions: Component | tuple[Component, ...]) -> Registry:
    found = Registry()
    for name, components in distributions.items():
        declared = components if isinstance(components, tuple) else (components,)
        found.register(Plugin(*declared), name=name, distribution=name.replace("_", "-"), version="1.0")
    return found


# ------------------------------------------------------------------------------------------ sound packages


def test_a_package_is_found_with_its_version_and_its_import_timed(packages):
    packages.add("vast-glow", GOOD + WATCH + "import time; time.sleep(0.05)", version="2.3", name="glow")
    found = packages.discover(after=BUILT)
    (plugin,) = found.ours
    assert (plugin.name, plugin.distribution, plugin.version, plugin.state) == ("glow", "vast-glow", "2.3", "loaded")
    assert plugin.cause == ""
    assert 0.05 <= plugin.seconds < 5
    assert ["flow", "glow", "vast-glow 2.3"] in found.components
    assert found.called == ["vast_glow saw 7"]


def test_first_party_plugins_come_by_the_same_way(packages):
    found = packages.discover()
    bundled = [p for p in found.plugins if p.distribution == "vast-avatar"]
    assert len(bundled) == 17
    assert {p.state for p in bundled} == {"loaded"}, [p.cause for p in bundled]


def test_discovery_imports_neither_torch_nor_numpy(packages):
    assert not {"torch", "numpy", "cv2"} & set(packages.discover().modules)


def test_a_plugin_that_imports_torch_is_marked(packages):
    place = packages.add("vast-heavy", GOOD + "import torch")
    (place / "torch.py").write_text("")
    assert packages.discover().ours[0].imports_torch


def test_a_folder_on_the_path_by_two_names_is_one_package(packages):
    link = packages.folder / "link"
    link.symlink_to(packages.add("vast-glow", GOOD))
    packages.path.append(link)
    assert [p.state for p in packages.discover().ours] == ["loaded"]


# ----------------------------------------------------------------------------------------- broken packages

BROKEN = {
    "import error": ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    "syntax error": ("def (", "SyntaxError"),
    "exits": ("raise SystemExit('good-bye')", "SystemExit: good-bye"),
    "misspelt hook": (
        GOOD + WATCH + "@hookimpl\ndef vast_step_ends(step): ...",
        "no hook is called 'vast_step_ends'; did you mean 'vast_step_end'?",
    ),
    "hook with a wrong argument": (GOOD + "@hookimpl\ndef vast_run_started(ran): ...", "ran"),
    "no hook": ("def vast_components(): return [component()]", "implements no hook"),
    "raises after two": (
        WATCH + "@hookimpl\ndef vast_components():\n yield component('a')\n yield component('b')\n 1 / 0",
        "ZeroDivisionError",
    ),
    "declares twice": ("@hookimpl\ndef vast_components(): return [component(), component()]", "flow 'glow' twice"),
    "declares something else": ("@hookimpl\ndef vast_components(): return ['glow']", "'glow', which is no"),
    "declares nothing": ("@hookimpl\ndef vast_components(): pass", "vast_components gave None"),
    "unknown kind": (
        "@hookimpl\ndef vast_components(): return [component(kind='voice')]",
        "no kind of component is called 'voice'",
    ),
    "config that is no attrs class": (
        "@hookimpl\ndef vast_components(): return [component(config=dict)]",
        "the config of flow 'glow' must be an attrs class",
    ),
    "config that can be changed": (
        "@attrs.define\nclass Loose:\n x: int = 1\n@hookimpl\ndef vast_components(): return [component(config=Loose)]",
        "Loose, can be changed: decorate it with @attrs.frozen",
    ),
    "config of unknown types": (
        "@attrs.frozen\nclass Vague:\n x: 'Tensor' = None\n"
        "@hookimpl\ndef vast_components(): return [component(config=Vague)]",
        "'Tensor' is not defined",
    ),
    "config with a field use": (
        "@attrs.frozen\nclass Used:\n use: int = 1\n@hookimpl\ndef vast_components(): return [component(config=Used)]",
        "has a field `use`",
    ),
    "target without a class": (
        "@hookimpl\ndef vast_components(): return [component(target='mypkg.glow')]",
        "must be 'module:Class', not 'mypkg.glow'",
    ),
}


@pytest.mark.parametrize(("source", "cause"), BROKEN.values(), ids=BROKEN)
def test_a_broken_package_costs_only_itself(packages, source, cause):
    packages.add("vast-broken", source, version="0.4", name="aaa")
    packages.add("vast-sound", GOOD + WATCH, name="zzz")
    found = packages.discover(after=BUILT)
    broken, sound = found.ours
    assert (broken.distribution, broken.version, broken.state) == ("vast-broken", "0.4", "broken")
    assert cause in broken.cause
    assert sound.state == "loaded"
    assert [c for c in found.components if c[2].startswith("vast-broken")] == []
    assert ["flow", "glow", "vast-sound 1.0"] in found.components
    assert found.called == ["vast_sound saw 7"], "a hook of the broken plugin is still called"
    assert len([p for p in found.plugins if p.state == "loaded"]) == 18


def test_a_missing_module_is_a_broken_package(packages):
    packages.add("vast-hollow", write_module=False)
    (plugin,) = packages.discover().ours
    assert plugin.state == "broken"
    assert "No module named 'vast_hollow'" in plugin.cause


def test_damaged_metadata_is_a_broken_package(packages):
    nameless = packages.add("vast-nameless", metadata="Metadata-Version: 2.1\n")
    packages.add("vast-garbled", entry_points="[vast.v1]\nno equals sign\n")
    packages.add("vast-sound", GOOD)
    found = packages.discover()
    assert [p.state for p in found.ours] == ["broken", "broken", "loaded"]
    assert any(str(nameless) in p.distribution for p in found.ours)
    assert all("its metadata cannot be read" in p.cause for p in found.ours[:2])


def test_a_plugin_for_another_api_is_reported_and_never_imported(packages):
    packages.add("vast-tomorrow", GOOD, group="vast.v2")
    found = packages.discover()
    (plugin,) = found.ours
    assert plugin.state == "foreign"
    assert "plugin API v2" in plugin.cause
    assert "offers v1" in plugin.cause
    assert "vast_tomorrow" not in found.modules


def test_a_hook_of_a_newer_vast_may_be_optional(packages):
    packages.add("vast-ahead", GOOD + "@hookimpl(optionalhook=True)\ndef vast_frame_drawn(frame): ...")
    packages.add("vast-broken", "@hookimpl\ndef vast_components(): 1 / 0")
    assert [p.state for p in packages.discover().ours] == ["loaded", "broken"]


# ----------------------------------------------------------------------------------------- installed twice


def test_a_module_of_two_packages_is_reported_with_both(packages):
    packages.add("vast-glow", GOOD, module="vast_glow")
    packages.add("vast-glow-fork", GOOD, module="vast_glow", version="9")
    found = packages.discover()
    assert [p.state for p in found.ours] == ["broken", "broken"]
    for plugin in found.ours:
        assert "vast-glow 1.0" in plugin.cause
        assert "vast-glow-fork 9" in plugin.cause
    assert "vast_glow" not in found.modules


def test_a_package_in_two_folders_is_reported_with_both(packages):
    first = packages.add("vast-glow", GOOD, version="1.0")
    second = packages.add("vast_Glow", GOOD, version="0.9", module="vast_glow")
    found = packages.discover()
    states = {p.version: p for p in found.ours}
    assert states["1.0"].state == "loaded"
    assert states["0.9"].state == "shadowed"
    assert str(first) in states["0.9"].cause
    assert str(second) in states["0.9"].cause
    assert ["flow", "glow", "vast-glow 1.0"] in found.components


@pytest.mark.parametrize("order", [("vast-one", "vast-two"), ("vast-two", "vast-one")])
def test_a_name_given_twice_is_an_error_that_says_how_to_choose(packages, order):
    for distribution in order:
        packages.add(distribution, GOOD)
    found = packages.discover(
        after="""
        for name in ("vast-one/glow", "vast_two/glow"):
            called.append(registry.get("flow", name).provider)
        called.append(registry.names("flow"))
        try:
            registry.get("flow", "glow")
        except Exception as error:
            called.append(str(error))
        """
    )
    one, two, names, message = found.called
    assert (one, two) == ("vast-one 1.0", "vast-two 1.0")
    assert "`use: vast-one/glow` or `use: vast-two/glow`" in message
    assert "vast-one/glow" in names
    assert "glow" not in names
    assert "householder" in names


def test_one_package_that_gives_a_name_twice_is_told_apart():
    found = Registry()
    for name in ("one", "two"):
        found.register(Plugin(component()), name=name, distribution="vast-glow", version="1.0")
    with pytest.raises(ComponentError, match=r"vast-glow 1\.0 provides flow 'glow' twice"):
        found.get("flow", "glow")


# ------------------------------------------------------------------------------------------------ switches


def test_only_the_plugins_asked_for_are_imported(packages):
    packages.add("vast-glow", GOOD, name="glow")
    packages.add("vast-other", GOOD, name="other")
    found = packages.discover(VAST_PLUGINS="flows, vast_other")
    assert sorted(p.name for p in found.plugins if p.state == "loaded") == ["flows", "other"]
    assert next(p for p in found.ours if p.name == "glow").state == "disabled"
    assert "vast_glow" not in found.modules


@pytest.mark.parametrize(
    ("plugins", "variables"), [(False, {}), (False, {"VAST_PLUGINS": "flows"}), (True, {"VAST_PLUGINS": ""})]
)
def test_no_plugin_at_all(packages, plugins, variables):
    found = packages.discover(plugins=plugins, **variables)
    assert {p.state for p in found.plugins} == {"disabled"}
    assert found.components == []


def test_asking_for_a_plugin_that_is_not_installed(packages):
    found = packages.discover(VAST_PLUGINS="flwos")
    assert found.error == "ComponentError"
    assert "VAST_PLUGINS: no plugin or package is called 'flwos'; did you mean 'flows'?" in found.message


def test_strict_raises_at_a_broken_plugin(packages):
    packages.add("vast-broken", "1 / 0")
    assert packages.discover(VAST_STRICT_PLUGINS="0").ours[0].state == "broken"
    found = packages.discover(VAST_STRICT_PLUGINS="1")
    assert found.error == "ComponentError"
    assert "vast-broken 1.0" in found.message
    assert "ZeroDivisionError" in found.message


# ----------------------------------------------------------------------------------------- unknown names


def test_an_unknown_name_gives_the_closest_and_all_installed():
    found = registry_of(vast_a=(component(name="planar"), component(name="radial")), vast_b=component(kind="audio"))
    with pytest.raises(ComponentError) as error:
        found.get("flow", "plannar")
    assert "no flow is called 'plannar'; did you mean 'planar'?" in str(error.value)
    assert "installed: planar, radial" in str(error.value)
    assert "glow" not in str(error.value)


def test_an_unknown_distribution_gives_the_right_one():
    with pytest.raises(ComponentError, match="write vast-a/planar"):
        registry_of(vast_a=component(name="planar")).get("flow", "vast-b/planar")


def test_an_unknown_name_gives_the_package_that_would_provide_it(monkeypatch):
    monkeypatch.setattr(registry, "_known_providers", lambda: {"flow": {"spline": "vast-splines"}})
    with pytest.raises(ComponentError, match="pip install vast-splines"):
        Registry().get("flow", "spline")
    with pytest.raises(ComponentError) as error:
        Registry().get("audio", "spline")
    assert "vast-splines" not in str(error.value)


def test_the_list_of_known_packages_is_sound():
    for kind, packages in registry._known_providers().items():
        assert kind in (*KINDS, "stage", "section")
        assert all(isinstance(package, str) for package in packages.values())


def test_an_unknown_name_mentions_what_is_broken_and_what_is_off(packages):
    packages.add("vast-broken", "1 / 0", name="shaky")
    code = """
    try:
        registry.get("flow", "glow")
    except Exception as error:
        called.append(str(error))
    """
    assert "broken: shaky (vast-broken 1.0)" in packages.discover(after=code).called[0]
    (called, *_) = packages.discover(plugins=False, after=code).called
    assert "switched off by --no-plugins or VAST_PLUGINS: ablation" in called


# ---------------------------------------------------------------------------------------------- components


def test_a_component_that_cannot_be_imported_says_whose_it_is():
    found = registry_of(vast_a=component(target="vast_a.no_such_module:Glow"))
    with pytest.raises(ComponentError, match=r"flow 'glow' of vast-a 1\.0 cannot be imported from vast_a\.no_such"):
        found.get("flow", "glow").load()


def test_load_gives_the_class():
    assert component(target="vast_core.registry:Registry").load() is Registry


def test_a_rejected_plugin_loses_its_components_and_hooks():
    found = registry_of(vast_a=component(name="planar"), vast_b=component(name="radial"))
    found.reject("vast_a", ValueError("late fault"))
    assert found.names("flow") == ("radial",)
    assert [(p.name, p.cause) for p in found.broken] == [("vast_a", "ValueError: late fault")]
    assert len(found.hooks.vast_components.get_hookimpls()) == 1


def test_a_failed_registration_leaves_the_earlier_plugin_of_that_name_alone():
    found = registry_of(vast_a=component())
    with pytest.raises(ValueError, match="registered already"):
        found.register(Plugin(component(name="other")), name="vast_a", distribution="vast-b")
    assert found.names("flow") == ("glow",)


def test_the_core_imports_no_plugin():
    root = Path(__file__).resolve().parents[1]
    names = "|".join(sorted(p.name for p in root.glob("plugins/*/src/*") if p.is_dir()))
    assert names.count("|") == 17
    done = subprocess.run(
        ["grep", "-rnE", rf"^\s*(import|from) ({names})\b", str(root / "vast_core"), "--include=*.py"],
        capture_output=True,
        text=True,
    )
    assert done.stdout == ""


def test_registry_module_runs_without_torch():
    code = "import sys; import vast_core.registry, vast_core.recipe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
