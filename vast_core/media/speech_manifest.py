"""Folders of recorded speech: ``MANIFEST.tsv`` lists speaker, transcript and the times of the phones.

The file is tab-separated UTF-8 with a header of column names; text in brackets after a name is a remark.

==============  =============================================================================
``file``        path of a sound file below the folder
``speaker``     name of the speaker
``seconds``     length of the recording
``transcript``  spoken words; may be empty
``phones``      ``SIL:0.00-0.31 HH:0.31-0.40 ...``, ARPAbet without stress and seconds; the cell
                may be empty, the column may be missing
==============  =============================================================================

The first sub-folder of a file is its source, by which figures are grouped. In a folder without sub-folders, the folder
itself is the source.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import attrs

from ..errors import InputError
from ..files.atomic import write_text
from ..files.names import composed, find_file
from ..interfaces import Phone
from ..phones import phone_index

NAME = "MANIFEST.tsv"
"""Name of the manifest."""

COLUMNS = ("file", "speaker", "seconds", "transcript", "phones")
"""Columns in the order in which they are written; all but the last are required."""

_OVERLAP = 5e-4
"""Seconds by which a phone may start before the previous one ends, because of rounding."""


@attrs.frozen(kw_only=True)
class Recording:
    """One row of a manifest."""

    file: PurePosixPath
    """Path below the folder."""
    speaker: str
    seconds: float
    transcript: str = ""
    phones: tuple[Phone, ...] = ()
    """Ascending and without overlap; empty if they were not aligned."""

    def source(self, folder: Path) -> str:
        """The file's first sub-folder, or the name of ``folder`` if it has none."""
        return self.file.parts[0] if len(self.file.parts) > 1 else folder.resolve().name

    def name(self, folder: Path) -> str:
        """``source/file`` without the suffix: the name of the recording in messages and figures."""
        inner = self.file.with_suffix("")
        return composed(str(inner if len(inner.parts) > 1 else PurePosixPath(self.source(folder), inner)))


def read_manifest(folder: Path) -> list[Recording]:
    """The recordings of a folder, in the manifest's order. No sound is read.

    Raises :class:`InputError`, naming the line, if the manifest is missing or wrong, or a file does not exist.
    """
    path = folder / NAME
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; a folder of speech needs this file, with the columns {', '.join(COLUMNS)}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); it must be tab-separated text in UTF-8") from error
    columns = _header(lines[0] if lines else "", f"{path}:1")
    recordings: dict[PurePosixPath, Recording] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise InputError(f"{place}: {len(cells)} cells, but {len(columns)} columns ({', '.join(columns)})")
        recording = _recording(dict(zip(columns, map(str.strip, cells), strict=True)), place)
        if recording.file in recordings:
            raise InputError(f"{place}: {recording.file} is listed twice; keep one row")
        file = find_file(folder, recording.file.as_posix())
        if file is None:
            raise InputError(f"{place}: {folder / recording.file} does not exist; correct the name or remove the row")
        own = PurePosixPath(file.relative_to(folder).as_posix())
        recordings[recording.file] = attrs.evolve(recording, file=own)
    if not recordings:
        raise InputError(f"{path}: lists no file; add one row for each recording")
    return list(recordings.values())


def write_manifest(folder: Path, recordings: Iterable[Recording]) -> None:
    """Write ``MANIFEST.tsv``, whole or not at all; times of phones are rounded to milliseconds.

    Raises :class:`InputError` if a cell holds a tab or a line break, and :class:`vast_core.errors.StorageError` if
    the folder cannot be written.
    """
    rows = ["\t".join(COLUMNS)]
    for recording in recordings:
        words = (str(recording.file), recording.speaker, recording.transcript)
        if wrong := next((word for word in words if len(word.splitlines()) > 1 or "\t" in word), None):
            raise InputError(f"{folder / NAME}: {wrong!r} holds a tab or a line break, which a cell cannot contain")
        file, speaker, transcript = words
        rows.append("\t".join((file, speaker, f"{recording.seconds:.2f}", transcript, format_phones(recording.phones))))
    write_text(folder / NAME, "\n".join(rows) + "\n")


def parse_phones(text: str, place: str) -> tuple[Phone, ...]:
    """Phones of ``SIL:0.00-0.31 HH:0.31-0.40``.

    Raises :class:`InputError`, beginning with ``place``, if a phone is malformed, unknown, or out of order.
    """
    phones: list[Phone] = []
    for word in text.split():
        label, _, times = word.partition(":")
        start, _, end = times.partition("-")
        try:
            phone = Phone(label=label, start=float(start), end=float(end))
        except ValueError:
            raise InputError(f"{place}: {word!r} is not PHONE:start-end in seconds") from None
        try:
            phone_index(label)
        except ValueError as error:
            raise InputError(f"{place}: {error}") from None
        if not 0 <= phone.start < phone.end < math.inf:
            raise InputError(f"{place}: {word!r} must start at 0 s or later and end after it starts")
        if phones and phone.start < phones[-1].end - _OVERLAP:
            raise InputError(f"{place}: {word!r} starts before the previous phone ends, at {phones[-1].end} s")
        phones.append(phone)
    return tuple(phones)


def format_phones(phones: Sequence[Phone]) -> str:
    """The text that :func:`parse_phones` reads, with times to the millisecond."""
    return " ".join(f"{phone.label}:{phone.start:.3f}-{phone.end:.3f}" for phone in phones)


def _header(line: str, place: str) -> list[str]:
    columns = [cell.partition("(")[0].strip() for cell in line.split("\t")]
    if missing := [column for column in COLUMNS[:-1] if column not in columns]:
        raise InputError(f"{place}: lacks the column {missing[0]}; the header is {', '.join(COLUMNS)}, tab-separated")
    for number, column in enumerate(columns):
        if column not in COLUMNS:
            raise InputError(f"{place}: unknown column {column!r}; the columns are {', '.join(COLUMNS)}")
        if column in columns[:number]:
            raise InputError(f"{place}: the column {column} stands there twice; keep one")
    return columns


def _recording(cells: dict[str, str], place: str) -> Recording:
    for column in ("file", "speaker"):
        if not cells[column]:
            raise InputError(f"{place}: the cell {column} is empty; fill it or remove the row")
    try:
        seconds = float(cells["seconds"])
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InputError(f"{place}: seconds is {cells['seconds']!r}; write the length in seconds, such as 3.25")
    return Recording(
        file=PurePosixPath(cells["file"]),
        speaker=cells["speaker"],
        seconds=seconds,
        transcript=cells["transcript"],
        phones=parse_phones(cells.get("phones", ""), place),
    )
