"""What ``vast study report`` and ``vast study export`` do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vast_core.errors import InputError
from vast_core.files import write_text

from ..export import csv_text, votes_csv
from ..storage import open_storage
from ..study import Study
from ..votes import RawVote, raw_votes
from .analysis import analyse
from .attendance import Attendance, attendance
from .page import write_page
from .tables import COLUMNS, mos_rows, printed, write_json

if TYPE_CHECKING:
    from rich.console import Console


def report(study: Study, console: Console, *, out: Path | None = None, keep_all: bool = False) -> Path:
    """Print the results and write ``report.html``, ``report.json`` and ``mos.csv`` to ``out``; gives the page.

    Raises:
        InputError: where nobody has rated a clip yet.
        StorageError: where a file cannot be written.
    """
    votes, judges = _read(study)
    with console.status("working out the results"):
        analysis = analyse(study, votes, judges, keep_all=keep_all)
    folder = out or study.folder / "report"
    page = folder / "report.html"
    write_page(page, analysis)
    write_json(folder / "report.json", analysis)
    write_text(folder / "mos.csv", csv_text(COLUMNS, mos_rows(analysis)))
    console.print(printed(analysis))
    console.print(f"written: {page}, report.json and mos.csv beside it", soft_wrap=True)
    return page


def export(study: Study, console: Console, *, out: Path | None = None) -> Path:
    """Write every score of judges who did not withdraw, training included, to ``out``, a line each; gives the file.

    Raises:
        InputError: where there is no score yet.
        StorageError: where the file cannot be written.
    """
    votes, judges = _read(study)
    if not votes:
        raise InputError(
            f"{study.path}: there is no score yet ({len(judges)} judges enrolled); ask again when some have come in"
        )
    path = out or study.folder / "votes.csv"
    write_text(path, votes_csv(votes))
    people = len({vote.judge for vote in votes})
    console.print(f"written: {path}, {len(votes):,} scores of {people} judge{'s' * (people != 1)}", soft_wrap=True)
    return path


def _read(study: Study) -> tuple[list[RawVote], list[Attendance]]:
    """All votes and judges, of one moment."""
    if study.database is None and not (study.folder / "study.sqlite").is_file():
        raise InputError(
            f"{study.path}: nobody has judged yet; open the study with `vast study serve {study.path.name}`"
        )
    storage = open_storage(study)
    try:
        with storage.reading() as session:
            return raw_votes(session, study), attendance(session, study)
    finally:
        storage.close()
