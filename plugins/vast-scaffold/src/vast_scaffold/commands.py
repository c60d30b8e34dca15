"""``vast plugins new``: a working plugin package, to be adapted."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import attrs
import click

from vast_core import __version__
from vast_core.cli import Session
from vast_core.errors import InputError, StorageError
from vast_core.registry import KINDS, Kind, Registry

TEMPLATE = Path(__file__).parent / "template"
"""Template of the package; the README describes its structure."""
LONGEST = 20
"""Maximum length of a component's name, for which lines of the template leave room."""
_NO_TEXT_IN_YAML = ("true", "false", "null", "yes", "no", "on", "off")


@attrs.frozen(kw_only=True)
class PackageNames:
    """All names of a new package, derived from the one that its author gave."""

    name: str
    """Name of the component: ``glow_wide``."""

    @classmethod
    def of(cls, given: str, kind: Kind) -> PackageNames:
        """The names derived from ``given``: vast-glow, glow, Glow and "Glow Flow" all give the same flow.

        Raises :class:`InputError` if no component can have that name.
        """
        words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", given)]
        if len(words) > 1 and words[0] == "vast":
            words = words[1:]
        if len(words) > 1 and words[-1] == kind:
            words = words[:-1]
        name = "_".join(words)
        if not re.fullmatch(r"[A-Za-z0-9 _-]*", given) or not re.match("[a-z]", name):
            raise InputError(
                f"{given!r} is not a valid name for a component: it must begin with a letter from a to z and "
                "contain only letters, digits, spaces, hyphens and underscores"
            )
        if len(name) > LONGEST:
            raise InputError(f"{name!r} has {len(name)} characters; choose a name of at most {LONGEST}")
        if keyword.iskeyword(name) or name in _NO_TEXT_IN_YAML:
            why = "a Python keyword" if keyword.iskeyword(name) else "not text in YAML, so a recipe could not `use:` it"
            raise InputError(f"{name!r} is {why}; choose another name")
        return cls(name=name)

    @property
    def distribution(self) -> str:
        """The name for pip: ``vast-glow-wide``."""
        return "vast-" + self.name.replace("_", "-")

    @property
    def package(self) -> str:
        """The name for imports: ``vast_glow_wide``."""
        return "vast_" + self.name

    @property
    def title(self) -> str:
        """The prefix of its classes: ``GlowWide``."""
        return "".join(word[:1].upper() + word[1:] for word in self.name.split("_"))


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="Kind of the component.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to create.  [./DISTRIBUTION]")
@click.pass_obj
def new(session: Session, name: str, kind: str, out: Path | None) -> None:
    """Write a new plugin package that can be published.

    It has one working component of the kind, passing tests, and a README with the next steps. NAME may be glow,
    vast-glow or "Glow Flow". Existing files are never overwritten.

    \b
    Example:
      vast plugins new glow --kind flow
      vast plugins new band-energies --kind audio --out ~/src/vast-band-energies
    """
    chosen = cast(Kind, kind)
    names = PackageNames.of(name, chosen)
    folder = Path(names.distribution) if out is None else out
    files = dict(rendered(names, chosen))
    _check_free(names, folder)
    write(files, folder)
    for warning in _namesakes(session.registry, names, chosen):
        click.echo(f"Warning: {warning}", err=True)
    click.echo(f"{names.distribution}: a {chosen} called {names.name!r}, {len(files)} files in {folder}")
    click.echo(f"""
Next:
  cd {folder}
  pip install --editable ".[test]"      # adds it to `vast plugins`
  pytest                                # its tests, which pass
  vast plugins check {names.distribution}
  {described(names, chosen)["check"]}

Then make src/{names.package}/{names.name}.py your own; README.md says how to publish it.""")


def described(names: PackageNames, kind: Kind) -> dict[str, Any]:
    """Variables of the templates: the names, and the keys of ``kind.yaml``."""
    import yaml

    of_kind = yaml.safe_load((TEMPLATE / kind / "kind.yaml").read_text(encoding="utf-8"))
    variables = {key: getattr(names, key) for key in ("name", "distribution", "package", "title")}
    override = f"'metrics=[{{use: {names.name}}}]'" if kind == "metric" else f"{kind}.use={names.name}"
    return {
        **variables,
        "kind": kind,
        "version": __version__,
        "check": f"vast check vast_default {override}",
        **of_kind,
        "recipe": of_kind["recipe"].replace("NAME", names.name),
    }


def rendered(names: PackageNames, kind: Kind) -> Iterator[tuple[str, str]]:
    """Path in the package and text of every file.

    Raises :class:`InputError` if the component would have the name of another module of the package.
    """
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )  # no HTML, so no escaping
    variables = described(names, kind)
    for part in ("every", kind):
        for template in sorted((TEMPLATE / part).rglob("*.j2")):
            path = template.relative_to(TEMPLATE / part).as_posix().removesuffix(".j2")
            if path == f"src/PACKAGE/{names.name}.py":
                raise InputError(f"{names.name!r} is the name of another module of the package; choose another name")
            path = path.replace("PACKAGE", names.package).replace("NAME", names.name)
            yield path, environment.from_string(template.read_text(encoding="utf-8")).render(variables)


def write(files: dict[str, str], folder: Path) -> None:
    """Write ``files`` into the new ``folder``.

    Raises :class:`InputError` if it exists, :class:`StorageError` if it cannot be written.
    """
    try:
        folder.mkdir(parents=True)
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise InputError(f"{folder} exists and is not overwritten: remove it or choose another --out") from error
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error


def _check_free(names: PackageNames, folder: Path) -> None:
    """Raise :class:`InputError` if another package has the name: only one of the two could be imported."""
    spec = find_spec(names.package)
    if spec is not None:
        where = spec.origin or ", ".join(spec.submodule_search_locations or ())
        raise InputError(
            f"a package {names.package} is already installed ({where}): "
            "choose another name, or uninstall that package if it is your earlier attempt"
        )
    if folder.exists():
        raise InputError(f"{folder} exists and is not overwritten: remove it or choose another --out")


def _namesakes(registry: Registry, names: PackageNames, kind: Kind) -> Iterator[str]:
    for component in registry.components(kind):
        if component.name == names.name:
            yield (
                f"{component.provider} also has a {kind} {names.name!r}: "
                f"with both installed a recipe must say `use: {names.distribution}/{names.name}`"
            )
