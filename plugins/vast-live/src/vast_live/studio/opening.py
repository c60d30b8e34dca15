"""Open a studio: a folder, a workshop and a page."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from vast_core.registry import Registry

from ..limits import Limits
from ..serving import is_local, serve
from .application import studio
from .receiving import StudioLimits
from .shelf import Shelf
from .speaking import Speaking
from .workshop import Workshop

__all__ = ["serve_studio"]


def serve_studio(
    folder: Path,
    limits: Limits,
    studio_limits: StudioLimits,
    console: Console,
    *,
    host: str,
    port: int,
    look_ahead: float,
    registry: Registry,
) -> None:
    """Serve a studio, which keeps everything in ``folder``, until it is stopped.

    Raises :class:`vast_core.errors.InputError` if the address is not available, or another studio has the folder.
    """
    shelf = Shelf(folder.absolute())
    speaking = Speaking(shelf, limits, registry, look_ahead)
    app = studio(shelf, Workshop(shelf), speaking, studio_limits, local=is_local(host))
    kept = f"Everything is kept in {shelf.folder}, on this machine."
    serve(app, "The studio is at", kept, console, host=host, port=port)
