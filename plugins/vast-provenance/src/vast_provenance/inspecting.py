"""What a file tells of itself: container metadata, C2PA manifest and watermark."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import attrs
import av
import numpy as np

from vast_core.errors import MediaError
from vast_core.media import opened

from .detecting import Detector, Found
from .manifest import SOURCE_TYPE, read

__all__ = ["findings", "watermark"]

PICTURES = 100
"""Most pictures that are searched for the watermark, from the first on."""
ENTRIES = ("description", "comment", "synopsis")
"""Metadata in which vast says what a file is."""


def findings(file: Path) -> Iterator[tuple[str, str]]:
    """What a file has of each mark, a label and a sentence each.

    Raises :class:`MediaError` if it is neither a video nor a picture.
    """
    yield "metadata", _metadata(file)
    yield "C2PA", _manifest(file)
    yield "watermark", _watermark(watermark(file))


def watermark(file: Path) -> Found | None:
    """The watermark of a video or picture; None without pictures. Raises :class:`MediaError` if it cannot be read.

    Where the size of the pictures changes, those of each size are searched, and the clearest find counts.
    """
    detectors: dict[tuple[int, ...], Detector] = {}
    try:
        with opened(file) as container:
            for frame in islice(container.decode(video=0) if container.streams.video else (), PICTURES):
                grey = np.asarray(frame.to_ndarray(format="gray"), np.uint8)
                detectors.setdefault(grey.shape, Detector()).add(grey)
    except (av.FFmpegError, OSError) as error:
        if not detectors:
            raise MediaError(f"{file}: its pictures cannot be read ({error.strerror})") from error
    if not detectors:
        return None
    clearest = min((detector.found() for detector in detectors.values()), key=lambda found: found.chance)
    return attrs.evolve(clearest, chance=min(1.0, len(detectors) * clearest.chance))


def _metadata(file: Path) -> str:
    with opened(file) as container:
        entries = {name: container.metadata[name] for name in ENTRIES if container.metadata.get(name)}
    if not entries:
        return "none that says what the file is"
    return "; ".join(entries.values())


def _manifest(file: Path) -> str:
    found = read(file)
    if found is None:
        return "no manifest"
    source = (found.source_type or "").rpartition("/")[2]
    kind = f"digital source type {source}" if source else "no digital source type"
    if found.source_type == SOURCE_TYPE:
        kind += " (synthetic)"
    facts = "".join(f", {name} {value}" for name, value in found.facts.items())
    problems = f" ({', '.join(found.problems)})" if found.problems else ""
    return f"{found.state.lower()}{problems}; {kind}; signed by {found.signer}{facts}"


def _watermark(found: Found | None) -> str:
    if found is None:
        return "no pictures"
    strength = f"{found.z:.1f} standard deviations"
    if found.marked:
        return f"there ({strength}; chance makes as much in at most one video of {1 / max(found.chance, 1e-12):,.0f})"
    return f"not found ({strength})"
