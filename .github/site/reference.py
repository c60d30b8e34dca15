"""Pages that describe what the code declares: the recipe, components, stages, commands, hooks, interfaces, modules.

Each function gives Markdown. The docstrings of classes are left to mkdocstrings: a line ``::: package.module.Class``.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from vast_core.recipe import Recipe, options, packaged_recipes, recipes_folder
from vast_core.recipe.options import Option, written
from vast_core.registry import KINDS, Component, Registry, SectionSpec, StageSpec, hookspecs

ABOUT = {
    "corpus": "Footage: clips with pictures, sound, speaker and, where known, style and phones.",
    "face": "Tracks a face in footage, and turns its shape into a few expression coefficients and back.",
    "audio": "Turns sound into features, at the recipe's frame rate.",
    "style": "Encodes a prompt clip as a distribution of the style code.",
    "flow": "An invertible map of the style code that makes its posterior more flexible.",
    "decoder": "Predicts expression coefficients from audio features and the style code.",
    "renderer": "Draws the avatar's pictures from the expression.",
    "metric": "Measures generated videos against real ones.",
}
"""What each kind does, in a sentence."""

_MANY = {"corpus": "corpora", "style": "style encoders", "audio": "audio encoders", "face": "face models"}

KEYS = {
    "vast": "Version of the recipe format: 1.",
    "base": "Path or name of another recipe, which this one changes.",
    "name": "Name of the run's folder; by default the name of the recipe's file.",
    "stages": "Options of stages, by name: see [Stages](stages.md).",
    "metrics": "List of metrics: see [Metrics](metric.md).",
    "run": "Names of the stages to run, in this order; by default all that come with vast for a talking avatar.",
}
"""Keys of a recipe whose form in a file differs from the class that it is read into."""


def pages(registry: Registry, cli: click.Command, core: Path) -> Iterator[tuple[str, str]]:
    """Every page as its path and its text; ``core`` is the folder of the package ``vast_core``."""
    yield "reference/recipe.md", recipe_page(registry.sections)
    for kind in KINDS:
        yield f"reference/{kind}.md", kind_page(kind, registry.components(kind))
    yield "reference/stages.md", stages_page(registry.stages)
    yield "reference/recipes.md", packaged_page()
    yield "reference/commands.md", commands_page(cli)
    yield "reference/interfaces.md", module_page(core / "interfaces" / "__init__.py", "Interfaces")
    for path in public_modules(core):
        name = path.parent.name if path.stem == "__init__" else path.stem
        yield f"api/{name}.md", module_page(path)


# ------------------------------------------------------------------------------------------------------ recipes


def recipe_page(sections: Iterable[SectionSpec]) -> str:
    """The keys at the top of a recipe, and the sections that plugins read."""
    lines = ["# Recipe", ""]
    lines += ["A recipe is a YAML file with these keys. `vast check RECIPE` reports every mistake in it.", ""]
    lines += ["```yaml", (recipes_folder() / "vast_default.yaml").read_text(encoding="utf-8").rstrip(), "```", ""]
    known = {option.name: option for option in options(Recipe) if option.name not in ("sections", "source")}
    for name in dict.fromkeys(["vast", "base", *known]):
        if name in KEYS:
            lines += [f"`{name}`", f":   {KEYS[name]}", ""]
        elif name in KINDS:
            lines += [f"`{name}`", f":   `use:` and the options of one component: see [{title(name)}]({name}.md).", ""]
        else:
            lines += option_lines(known[name], f"recipe-{name}")
    for own in sections:
        lines += [f"## `{own.name}` {{ #{own.name} }}", "", sentence(own.summary), ""]
        lines += [f"Package: {package_link(own.config.__module__)}.", "", *_options(own.config, own.name)]
    return "\n".join(lines)


def kind_page(kind: str, components: Iterable[Component]) -> str:
    """Every component of a kind with its options."""
    lines = [f"# {title(kind)}", "", ABOUT[kind], ""]
    lines += [f"What a component of this kind must do: [interfaces](interfaces.md#{kind}).", ""]
    for own in components:
        lines += [f"## `{own.name}` {{ #{own.name} }}", "", sentence(own.summary), ""]
        lines += [
            f"Package: {package_link(own.target)}. " + (f"Reference: {own.reference}." if own.reference else ""),
            "",
        ]
        lines += _docstring(own.target.replace(":", "."))
        lines += _options(own.config, own.name)
    return "\n".join(lines)


def stages_page(stages: Iterable[StageSpec]) -> str:
    """Every stage with its options."""
    lines = [
        "# Stages",
        "",
        "A recipe sets the options of a stage under `stages.NAME`, and the stages to run under `run`.",
        "",
    ]
    for own in stages:
        needs = ", ".join(f"[{part}]({part}.md)" for part in own.needs) or "no component"
        lines += [f"## `{own.name}` {{ #{own.name} }}", "", sentence(own.summary), ""]
        lines += [f"Package: {package_link(own.target)}. Needs: {needs}.", ""]
        lines += _docstring(own.target.replace(":", "."))
        lines += _options(own.config, own.name)
    return "\n".join(lines)


def packaged_page() -> str:
    """The recipes that come with vast, as they are."""
    lines = [
        "# Packaged recipes",
        "",
        "Any command that takes a recipe takes one of these names as well as a file.",
        "",
    ]
    for name in packaged_recipes():
        text = (recipes_folder() / f"{name}.yaml").read_text(encoding="utf-8")
        lines += [f"## `{name}`", "", "```yaml", text.rstrip(), "```", ""]
    return "\n".join(lines)


def _options(config: type, owner: str) -> list[str]:
    given = options(config)
    if not given:
        return ["*No options.*", ""]
    return [line for option in given for line in option_lines(option, f"{owner}-{option.name}")]


def option_lines(option: Option, anchor: str) -> list[str]:
    """An option as a term with its definition: type, range, default, meaning."""
    default = "**required**" if option.required else f"default `{written(option.default)}`"
    limits = f", {code_or_words(option.range)}" if option.range else ""
    return [
        f"[`{option.name}`](#{anchor}){{ #{anchor} }}",
        f":   {escaped(option.doc)}",
        "",
        f"    *{escaped(option.kind)}{limits}; {default}*",
        "",
    ]


def code_or_words(text: str) -> str:
    """A range; a regular expression becomes code."""
    if text.startswith("matches "):
        return f"matches `{text.removeprefix('matches ')}`"
    return escaped(text.replace(">=", "≥").replace("<=", "≤"))


# ----------------------------------------------------------------------------------------------------- commands


def commands_page(cli: click.Command) -> str:
    """Every command with all its arguments and options."""
    lines = [
        "# Commands",
        "",
        "`vast` and `python -m vast_core` are the same program. `vast COMMAND --help` shows the same text.",
        "",
    ]
    lines += ["Exit codes: 0 done, 1 a fault in vast or a check that failed, 2 wrong input, 130 interrupted.", ""]
    for words, command, context in commands(cli):
        depth = "##" if len(words) < 3 else "###"
        usage = " ".join(command.collect_usage_pieces(context))
        lines += [f"{depth} `{' '.join(words)}` {{ #{'-'.join(words)} }}", ""]
        lines += ["```text", f"{' '.join(words)} {usage}", "```", "", *help_lines(command.help or ""), ""]
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                lines += _flag(parameter, context, "-".join(words))
    return "\n".join(lines)


def commands(cli: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command, click.Context]]:
    """Every command below ``cli``, itself first, as its words, the command and its context."""
    from vast_core.cli import Session

    def below(
        words: tuple[str, ...], command: click.Command, parent: click.Context | None
    ) -> Iterator[tuple[tuple[str, ...], click.Command, click.Context]]:
        context = click.Context(command, parent=parent, info_name=words[-1], obj=parent.obj if parent else Session())
        yield words, command, context
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                if found is not None and not found.hidden:
                    yield from below((*words, name), found, context)

    return below(("vast",), cli, None)


def help_lines(text: str) -> Iterator[str]:
    """The help of a command; what click prints without wrapping becomes a block of code."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if not paragraph.startswith("\b\n"):
            yield from [escaped(paragraph), ""]
            continue
        first, *rest = paragraph.removeprefix("\b\n").splitlines()
        heading = [] if first.startswith(" ") else [escaped(first), ""]
        block = inspect.cleandoc("\n" + "\n".join(rest if heading else [first, *rest]))
        yield from [*heading, "```sh" if first == "Example:" else "```text", block, "```", ""]


def _flag(option: click.Option, context: click.Context, owner: str) -> list[str]:
    names = ", ".join([*option.opts, *option.secondary_opts])
    metavar = "" if option.is_flag else f" {option.make_metavar(context)}"
    anchor = f"{owner}{option.opts[-1].removeprefix('-')}"
    lines = [f"[`{names}{metavar}`](#{anchor}){{ #{anchor} }}", f":   {escaped(option.help or '')}", ""]
    shown = option.get_help_extra(context).get("default")
    told = ["**required**"] if option.required else []
    told += ["may be given several times"] if option.multiple else []
    told += [f"default `{shown}`"] if shown else []
    return [*lines, f"    *{', '.join(told)}*", ""] if told else lines


# ------------------------------------------------------------------------------------------------------ modules


def hook_signatures() -> dict[str, str]:
    """The signature of each hook with its types, by its name."""
    found = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("vast_")}
    return {name: f"def {name}{inspect.signature(hook)}: ...".replace("'", "") for name, hook in found.items()}


def public_modules(core: Path) -> Iterator[Path]:
    """The files whose names are public, apart from the interfaces, which have a page of their own."""
    yield core / "__init__.py"
    yield from (core / name for name in ("api.py", "errors.py") if (core / name).is_file())
    for path in sorted(core.glob("*/__init__.py")):
        if path.parent.name not in ("cli", "interfaces") and exported(path):
            yield path


def exported(path: Path) -> list[str]:
    """The names in the ``__all__`` of a file, or its public classes and functions where it has none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return [name for name in ast.literal_eval(node.value) if not name.startswith("_")]
    return [n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and not n.name.startswith("_")]


def module_page(path: Path, heading: str = "") -> str:
    """The names that a module or package exports, grouped by the file that defines them."""
    package = path.parent.name if path.parent.name == "vast_core" else f"vast_core.{path.parent.name}"
    module = package if path.stem == "__init__" else f"{package}.{path.stem}"
    lines = [f"# {heading or f'`{module}`'}", "", *_docstring(module)]
    home = origins(path)
    names = sorted(exported(path), key=lambda name: list(home).index(name) if name in home else -1)
    group = None
    for name in names:
        if home.get(name) != group:
            group = home.get(name)
            file = group.rpartition(".")[2]
            lines += [f"## {file.replace('_', ' ').capitalize()} {{ #{file} }}", ""]
        lines += [f"::: {module}.{name}", "    options:", f"      heading_level: {3 if group else 2}", ""]
    return "\n".join(lines)


def origins(path: Path) -> dict[str, str]:
    """The sibling module that each name of an ``__init__.py`` is imported from, in the order of the imports."""
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    found = [node for node in tree if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module]
    return {alias.asname or alias.name: str(node.module) for node in found for alias in node.names}


def _docstring(target: str) -> list[str]:
    """The docstring of a class or module alone."""
    return [
        f"::: {target}",
        "    options:",
        "      members: []",
        "      show_root_heading: false",
        "      show_root_toc_entry: false",
        "      show_bases: false",
        "",
    ]


# -------------------------------------------------------------------------------------------------------- words


def title(kind: str) -> str:
    """The heading of a kind's page."""
    return _MANY.get(kind, f"{kind}s").capitalize()


def sentence(text: str) -> str:
    """A summary as a sentence."""
    return escaped(text[:1].upper() + text[1:].rstrip(".") + ".") if text else ""


def package_link(target: str) -> str:
    """A link to the page of the package that has ``target``."""
    package = target.partition(".")[0].partition(":")[0]
    if package == "vast_core":
        return "the core"
    name = package.replace("_", "-")
    return f"[{name}](../packages/{name}.md)"


def escaped(text: str) -> str:
    """Plain text with code between backticks, safe as Markdown."""
    parts = re.split(r"(`[^`]*`)", text.replace("``", "`"))
    return "".join(part if part.startswith("`") else _plain(part) for part in parts)


def _plain(text: str) -> str:
    return re.sub(r"([*_\[\]])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
