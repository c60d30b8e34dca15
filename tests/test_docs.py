"""The documentation site: every component, option, command and hook is described, and every link leads somewhere."""

from __future__ import annotations

import html
import importlib
import inspect
import posixpath
import re
import sys
from pathlib import Path

import attrs
import click
import pytest
import yaml

import vast_core.interfaces
from vast_core.cli import Session, cli
from vast_core.registry import KINDS, Registry, hookspecs

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / ".github/site"
WRITTEN = {path.relative_to(SITE / "docs").as_posix(): path for path in (SITE / "docs").rglob("*.md")}
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("vast_")}
REGISTRY = Registry.discover()


@pytest.fixture(scope="module")
def made():
    """The modules that make pages, and the pages as the site has them, by path."""
    sys.path.insert(0, str(SITE))
    try:
        documents, reference = importlib.import_module("documents"), importlib.import_module("reference")
    finally:
        sys.path.remove(str(SITE))
    pages = dict(documents.pages(ROOT, reference.hook_signatures()))
    pages |= dict(reference.pages(REGISTRY, cli, ROOT / "vast_core"))
    for name, path in WRITTEN.items():
        pages[name] = documents.relinked(path.read_text(), f".github/site/docs/{name}", name, ROOT)
    return documents, pages


@pytest.fixture(scope="module")
def pages(made):
    return made[1]


def part(page, heading):
    """What stands below a heading and before the next, code apart."""
    text = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    found = re.search(rf"^#+ `{re.escape(heading)}`.*?$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"nothing is headed {heading}"
    return found[1]


def plain(text):
    """Markdown as it is read."""
    return html.unescape(text.replace("\\", ""))


def terms(text):
    """Terms of definition lists and what they are said to be."""
    return dict(re.findall(r"^\[`(.+?)`\]\(.*?\)\{.*?\}\n:   (.*)$", text, re.MULTILINE))


def said(config, text):
    """Hold every option of a config to be described in ``text``."""
    described = terms(text)
    for field in attrs.fields(config):
        if field.init:
            assert field.alias in described, f"{config.__qualname__}.{field.name} is missing"
            words = described[field.alias].split()
            assert len(words) > 1, f"{config.__qualname__}.{field.name} has no docstring that says what it is"
    assert len(described) == sum(field.init for field in attrs.fields(config))


@pytest.mark.parametrize("own", REGISTRY.components(), ids=lambda own: f"{own.kind}/{own.name}")
def test_a_component_and_its_options_are_described(pages, own):
    text = part(pages[f"reference/{own.kind}.md"], own.name)
    said(own.config, text)
    assert own.summary[1:].rstrip(".") in plain(text)
    assert f"::: {own.target.replace(':', '.')}" in text


@pytest.mark.parametrize("own", REGISTRY.stages, ids=lambda own: own.name)
def test_a_stage_and_its_options_are_described(pages, own):
    said(own.config, part(pages["reference/stages.md"], own.name))


@pytest.mark.parametrize("own", REGISTRY.sections, ids=lambda own: own.name)
def test_a_section_of_a_plugin_and_its_options_are_described(pages, own):
    said(own.config, part(pages["reference/recipe.md"], own.name))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_a_page_and_a_key_of_the_recipe(pages, kind):
    assert REGISTRY.components(kind)
    assert f"({kind}.md)" in pages["reference/recipe.md"]
    assert f"{{ #{kind} }}" in pages["reference/interfaces.md"], "the page of the kind links there"


def walk(command, words, parent=None):
    context = click.Context(command, parent=parent, info_name=words[-1], obj=parent.obj if parent else Session())
    yield pytest.param(command, words, context, id="-".join(words))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from walk(command.get_command(context, name), (*words, name), context)


@pytest.mark.parametrize(("command", "words", "context"), list(walk(cli, ("vast",))))
def test_a_command_and_its_options_are_described(pages, command, words, context):
    page = pages["reference/commands.md"]
    described = terms(part(page, " ".join(words)))
    assert (command.help or "").strip(), "a command says what it does"
    first = re.split(r"[.:\n]", command.help.strip())[0]
    assert first in plain(part(page, " ".join(words)))
    flags = [own for own in command.params if isinstance(own, click.Option)]
    for own in flags:
        (term,) = [term for term in described if own.opts[0] in re.split(r"[, ]+", term)]
        assert len(described[term].split()) > 1, f"{own.opts[0]} has no help"
    assert len(described) == len(flags)
    for own in command.params:
        if isinstance(own, click.Argument):
            metavar = own.make_metavar(context)
            assert metavar in plain(page)
            names = metavar.strip("[].").split()[0].split("|")
            assert any(re.search(rf"(?<!\w){re.escape(one)}", command.help) for one in names), f"what is {metavar}?"


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_described_with_its_arguments(pages, name):
    page = pages["reference/hooks.md"]
    below = page.partition(f"## `{name}`")[2]
    signature = re.match(r" .*\n\n```python\n(def .*)\n```", below)[1]
    for argument in inspect.signature(HOOKS[name]).parameters:
        assert re.search(rf"\b{argument}: ", signature)
    assert len(part(page, name).split()) > 5
    assert HOOKS[name].__doc__


def test_every_name_of_the_interfaces_is_on_their_page(pages):
    shown = re.findall(r"^::: vast_core\.interfaces\.(\w+)$", pages["reference/interfaces.md"], re.MULTILINE)
    assert sorted(shown) == sorted(vast_core.interfaces.__all__)


@pytest.mark.parametrize("name", ["vast_core", "registry", "media", "runs", "testing"])
def test_every_public_name_is_on_a_page(pages, name):
    module = importlib.import_module("vast_core" if name == "vast_core" else f"vast_core.{name}")
    shown = re.findall(rf"^::: {module.__name__}\.(\w+)$", pages[f"api/{name}.md"], re.MULTILINE)
    assert sorted(shown) == sorted(own for own in module.__all__ if not own.startswith("_"))


def entries(nav):
    for entry in nav:
        below = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from entries(below) if isinstance(below, list) else [below]


def test_the_navigation_has_every_page_once(pages):
    class Loader(yaml.SafeLoader):
        """Reads ``!ENV`` as what follows it."""

    Loader.add_constructor("!ENV", lambda loader, node: loader.construct_sequence(node))
    named = list(entries(yaml.load((SITE / "mkdocs.yml").read_text(), Loader)["nav"]))
    folders = tuple(entry for entry in named if entry.endswith("/"))
    listed = [entry for entry in named if not entry.endswith("/")]
    assert len(set(listed)) == len(listed)
    assert set(listed) == {page for page in pages if not page.startswith(folders)}
    assert all(any(page.startswith(folder) for page in pages) for folder in folders)


def test_every_link_leads_somewhere(made):
    documents, pages = made
    pictures = {f"images/{name}" for name in documents.IMAGES}
    assert all((ROOT / ".github" / name).is_file() for name in documents.IMAGES)
    for page, text in pages.items():
        prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", prose):
            if not re.match(r"https?:", target):
                path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
                assert path in pages or path in pictures, f"{page} links to {target}"


def test_a_link_to_what_is_not_there_is_refused(made):
    documents, _ = made
    with pytest.raises(ValueError, match=r"CONTRIBUTING\.md links to nowhere\.md"):
        documents.relinked("[a](nowhere.md)", "CONTRIBUTING.md", "plugin.md", ROOT)
    text = documents.relinked("[a](LICENSE) [b](#code) [c](#hooks)", "CONTRIBUTING.md", "plugin.md", ROOT)
    assert text == "a [b](contributing.md#code) [c](reference/hooks.md)"


@pytest.mark.parametrize(
    ("text", "fetches"),
    [
        ('<script src="https://cdn.example/x.js"></script>', True),
        ('<link rel="stylesheet" href="//fonts.example/css">', True),
        ('<img alt="" src=https://pictures.example/x.png>', True),
        ("@import 'https://fonts.example/css';", True),
        ("src: url(https://fonts.example/a.woff2)", True),
        ('<a href="https://papers.example">paper</a>', False),
        ('<link rel="canonical" href="https://own.example/">', False),
        ('<script src="assets/x.js"></script><img src="data:image/png;base64,AA">', False),
    ],
)
def test_what_is_fetched_from_elsewhere_is_found(made, text, fetches):
    assert bool(made[0].foreign(text)) == fetches


def test_the_files_that_the_readme_links_to_are_there():
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / target).exists(), target
