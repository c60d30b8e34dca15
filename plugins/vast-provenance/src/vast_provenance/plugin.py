"""The hooks of vast-provenance; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vast_core import SectionSpec, hookimpl

from .config import Provenance

if TYPE_CHECKING:
    import click

    from vast_core.registry import Marker, Origin


@hookimpl
def vast_sections() -> Iterable[SectionSpec]:
    """Declare the section ``provenance``, which every recipe has."""
    summary = "how videos are marked as synthetic: metadata, C2PA manifest, watermark"
    return [SectionSpec(name="provenance", config=Provenance, always=True, summary=summary)]


@hookimpl
def vast_marker(origin: Origin) -> Marker:
    """The marks of an avatar's videos."""
    from .marking import ProvenanceMarker

    return ProvenanceMarker(origin)


@hookimpl
def vast_inspect(file: Path) -> Iterable[tuple[str, str]]:
    """The marks that a video or picture has."""
    from .inspecting import findings

    return findings(file)


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast robustness``."""
    from .commands import robustness

    cli.add_command(robustness)
