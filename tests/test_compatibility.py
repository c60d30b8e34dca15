"""The public API of ``vast.v1``, compared with ``vast_v1.yaml``: additions pass, other changes fail.

A deliberate addition is recorded by ``python tests/test_compatibility.py > tests/vast_v1.yaml``. A change that this
test refuses would break packages that are installed somewhere, and belongs into ``vast.v2``.
"""

from __future__ import annotations

import copy
import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from vast_core import errors, interfaces, stages
from vast_core.pipeline import Pipeline
from vast_core.recipe import Recipe, Use
from vast_core.registry import Registry, declarations, discovery, hookspecs
from vast_core.runs import PreparedClip, Run, Store

RECORDED = Path(__file__).with_name("vast_v1.yaml")

Surface = dict[str, Any]

PUBLIC = (
    "vast_core",
    "vast_core.errors",
    "vast_core.registry",
    "vast_core.recipe",
    "vast_core.phones",
    "vast_core.interfaces",
    "vast_core.files",
    "vast_core.media",
    "vast_core.media.lip_regression",
    "vast_core.mesh",
    "vast_core.runs",
    "vast_core.device",
    "vast_core.pipeline",
    "vast_core.checking",
    "vast_core.training",
    "vast_core.speak.base_clip",
    "vast_core.speak.drawing",
    "vast_core.speak.lids",
    "vast_core.speak.moving",
    "vast_core.speak.perform",
    "vast_core.speak.prompt",
    "vast_core.speak.sliders",
    "vast_core.speak.sound",
    "vast_core.speak.style",
    "vast_core.speak.style_model",
    "vast_core.speak.trained",
    "vast_core.report",
    "vast_core.stages",
    "vast_core.stages.avatar_pictures",
    "vast_core.stages.own_frames",
    "vast_core.stages.style",
    "vast_core.runner",
    "vast_core.testing",
    "vast_core.api",
    "vast_core.cli",
    "vast_core.cli.numbers",
    "vast_core.cli.prompts",
    "vast_core.console",
    "vast_core.places",
    "vast_core.processes",
    "vast_core.stopping",
)
"""Modules from which plugins may import the names of ``__all__``; everything else is private."""


def surface() -> Surface:
    """The current public API."""
    defined = [value for value in (getattr(interfaces, name) for name in interfaces.__all__) if inspect.isclass(value)]
    declared = [declarations.Component, declarations.StageSpec, declarations.SectionSpec]
    values = [*declared, *(cls for cls in defined if attrs.has(cls))]
    received = [Registry, Recipe, Use, Pipeline, Run, Store, PreparedClip]
    contracts = [stages.Stage, stages.StageContext, *received, *(cls for cls in defined if not attrs.has(cls))]
    return {
        "entry points": discovery.GROUP,
        "public": {module: sorted(import_module(module).__all__) for module in PUBLIC},
        "kinds": list(declarations.KINDS),
        "sample rate": interfaces.SAMPLE_RATE,
        "sizes": dict(interfaces.SIZE_GIVEN_BY),
        "errors": {
            name: value.exit_code
            for name, value in vars(errors).items()
            if inspect.isclass(value) and issubclass(value, errors.VastError)
        },
        "hooks": {
            name: list(inspect.signature(hook).parameters)
            for name, hook in vars(hookspecs).items()
            if name.startswith("vast_")
        },
        "values": {cls.__name__: fields(cls) for cls in values},
        "interfaces": {cls.__name__: members(cls) for cls in contracts},
    }


def fields(cls: type) -> dict[str, str]:
    """The fields that make an instance, in order: whether each is required, and whether it may go without its name."""
    told = {}
    for field in attrs.fields(cls):
        if field.init:
            need = "required" if field.default is attrs.NOTHING else "optional"
            told[field.alias] = need if field.kw_only else f"{need}, positional"
    return told


def members(cls: type) -> dict[str, str]:
    """Members that a plugin implements, overrides or calls: signatures of methods, types of attributes."""
    told: dict[str, str] = {}
    for part in reversed(cls.__mro__):
        if part.__module__.startswith("vast_core."):
            told |= own_members(part)
    return told


def own_members(cls: type) -> dict[str, str]:
    """Members that a class itself defines."""
    told = {}
    protocol = getattr(cls, "_is_protocol", False)
    for name, kind in inspect.get_annotations(cls).items():
        must = "" if attrs.has(cls) or name in vars(cls) else "required "
        told[name] = f"{must}attribute: {kind}"
    for name, value in vars(cls).items():
        if name.startswith("_") and name != "__call__":
            continue
        method = value.__func__ if isinstance(value, classmethod) else value
        if inspect.isfunction(method):
            must = "abstract " if protocol or getattr(method, "__isabstractmethod__", False) else ""
            sort = "classmethod" if isinstance(value, classmethod) else "method"
            told[name] = f"{must}{sort} {str(inspect.signature(method)).replace(chr(39), '')}"
        elif hasattr(value, "__get__") and name not in told and not inspect.ismemberdescriptor(value):
            told[name] = "property"
    return {name: told[name] for name in told if not name.startswith("_") or name == "__call__"}


def breaches(old: Surface, new: Surface) -> list[str]:
    """Changes from ``old`` to ``new`` that can break a plugin."""
    found = [
        f"{key}: {old[key]!r} is now {new[key]!r}" for key in ("entry points", "sample rate") if old[key] != new[key]
    ]
    found += [f"kinds: {name} is gone" for name in old["kinds"] if name not in new["kinds"]]
    for module, names in old["public"].items():
        found += [f"{module}.{name} is gone" for name in names if name not in new["public"].get(module, [])]
    for key in ("sizes", "errors"):
        found += [f"{key}: {name} was {value!r}" for name, value in old[key].items() if new[key].get(name) != value]
    for hook, arguments in old["hooks"].items():
        if hook not in new["hooks"]:
            found.append(f"hook {hook} is gone")
        else:
            found += [f"hook {hook}: {a} is gone" for a in arguments if a not in new["hooks"][hook]]
    for sort in ("values", "interfaces"):
        found += [f"{name} is gone" for name in old[sort] if name not in new[sort]]
    for name, before in old["values"].items():
        found += [f"{name}.{breach}" for breach in _of_value(before, new["values"].get(name, before))]
    for name, before in old["interfaces"].items():
        found += [f"{name}.{breach}" for breach in _of_interface(before, new["interfaces"].get(name, before))]
    return found


def _of_value(before: dict[str, str], after: dict[str, str]) -> list[str]:
    found = [f"{field} is gone" for field in before if field not in after]
    needed = [field for field, how in after.items() if how.startswith("required")]
    found += [f"{field} must now be given" for field in needed if not before.get(field, "").startswith("required")]
    places = [[field for field, how in told.items() if "positional" in how] for told in (before, after)]
    if places[1][: len(places[0])] != places[0]:
        found.append(f"__init__ takes {', '.join(places[1])}, and took {', '.join(places[0])}, in that order")
    return found


def _of_interface(before: dict[str, str], after: dict[str, str]) -> list[str]:
    found = [f"{name} is gone" for name in before if name not in after]
    found += [
        f"{name} was {told}, and is {after[name]}"
        for name, told in before.items()
        if name in after and after[name] not in (told, told.removeprefix("abstract ").removeprefix("required "))
    ]
    needed = [name for name, told in after.items() if told.startswith(("abstract", "required"))]
    found += [f"{name} must now be implemented" for name in needed if name not in before]
    return found


# ---------------------------------------------------------------------------------------------------- tests


def recorded() -> Surface:
    return yaml.safe_load(RECORDED.read_text(encoding="utf-8"))


def test_what_was_promised_is_kept():
    assert breaches(recorded(), surface()) == []


def test_what_was_added_is_recorded_and_so_promised():
    assert recorded() == surface(), f"record it: python {Path(__file__).name} > {RECORDED.name}"


def changed(path: str, value: object = None) -> Surface:
    """The recorded API with one entry changed, or removed if ``value`` is None."""
    new = copy.deepcopy(recorded())
    *parts, last = path.split("/")
    place = new
    for part in parts:
        place = place[part]
    if isinstance(place, list):
        place.remove(last)
    elif value is None:
        del place[last]
    else:
        place[last] = value
    return new


@pytest.mark.parametrize(
    ("path", "value", "breach"),
    [
        ("entry points", "vast.v2", "entry points"),
        ("public/vast_core/hookimpl", None, "vast_core.hookimpl is gone"),
        ("public/vast_core.runs/Run", None, "vast_core.runs.Run is gone"),
        ("kinds/flow", None, "flow is gone"),
        ("sizes/style", "face", "sizes: style was 'style'"),
        ("errors/InputError", 1, "errors: InputError was 2"),
        ("hooks/vast_step_end", None, "hook vast_step_end is gone"),
        ("hooks/vast_step_end/losses", None, "hook vast_step_end: losses is gone"),
        ("values/Component/reference", None, "Component.reference is gone"),
        ("values/Component/reference", "required", "Component.reference must now be given"),
        ("values/StageSpec/added", "required", "StageSpec.added must now be given"),
        ("values/FlowOutput/log_det", "required", "FlowOutput.__init__ takes z, and took z, log_det"),
        ("values/Posterior", None, "Posterior is gone"),
        ("interfaces/Flow", None, "Flow is gone"),
        ("interfaces/Flow/forward", None, "Flow.forward is gone"),
        ("interfaces/Flow/forward", "abstract method (self, z: Tensor) -> FlowOutput", "Flow.forward was abstract"),
        ("interfaces/Flow/added", "abstract method (self) -> None", "Flow.added must now be implemented"),
        ("interfaces/Face/added", "required attribute: int", "Face.added must now be implemented"),
        ("interfaces/Corpus/counterfactual", "abstract method (self)", "Corpus.counterfactual was method"),
    ],
)
def test_what_breaks_plugins_is_refused(path, value, breach):
    (found,) = breaches(recorded(), changed(path, value))
    assert found.startswith(breach) or breach in found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hooks/vast_frame_drawn", ["frame"]),
        ("hooks/vast_step_end", ["step", "losses", "run", "seconds"]),
        ("values/Component/added", "optional"),
        ("values/Component/summary", "optional"),
        ("values/FlowOutput/added", "optional, positional"),
        ("values/Added", {"x": "required"}),
        ("interfaces/Flow/added", "method (self) -> None"),
        ("interfaces/Face/added", "attribute: int"),
        ("interfaces/Flow/forward", "method (self, z: Tensor, context: Tensor) -> FlowOutput"),
        ("errors/AddedError", 2),
        ("sizes/added", "face"),
    ],
)
def test_what_adds_to_it_passes(path, value):
    assert breaches(recorded(), changed(path, value)) == []


def test_the_record_holds_what_plugins_are_made_of():
    told = recorded()
    assert set(told["hooks"]) >= {"vast_components", "vast_stages", "vast_commands", "vast_run_started"}
    assert told["values"]["FlowOutput"] == {"z": "required, positional", "log_det": "required, positional"}
    abstract = {name for name, told in told["interfaces"]["Flow"].items() if told.startswith("abstract")}
    assert abstract == {"from_config", "forward"}
    assert set(told["interfaces"]) >= {
        "Corpus",
        "Face",
        "AudioFeatures",
        "StyleEncoder",
        "Decoder",
        "Renderer",
        "Metric",
    }


if __name__ == "__main__":
    header = "# What vast.v1 promises to plugins; see test_compatibility.py. To record an addition, run that file.\n"
    sys.stdout.write(header + yaml.safe_dump(surface(), sort_keys=False, width=120))
