"""Import of a plugin: timed, and without lasting effect on the process.

``sys.path`` and the working directory are restored, and output of the plugin goes to standard error, so that it is not
mixed into the output of ``vast schema``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress

import attrs

SLOW = 1.0
"""Seconds from which an import counts as slow; it delays every start of the program."""


@attrs.define
class ImportCost:
    """Time that an import adds to every start of the program, and whether it loads torch."""

    seconds: float = 0.0
    imports_torch: bool = False
    """Whether this import was the first to load torch."""


@contextmanager
def isolated() -> Iterator[ImportCost]:
    """Undo changes that an import in this context makes to the process. The cost is set at the end, also on failure."""
    cost, had_torch = ImportCost(), "torch" in sys.modules
    modules, path, folder = sys.path, list(sys.path), _folder()
    start = time.perf_counter()
    try:
        with redirect_stdout(sys.stderr):
            yield cost
    finally:
        cost.seconds = time.perf_counter() - start
        cost.imports_torch = not had_torch and "torch" in sys.modules
        added = [entry for entry in sys.path if entry not in path]  # the plugin may need them later; they go last
        sys.path, modules[:] = modules, [*path, *added]
        if folder is not None and _folder() != folder:
            with suppress(OSError):  # the folder may have been removed
                os.chdir(folder)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # the folder was removed
        return None
