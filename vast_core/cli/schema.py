"""``vast schema``: the JSON Schema with which an editor checks recipes."""

from __future__ import annotations

from pathlib import Path

import click

from ..cli import Session
from ..errors import InputError


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write.  [the terminal]")
@click.pass_obj
def schema(session: Session, out: Path | None) -> None:
    """Write the JSON Schema of recipes.

    The schema has every component, stage and option of the installed plugins, with defaults, ranges and descriptions,
    so that an editor can complete and check recipes. Write it again after installing or removing a plugin. For editors
    with the YAML language server, name it in the first line of a recipe:

    \b
      # yaml-language-server: $schema=vast.schema.json

    \b
    Example:
      vast schema --out vast.schema.json
      vast schema | jq '.["$defs"].flow'
    """
    import json

    from ..recipe.json_schema import recipe_schema

    text = json.dumps(recipe_schema(session.registry), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if out is None:
        click.echo(text, nl=False)
    else:
        from ..files.atomic import write_text  # it imports numpy

        _check_own(out)
        write_text(out, text)
        click.echo(f"{out}: the schema of recipes with {len(session.registry.components())} components")


def _check_own(out: Path) -> None:
    """Raise :class:`InputError` if ``out`` is a file other than a schema."""
    import json

    if not out.is_file():
        return
    try:
        known = json.loads(out.read_text(encoding="utf-8"))
    except ValueError:  # no JSON, or not UTF-8
        known = None
    if not isinstance(known, dict) or "$defs" not in known:
        raise InputError(f"{out}: is not a schema of recipes, and would be overwritten; name another file")
