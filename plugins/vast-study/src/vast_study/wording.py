"""The files of ``templates/``: questions, the consent text, and a commented ``study.yaml``. Imports no server."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import jinja2

FOLDER = Path(__file__).with_name("templates")


def question_templates() -> dict[str, Path]:
    """The question templates of this package, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def consent_text(*, videos: int, questions: int, minutes: int | None = None, test: str = "ratings") -> str:
    """Information for judges before they take part: tasks, duration, stored data and their use."""
    given = {"videos": videos, "questions": questions, "minutes": minutes, "pairs": test == "preference"}
    text = _render("consent.txt.j2", given)
    return "\n\n".join(textwrap.fill(paragraph, 110) for paragraph in text.strip().split("\n\n"))


def study_text(content: Mapping[str, object]) -> str:
    """A commented ``study.yaml``."""
    return _render("study.yaml.j2", content)


def _render(name: str, content: Mapping[str, object]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(name).render(content)
