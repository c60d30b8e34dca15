"""``vast plugins new``: a plugin package that works, to be changed into one's own."""

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
from vast_core.registry import KINDS, Registry
from vast_core.registry.declarations import Kind

TEMPLATE = Path(__file__).parent / "template"
"""What is written; the README says how it is laid out."""
LONGEST = 20
"""Letters in a component's name; the lines of the template have room for as many."""
_NO_TEXT_IN_YAML = ("true", "false", "null", "yes", "no", "on", "off")


@attrs.frozen(kw_only=True)
class PackageNames:
    """Everything that a new package is called, made from the one name that its author gave."""

    name: str
    """Of the component: ``glow_wide``."""

    @classmethod
    def of(cls, given: str, kind: Kind) -> PackageNames:
        """The names that ``given`` means: vast-glow, glow, Glow and "Glow Flow" are all one flow.

        Raises :class:`InputError` where no component can have that name.
        """
        words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", given)]
        if len(words) > 1 and words[0] == "vast":
            words = words[1:]
        if len(words) > 1 and words[-1] == kind:
            words = words[:-1]
        name = "_".join(words)
        if not re.fullmatch(r"[A-Za-z0-9 _-]*", given) or not re.match("[a-z]", name):
            raise InputError(
                f"{given!r} makes no name for a component: it must begin with a letter of a to z and "
                "hold nothing but letters, digits, spaces, hyphens and underscores"
            )
        if len(name) > LONGEST:
            raise InputError(f"{name!r} has {len(name)} characters; choose a name of {LONGEST} at most")
        if keyword.iskeyword(name) or name in _NO_TEXT_IN_YAML:
            why = "a keyword of Python" if keyword.iskeyword(name) else "no text in YAML, where recipes say `use:`"
            raise InputError(f"{name!r} is {why}; choose another name")
        return cls(name=name)

    @property
    def distribution(self) -> str:
        """What pip installs: ``vast-glow-wide``."""
        return "vast-" + self.name.replace("_", "-")

    @property
    def package(self) -> str:
        """What Python imports: ``vast_glow_wide``."""
        return "vast_" + self.name

    @property
    def title(self) -> str:
        """What its classes begin with: ``GlowWide``."""
        return "".join(word[:1].upper() + word[1:] for word in self.name.split("_"))


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What kind of component it has.")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to make; by default the package's name, here.")
@click.pass_obj
def new(session: Session, name: str, kind: str, out: Path | None) -> None:
    """Write a new plugin package that can be published.

    It has one component of the kind, which works, its tests, which pass, and a README that says how to go on. NAME may
    be glow, vast-glow or "Glow Flow". Nothing that exists is written over.

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
  pip install --editable ".[test]"      # from then on it is in `vast plugins`
  pytest                                # its tests, which pass as they are
  vast plugins check {names.distribution}
  {described(names, chosen)["check"]}

Then make src/{names.package}/{names.name}.py your own; README.md says how to publish it.""")


def described(names: PackageNames, kind: Kind) -> dict[str, Any]:
    """What the templates may use: the names, and what ``kind.yaml`` says of the kind."""
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

    Raises :class:`InputError` where the component would have the name of another module of the package.
    """
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )  # no HTML, hence no escaping
    variables = described(names, kind)
    for part in ("every", kind):
        for template in sorted((TEMPLATE / part).rglob("*.j2")):
            path = template.relative_to(TEMPLATE / part).as_posix().removesuffix(".j2")
            if path == f"src/PACKAGE/{names.name}.py":
                raise InputError(f"{names.name!r} is what another module of the package is called; choose another name")
            path = path.replace("PACKAGE", names.package).replace("NAME", names.name)
            yield path, environment.from_string(template.read_text(encoding="utf-8")).render(variables)


def write(files: dict[str, str], folder: Path) -> None:
    """Write ``files`` into the new ``folder``.

    Raises :class:`InputError` where it exists, :class:`StorageError` where it cannot be written.
    """
    try:
        folder.mkdir(parents=True)
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise InputError(f"{folder} exists, and nothing is written over: remove it or choose another --out") from error
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error


def _check_free(names: PackageNames, folder: Path) -> None:
    """Raise :class:`InputError` where another package has the name: one of the two could not be imported."""
    spec = find_spec(names.package)
    if spec is not None:
        where = spec.origin or ", ".join(spec.submodule_search_locations or ())
        raise InputError(
            f"a package {names.package} is installed already ({where}): "
            "choose another name, or uninstall that one where it is an older try of yours"
        )
    if folder.exists():
        raise InputError(f"{folder} exists, and nothing is written over: remove it or choose another --out")


def _namesakes(registry: Registry, names: PackageNames, kind: Kind) -> Iterator[str]:
    for component in registry.components(kind):
        if component.name == names.name:
            yield (
                f"{component.provider} has a {kind} {names.name!r}, too: "
                f"with both installed a recipe must say `use: {names.distribution}/{names.name}`"
            )
