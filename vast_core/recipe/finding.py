"""Finds recipes: files, and the recipes that come with the package."""

from __future__ import annotations

import difflib
from pathlib import Path

from ..errors import InputError, RecipeError
from ..places import expanded
from .document import shown


def recipes_folder() -> Path:
    """Folder of the packaged recipes: ``recipes/`` in a checkout, else ``vast_recipes`` beside this package."""
    root = Path(__file__).resolve().parents[2]
    return root / "recipes" if (root / "pyproject.toml").is_file() else root / "vast_recipes"


def packaged_recipes() -> tuple[str, ...]:
    """Names of the packaged recipes, such as ``vast_default`` and ``ablations/flow_none``."""
    folder = recipes_folder()
    return tuple(sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")))


def find_recipe(path_or_name: str | Path, beside: Path | None = None) -> Path:
    """The file of a path (relative to ``beside``, else the working directory) or of a packaged recipe's name.

    Raises :class:`RecipeError` if neither exists.
    """
    try:
        given = expanded(path_or_name)
        path = (beside or Path()) / given
        there = path.is_file()
    except (InputError, OSError, ValueError) as error:  # an unknown ~user, a name that is too long, a null character
        why = error.strerror if isinstance(error, OSError) else error
        raise RecipeError(f"no recipe {path_or_name}: {why}") from error
    if there:
        return path
    known = packaged_recipes()
    if str(path_or_name) in known:
        return recipes_folder() / f"{path_or_name}.yaml"
    if path.is_dir():
        raise RecipeError(f"{path_or_name} is a folder; name the recipe's file")
    if path.exists():
        raise RecipeError(
            f"{path_or_name} is a pipe or a device, which can be read only once; save the recipe to a file"
        )
    close = difflib.get_close_matches(given.with_suffix("").as_posix().removeprefix("recipes/"), known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise RecipeError(
        f"no recipe {path_or_name}: no such file{f' in {shown(beside)}' if beside else ''}, "
        f"and no packaged recipe of that name{hint} (packaged: {', '.join(known) or 'none'})"
    )
