"""The table of the zoo for the documentation: ``python -m zoo.table`` in ``tests/`` writes its page anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from . import pictures, sounds
from .pictures import PictureForm
from .sounds import SoundForm

PAGE = Path(__file__).parents[2] / ".github/site/docs/files.md"

START = "<!-- the table of tests/zoo -->\n"


def table() -> str:
    """Every form, and what vast makes of it."""
    return START + "\n".join([*_part("sound", sounds.forms()), "", *_part("video", pictures.forms())]) + "\n"


def _part(kind: str, forms: Iterator[SoundForm] | Iterator[PictureForm]) -> Iterator[str]:
    yield f"| {kind} | ending | vast |"
    yield "|---|---|---|"
    for form in forms:
        yield f"| {form.name} | `{form.suffix}` | {_outcome(form)} |"


def _outcome(form: SoundForm | PictureForm) -> str:
    if form.refused:
        return f"refuses it: “{_plain(form.refused)}”"
    said = ["reads it"]
    if form.warned:
        said.append(f"and warns: “{_plain(form.warned)}”")
    if isinstance(form, SoundForm) and form.longer:
        said.append(f"(ends within {1000 * form.longer:.0f} ms)")
    if isinstance(form, PictureForm) and form.colour > 4:
        said.append(f"(colours within {form.colour:g} of 255)")
    return " ".join(said)


def _plain(words: str) -> str:
    """A regular expression as the words that it stands for."""
    return re.sub(r"\\(.)", r"\1", words).rstrip(",")


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8").partition(START)[0]
    PAGE.write_text(text + table(), encoding="utf-8")
