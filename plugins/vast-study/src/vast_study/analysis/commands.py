"""The commands ``vast study report`` and ``vast study export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vast_core.errors import InputError
from vast_core.files import check_output, write_text

from ..export import csv_text, votes_csv
from ..storage import open_storage
from ..study import Study
from ..votes import RawVote, raw_votes
from .analysis import analyse
from .attendance import Attendance, attendance
from .page import write_page
from .preference_page import report_preference
from .tables import COLUMNS, mos_rows, printed, write_json

if TYPE_CHECKING:
    from rich.console import Console


def report(study: Study, console: Console, *, out: Path | None = None, keep_all: bool = False) -> Path:
    """Print the results and write ``report.html``, ``report.json`` and ``mos.csv`` to ``out``; return the page's path.

    Raises:
        InputError: if nobody has rated a clip yet.
        StorageError: if a file cannot be written.
    """
    votes, judges = read_votes(study)
    if study.test == "preference":
        folder = out or study.folder / "report"
        return report_preference(study, votes, judges, console, folder, keep_all=keep_all)
    with console.status("computing the results"):
        analysis = analyse(study, votes, judges, keep_all=keep_all)
    folder = out or study.folder / "report"
    page = folder / "report.html"
    write_page(page, analysis)
    write_json(folder / "report.json", analysis)
    write_text(folder / "mos.csv", csv_text(COLUMNS, mos_rows(analysis)))
    console.print(printed(analysis))
    console.print(f"wrote {page}, with report.json and mos.csv beside it", soft_wrap=True)
    return page


def export(study: Study, console: Console, *, out: Path | None = None) -> Path:
    """Write every score of judges who did not withdraw, training included, to ``out``, one per line; return the path.

    Raises:
        InputError: if there are no scores yet, or ``out`` is a file of the study.
        StorageError: if the file cannot be written.
    """
    votes, judges = read_votes(study)
    if not votes:
        raise InputError(
            f"{study.path}: there are no scores yet ({len(judges)} judges enrolled); try again when there are some"
        )
    path = out or study.folder / "votes.csv"
    read = (study.path, study.folder / "study.sqlite", study.media, *study.systems.values())
    check_output(path, inputs=read, force=True)
    write_text(path, votes_csv(votes))
    people = len({vote.judge for vote in votes})
    console.print(f"wrote {path}: {len(votes):,} scores of {people} judge{'s' * (people != 1)}", soft_wrap=True)
    return path


def read_votes(study: Study) -> tuple[list[RawVote], list[Attendance]]:
    """All votes and judges, from one snapshot."""
    if study.database is None and not (study.folder / "study.sqlite").is_file():
        raise InputError(
            f"{study.path}: nobody has judged yet; start the study with `vast study serve {study.path.name}`"
        )
    storage = open_storage(study)
    try:
        with storage.reading() as session:
            return raw_votes(session, study), attendance(session, study)
    finally:
        storage.close()
