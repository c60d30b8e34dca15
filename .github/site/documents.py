"""Pages made of the repository's own documents, so that each text has one source, with links that work on the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

DOCS = ".github/site/docs"

IMAGES = ("styles.png", "densities.png", "live.png", "studio.png")
"""Pictures in ``.github/`` that pages show."""

_SECTIONS = {
    "write-a-plugin-package": "plugin.md",
    "compatibility": "plugin.md#compatibility",
    "hooks": "reference/hooks.md",
}
"""Sections of CONTRIBUTING.md that have a page of their own."""

_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")

_FETCHED = re.compile(
    r"""(?:<(?:script|img|iframe|source|video|link(?![^>]*rel="canonical"))\b[^>]*?\b(?:src|href)=["']?
    |url\(["']?|@import\s*["']?)(?:https?:)?//[^"')\s>]+""",
    re.VERBOSE,
)
"""What makes a browser fetch something from another server when a page is shown."""


def pages(root: Path, signatures: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Every page as its path and its text."""
    guide = _text(root, "CONTRIBUTING.md")
    names = ("Write a plugin package", "Compatibility", "Hooks")
    write, compatibility, hooks = (section(guide, name) for name in names)
    rest = guide.replace(write, "").replace(compatibility, "").replace(hooks, "")
    home = re.sub(
        r"<!-- not on the site -->.*?<!-- /not on the site -->\n", "", _text(root, "README.md"), flags=re.DOTALL
    )
    texts = {
        "index.md": ("README.md", home),
        "plugin.md": ("CONTRIBUTING.md", write.replace("## ", "# ", 1) + compatibility),
        "reference/hooks.md": ("CONTRIBUTING.md", with_signatures(raised(hooks), signatures)),
        "contributing.md": ("CONTRIBUTING.md", rest),
        "changelog.md": (".github/CHANGELOG.md", _text(root, ".github/CHANGELOG.md")),
    }
    for path in sorted(root.glob("plugins/vast-*/README.md")):
        source = path.relative_to(root).as_posix()
        texts[f"packages/{path.parent.name}.md"] = (source, _text(root, source))
    for page, (source, text) in texts.items():
        yield page, alone(page) + relinked(text, source, page, root)


def _text(root: Path, path: str) -> str:
    return (root / path).read_text(encoding="utf-8")


def alone(page: str) -> str:
    """What hides the navigation beside a page that is alone in its tab."""
    return "---\nhide: [navigation]\n---\n\n" if page in ("index.md", "contributing.md", "changelog.md") else ""


def section(text: str, name: str) -> str:
    """A section of the second level with its heading.

    Raises ValueError where there is none.
    """
    found = re.search(rf"^## {re.escape(name)}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"CONTRIBUTING.md has no section {name!r}, of which the site makes a page")
    return found[0]


def raised(text: str) -> str:
    """The same with every heading one level up; blocks of code are left alone."""
    blocks = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(b if b.startswith("```") else re.sub("^##", "#", b, flags=re.MULTILINE) for b in blocks)


def with_signatures(text: str, signatures: dict[str, str]) -> str:
    """The section on hooks with each one's signature below its heading."""
    return re.sub(
        r"^## `(\w+)\(.*\)`$",
        lambda match: f"## `{match[1]}` {{ #{match[1]} }}\n\n```python\n{signatures[match[1]]}\n```",
        text,
        flags=re.MULTILINE,
    )


def relinked(text: str, source: str, page: str, root: Path) -> str:
    """The text of a file of the repository with its links leading to pages of the site, seen from ``page``.

    A link to a file that has no page becomes its text.
    """

    def link(match: re.Match[str]) -> str:
        target, _, anchor = match[2].partition("#")
        if re.match(r"[a-z]+:", match[2]):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target)) if target else source
        if not (root / path).exists() and not path.startswith(f"{DOCS}/"):
            raise ValueError(f"{source} links to {match[2]}, which does not exist")
        there = address(path, anchor)
        if there is None:
            return match[1]
        return f"[{match[1]}]({posixpath.relpath(there, posixpath.dirname(page) or '.')})"

    return _LINK.sub(link, text)


def address(path: str, anchor: str = "") -> str | None:
    """Where the site has a file of the repository; None where it does not."""
    tail = f"#{anchor}" if anchor else ""
    if path == "CONTRIBUTING.md":
        return _SECTIONS.get(anchor, f"contributing.md{tail}")
    if plugin := re.fullmatch(r"plugins/(vast-[\w-]+)(/README\.md)?", path):
        return f"packages/{plugin[1]}.md{tail}"
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/") + tail
    known = {"README.md": "index.md", ".github/CHANGELOG.md": "changelog.md"}
    known |= {f".github/{name}": f"images/{name}" for name in IMAGES}
    return known[path] + tail if path in known else None


def foreign(text: str) -> list[str]:
    """What a page or a style sheet fetches from other servers."""
    return _FETCHED.findall(text)
