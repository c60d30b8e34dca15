"""What the speakers of the embedded corpus say: written sentences, or recordings of real people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from vast_core.errors import InputError
from vast_core.media import Recording, file_digest, read_manifest, read_wave
from vast_core.phones import SILENCE
from vast_core.places import expanded

from .speech import SENTENCES, Speech, levelled

SECONDS_A_LETTER = 0.05
"""Minimum duration per letter over all voices, which bounds the duration of a written sentence from below."""


@attrs.frozen(kw_only=True)
class Recorded:
    """A recording with the times of its phones."""

    path: Path
    row: Recording

    def speech(self) -> Speech:
        """Its sound, read anew, at the level of the synthetic voices."""
        wave = read_wave(self.path)
        return Speech(levelled(wave, self.row.phones), self.row.phones)


@attrs.frozen(kw_only=True)
class Line:
    """A sentence to say."""

    text: str
    seconds: float
    """Its duration; of a written sentence, a lower bound."""
    recording: Recorded | None = None

    @property
    def facts(self) -> Any:
        """What its sound and phones depend on besides the voice, for digests."""
        if self.recording is None:
            return self.text
        return file_digest(self.recording.path), self.recording.row.phones


WRITTEN: Sequence[Line] = tuple(Line(text=text, seconds=SECONDS_A_LETTER * len(text)) for text in SENTENCES)
"""The sentences of this package."""


def recorded_lines(folders: Sequence[Path]) -> list[Line]:
    """The recordings of ``folders`` that have phones.

    Raises :class:`vast_core.errors.InputError` if a manifest is wrong, or no recording has phones.
    """
    found = [(expanded(folder), row) for folder in folders for row in read_manifest(expanded(folder))]
    lines = [
        Line(text=row.transcript, seconds=row.seconds, recording=Recorded(path=folder / row.file, row=row))
        for folder, row in found
        if any(phone.label != SILENCE for phone in row.phones)
    ]
    if not lines:
        raise InputError(
            f"corpus/synthetic: none of the {len(found)} recordings in {', '.join(map(str, folders))} has the times of "
            "its phones in its manifest"
        )
    return lines
