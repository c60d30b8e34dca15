"""From YAML to typed options. Imports no torch."""

from __future__ import annotations

from .document import Mark, Node, Problem, merged, read_document, read_value, recipe_error, shown
from .finding import find_recipe, packaged_recipes, recipes_folder
from .json_schema import recipe_schema
from .loading import Draft, load_recipe
from .model import Recipe, Use, UseOfCorpus, nested_uses, plain
from .options import COMPUTED, options
from .reader import Reader

__all__ = [
    "COMPUTED",
    "Draft",
    "Mark",
    "Node",
    "Problem",
    "Reader",
    "Recipe",
    "Use",
    "UseOfCorpus",
    "find_recipe",
    "load_recipe",
    "merged",
    "nested_uses",
    "options",
    "packaged_recipes",
    "plain",
    "read_document",
    "read_value",
    "recipe_error",
    "recipe_schema",
    "recipes_folder",
    "shown",
]
