"""The rules of all declarations: cheap to import, options that a recipe can give, and a class that can be made."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import attrs
import torch

from ..errors import ComponentError, InputError, VastError, WeightsError
from ..interfaces import (
    OPTIONAL_SIZES,
    SIZE_GIVEN_BY,
    AudioFeatures,
    Corpus,
    Decoder,
    Face,
    Flow,
    Metric,
    Renderer,
    Sizes,
    StyleEncoder,
)
from ..recipe.document import Problem, read_document
from ..recipe.json_schema import of_type
from ..recipe.model import Recipe, Use
from ..recipe.options import field_docs
from ..recipe.reader import INVALID, Reader
from ..registry.declarations import KINDS, Kind
from ..registry.discovery import GROUP
from ..runs.weights import load_into, load_weights, save_weights
from .kit import NotApplicable, Subject, first_line, not_applicable, require, rule

INTERFACES: dict[Kind, type] = {
    "corpus": Corpus,
    "face": Face,
    "audio": AudioFeatures,
    "style": StyleEncoder,
    "flow": Flow,
    "decoder": Decoder,
    "renderer": Renderer,
    "metric": Metric,
}
NETWORKS: tuple[Kind, ...] = ("face", "audio", "style", "flow", "decoder", "renderer")
"""The kinds that are torch modules."""
HEAVY = ("torch", "numpy", "scipy", "cv2", "matplotlib", "onnxruntime", "transformers")
"""Packages that no declaration may import."""
REFUSALS = (VastError, TypeError, ValueError)
"""Errors that count as a refusal of a value."""


# ------------------------------------------------------------------------------------------- its module


@rule(*KINDS)
def light_plugin(subject: Subject) -> None:
    """The modules that declare it import neither torch nor numpy, so that `vast` starts quickly."""
    if "<locals>" in subject.component.config.__qualname__:
        not_applicable("its config is defined in a function, not in a module")
    modules = tuple(dict.fromkeys(_declaring_modules(subject)))
    found, failure = _imported_by(modules)
    if failure.startswith("absent "):
        not_applicable(f"another process cannot import {failure.removeprefix('absent ')}")
    require(not failure, f"importing {' and '.join(modules)} fails: {failure}")
    require(
        not found, f"importing {' and '.join(modules)} imports {', '.join(found)}; move that to the target's module"
    )


def _declaring_modules(subject: Subject) -> Iterator[str]:
    """The module of the config, and those of the distribution's entry points in the same package."""
    config = subject.component.config.__module__
    yield config
    try:
        points = distribution(subject.component.distribution).entry_points if subject.component.provider else ()
    except PackageNotFoundError:
        return
    for point in points:
        if point.group == GROUP and point.module.partition(".")[0] == config.partition(".")[0]:
            yield point.module


_IMPORTS = """
import importlib, sys
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name + ".").startswith(error.name + "."):
            sys.exit("absent " + name)
        sys.exit(repr(error))
    except BaseException as error:
        sys.exit(repr(error))
print(*(name for name in sys.argv[1].split(",") if name in sys.modules))
"""


@lru_cache(maxsize=256)
def _imported_by(modules: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Which of :data:`HEAVY` a new interpreter has loaded after importing ``modules``, and the error if that failed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    command = [sys.executable, "-c", _IMPORTS, ",".join(HEAVY), *modules]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    failure = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1] if done.returncode else ""
    return tuple(done.stdout.split()), failure


@rule(*KINDS)
def one_line_summary(subject: Subject) -> None:
    """The summary is one line, for the table of `vast plugins`."""
    summary = subject.component.summary
    require(bool(summary.strip()), "the summary is empty")
    require(len(summary.splitlines()) == 1, f"the summary has {len(summary.splitlines())} lines; keep the first")


# ------------------------------------------------------------------------------------------- its options


def _options(subject: Subject) -> list[attrs.Attribute[Any]]:
    config = attrs.resolve_types(subject.component.config)
    return [field for field in attrs.fields(config) if field.init]


@rule(*KINDS)
def defaults(subject: Subject) -> None:
    """The options accept their own defaults."""
    required = [option.name for option in _options(subject) if option.default is attrs.NOTHING]
    if required:
        not_applicable(f"no default for {', '.join(required)}")
    try:
        subject.component.config()
    except Exception as error:  # noqa: BLE001 - a validator may raise anything; the error is the finding
        require(False, f"{subject.component.config.__name__}() fails: {type(error).__name__}: {first_line(error)}")


@rule(*KINDS)
def option_docstrings(subject: Subject) -> None:
    """Every option has a docstring below it, which `vast plugins show` prints."""
    config = subject.component.config
    try:
        inspect.getsource(config)
    except (OSError, TypeError) as error:
        raise NotApplicable(f"the source of {config.__name__} cannot be read") from error
    docs = field_docs(config)
    bare = [option.name for option in _options(subject) if not docs.get(option.name)]
    require(not bare, f"no docstring below {', '.join(bare)} in {config.__name__}")


@rule(*KINDS)
def option_types(subject: Subject) -> None:
    """A recipe can give every option's type."""
    wrong = _unreadable(subject)
    require(not wrong, f"a recipe cannot give {', '.join(wrong)}; see `Types understood` in vast_core/recipe/reader.py")


def _unreadable(subject: Subject) -> list[str]:
    return [f"{option.name}: {option.type}" for option in _options(subject) if not _is_readable(option.type)]


def _is_readable(kind: Any) -> bool:
    try:
        of_type(kind)
    except TypeError:
        return False
    return True


@rule(*KINDS)
def validators(subject: Subject) -> None:
    """An option's validator refuses a meaningless value with a TypeError or ValueError."""
    for option in _options(subject):
        if option.validator is None:
            continue
        try:
            option.validator(subject.config, option, object())
        except (TypeError, ValueError):
            continue
        except Exception as error:  # noqa: BLE001 - it may raise anything; the error is the finding
            require(False, f"the validator of {option.name} fails with {error!r} instead of a TypeError or ValueError")
        require(False, f"the validator of {option.name} accepts anything: {object()!r}")


@rule(*KINDS)
def round_trip(subject: Subject) -> None:
    """A config that is written to a recipe and read again is the same."""
    if wrong := _unreadable(subject):
        not_applicable(f"see `option types`: {', '.join(wrong)}")
    component, problems = subject.component, list[Problem]()
    use = Use(component=component, config=subject.config)
    metric = component.kind == "metric"
    recipe = Recipe(name="check", **{"metrics": (use,)} if metric else {component.kind: use})  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(recipe.to_yaml(), encoding="utf-8")
        tree = read_document(path, problems)
    node = tree.value["metrics"].value[0] if metric else tree.value[component.kind]
    reader = Reader()
    back = reader.instance(node, component.config, (component.kind,), besides=("use",))
    require(back is not INVALID, f"it cannot be read back: {'; '.join(problem.message for problem in reader.problems)}")
    require(back == subject.config, f"written as {subject.config}, read as {back}")


@rule(*KINDS)
def declared_widths(subject: Subject) -> None:
    """``sizes()`` of its config gives every width that its kind must give, and no other."""
    kind, config = subject.component.kind, subject.config
    given = config.sizes() if kind in NETWORKS and hasattr(config, "sizes") else {}
    own = {name for name, giver in SIZE_GIVEN_BY.items() if giver == kind}
    lacking = own - given.keys() - OPTIONAL_SIZES
    require(not lacking, f"sizes() lacks {', '.join(sorted(lacking))}")
    require(given.keys() <= own, f"sizes() gives {', '.join(sorted(given.keys() - own))}, which another kind gives")
    wrong = {name: width for name, width in given.items() if type(width) is not int or width < 1}
    require(not wrong, f"widths are whole numbers above 0, not {wrong}")


# ------------------------------------------------------------------------------------------ construction


@rule(*KINDS)
def importable(subject: Subject) -> None:
    """Its target can be imported and is a class."""
    if subject.implementation is not None:
        not_applicable("the class is given, so its target is not imported")
    try:
        found = subject.component.load()
    except ComponentError as error:
        require(False, str(error))
    require(isinstance(found, type), f"{subject.component.target} is {found!r}, not a class")


def _class(subject: Subject) -> type:
    try:
        found = subject.component.load() if subject.implementation is None else subject.implementation
    except Exception as error:  # the rule `importable` reports it
        raise NotApplicable("see `importable`") from error
    return found if isinstance(found, type) else not_applicable("see `importable`")


@rule(*KINDS)
def interface(subject: Subject) -> None:
    """Its class derives from the interface of its kind and implements every abstract method."""
    found, wanted = _class(subject), INTERFACES[subject.component.kind]
    require(issubclass(found, wanted), f"{found.__qualname__} does not derive from vast_core.{wanted.__qualname__}")
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    require(not missing, f"{found.__qualname__} lacks {', '.join(missing)}")


@rule(*KINDS)
def made(subject: Subject) -> None:
    """``from_config`` makes an instance of the class, in several sizes."""
    cls = _class(subject)
    if getattr(cls, "__abstractmethods__", None):
        not_applicable("see `interface`")
    for sizes in subject.sizes:
        try:
            one = subject.build(sizes)
        except WeightsError as error:
            not_applicable(str(error))
        except Exception as error:  # noqa: BLE001 - it may fail in any way; the failure is the finding
            require(False, f"from_config fails with {sizes}: {type(error).__name__}: {first_line(error)}")
        require(isinstance(one, cls), f"from_config of {cls.__qualname__} returns a {type(one).__qualname__}")


@rule(*KINDS)
def missing_sizes(subject: Subject) -> None:
    """If a width that it needs is unknown, ``from_config`` does not catch the InputError of the sizes."""
    subject.make()
    own = subject.config.sizes() if hasattr(subject.config, "sizes") else {}
    few = Sizes(fps=subject.sizes[0].fps, **own)
    try:
        subject.build(few)
    except InputError:
        return
    except Exception as error:  # noqa: BLE001 - it may fail in any way; the failure is the finding
        require(False, f"with {few} it raises {type(error).__name__}: {first_line(error)}; read widths as attributes")


@rule(*KINDS)
def extreme_options(subject: Subject) -> None:
    """Numbers 0 and -1 are accepted, or refused with an error that names the option."""
    subject.make()
    for option in _options(subject):
        kinds = {option.type, *getattr(option.type, "__args__", ())}
        for value in (0, -1):
            if kinds & {int, float}:
                _try_option(subject, option.alias or option.name, float(value) if int not in kinds else value)


def _try_option(subject: Subject, option: str, value: float) -> None:
    given = f"{option} = {value}"
    try:
        changed = attrs.evolve(subject.config, **{option: value})
    except (TypeError, ValueError, VastError):
        return
    except Exception as error:  # noqa: BLE001 - a validator may raise anything; the error is the finding
        require(False, f"the config fails with {given}: {type(error).__name__}: {first_line(error)}")
    try:
        attrs.evolve(subject, config=changed).build()
    except WeightsError:
        return
    except Exception as error:  # noqa: BLE001 - it may fail in any way; the failure is the finding
        named = isinstance(error, REFUSALS) and option in str(error)
        require(named, f"{given} raises {type(error).__name__}: {first_line(error)}; give the option a validator")


# ----------------------------------------------------------------------------------------------- weights


@rule(*NETWORKS)
def seed(subject: Subject) -> None:
    """Weights are drawn only from torch's global generator, so that a recipe's seed reproduces them."""
    one, other = (subject.make(seed=3).state_dict() for _ in range(2))
    differing = [name for name, tensor in one.items() if not _same(tensor, other.get(name))]
    require(not differing, f"two components from one seed differ in {', '.join(differing[:4])}")


@rule(*NETWORKS)
def safetensors(subject: Subject) -> None:
    """A component of another seed that loads its weights from a safetensors file has the same weights, bit for bit."""
    one, other = subject.make(seed=1), subject.make(seed=2)
    before = {name: _copied(tensor) for name, tensor in one.state_dict().items()}
    wrong = [name for name, tensor in before.items() if not isinstance(tensor, torch.Tensor)]
    require(not wrong, f"state_dict() has values that are not tensors: {', '.join(wrong)}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_weights(path, before, {})
        load_into(other, load_weights(path)[0], "the file")
    after = other.state_dict()
    differing = [name for name, tensor in before.items() if not _same(tensor, after.get(name))]
    require(not differing, f"{', '.join(differing[:4])} differ after a round trip through safetensors")


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _same(one: Any, other: Any) -> bool:
    """Whether two tensors are equal bit for bit, NaN included."""
    if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
        return True  # the rule `safetensors` reports other values
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(one.contiguous().flatten().view(torch.uint8), other.contiguous().flatten().view(torch.uint8))
