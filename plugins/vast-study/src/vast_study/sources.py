"""The videos of a study: files in the folders of its systems, matched by name. Reads none of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vast_core.errors import InputError
from vast_core.files import VIDEO_ENDINGS, composed


def videos(folder: Path) -> dict[str, Path]:
    """The videos of a folder by name without extension, sorted; hidden files and sub-folders are ignored.

    Raises :class:`vast_core.errors.InputError` if it cannot be read, has no video, or two with the same name.
    """
    try:
        files = sorted(
            file
            for file in folder.iterdir()
            if file.suffix.lower() in VIDEO_ENDINGS and not file.name.startswith(".") and file.is_file()
        )
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); name a folder of videos") from error
    found: dict[str, Path] = {}
    for file in files:
        name = composed(file.stem)
        if name in found:
            raise InputError(f"{folder}: {found[name].name} and {file.name} have the same name; rename one of them")
        found[name] = file
    if not found:
        raise InputError(f"{folder}: has no videos ({', '.join(VIDEO_ENDINGS)}); name a folder of videos")
    return found


def lacking(systems: Mapping[str, Mapping[str, Path]]) -> dict[str, str]:
    """The clips that each system lacks and another one has, in words; complete systems are left out."""
    every: dict[str, str] = {}
    for name, clips in systems.items():
        every |= {clip: name for clip in clips if clip not in every}
    told = {}
    for name, clips in systems.items():
        if missing := sorted(every.keys() - clips.keys()):
            shown = ", ".join(missing[:8]) + f" and {len(missing) - 8} more" * (len(missing) > 8)
            first = every[missing[0]]
            told[name] = f"lacks {shown}, which {first} has; every system needs a video of each name"
    return told
