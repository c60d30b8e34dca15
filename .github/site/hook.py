"""What mkdocs calls while it builds the site: adds the pages that are made from the code, and checks what was built."""

from __future__ import annotations

from pathlib import Path

import documents
import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from vast_core.cli import cli
from vast_core.registry import Registry

ROOT = Path(__file__).resolve().parents[2]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and fill the folders that the navigation names."""
    made = dict(documents.pages(ROOT, reference.hook_signatures()))
    made |= dict(reference.pages(Registry.discover(), cli, ROOT / "vast_core"))
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    for name in documents.IMAGES:
        files.append(File.generated(config, f"images/{name}", abs_src_path=str(ROOT / ".github" / name)))
    config.nav = [expanded(entry, made) for entry in config.nav or []]
    return files


def expanded(entry: object, made: dict[str, str]) -> object:
    """An entry of the navigation, with every folder, such as ``packages/``, as the list of the pages made there."""
    if isinstance(entry, dict):
        return {title: expanded(below, made) for title, below in entry.items()}
    if isinstance(entry, list):
        return [expanded(below, made) for below in entry]
    if isinstance(entry, str) and entry.endswith("/"):
        return [path for path in made if path.startswith(entry)]
    return entry


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links of the written pages to files of the repository lead to pages of the site."""
    if page.file.generated_by is not None:
        return markdown
    return documents.relinked(markdown, f"{documents.DOCS}/{page.file.src_uri}", page.file.src_uri, ROOT)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse pages that would fetch something from elsewhere."""
    for path in sorted(Path(config.site_dir).rglob("*")):
        if path.suffix in (".html", ".css"):
            found = documents.foreign(path.read_text(encoding="utf-8"))
            if found:
                raise PluginError(f"{path.relative_to(config.site_dir)} fetches from elsewhere: {', '.join(found)}")
