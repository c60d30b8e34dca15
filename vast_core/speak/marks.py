"""The marks of an avatar's videos: that an avatar speaks in them, and what plugins add."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import attrs

from ..errors import ComponentError, VastError
from ..media.opening import content_digest
from ..media.reading import SPOKEN
from ..mesh.scene import Image
from ..recipe.model import Recipe
from ..registry.discovery import explain
from ..registry.marking import Marker, Origin
from ..registry.registry import Registry
from ..runs.keys import code_digest, digest
from ..runs.weights import read_header
from ..version import __version__
from .consenting import consent_of
from .packing import AVATAR, SPEAKING, WEIGHTS

__all__ = ["Marks", "marks_key"]

HOOK = "vast_marker"


@attrs.frozen
class Marks:
    """What the videos in which an avatar speaks carry.

    The frames that an avatar gives as arrays are not marked; :meth:`frame` marks those that leave as a video.
    """

    markers: tuple[Marker, ...] = ()
    """Those of the plugins."""

    @classmethod
    def of(cls, avatar: str, recipe: Recipe, run: Path, registry: Registry) -> Self:
        """The marks of an avatar whose files are in the folder of a run.

        Raises :class:`ComponentError` if a plugin's hook fails: an avatar without its marks must not speak. Raises
        :class:`vast_core.errors.InputError` if the speaker's consent has ended.
        """
        spoken = {kind: recipe.component_data(kind) for kind in SPEAKING}
        files = [content_digest(run / name) for name in WEIGHTS]
        origin = Origin(
            avatar=avatar,
            run=recipe.name,
            recipe=digest({**spoken, "name": recipe.name, "seed": recipe.seed, "fps": recipe.fps}),
            weights=hashlib.sha256("".join(files).encode()).hexdigest()[:20],
            software=f"vast {__version__}",
            consent=consent_of(avatar, read_header(run / AVATAR)),
            sections=recipe.sections,
        )
        return cls.by(origin, registry)

    @classmethod
    def by(cls, origin: Origin, registry: Registry) -> Self:
        """The marks that the plugins of a registry make for an avatar. Raises what :meth:`of` does."""
        return cls(tuple(_markers(origin, registry)))

    def lines(self) -> list[str]:
        """What the videos carry and what is switched off, a sentence each."""
        told = [line for marker in self.markers for line in marker.lines()]
        return told or ["Videos carry no mark but a comment in their container: no loaded plugin makes others."]

    def metadata(self) -> dict[str, str]:
        """Entries for the container."""
        entries = {"comment": SPOKEN}
        for marker in self.markers:
            entries |= marker.metadata()
        return entries

    def frame(self, frame: Image) -> Image:
        """A frame (Y, X, 3), marked; the given one is not changed."""
        for marker in self.markers:
            frame = marker.frame(frame)
        return frame

    def finish(self, path: Path) -> None:
        """Mark a complete mp4 in place."""
        for marker in self.markers:
            marker.finish(path)


def marks_key(recipe: Recipe, registry: Registry) -> dict[str, object]:
    """What the marks of a video depend on: options and code of the sections that every recipe has."""
    return {
        section.name: [digest(recipe.sections[section.name]), code_digest(section.config.__module__)]
        for section in registry.sections
        if section.always and section.name in recipe.sections
    }


def _markers(origin: Origin, registry: Registry) -> Iterable[Marker]:
    for plugin, hook in registry.each(HOOK):
        try:
            marker = hook(origin=origin)
        except VastError:
            raise
        except Exception as error:
            raise ComponentError(f"plugin {plugin!r} cannot mark videos as synthetic: {explain(error)}") from error
        if marker is not None and not isinstance(marker, Marker):
            raise ComponentError(f"plugin {plugin!r}: {HOOK} gave {marker!r}, which is no vast_core.registry.Marker")
        if marker is not None:
            yield marker
