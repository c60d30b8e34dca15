"""The import of a plugin: timed, and without lasting effect on the process that it is a guest in.

The path of modules and the working directory are put back, and what the plugin prints goes to standard error, so that
it does not end up in the output of ``vast schema``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress

import attrs

SLOW = 1.0
"""Seconds from which on an import is called slow: every start of the program waits for it."""


@attrs.define
class ImportCost:
    """What an import costs every start of the program."""

    seconds: float = 0.0
    imports_torch: bool = False
    """Whether it was the one that brought torch in."""


@contextmanager
def isolated() -> Iterator[ImportCost]:
    """Undo what an import within does to the process; its cost is known once that is over, in failure, too."""
    cost, had_torch = ImportCost(), "torch" in sys.modules
    modules, path, folder = sys.path, list(sys.path), _folder()
    start = time.perf_counter()
    try:
        with redirect_stdout(sys.stderr):
            yield cost
    finally:
        cost.seconds = time.perf_counter() - start
        cost.imports_torch = not had_torch and "torch" in sys.modules
        added = [entry for entry in sys.path if entry not in path]  # it may need them later, after all others
        sys.path, modules[:] = modules, [*path, *added]
        if folder is not None and _folder() != folder:
            with suppress(OSError):  # it may be gone, which is not for us to mend
                os.chdir(folder)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # removed under our feet
        return None
