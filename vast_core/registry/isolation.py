"""The import of a plugin, watched: how long it takes, and what it does to the process that it is a guest in.

What would harm others is undone (the path of modules, the working directory) or diverted (what it prints, which would
end up in the output of ``vast schema``); the rest is told. What a plugin does to modules that it has imported, such as
a patch of torch, cannot be told from outside: importing torch at all is, and slows every start besides.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, cast

import attrs

SLOW = 1.0
"""Seconds from which on an import is called slow: every start of the program waits for it."""


@attrs.define
class Watch:
    """What an import took and did."""

    seconds: float = 0.0
    imports_torch: bool = False
    """Whether it was the one that brought torch in."""
    traces: tuple[str, ...] = ()
    """What it did beside, in words."""


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch what is imported within; the watch is complete once that is over, in failure, too."""
    watch, heard = Watch(), _Heard()
    had_torch, path, variables, folder = "torch" in sys.modules, list(sys.path), dict(os.environ), _folder()
    modules = sys.path
    start = time.perf_counter()
    try:
        with redirect_stdout(cast(Any, heard)):
            yield watch
    finally:
        watch.seconds = time.perf_counter() - start
        watch.imports_torch = not had_torch and "torch" in sys.modules
        moved = folder is not None and _folder() != folder
        if moved:
            with suppress(OSError):  # it may be gone, which is not for us to mend
                os.chdir(cast(str, folder))
        watch.traces = (
            *(["prints"] if heard.anything else []),
            *_mended(modules, path),
            *(["changes the working directory (changed back)"] if moved else []),
            *[f"sets {name} in the environment" for name in sorted(_changed(variables, dict(os.environ)))],
        )


class _Heard:
    """Stands in for the standard output while a plugin is imported: all goes to standard error."""

    anything = False

    def write(self, text: str) -> int:
        self.anything = True
        return sys.stderr.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # removed under our feet
        return None


def _mended(modules: list[str], before: list[str]) -> list[str]:
    """Bring the path of modules back to what it was, with what was added at its end; says what was wrong."""
    now = list(sys.path)
    added = [entry for entry in now if entry not in before]
    sys.path = modules
    sys.path[:] = [*before, *added]
    kept = [entry for entry in now if entry in before]
    said = []
    if kept != before:
        said.append("takes folders from sys.path, or reorders it (brought back)")
    if added and now[-len(added) :] != added:
        said.append(f"puts {', '.join(added)} before other packages on sys.path (moved to its end)")
    return said


def _changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
