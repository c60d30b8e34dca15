"""Docstrings as Markdown: the few forms of reStructuredText that ours use, for mkdocstrings."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Roles(griffe.Extension):
    """Rewrites every docstring as it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Leave out long values and calls of attrs, whose defaults the reference of options tells."""
        value = "" if attr.value is None else str(attr.value)
        if len(value) > 80 or value.startswith("attrs."):
            attr.value = None


def markdown(text: str) -> str:
    """The same with roles and double backticks as code, and ``::`` before a block as a colon."""
    text = re.sub(r":(?:attr|class|data|func|meth|mod):`~?([^`]+)`", r"`\1`", text)
    text = text.replace("``", "`")
    text = re.sub(r"^\s*::$\n", "", text, flags=re.MULTILINE)
    return re.sub(r"::$", ":", text, flags=re.MULTILINE)
