"""Clips from a folder of videos."""

from __future__ import annotations

import csv
import io
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self, cast

import attrs

from vast_core.errors import InputError, MediaWarning
from vast_core.files import VIDEO_ENDINGS, composed, find_file
from vast_core.interfaces import Clip, Consent, Corpus, Sizes
from vast_core.media import VideoFile, file_digest, read_label
from vast_core.places import expanded

from .config import FolderConfig
from .consents import read_consents
from .walk import Walk

Split = Literal["train", "held_out"] | None

COLUMNS = ("file", "speaker", "style", "transcript", "split")

NAME = re.compile(r"(?P<speaker>.+?)([ _.-]+((clip|part|take|short)\d*|\d+)(?=[ _.-]|$).*)?$", re.IGNORECASE)
"""A speaker's name ends before the first word that only counts: ``clip2``, ``part``, ``take``, ``short``, ``003``. Two
names for one speaker are better than one name for two speakers, whose faces would be averaged."""


@attrs.frozen(kw_only=True)
class _Row:
    """What is known about a file before it is opened."""

    file: Path
    relative: Path
    speaker: str | None = None
    style: str | None = None
    transcript: str | None = None
    split: Split = None


class FolderCorpus(Corpus):
    """All videos under a folder, or those that a manifest lists, sorted by path.

    Links to folders are followed. Hidden folders, trash and what vast itself has written are passed over; a warning
    says once what was. A manifest may list any file.

    The speaker is the first of these that is known: the manifest's entry, the match of the pattern ``speaker``, the
    first sub-folder, the start of the file name (``Obama`` of ``Obama_clip1.mp4``, ``M030`` of ``M030_happy_1.mp4``).
    The style is the manifest's entry, the match of the pattern ``style``, or the second sub-folder
    (``anna/happy/03.mp4``); an emotion in a file name is no style, because each speaker acts it differently. A file
    that holds no video is still a clip; reading its footage raises :class:`MediaError`.
    """

    def __init__(self, config: FolderConfig, fps: float) -> None:
        self._config = config
        self._path = expanded(config.path)
        self._fps = fps

    @classmethod
    def from_config(cls, config: FolderConfig, sizes: Sizes) -> Self:
        """Make the corpus at the recipe's frame rate; reads no files."""
        return cls(config, sizes.fps)

    def clips(self) -> list[Clip]:
        """All clips; each file is read once, for its digest.

        Raises :class:`InputError` if there are none, a name does not match the pattern, or the manifest is wrong.
        """
        rows = list(self._found() if self._config.manifest is None else self._listed(self._config.manifest))
        names = Counter(composed(row.relative.with_suffix("").as_posix()) for row in rows)
        clips = []
        for row in rows:
            short = composed(row.relative.with_suffix("").as_posix())
            clips.append(
                Clip(
                    name=_unique(row, short, names),
                    speaker=composed(row.speaker or self._speaker(row.relative)),
                    style=row.style or self._style(row.relative),
                    transcript=row.transcript,
                    split=row.split,
                    footage=VideoFile(row.file, self._fps),
                    digest=file_digest(row.file),
                )
            )
        return clips

    def consents(self) -> dict[str, Consent | None]:
        """What ``consent.yaml`` in the folder says of each speaker; beside the video if the path is one video.

        Raises :class:`InputError` if that file cannot be understood.
        """
        folder = self._path.parent if self._path.is_file() else self._path
        return read_consents(folder, dict.fromkeys(clip.speaker for clip in self.clips()))

    def _found(self) -> Iterator[_Row]:
        path = self._path
        if path.is_file():
            yield _Row(file=path, relative=Path(path.name))
            return
        if not path.is_dir():
            raise InputError(f"{path}: no such folder or video; check corpus.path")
        walk = Walk(path, self._config.synthesised)
        files = walk.videos()
        if note := walk.note():
            warnings.warn(note, MediaWarning, stacklevel=2)
        if not files:
            looked_for = ", ".join(f"*{suffix}" for suffix in VIDEO_ENDINGS)
            raise InputError(f"{path}: no video in this folder or its sub-folders (looked for {looked_for})")
        for file in files:
            yield _Row(file=file, relative=file.relative_to(path))

    def _listed(self, name: str) -> Iterator[_Row]:
        manifest = self._path / name
        try:
            text = _decoded(manifest.read_bytes())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{manifest}: the manifest cannot be read ({error}); it must be CSV in UTF-8") from error
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
        columns = reader.fieldnames or ()
        if "file" not in columns or (unknown := [column for column in columns if column not in COLUMNS]):
            wrong = "lacks the column file" if "file" not in columns else f"has unknown columns {', '.join(unknown)}"
            raise InputError(f"{manifest}:1: {wrong}; the columns are {', '.join(COLUMNS)}, all but file optional")
        rows: dict[Path, _Row] = {}
        for cells in reader:
            row = self._row(cells, f"{manifest}:{reader.line_num}")
            if row.relative in rows:
                raise InputError(f"{manifest}:{reader.line_num}: {row.relative} is listed twice; keep one row")
            rows[row.relative] = row
        if not rows:
            raise InputError(f"{manifest}: lists no files; add one row per video")
        yield from (rows[relative] for relative in sorted(rows))

    def _row(self, cells: dict[str, str], place: str) -> _Row:
        # DictReader stores surplus cells under the key None, and None for missing cells.
        if None in cells or None in cells.values():
            raise InputError(f"{place}: has more or fewer cells than the header; quote cells that contain commas")
        values = {column: cell.strip() or None for column, cell in cells.items()}
        name, split = values.pop("file"), values.pop("split", None)
        if name is None:
            raise InputError(f"{place}: has no file name; fill in the column file or remove the row")
        file = find_file(self._path, name)
        if file is None:
            raise InputError(f"{place}: {self._path / name} does not exist; correct the name or remove the row")
        if split not in ("train", "held_out", None):
            raise InputError(f"{place}: split is {split!r}; write train, held_out, or nothing")
        return _Row(file=file, relative=Path(os.path.relpath(file, self._path)), split=cast(Split, split), **values)

    def _speaker(self, relative: Path) -> str:
        pattern = self._config.speaker
        if pattern is None:
            if len(relative.parts) > 1:
                return relative.parts[0]
            if label := read_label(relative.stem):
                return label.speaker
            found = NAME.match(relative.stem)
        else:
            found = re.search(pattern, composed(relative.as_posix()))
        if found is None or not found["speaker"]:
            raise InputError(
                f"{relative.as_posix()}: the pattern corpus.speaker = {pattern!r} does not match this name; "
                "widen the pattern, rename the file, or list the files in a manifest"
            )
        return found["speaker"]

    def _style(self, relative: Path) -> str | None:
        if self._config.style is None:
            return relative.parts[1] if len(relative.parts) > 2 else None
        found = re.search(self._config.style, composed(relative.as_posix()))
        return found["style"] or None if found else None


def _unique(row: _Row, short: str, names: Counter[str]) -> str:
    """The name of a clip: with its suffix if another differs in that only, and as it is on disk if in accents only."""
    if names[short] == 1:
        return short
    return (
        composed(row.relative.as_posix())
        if short == row.relative.with_suffix("").as_posix()
        else row.relative.as_posix()
    )


def _decoded(content: bytes) -> str:
    """The text of a manifest in UTF-8, or in UTF-16 as some spreadsheets write it, without their line ``sep=;``."""
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    return text.partition("\n")[2] if text.startswith("sep=") else text


def _delimiter(text: str) -> str:
    """The character between the columns of the header: a comma, or what spreadsheets of other languages write."""
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)
