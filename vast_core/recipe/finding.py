"""Finds recipes: files, and the recipes that come with the package."""

from __future__ import annotations

import difflib
from pathlib import Path

from ..errors import RecipeError
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
    given = Path(path_or_name).expanduser()
    path = (beside or Path()) / given
    if path.is_file():
        return path
    known = packaged_recipes()
    if str(path_or_name) in known:
        return recipes_folder() / f"{path_or_name}.yaml"
    if path.is_dir():
        raise RecipeError(f"{path_or_name} is a folder; name the recipe's file")
    close = difflib.get_close_matches(given.with_suffix("").as_posix().removeprefix("recipes/"), known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise RecipeError(
        f"no recipe {path_or_name}: no such file{f' in {shown(beside)}' if beside else ''}, "
        f"and no packaged recipe of that name{hint} (packaged: {', '.join(known) or 'none'})"
    )
